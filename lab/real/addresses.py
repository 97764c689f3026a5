# SPDX-License-Identifier: Apache-2.0
"""The names of the tier's namespaces and links, and every address in them.

All of them follow from the lab's block of ports, so that two labs run side by side. Only the root
namespace is shared by both, so only the networks that it reaches must differ; the other one does
too, which is easier to read in a trace.
"""

import dataclasses
import enum

HOSTS = ('r1', 'r2', 'r3')

_FIRST_HOST = 11
# Bases lie as far apart as a lab has ports at least.
_PORTS_PER_LAB = 100
_NETWORKS = 256


class Link(enum.Enum):
    """What a host is connected with: for the API and the message bus, for Ceph, for its guests."""

    MANAGEMENT = 'management'
    STORAGE = 'storage'
    GUESTS = 'guests'


_SECOND_BYTE = {Link.MANAGEMENT: 77, Link.STORAGE: 78, Link.GUESTS: 79}
_MIDDLES = {Link.MANAGEMENT: 'core', Link.STORAGE: 'ceph', Link.GUESTS: 'out'}
# The networks that the root namespace is in, as a client: for Cinder, and for Heat's health checks.
OWN_LINKS = {Link.STORAGE: 'sto', Link.GUESTS: 'out'}


@dataclasses.dataclass(frozen=True)
class Plan:
    """Names and addresses of the lab with the block of ports that begins at ``base``."""

    base: int

    @property
    def prefix(self) -> str:
        """What the name of each namespace of this lab begins with."""
        return f'lab{self.base}-'

    def middle(self, link: Link) -> str:
        """Name the namespace with a link's switch, and with the servers that it leads to."""
        return self.prefix + _MIDDLES[link]

    def namespace(self, host: str) -> str:
        """Name the namespace of a host."""
        return self.prefix + host

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces of the lab."""
        return (*(self.middle(link) for link in Link), *(self.namespace(host) for host in HOSTS))

    def own_link(self, link: Link) -> str:
        """Name the root namespace's own end of a link; Linux takes 15 characters at most."""
        return self.prefix + OWN_LINKS[link]

    def network(self, link: Link) -> str:
        """Return a link's network."""
        return f'{self._address(link, 0)}/24'

    def server(self, link: Link) -> str:
        """Return where the control plane is, as seen by a host or by a guest, or where Ceph is."""
        return self._address(link, 1)

    def own_address(self, link: Link) -> str:
        """Return the address of the root namespace in a network that it is in."""
        return self._address(link, 2)

    @property
    def guests(self) -> tuple[str, str]:
        """Return the first and the last address that a guest may get."""
        return self._address(Link.GUESTS, 50), self._address(Link.GUESTS, 250)

    def host(self, name: str, link: Link) -> str:
        """Return the address of a host."""
        return self._address(link, self._number(name))

    def hardware(self, name: str, link: Link) -> str:
        """Return the hardware address, which stays the same when a host is started again."""
        return f'02:00:0a:{_SECOND_BYTE[link]:02x}:{self._third:02x}:{self._number(name):02x}'

    @property
    def _third(self) -> int:
        return self.base // _PORTS_PER_LAB % _NETWORKS

    def _address(self, link: Link, last: int) -> str:
        return f'10.{_SECOND_BYTE[link]}.{self._third}.{last}'

    def _number(self, host: str) -> int:
        return _FIRST_HOST + HOSTS.index(host)
