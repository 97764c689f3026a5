# SPDX-License-Identifier: Apache-2.0
"""The two regions, and the facts of the cloud that many modules need: names, hosts, addresses."""

import dataclasses

from lab import ports

# The lab listens on the loopback address only, so one well-known password serves all.
PASSWORD = 'lab'


@dataclasses.dataclass(frozen=True)
class Region:
    """What belongs to one region. ``key`` is its short name in names of services and databases."""

    key: str
    name: str
    computes: tuple[str, ...]
    engines: tuple[str, ...]


ONE = Region('one', 'RegionOne', ('c1', 'c2', 'c3'), ('heat-engine-one-1', 'heat-engine-one-2'))
TWO = Region('two', 'RegionTwo', ('d1', 'd2'), ('heat-engine-two-1',))
ALL = (ONE, TWO)

# One virtual host of the message bus for the shared services and one for each region's own.
SHARED_BUS = 'shared'


def database_url(block: ports.Ports) -> str:
    """Return the SQLAlchemy address of the database server, without a database."""
    return f'mysql+pymysql://lab:{PASSWORD}@{ports.ADDRESS}:{block.of("mariadb")}'


def bus_url(block: ports.Ports, virtual_host: str) -> str:
    """Return the transport address of one virtual host."""
    return f'rabbit://lab:{PASSWORD}@{ports.ADDRESS}:{block.of("rabbitmq")}/{virtual_host}'
