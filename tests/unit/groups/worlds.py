# SPDX-License-Identifier: Apache-2.0
"""Groups in small, that change as Heat changes them."""

import collections
import dataclasses
import itertools

from heat_ha.groups import model
from heat_ha.groups.rules import decide

ORDERS = list(model.Order)
CREATE_FIRST, DELETE_FIRST = ORDERS


def member(name, **changes):
    plain = model.Member(
        name=name,
        reference=f'ref-{name}',
        servers=(f'server-{name}',),
        created_at='2026-01-01T00:00:00Z',
        is_failed=False,
    )
    return dataclasses.replace(plain, **changes)


def group(*members, **changes):
    found = tuple(m if isinstance(m, model.Member) else member(m) for m in members)
    return dataclasses.replace(model.Group('group', found), **changes)


def replacement(*pairs, order=model.Order.CREATE_FIRST, size=3, **changes):
    plain = model.Replacement(
        id='r1',
        requested_by='policy',
        order=order,
        size=size,
        named=(),
        pairs=tuple(model.Pair(*pair) for pair in pairs),
        engine='engine-1',
        since='2026-01-01T00:00:00+00:00',
    )
    return dataclasses.replace(plain, **changes)


class Heat:
    """A group's nested stack: takes changes, and fails where it is told to.

    Where it is convergent a deletion that fails ends the whole update before anything else in it
    is begun, for Heat begins with the deletions.

    :ivar cannot_bring: names that fail when they are to be created.
    :ivar disturbs: names of members that an update leaves unfit, once for each time they are in it.
    :ivar cannot_delete: names that fail when they are to be deleted.
    :ivar silent: names whose deletion goes on and on, in an engine that lives.
    :ivar dies_deleting: names at whose deletion an engine dies, once for each time they are in it.
    :ivar is_convergent: whether it takes a change beside another one, and shows what is at work.
    :ivar least_in_service: the fewest members that were in service at once.
    :ivar most: the most members that there were at once.
    :ivar tried: how often each former member was to be deleted.
    """

    def __init__(
        self,
        *members,
        cannot_bring=(),
        cannot_delete=(),
        dies_deleting=(),
        disturbs=(),
        silent=(),
        is_convergent=False,
    ):
        self.members = [m if isinstance(m, model.Member) else member(m) for m in members]
        self.being_deleted = []
        self.cannot_bring = set(cannot_bring)
        self.cannot_delete = set(cannot_delete)
        self.silent = set(silent)
        self.dies_deleting = list(dies_deleting)
        self.disturbs = list(disturbs)
        self.is_convergent = is_convergent
        self.is_in_progress = False
        self.is_worker_dead = False
        self._is_begun = False
        self.held = set()
        self.ever = {m.name for m in self.members}
        self.tried = collections.Counter()
        self.least_in_service = len(self.seen().in_service)
        self.most = len(self.members)
        self.brought_at_once = 0

    def seen(self):
        order = sorted(self.members, key=lambda m: (not m.is_failed, m.created_at))
        is_left = self.is_worker_dead or not self.is_in_progress
        former = (
            dataclasses.replace(m, is_in_progress=False) if is_left else m
            for m in self.being_deleted
        )
        return model.Group(
            'group',
            tuple(order),
            tuple(former),
            is_in_progress=self.is_in_progress,
            at_work=self._at_work() if self.is_convergent else None,
        )

    def _at_work(self):
        if not self.is_in_progress:
            return frozenset()
        # The members are still to be looked at, unless only deletions go on.
        names = {m.name for m in self.being_deleted if m.reason != 'left behind'}
        if self._is_begun:
            names |= self.names
        return frozenset(names)

    def begin(self, change):
        """Take a change, up to where its engine dies: nothing is done, all is on record."""
        assert self.is_convergent or not self.is_in_progress or self.is_worker_dead
        if self.is_worker_dead:
            # Heat makes anew what the worker was at, and deletes the old at the update after.
            self.being_deleted += [
                dataclasses.replace(m, is_in_progress=False, is_failed=True, reason='left behind')
                for m in self.members
                if m.is_in_progress
            ]
        else:
            self.being_deleted = [m for m in self.being_deleted if m.reason != 'left behind']
        self.is_in_progress = self._is_begun = True
        self.is_worker_dead = False
        self.held = set(change.hold)
        for name in change.add:
            if name not in {m.name for m in self.members}:
                assert name not in self.ever, f'{name} comes back'
                self.ever.add(name)
                self.members.append(
                    member(name, is_in_progress=True, created_at='2026-01-02T00:00:00Z')
                )
        self.brought_at_once = max(self.brought_at_once, len(change.add))
        gone = [m for m in self.members if m.name in change.remove]
        self.members = [m for m in self.members if m.name not in change.remove]
        self.being_deleted += [dataclasses.replace(m, is_in_progress=True) for m in gone]
        self._count()

    def end(self):
        """Do what was taken, up to what is silent or held."""
        assert not self.is_worker_dead, 'waiting for nobody'
        to_try = [m for m in self.being_deleted if m.name not in self.held]
        fails = {
            m.name
            for m in to_try
            if m.reason != 'left behind' and m.name in (*self.cannot_delete, *self.dies_deleting)
        }
        self.is_stopped = bool(fails) and self.is_convergent
        left = [self._deleted(m, fails) for m in self.being_deleted]
        self.being_deleted = [m for m in left if m is not None]
        goes_on = any(m.is_in_progress or m.name in self.held for m in self.being_deleted)
        self.is_in_progress = goes_on and not fails and self.is_convergent
        self._is_begun = False
        if not self.is_stopped:
            self.members = [self._ended(m) for m in self.members]
        self._count()

    def _deleted(self, one, fails):
        """What becomes of a former member; None when it is gone."""
        if one.reason == 'left behind' or one.name in self.held:
            return dataclasses.replace(one, is_in_progress=False)
        if one.name in self.silent and self.is_convergent:
            # Another engine is at it, whatever becomes of the rest.
            return dataclasses.replace(one, is_in_progress=True, is_failed=False)
        if one.name in fails:
            self.tried[one.name] += 1
            return dataclasses.replace(
                one, is_in_progress=False, is_failed=True, reason=self._why_there(one.name)
            )
        return dataclasses.replace(one, is_in_progress=False) if self.is_stopped else None

    def _why_there(self, name):
        if name in self.dies_deleting:
            self.dies_deleting.remove(name)
            return f'{decide.DIED_WITH_ENGINE} DELETE'
        return 'it hangs'

    def _ended(self, one):
        is_coming = one.is_in_progress and not one.update_failed
        if one.name in self.cannot_bring and is_coming:
            return dataclasses.replace(
                one, is_in_progress=False, is_failed=True, reason='no valid host'
            )
        if one.name in self.disturbs and not is_coming:
            self.disturbs.remove(one.name)
            # The second time it is not even known how the update ended.
            is_left = one.name in self.disturbs
            return dataclasses.replace(
                one, update_failed=True, is_in_progress=is_left, is_failed=not is_left
            )
        if is_coming or one.update_failed:
            return dataclasses.replace(
                one, is_in_progress=False, update_failed=False, is_failed=False
            )
        return one

    def _count(self):
        self.least_in_service = min(self.least_in_service, len(self.seen().in_service))
        self.most = max(self.most, len(self.members))

    @property
    def names(self):
        return {m.name for m in self.members}


class Crash(Exception):
    """The engine dies."""


class Run:
    """Carries out what is decided, as ``heat_ha.groups.replacement_run`` does, until it crashes.

    :param keep: names of members that stay, or what says so at each step.
    :param crash_at: dies before the n-th thing that it does; 0 for never.
    """

    def __init__(self, heat, wanted, rolling=None, keep=(), crash_at=0):
        self.heat = heat
        self.wanted = wanted
        self.rolling = rolling or model.Rolling()
        self.keep = keep if callable(keep) else lambda: keep
        self.steps = []
        self._requested = decide.Requested()
        self._left = crash_at or None

    def to_the_end(self):
        while True:
            step = decide.next_step(
                self.heat.seen(), self.wanted, self.rolling, self.keep(), self._requested
            )
            self.steps.append(step)
            assert len(self.steps) < 50, self.steps
            if isinstance(step, decide.Finished | decide.Blocked):
                return step
            if isinstance(step, decide.WaitForRemoval):
                return decide.still_removing(step.names[0], step.names)
            self._maybe_crash()
            if isinstance(step, decide.GiveUp):
                self.wanted = dataclasses.replace(
                    self.wanted, given_up=(*self.wanted.given_up, step.new)
                )
            elif isinstance(step, decide.Wait):
                self._wait()
            else:
                self._requested = self._requested.and_for(step)
                self.heat.begin(step)
                self._maybe_crash(self.heat)
                self._wait()

    def _wait(self):
        """Let Heat work; where it is at nothing but deletions they are overdue."""
        self.heat.end()
        late = {m.name for m in self.heat.being_deleted if m.is_in_progress}
        overdue = self._requested.overdue.union(late)
        self._requested = dataclasses.replace(self._requested, overdue=overdue)

    def _maybe_crash(self, heat=None):
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                if heat is not None:
                    heat.is_worker_dead = True
                raise Crash


# --- all cases ---------------------------------------------------------------------------------

PAIRS = (('a', 'x'), ('b', 'y'), ('c', 'z'))
NOT_IN_SERVICE = [
    member('a', is_failed=True, reason='marked unhealthy'),
    member('a', is_failed=True, reference=None, servers=(), reason='no host'),
]


def all_cases():
    """Every order, number of victims, bound, kind of first victim, and what cannot be done."""
    for order, count, batch, least in itertools.product(ORDERS, (1, 2, 3), (1, 2, 3), (0, 1, 2, 3)):
        rolling = model.Rolling(min_in_service=least, max_batch_size=batch)
        for first in ('a', *NOT_IN_SERVICE):
            for failing in ((), ('x',), ('y',), ('x', 'z')):
                yield order, count, rolling, first, failing


def wanted_for(order, count):
    """The first so many of the pairs, in a group of three."""
    return replacement(*PAIRS[:count], order=order, size=3)
