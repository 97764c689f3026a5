# SPDX-License-Identifier: Apache-2.0
"""The methods of a RescuePolicy that go through Heat: recreate and failover."""

import time

from heat.engine import resource

from heat_ha import exceptions, signals
from heat_ha.cloud import nested_stack
from heat_ha.groups import model, replacing
from heat_ha.groups.adapters import members as group_members
from heat_ha.plugin import scaling_policy, scaling_schema
from heat_ha.rescue.adapters import deployments, heat_servers
from heat_ha.rescue.adapters import nova as rescue_nova


def can_fail_over(target):
    """Whether the resource is a FailoverPolicy, or a ScalingPolicy that can be in front of one.

    With another adjustment type a ScalingPolicy would scale its group at each rescue.
    """
    if callable(getattr(target, 'fail_over', None)):
        return True
    if not isinstance(target, scaling_policy.ScalingPolicy):
        return False
    return target.properties[target.ADJUSTMENT_TYPE] in (None, scaling_schema.REPLACE_OLDEST)


class ByHeat:
    """What one policy lets Heat do for its servers."""

    def __init__(self, policy, emit):
        self._policy = policy
        self._emit = emit

    def recreate(self, servers, timeout, is_dead):
        """Replace members of groups; let Heat replace all other servers.

        :param timeout: seconds for all of them together.
        :param is_dead: whether their host is confirmed down. Only then the servers are deleted in
            Nova first, which frees what they still hold. Heat would wait for their volumes.
        :raises exceptions.HaError: not all were recreated.
        """
        deadline = time.monotonic() + timeout
        groups: dict[str, list[str]] = {}
        others = []
        for one in servers:
            top = nested_stack.sibling(self._policy, one.top)
            if top is not None and group_members.is_group(top) and one.member:
                groups.setdefault(one.top, []).append(one.member)
            else:
                others.append(one)
        for name, members in groups.items():
            self._replace(nested_stack.sibling(self._policy, name), tuple(members))
        if others:
            if is_dead:
                nova = rescue_nova.RescueNova(self._policy)
                for one in others:
                    nova.delete(one.server)
            known = [one for one in others if one.stack]
            heat_servers.recreate(self._policy, known, 'its host died', deadline)

    def _replace(self, group, members):
        replacing.replace(
            group,
            requested_by=self._policy.name,
            order=model.Order.CREATE_FIRST,
            count=len(members),
            named=members,
            respect_cooldown=False,
            emit=lambda text: self._emit('IN_PROGRESS', text),
        )

    def fail_over(self, server):
        """Signal the chained policy as an alarm about this server would.

        :raises exceptions.HaError: it refused, or stopped.
        """
        target = nested_stack.sibling(self._policy, self._policy.properties['failover_policy'])
        if target is None:
            raise exceptions.Refused('failover_policy does not name a policy of this stack')
        if callable(getattr(target, 'fail_over', None)):
            target.fail_over(signals.Signal(member=server.server), None)
            return
        try:
            target.handle_signal({'member': server.server, 'reason': 'its host died'})
        except resource.NoActionRequired as exc:
            raise exceptions.Refused(str(exc)) from exc

    def configure(self, server):
        """Hand the server its software deployments again. :returns: how many there are."""
        return deployments.apply_again(self._policy, server)

    def configuration(self, server):
        """Look at how far they are."""
        return deployments.look(self._policy, server)
