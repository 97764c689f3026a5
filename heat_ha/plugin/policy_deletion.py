# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy has to free before its nested stack is deleted, and from whom."""

import contextlib
import functools

from heat.common import exception
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients, nested_stack
from heat_ha.failover import events, model, record
from heat_ha.failover.adapters import handoff_template
from heat_ha.failover.handoff import release
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import ways_out
from heat_ha.groups.adapters import members as group_members
from heat_ha.plugin import predecessors

LOG = logging.getLogger(__name__)


def is_freed(policy, group_id, token):
    """Free what the policy hands over, a look at each call; whether that is done.

    It comes before the deletion of the nested stack, and does not stand in its way: what cannot be
    freed is for that to say.

    :param group_id: by which the policy refers to its group.
    :param token: of Heat's action, which keeps what was begun.
    """
    if 'release' not in token:
        try:
            token['release'] = _begin(policy, group_id)
        except Exception:
            LOG.warning('%s cannot free what it hands over', policy.name, exc_info=True)
            token['release'] = None
    return token['release'] is None or token['release'].is_done()


def _begin(policy, group_id):
    try:
        known = record.read(policy)
    except exceptions.Unreadable as exc:
        LOG.warning('%s: %s', policy.name, exc)
        known = model.Record()
    things = _things(policy, known)
    if not things:
        # The cloud may not have any of the services.
        return None
    group = nested_stack.sibling(policy, group_id)
    if not group_members.is_group(group):
        group = nested_stack.sibling_on_record(policy, group_id)
    return release.Release(
        clients.StackClients(policy),
        things,
        _own_servers(group, known),
        functools.partial(goes_away, policy, group),
        events.EventEmitter(policy).progress,
    )


def _things(policy, known):
    """What the nested stack connects to a server, and what a plan that is open moves."""
    begun: dict[tuple[model.ThingKind, str], bool] = {}
    steps = known.plan.steps if ways_out.is_open(known) else ()
    for step in steps:
        if step.kind in (StepKind.DETACH, StepKind.ATTACH):
            has_begun = step.kind is StepKind.ATTACH and step.state is not StepState.PENDING
            key = (step.thing, step.target)
            begun[key] = has_begun or begun.get(key, False)
    nested = _nested(policy)
    keys = dict.fromkeys((*begun, *handoff_template.things(nested)))
    # What another resource has by now, or is to have again, stays where it is.
    stay = predecessors.of_others(nested)
    return [
        release.Thing(*key, was_asked_for=begun.get(key, False))
        for key in keys
        if key[1] not in stay
    ]


def _nested(policy):
    try:
        return policy.nested()
    except exception.HeatException:
        LOG.warning('The nested stack of %s cannot be read', policy.name, exc_info=True)
        return None


def _own_servers(group, known):
    """The servers of all that are or were members, as far as the record and the group say."""
    holders = [known.active, known.previous, *known.seen, *known.retained, *known.left_with]
    for plan in (known.plan, *(one.plan for one in known.follow_ups)):
        if plan is not None:
            holders += [plan.old, plan.new, *plan.tried]
    servers = {one.server for one in holders if one is not None}
    if group is not None:
        try:
            for member in group_members.look(group).members:
                servers.update(member.servers)
        except Exception:
            # The record has those that were members at the last signal.
            LOG.warning('The members of %s cannot be listed', group.name, exc_info=True)
    return servers


def goes_away(policy, group, server):
    """Whether the deletion of the stack deletes a server of the group, by all that is known."""
    if policy.stack.action != policy.stack.DELETE or group is None or not _is_deleted(group):
        return False
    with contextlib.suppress(exception.HeatException):
        return _deletes(group.nested(), server)
    return False


def _deletes(stack, server):
    """Whether the server is in the stack, and neither it nor what it is in is to be retained."""
    for one in stack.values() if stack is not None else ():
        if one.resource_id == server:
            return _is_deleted(one)
        if one.has_nested() and _deletes(one.nested(), server):
            return _is_deleted(one)
    return False


def _is_deleted(one):
    return one.t.deletion_policy() == one.t.DELETE
