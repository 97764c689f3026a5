# SPDX-License-Identifier: Apache-2.0
"""The stack on which the failovers of guests that write happen, one after the other."""

import contextlib
from collections.abc import Iterator
from typing import Any

from chaos import check
from chaos.database import Database
from chaos.real import check as real_check
from lab.client import (
    hosts,
    real_data,
    real_hosts,
    real_pairs,
    rescue_templates,
    stacks,
    waiting,
)
from lab.real.checker import report

GROUP, POLICY, CHAIN = 'group', 'failover', 'replace'


class Pair(real_pairs.Pair):
    """Two guests, one of which writes, and what is known of their volume.

    :ivar writers: the servers that have written, the oldest first.
    """

    def __init__(self, admin: Any, stack: stacks.Stack, consoles: real_data.Consoles) -> None:
        super().__init__(stack, consoles, POLICY)
        self.admin = admin
        self.writers = [self.active]
        self._consoles = consoles
        # Milliseconds by which the guests' clocks are ahead: one that is gone tells no time.
        self._offsets: dict[str, int] = {}

    @property
    def host(self) -> str:
        """The host of the active."""
        return hosts.host_of(self.admin, self.active)

    def have_booted(self) -> bool:
        """Whether there are two guests, both of which have booted."""
        servers = self.stack.servers()
        homes = hosts.homes_of(self.admin, servers)
        return len(servers) == 2 and all(
            server in real_hosts.console(homes[server], server) for server in servers
        )

    def compare_clocks(self) -> None:
        """Remember how the clocks of the guests that run differ."""
        self._offsets |= self._consoles.clock_offsets()

    def report(self) -> report.Report:
        """What the checker says of the volume now, with all that is known of the clocks."""
        return self.written.report(self._offsets)

    def now_active(self, server: str) -> None:
        """Go on with another active."""
        self.active = server
        self.writers.append(server)

    def signal(self, body: Any) -> None:
        """Signal the policy by the ScalingPolicy in front of it, as a monitor does."""
        self.stack.signal(CHAIN, body)

    def leaks(self, database: Database, before: check.Inventory) -> list[str]:
        """What there is beyond this stack: at Nova, Cinder, Neutron, libvirt and Ceph."""
        servers = self.stack.servers()
        owned = real_check.Owned(tuple(servers), (self.written.volume,))
        watchers = real_hosts.watchers('volumes', f'volume-{self.written.volume}')
        addresses = {real_hosts.storage_address(name): name for name in real_hosts.names()}
        return [
            *real_hosts.leftovers(servers),
            *real_check.of_watchers(watchers, addresses, real_hosts.storage_address(self.host)),
            *check.leaks(before, database.inventory(), [owned]),
        ]


@contextlib.contextmanager
def made(admin: Any, cloud: Any, name: str) -> Iterator[Pair]:
    """A stack both of whose guests have booted, and one of which writes; it goes with the body."""
    stack = stacks.Stack(cloud, name, rescue_templates.fenced_in_storage())
    with real_data.Consoles() as consoles:
        try:
            stack.create(real_hosts.parameters())
            pair = Pair(admin, stack, consoles)
            waiting.until(
                pair.have_booted,
                'both guests have booted',
                seconds=real_hosts.BOOTS_WITHIN,
                every=1,
            )
            pair.written.until_by(pair.active)
            yield pair
        finally:
            if stack.id or stack.is_there():
                stack.delete()
