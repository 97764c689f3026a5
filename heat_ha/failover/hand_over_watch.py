# SPDX-License-Identifier: Apache-2.0
"""The hosts of both ends while Heat hands over what is not moved on the quick path.

Heat's update asks Nova to give a port to a server, or to take one from it, and waits for that: on
a dead host until the stack's timeout. Whether a host has died meanwhile is asked here.
"""

import time
from collections.abc import Callable

from heat_ha import exceptions
from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import former_holders, model
from heat_ha.failover.rules import moves, server_rules

# Seconds between two looks. A hand-over takes a few seconds, so most end before the first.
LOOK_EVERY = 10.0


class HandOverWatch:
    """Looks at the servers that Heat's update needs, now and then.

    :param emit: called once for each server whose host does not answer.
    """

    def __init__(
        self, services: clients.StackClients, plan: model.Plan, emit: Callable[[str], None]
    ) -> None:
        self._services = services
        self._new = plan.new.server if plan.new else ''
        self._emit = emit
        self._look_at = time.monotonic() + LOOK_EVERY
        self._told: set[str] = set()
        takes = any(s.kind is model.StepKind.FENCE for s in plan.steps)
        self._holders = [
            one.server
            for one in (plan.old, *plan.tried)
            if takes and one and one.server != self._new
        ]

    def look(self) -> None:
        """Look at the hosts, unless that was done just now.

        :raises SuccessorFailed: that of the new active is confirmed down.
        :raises FencingUnconfirmed: that of a server is, from which Heat has to take something.
        """
        if time.monotonic() < self._look_at:
            return
        for server_id in filter(None, (self._new, *self._holders)):
            server, host, _sight = former_holders.look(self._services, server_id)
            self._judge(server, host)
        self._look_at = time.monotonic() + LOOK_EVERY

    def _judge(self, server: cloud.Server, host: cloud.Host) -> None:
        is_successor = server.server == self._new
        match server_rules.next_for_hand_over(server, host, is_successor=is_successor):
            case moves.Stop(reason, remedy):
                raise exceptions.SuccessorFailed(f'hand_over: {reason}', remedy, is_dead=True)
            case moves.WaitForFence(reason, remedy, stuck):
                raise exceptions.FencingUnconfirmed(f'hand_over: {reason}', remedy, stuck)
            case moves.Wait(reason) if host.state is cloud.HostState.DOWN:
                if server.server not in self._told:
                    self._told.add(server.server)
                    self._emit(f'Heat is at work on server {server.server}: {reason}')
