# SPDX-License-Identifier: Apache-2.0
"""How to reach the running lab: facts, connections as its users, what a silent service raises."""

import json
import os
import pathlib
from typing import Any

import keystoneauth1.exceptions
import openstack
import openstack.exceptions
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / '.lab'

# What a request to a service that is down or being restarted may raise.
NO_ANSWER = (
    keystoneauth1.exceptions.ClientException,
    openstack.exceptions.SDKException,
    requests.RequestException,
)


def environment() -> dict[str, Any]:
    """The facts that the lab left in ``.lab/env.json``."""
    found: dict[str, Any] = json.loads((LAB / 'env.json').read_text())
    return found


def connect(name: str = 'demo') -> openstack.connection.Connection:
    """A connection as one of the lab's users: demo (the tenant), admin, demo-two, admin-two."""
    os.environ['OS_CLIENT_CONFIG_FILE'] = str(LAB / 'clouds.yaml')
    return openstack.connect(cloud=name)
