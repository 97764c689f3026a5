# SPDX-License-Identifier: Apache-2.0
"""The step before Heat takes things from the old active that its host has to give up.

Volumes on the quick path are taken with looks at what hinders it. Heat's update has none: it asks
Nova to unplug a port and waits for that, on a dead host until the stack's timeout. So the host is
looked at before, and what stands in the way is dealt with as for a volume.
"""

from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import former_holders, model
from heat_ha.failover.rules import moves, server_rules


class FenceStep:
    """One such step of a plan: its looks, in the form that ``handoff_steps`` carries out.

    :ivar holder: the server that was looked at last.
    """

    def __init__(
        self,
        services: clients.StackClients,
        asked: former_holders.FormerHolders,
        plan: model.Plan,
    ) -> None:
        self._services = services
        self._asked = asked
        self._plan = plan
        new = plan.new.server if plan.new else None
        # What an earlier successor may have got is taken from it as well.
        self._holders = [o.server for o in (plan.old, *plan.tried) if o and o.server != new]
        self.holder = self._holders[0] if self._holders else None

    def look(self) -> moves.Move:
        """Look at each server that may have something, until one stands in the way."""
        for server_id in self._holders:
            self.holder = server_id
            server, host, _sight = former_holders.look(self._services, server_id)
            shown = server_rules.next_for_fence(server, host)
            move = self._asked.settled(shown, (server_id,))
            if not isinstance(move, moves.Done):
                return move
        return moves.Done('what is left on the old active can be taken from it')

    def send(self) -> tuple[cloud.Reply, str]:
        """Nothing: a request would wait on the dead host."""
        return cloud.Reply.CONFLICT, 'its host is down'

    def judge(self, server: cloud.Server, host: cloud.Host) -> moves.Finding:
        """What is done with the server that stands in the way."""
        return server_rules.next_for_stuck(server, host, self._plan.may_delete(self.holder))
