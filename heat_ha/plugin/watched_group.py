# SPDX-License-Identifier: Apache-2.0
"""What a group owes the FailoverPolicies of its stack: their active members are not just removed.

The type of the group asks here, before Heat changes the members, which of them are active, and has
them handed over first where one of them has to go.
"""

import contextlib
import dataclasses
import time

from heat.engine import stack as heat_stack
from heat.objects import resource as resource_object
from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, lease
from heat_ha.failover import events, held_record, model, observation, record
from heat_ha.failover.rules import outcome, standbys, ways_out
from heat_ha.groups.adapters import store as group_store
from heat_ha.plugin import failover_policy

LOG = logging.getLogger(__name__)

# Seconds between two looks at a policy that another failover keeps busy.
LOOK_EVERY = 1.0


@dataclasses.dataclass(frozen=True)
class Watcher:
    """A policy that watches the group: its name, the id of its row, and its record."""

    name: str
    row: int
    record: model.Record

    @property
    def members(self):
        """The names of the members that are, or may be about to be, the active one."""
        found, plan = self.record, self.record.plan
        ends = [found.active]
        if plan is not None and ways_out.is_open(self.record):
            ends.append(plan.new)
        return frozenset(end.member for end in ends if end is not None)


def watchers(group):
    """The policies that watch the group, replaced ones that are not deleted yet too.

    They are read from Heat's database in one request: an update that takes a policy out of the
    template, or gives it another name, has not deleted it while the group is changed.

    :raises exceptions.Unreadable: who is active is not known, so nothing may be taken away.
    """
    if group.resource_id is None or group.stack.id is None:
        return []
    names = (group.FnGetRefId(), group.name)
    rows = resource_object.Resource.get_all_active_by_stack(group.context, group.stack.id)
    found = []
    for row in rows.values():
        data = {entry.key: entry.value for entry in row.data or ()}
        if record.RECORD not in data:
            continue
        if (row.properties_data or {}).get(failover_policy.FailoverPolicy.GROUP) not in names:
            continue
        found.append(Watcher(row.name, row.id, record.record_of(data)))
    return found


def active_members(found):
    """The names of the members that something is handed over to."""
    return frozenset(name for watcher in found for name in watcher.members)


def hand_over_first(group, found, removed, changed, staying):
    """Have every active member that a change of the group would hit handed over to one that stays.

    :param found: the group's ``watchers``.
    :param removed: names of the members that the change removes; ``changed`` of those that it may
        disturb, ``staying`` of those that it leaves as they are.
    :returns: whether any was hit.
    :raises HaError: nobody can take over; the group is not changed.
    """
    hit = [watcher for watcher in found if watcher.members & (removed | changed)]
    if not hit:
        return False
    with contextlib.ExitStack() as around:
        if group_store.is_updating(group):
            around.enter_context(group_store.waiting_for_failover(group, group._calling_engine_id))
        _have_handed_over(group, hit, removed, changed, staying)
    return True


def _have_handed_over(group, hit, removed, changed, staying):
    for watcher in hit:
        stack = heat_stack.Stack.load(group.context, stack_id=group.stack.id, force_reload=True)
        policy = stack.get(watcher.name)
        if policy is None or policy.id != watcher.row:
            LOG.info('%s: policy %s will be deleted', group.name, watcher.name)
            continue
        # A resource holds its stack by a weak reference only.
        policy._ha_stack = stack
        _Handover(group, policy, removed, changed, staying).carry_out()


def _adds_member(known):
    """Whether a failover runs that has no standby and makes one."""
    steps = known.plan.steps if known.plan is not None else ()
    return any(
        s.kind is model.StepKind.ADD_MEMBER and s.state is not model.StepState.DONE for s in steps
    )


class _Handover:
    """One policy whose active a change of its group would hit."""

    def __init__(self, group, policy, removed, changed, staying):
        self._group = group
        self._policy = policy
        self._name = policy.name
        self._hit = removed | changed
        self._is_emptied = not changed and not staying
        self._is_alone = len(self._hit | staying) == 1
        self._staying = staying

    def carry_out(self):
        """Hand over. :raises HaError: that is not possible now."""
        active = self._active_when_idle()
        if active is None or active.member not in self._hit:
            return
        if self._is_emptied or self._is_alone:
            self._let_go(active)
            return
        new = self._successor(active)
        LOG.info('%s: %s hands over to %s first', self._group.name, self._name, new.member)
        self._policy.fail_over(
            signals.Signal(
                action=model.Action.SWITCHOVER,
                member=new.member,
                reason=f'group {self._group.name} loses or changes member {active.member}',
            ),
            None,
            goes_on=False,
        )
        now = record.read(self._policy).active
        if now is not None and now.member in self._hit:
            raise exceptions.Refused(
                f'{self._subject(active)}, and is the active of {self._name} still',
                f'Look at the events of {self._name}',
            )

    def _active_when_idle(self):
        """The active once no failover runs: it may be another one by then."""
        deadline = time.monotonic() + self._group.stack.timeout_secs()
        is_updating = group_store.is_updating(self._group)
        while lease.is_held_by_living(self._policy.context, self._policy.resource_id):
            if time.monotonic() > deadline:
                raise exceptions.TryAgain(f'a failover of {self._name} does not come to an end')
            if not is_updating and _adds_member(record.read(self._policy)):
                # It waits for the mark of whoever changes the group now.
                raise exceptions.TryAgain(f'a failover of {self._name} adds a member to the group')
            time.sleep(LOOK_EVERY)
        return record.read(self._policy).active

    def _successor(self, active):
        """The best of the members that stay. :raises Refused: none of them can take over."""
        seen = observation.observe(self._policy._group(), clients.StackClients(self._policy))
        going = standbys.going(record.read(self._policy))
        successors, reasons = standbys.eligible(seen.candidates, active, going=going)
        for successor in successors:
            if successor.member in self._staying:
                return successor
        why = '; '.join(f'{n}: {r}' for n, r in reasons.items() if n in self._staying)
        raise exceptions.Refused(
            f'{self._subject(active)}, and none of the members that stay can take over ({why})',
            'Mend them, or signal a policy with replace_oldest with their names, or take back that '
            f'{active.member} is marked unhealthy if it is, then try again',
        )

    def _subject(self, active):
        return f'member {active.member} will go or change'

    def _let_go(self, active):
        """Nobody is left to hand over to: the template wants the group so."""
        if self._is_emptied:
            self._park()
            text = (
                f'group {self._group.name} loses its last member {active.member}, the active: '
                'what is handed over is at nobody until the group has members again'
            )
        else:
            text = (
                f'group {self._group.name} changes {active.member}, the active, and no other '
                'member stays that could take over'
            )
        LOG.info('%s: %s', self._name, text)
        self._policy._add_event(events.FAILOVER, events.IN_PROGRESS, text)

    def _park(self):
        """Put on record that nobody is active, before the member goes."""
        with lease.Lock(self._policy.context, self._policy.resource_id) as lock:
            held = held_record.HeldRecord(self._policy, lock)
            held.read()
            found = outcome.with_active(held.value, None)
            held.put(
                dataclasses.replace(
                    found,
                    reason=f'group {self._group.name} has no member: nobody is active',
                    remedy='Send the signal failover once it has members, or update the stack',
                ),
            )
