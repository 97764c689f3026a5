# SPDX-License-Identifier: Apache-2.0
"""The fencing file: which driver fences which host, and how."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from heat_ha import exceptions
from heat_ha.fencing import driver

_KEYS = ('default', 'hosts')
DEFAULT_TIMEOUT = 90.0


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The settings of each host; ``default`` is for those that are not listed."""

    hosts: Mapping[str, Mapping[str, Any]]
    default: Mapping[str, Any]

    def driver(self, host: str) -> driver.Driver:
        """The driver of a host. :raises exceptions.Refused: its settings are wrong."""
        return driver.load(host, self.settings(host))

    def timeout(self, host: str) -> float:
        """Seconds until the host must be seen off."""
        return float(self.settings(host).get('timeout', DEFAULT_TIMEOUT))

    def settings(self, host: str) -> Mapping[str, Any]:
        """The settings of a host."""
        return self.hosts.get(host, self.default)

    def check(self) -> None:
        """Load every driver once. :raises exceptions.Refused: the first one that is wrong."""
        for host in self.hosts:
            self.driver(host)
        self.driver('default')


def parse(text: str) -> Inventory:
    """Read the file's text. :raises exceptions.Refused: what is wrong with it."""
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as exc:
        raise exceptions.Refused(f'the fencing file is no YAML: {exc}') from exc
    if not isinstance(found, dict) or set(found) - set(_KEYS):
        raise exceptions.Refused('the fencing file has other keys', f'Known: {", ".join(_KEYS)}')
    hosts = found.get('hosts') or {}
    default = found.get('default') or {'driver': 'nova_forced_down'}
    if not isinstance(hosts, dict) or not isinstance(default, dict):
        raise exceptions.Refused('default and hosts are to be maps')
    for host, settings in hosts.items():
        if not isinstance(settings, dict):
            raise exceptions.Refused(f'host {host} is to have a map of settings')
    return Inventory(hosts, default)


def read(path: str) -> Inventory:
    """Read the fencing file; without one, all hosts are fenced by somebody else."""
    if not path:
        return parse('')
    try:
        with open(path) as stream:
            return parse(stream.read())
    except OSError as exc:
        raise exceptions.Refused(f'the fencing file cannot be read: {exc}') from exc
