# SPDX-License-Identifier: Apache-2.0
"""Masakari's monitor of hosts, the real program, in front of a Pacemaker that is none.

What it is told of the cluster is a file, in the form of ``cibadmin --query``; everything else, from
the reading of that to the request to whom Keystone's catalogue names, is its own.
"""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from lab import beside, layout, regions
from lab.client import access

FOLDER = layout.LAB / 'masakari-monitors'

# Seconds between two looks of the monitor's at its cluster.
_EVERY = 1

_CONFIG = """\
[DEFAULT]
hostname = the-monitor
debug = true
[host]
monitoring_driver = default
monitoring_interval = {every}
monitoring_samples = 1
api_retry_max = 30
api_retry_interval = 1
disable_ipmi_check = {no_ipmi}
pacemaker_node_type = remote
[masakarimonitors_privileged]
helper_command = {venv}/bin/privsep-helper --config-file {config}
[api]
region = {region}
api_interface = internal
auth_type = password
auth_url = {auth_url}
username = admin
password = {password}
project_name = admin
user_domain_name = Default
project_domain_name = Default
"""


class Cluster:
    """What Pacemaker says of its nodes; by default all are online."""

    def __init__(self, folder: pathlib.Path, names: tuple[str, ...]) -> None:
        self._file = folder / 'cib.xml'
        self._online = dict.fromkeys(names, True)
        self._write()
        program = folder / 'cibadmin'
        program.write_text(f'#!/bin/sh\nexec cat {self._file}\n')
        program.chmod(0o755)

    def be(self, host: str, is_online: bool) -> None:
        """Let a node be lost, or a member again."""
        self._online[host] = is_online
        self._write()

    def _write(self) -> None:
        states = ''.join(
            f'<node_state id="{n}" uname="{host}" crmd="{"online" if up else "offline"}"/>'
            for n, (host, up) in enumerate(self._online.items(), 1)
        )
        new = self._file.with_suffix('.new')
        new.write_text(f'<cib have-quorum="1"><status>{states}</status></cib>\n')
        new.replace(self._file)


def _configure(folder: pathlib.Path, sees_power: bool) -> pathlib.Path:
    facts: Mapping[str, Any] = access.environment()
    config = folder / 'monitors.conf'
    config.write_text(
        _CONFIG.format(
            every=_EVERY,
            no_ipmi=not sees_power,
            venv=FOLDER / 'venv',
            config=config,
            region=regions.ONE.name,
            auth_url=facts['auth_url'],
            password=facts['password'],
        )
    )
    return config


@contextlib.contextmanager
def running(
    folder: pathlib.Path, names: tuple[str, ...], *, sees_power: bool = False
) -> Iterator[Cluster]:
    """Run it with a cluster of these nodes.

    :param sees_power: whether it asks BMCs by IPMI whether a lost node is off. There are none of
        those that it would ask, so it says then that it does not know.
    """
    beside.install(FOLDER, layout.SOURCES / 'masakari_constraints.txt', 'masakari-monitors')
    cluster = Cluster(folder, names)
    config = _configure(folder, sees_power)
    environment = {**os.environ, 'PATH': f'{folder}:{FOLDER}/venv/bin:{os.environ["PATH"]}'}
    with open(folder / 'hostmonitor.log', 'w') as log:
        process = subprocess.Popen(
            [FOLDER / 'venv' / 'bin' / 'masakari-hostmonitor', '--config-file', config],
            stdout=log, stderr=log, cwd=folder, env=environment,
        )  # fmt: skip
    try:
        yield cluster
    finally:
        process.terminate()
        process.wait(timeout=20)
