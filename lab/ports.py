# SPDX-License-Identifier: Apache-2.0
"""The lab's block of TCP ports, all on the loopback address, and who holds one that is taken.

``LAB_PORT_BASE`` moves the whole block, so that two labs run side by side. It is needed for the
first ``up`` only: the lab remembers it.
"""

import dataclasses
import os
import pathlib

from lab import layout, problems

ADDRESS = '127.0.0.1'
DEFAULT_BASE = 21000

_OFFSETS = {
    'keystone': 0,
    'glance-api': 1,
    'neutron-api': 2,
    'aodh-api': 3,
    'barbican-api': 4,
    'mariadb': 10,
    'rabbitmq': 11,
    'rabbitmq-dist': 12,
    'epmd': 13,
    'memcached': 14,
}
_REGION_OFFSETS = {'one': 20, 'two': 40}
_IN_REGION = {
    'placement': 0,
    'nova-api': 1,
    'cinder-api': 2,
    'heat-api': 3,
    'heat-api-cfn': 4,
    # Of an apart region only.
    'keystone': 5,
}
_LISTEN = '0A'


@dataclasses.dataclass(frozen=True)
class Ports:
    """The port of each thing that listens."""

    base: int

    def of(self, name: str, region: str | None = None) -> int:
        """Return the port of a shared service, or of a region's own one."""
        if region is None:
            return self.base + _OFFSETS[name]
        return self.base + _REGION_OFFSETS[region] + _IN_REGION[name]

    def url(self, name: str, region: str | None = None, path: str = '') -> str:
        """Return the HTTP address of a service."""
        return f'http://{ADDRESS}:{self.of(name, region)}{path}'


def from_environment() -> Ports:
    """Take the base port from ``LAB_PORT_BASE``, else from the lab's last ``up``."""
    text = os.environ.get('LAB_PORT_BASE', '') or _remembered() or str(DEFAULT_BASE)
    if not text.isdigit() or not 1024 <= int(text) <= 65000:
        raise problems.Problem(
            f'LAB_PORT_BASE is {text!r}', 'set it to a number between 1024 and 65000'
        )
    return Ports(int(text))


def settle(block: Ports) -> None:
    """Remember the block.

    :raises problems.Problem: when databases are there that were made with another one.
    """
    before = _remembered()
    has_data = any(layout.DATA_STAMPS.glob('schema-*'))
    if before and before != str(block.base) and has_data:
        raise problems.Problem(
            f'this lab was made with LAB_PORT_BASE={before}, and the service catalogue says so',
            f'use that base, or make the lab new: LAB_PORT_BASE={before} python3 -m lab reset',
        )
    layout.PORT_BASE.write_text(str(block.base))


def _remembered() -> str:
    try:
        return layout.PORT_BASE.read_text().strip()
    except OSError:
        return ''


def holder(port: int) -> str | None:
    """Return who listens on a port, as "process 12 (name)"; None when nobody does."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f'socket:[{inode}]' for inode in inodes}
    for process in pathlib.Path('/proc').iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(fd) in wanted for fd in (process / 'fd').iterdir()):
                command = (process / 'cmdline').read_bytes().replace(b'\0', b' ').decode().strip()
                return f'process {process.name} ({command[:80]})'
        except OSError:
            # The process has ended meanwhile, or it is not ours to look into.
            continue
    return 'a process of another user'


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        try:
            rows = pathlib.Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(':')[2], 16) == port:
                found.add(fields[9])
    return found
