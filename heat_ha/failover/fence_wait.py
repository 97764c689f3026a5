# SPDX-License-Identifier: Apache-2.0
"""The wait for the host of an old active to be fenced, or to answer again."""

import time
from collections.abc import Callable

from heat_ha import exceptions
from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import events, former_holders, guest_fence, model
from heat_ha.failover.rules import moves, server_rules

# Seconds between two looks at a host that is to be fenced.
FENCE_LOOK = 1.0

# One look at the old active: its server, and the host of that.
Look = tuple[cloud.Server, cloud.Host]


def is_decided(
    before: Look | None, server: cloud.Server, host: cloud.Host, sight: cloud.Sight
) -> bool:
    """Whether the failover can get further than when it stopped to wait.

    Invariant: what ended a wait does not end the next one, so that a failover which nothing but a
    person can free does not wait, go on and stop again with every look. A server that is gone
    counts only if its host was confirmed down before, or by its host as it is now: Nova deletes in
    its database alone while a host is silent (S1).

    :param before: the look that ended an earlier wait of the same failover for the same server,
        None without one.
    :param sight: what is known of all hosts together.
    """
    is_confirmed = host.state is cloud.HostState.CONFIRMED_DOWN
    if before is None or before[1].state is not cloud.HostState.CONFIRMED_DOWN:
        if server.status is cloud.ServerStatus.GONE:
            return isinstance(server_rules.next_for_free(server, host, sight), moves.Done)
        return is_confirmed or host.state is cloud.HostState.UP
    if server.status is cloud.ServerStatus.GONE or host.state is cloud.HostState.UP:
        return True
    return is_confirmed and server.host != before[0].host


class FenceWait:
    """The wait of one failover, with its events.

    :param still_wanted: asked before each look; what it raises ends the wait.
    :param guest: has the guest shut out that the wait is for, where the policy wants that.
    """

    def __init__(
        self,
        emitter: events.EventEmitter,
        guest: guest_fence.GuestFence,
        still_wanted: Callable[[], None],
    ) -> None:
        self._events = emitter
        self._still_wanted = still_wanted
        self._guest = guest

    def for_plan(
        self,
        plan: model.Plan,
        why: exceptions.Stopped,
        server: str,
        deadline: float,
        before: Look | None,
    ) -> Look | None:
        """Wait until the failover can go on; None when it could not before the deadline.

        :param server: the one on the host that is waited for, '' for none.
        """
        if before is not None and before[0].server != server:
            before = None
        text = events.with_remedy('waiting for the fence: ', why.reason, why.remedy)
        self._events.progress(text, plan)
        if not server:
            return None
        guest = self._guest

        def still_wanted() -> None:
            self._still_wanted()
            guest.report(plan)

        guest.ask(server, plan, self._still_wanted)
        decided = wait(server, guest.clients, deadline, still_wanted, before)
        if decided is not None:
            self._events.progress(f'going on: {decided[1].detail}', plan)
        return decided


def wait(
    server_id: str,
    stack_clients: clients.StackClients,
    deadline: float,
    still_wanted: Callable[[], None],
    before: Look | None = None,
) -> Look | None:
    """Look at the server and its host until the failover can go on.

    :param server_id: the server on the host that is waited for.
    :param deadline: on the monotonic clock.
    :param still_wanted: asked before each look; what it raises ends the wait.
    :param before: see :func:`is_decided`.
    :returns: the look, None when nothing was decided before the deadline.
    """
    if before is not None and before[0].server != server_id:
        before = None
    while time.monotonic() < deadline:
        still_wanted()
        server, host, sight = former_holders.look(stack_clients, server_id)
        if is_decided(before, server, host, sight):
            return server, host
        if host.state is cloud.HostState.DOWN:
            # The confirmation was withdrawn: another one is news.
            before = None
        time.sleep(FENCE_LOOK)
    return None
