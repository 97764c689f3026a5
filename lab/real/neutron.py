# SPDX-License-Identifier: Apache-2.0
"""Ports that bind on the hosts: a mechanism driver of the lab's own, which Neutron finds by name.

Neutron takes mechanism drivers from the entry points of what is installed. A package with nothing
but its description and one module is enough for that.
"""

import pathlib

from lab import database
from lab.real import paths
from lab.real.addresses import HOSTS

MECHANISM_DRIVER = 'heat_ha_lab_tap'

_MODULE = 'heat_ha_lab_tap_ports'
_NAME = 'heat_ha_lab'
_FILES = {
    'METADATA': f'Metadata-Version: 2.1\nName: {_NAME}\nVersion: 0\n',
    'INSTALLER': 'heat-ha-lab\n',
    'WHEEL': 'Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    'RECORD': f'{_MODULE}.py,,\n',
    'entry_points.txt': (
        f'[neutron.ml2.mechanism_drivers]\n{MECHANISM_DRIVER} = {_MODULE}:TapMechanismDriver\n'
    ),
}
_AGENT = '{"tunnel_types": ["vxlan"], "interface_mappings": {"public": "br-public"}}'


def install(site_packages: pathlib.Path) -> None:
    """Put the mechanism driver into an environment; harmless when it is there."""
    folder = f'{_NAME}-0.dist-info'
    files = {f'{folder}/{name}': text for name, text in _FILES.items()}
    files[f'{_MODULE}.py'] = (paths.LAUNCHERS / 'tap_ports.py').read_text()
    if all(_has(site_packages / name, text) for name, text in files.items()):
        return
    (site_packages / folder).mkdir(exist_ok=True)
    for name, text in files.items():
        (site_packages / name).write_text(text)


def _has(file: pathlib.Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


def enter_agents() -> None:
    """Enter an agent for each host, alive for ever: ports bind without any agent."""
    for host in HOSTS:
        database.query(
            f"DELETE FROM neutron.agents WHERE host = '{host}';"
            'INSERT INTO neutron.agents (id, agent_type, `binary`, topic, host, admin_state_up,'
            ' created_at, started_at, heartbeat_timestamp, configurations, `load`) VALUES'
            f" (UUID(), 'OFA driver agent', 'fake-agent', 'N/A', '{host}', 1,"
            f" NOW(), NOW(), '2099-01-01 00:00:00', '{_AGENT}', 0)"
        )
