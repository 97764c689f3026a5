# SPDX-License-Identifier: Apache-2.0
"""Taking a connection over from the resource that an update is about to delete, and giving it back.

A volume that was attached by an OS::Cinder::VolumeAttachment, and is handed over by a
FailoverPolicy from an update on, must stay where it is: Heat makes the policy first, whose
attachment finds the volume in place, and then deletes the old resource, which would detach it. So
the new attachment takes the physical id of the old one away, by compare-and-set on its row: what
stands for nothing is deleted without a request. What it took is on record before. When it goes
while the old one is still there, as in a rollback, it gives it back, and stands for nothing itself.

This is done where the connection is made, below the policy, and not by the policy: only there is
it known which things there are, and an attachment that an engine is deleting already has to be
waited for by the one that would take its volume for attached.
"""

import json
import time

from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from oslo_log import log as logging

from heat_ha.cloud import resource_data
from heat_ha.failover import record
from heat_ha.failover.adapters import connections, handoff_template
from heat_ha.failover.rules import succession

LOG = logging.getLogger(__name__)

TAKEN = 'ha_taken_over'

# How often, and after how many seconds, a row is tried again on which an engine works.
TRIES, PAUSE = 20, 0.5


def tree_of(resource):
    """The resources of all stacks that the resource's stack belongs to."""
    root = resource.root_stack_id or resource.stack.root_stack_id()
    return connections.Tree(resource.context, root)


def is_stack_at_work(resource):
    """Whether Heat works on the whole stack: if not, it is a failover that updates this part."""
    root = resource.root_stack_id or resource.stack.root_stack_id()
    _action, status, _reason, _updated = stack_object.Stack.get_status(resource.context, root)
    return status == resource.IN_PROGRESS


def take_over(resource, connects):
    """Let the resource stand alone for what it connects.

    :param connects: the names of its properties with the thing and with what that is connected to.
    :returns: whether it does so now: if not, an engine works on another one, so look again; and
        what the thing may still be connected to because of others.
    """
    if not is_stack_at_work(resource):
        return True, set()
    settled, holders = True, {one['holder'] for one in _taken(resource)}
    for one in _others(resource, connects):
        holders.add(one.holder)
        if not one.physical:
            settled = settled and not one.is_busy
            continue
        _remember(resource, one)
        if one.is_busy or not connections.set_physical(resource.context, one.row, None):
            settled = False
            continue
        text = f'{one.thing} is taken over from resource {one.name}'
        LOG.info('%s: %s', resource.name, text)
        resource._add_event(resource.action, resource.IN_PROGRESS, text)
    return settled, holders


def left_with(resource):
    """Who may have what the policy above hands over, beside who is to have it: ids of servers.

    One that was the active until its group was parked is on no attachment any more.
    """
    stack = resource.stack
    while stack.owner_id is not None:
        above = resource_object.Resource.get_all_active_by_stack(resource.context, stack.owner_id)
        for row in above.values():
            data = {entry.key: entry.value for entry in row.data or ()}
            if row.name == stack.parent_resource_name and record.RECORD in data:
                return frozenset(one.server for one in record.record_of(data).left_with)
        stack = stack_object.Stack.get_by_id(resource.context, stack.owner_id)
    return frozenset()


def is_there(resource, connects):
    """Whether another resource connects the same thing, that it is to be taken over from."""
    return is_stack_at_work(resource) and any(
        one.physical or one.is_busy for one in _others(resource, connects)
    )


def give_back(resource, connects):
    """Give back what was taken over, where the other resource still is there.

    That is so in an update that has not come to its end: it is rolled back, or failed, or Heat
    tries the creation of the policy again. Where Heat deletes the other one, that frees the thing.

    :returns: whether the resource stands for nothing any more.
    """
    taken = {one['row']: one['physical'] for one in _taken(resource)}
    if not taken:
        return False
    given = False
    for one in tree_of(resource).connections():
        if one.row not in taken:
            continue
        if one.holder not in resource.values_of(connects[1]):
            # It has moved since, so the other one would not know where it is.
            continue
        given = _set(resource, one.row, taken[one.row]) or given
    if given:
        LOG.info('%s: what it has taken over is given back', resource.name)
        resource.resource_id_set(None)
    return given


def _may_give_back(resource):
    taken = {one['row'] for one in _taken(resource)} if resource.id is not None else set()
    return bool(taken) and any(one.row in taken for one in tree_of(resource).connections())


def of_others(nested):
    """What resources of a nested stack, at any depth, have for others if they are deleted now.

    They have passed it on to a successor, or give it back to the one that had it before.

    :returns: the ids of the things, which stay where they are.
    """
    found = set()
    for one in nested.values() if nested is not None else ():
        connects = getattr(one, 'CONNECTS', None)
        if connects is not None:
            if one.resource_id is None or _may_give_back(one):
                found.add(one.properties[connects[0]])
        elif one.has_nested():
            found |= of_others(one.nested())
    return found


def holders_before(policy):
    """What a new policy's things are connected to by others: ids of servers and ports.

    Those count that the update deletes, and plain ones of the things that the policy names.
    """
    tree = tree_of(policy)
    ours = tree.path(policy.id)
    definition = record.read_definition(policy)
    found = set()
    for one in tree.connections():
        theirs = tree.path(one.row)
        is_leaving = succession.is_leaving(theirs, ours)
        if one.physical and (is_leaving or handoff_template.mentions(definition, one.thing)):
            found.add(one.holder)
    return found


def _others(resource, connects):
    """The resources that have the thing, and from which it is to be taken over.

    An update deletes them, or they are plain ones that have it where it belongs.
    """
    tree = tree_of(resource)
    thing = resource.properties[connects[0]]
    found = [one for one in tree.connections() if one.row != resource.id and one.thing == thing]
    if not found:
        return []
    ours, own = tree.path(resource.id), resource.properties[connects[1]]
    others = []
    for one in found:
        theirs = tree.path(one.row)
        is_beside = one.holder == own and succession.is_plain_beside(theirs, ours)
        if is_beside or succession.is_leaving(theirs, ours):
            others.append(one)
    return others


def _taken(resource):
    return json.loads(resource_data.fresh(resource).get(TAKEN, '[]'))


def _remember(resource, one):
    known = [found for found in _taken(resource) if found['row'] != one.row]
    known.append({'row': one.row, 'physical': one.physical, 'holder': one.holder})
    resource.data_set(TAKEN, json.dumps(known))


def _set(resource, row, physical):
    for _ in range(TRIES):
        if connections.set_physical(resource.context, row, physical):
            return True
        time.sleep(PAUSE)
    return False
