# SPDX-License-Identifier: Apache-2.0
"""Who had a thing that is shown as free: whether it can still write is asked of its host.

Nova frees the volumes of a server that is deleted while its host is silent, in its database and in
Cinder's, and the guest may run on. So neither a free volume nor a server that is gone is a proof by
itself (S1); ``rules.server_rules.next_for_free`` says what is one.
"""

import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Collection

from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover.rules import moves, server_rules

# Seconds for which an answer about a host counts. Nova accepts a request to detach only while it
# takes the host for up, and then no deletion leaves the guest running. So where a thing is free so
# soon after that, as is usual, nobody is asked once more.
VOUCHED_FOR = 2.0

# Seconds for which a host that was seen to be confirmed down is not asked for again.
KNOWN_DEAD_FOR = 1.0


def look(
    services: clients.StackClients, server_id: str
) -> tuple[cloud.Server, cloud.Host, cloud.Sight]:
    """Look at a server and its host, also when the server is gone, and at all hosts together."""
    # Both at once: on a dead host this is what the hand-over waits for.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(services.hosts.all)
        server = services.nova.server(server_id)
        if server.status is cloud.ServerStatus.GONE:
            server = services.nova.deleted_server(server_id)
        hosts = running.result()
    return server, hosts(server), hosts.sight


class FormerHolders:
    """The servers that had something of what one plan hands over; used by several threads.

    :param old: the old active's server and host, if they were looked at just now.
    """

    def __init__(
        self,
        services: clients.StackClients,
        old: tuple[cloud.Server, cloud.Host] | None = None,
    ) -> None:
        self._services = services
        self._guard = threading.Lock()
        self._vouched: dict[str, float] = {}
        self._old = old
        self._old_until = time.monotonic() + KNOWN_DEAD_FOR
        if old is not None and self.is_old_known_dead():
            self.vouch(old[0].server)

    def is_old_known_dead(self) -> bool:
        """Whether the old active's host was just seen to be down, so that it need not be asked."""
        return (
            self._old is not None
            and self._old[1].state is cloud.HostState.CONFIRMED_DOWN
            and time.monotonic() < self._old_until
        )

    def examine(
        self,
        server_id: str | None,
        judge: Callable[[cloud.Server, cloud.Host], moves.Finding],
    ) -> moves.Finding:
        """Look why nothing moves: at the server and at its host."""
        if server_id is None:
            return moves.Wait('there is no old active')
        if self._old and self._old[0].server == server_id and self.is_old_known_dead():
            return judge(*self._old)
        server, host, _sight = look(self._services, server_id)
        return judge(server, host)

    def vouch(self, server: str) -> None:
        """Put down that the server's host was just seen to be up, or confirmed down."""
        with self._guard:
            self._vouched[server] = time.monotonic()

    def settled(self, move: moves.Shown, servers: Collection[str]) -> moves.Move:
        """What a look leads to; what is free counts as taken only by the hosts of who had it.

        :param servers: those that may have had it.
        """
        if not isinstance(move, moves.Free):
            return move
        found = self.finding(servers)
        match found:
            case moves.Done():
                return moves.Done(move.reason)
            case moves.Wait(reason):
                return moves.Wait(f'{move.reason}, but {reason}')
            case moves.WaitForFence(reason):
                return dataclasses.replace(found, reason=f'{move.reason}, but {reason}')

    def finding(self, servers: Collection[str]) -> moves.Done | moves.Wait | moves.WaitForFence:
        """Whether one of the servers can still write to what is shown as free."""
        found: moves.Done | moves.Wait | moves.WaitForFence = moves.Done('nobody had it')
        for server in servers:
            if self._is_vouched(server):
                continue
            found = server_rules.next_for_free(*look(self._services, server))
            if not isinstance(found, moves.Done):
                return found
            self.vouch(server)
        return found

    def _is_vouched(self, server: str) -> bool:
        with self._guard:
            since = self._vouched.get(server, float('-inf'))
        return time.monotonic() - since < VOUCHED_FOR
