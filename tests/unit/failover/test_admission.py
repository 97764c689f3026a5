# SPDX-License-Identifier: Apache-2.0
"""The way of a signal to the lock: who gets it, who waits, and who never holds it."""

import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud import lease
from heat_ha.failover import admission, model, record
from heat_ha.failover.rules import arrival
from heat_ha.groups import model as groups
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_arrival import A_PLAN

EMPTY = model.Record()
RUNNING = model.Record(plan=A_PLAN, state=model.State.RUNNING)


class Lock:
    """A lock that is busy for so many pauses of whoever waits."""

    def __init__(self, busy=0):
        self.busy, self.taken, self.released, self.tries = busy, 0, 0, 0

    def acquire(self):
        self.tries += 1
        if self.busy:
            raise lease.Busy('engine x is at work')
        self.taken += 1

    def owner(self):
        return 'x' if self.busy else None

    def release(self):
        self.released += 1


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes an admission; its clock goes on by its pauses only."""
    clock = [0.0]
    monkeypatch.setattr(admission.time, 'monotonic', lambda: clock[0])
    statuses, locks = ['UPDATE_COMPLETE'], []

    def sleep(seconds):
        clock[0] += seconds
        for lock in locks:
            lock.busy = max(lock.busy - 1, 0)

    monkeypatch.setattr(admission.time, 'sleep', sleep)
    monkeypatch.setattr(admission.nested_stack, 'status_of', lambda _policy: statuses[0])
    looks = []

    def make(lock, records=(EMPTY,), members=()):
        left = list(records)
        locks.append(lock)
        monkeypatch.setattr(record, 'read', lambda _p: left.pop(0) if left[1:] else left[0])

        def look(_group, _known, _rows):
            looks.append(1)
            if members is None:
                raise exceptions.CouldNotAsk('heat', 'the members', 'no answer')
            return groups.Group('group', members)

        monkeypatch.setattr(admission.group_members, 'look', look)
        made = admission.Admission(None, types.SimpleNamespace(name='group'), lock)
        made.looks, made.statuses = looks, statuses
        return made

    return make


def test_an_alarm_waits_for_a_signal_that_only_looks(make):
    lock = Lock(busy=5)
    assert make(lock).acquire(None) is None
    assert (lock.taken, lock.released) == (1, 0)


def test_an_alarm_joins_a_failover_that_begins_while_it_waits(make):
    lock = Lock(busy=5)
    found = make(lock, [model.Record(), model.Record(), RUNNING]).acquire(None)
    assert isinstance(found, arrival.Join) and 'running already' in found.reason
    assert lock.busy and not lock.taken and not lock.released


def test_an_alarm_about_another_member_than_the_failover_under_way_is_kept(make):
    lock = Lock(busy=5)
    found = make(lock, [RUNNING]).acquire('server-b')
    assert isinstance(found, arrival.Keep) and not lock.taken
    assert isinstance(make(lock, [RUNNING]).acquire('server-a'), arrival.Join)


def test_no_signal_waits_without_end(make):
    lock = Lock(busy=10**6)
    found = make(lock).acquire(None)
    assert isinstance(found, arrival.Keep) and 'within 30 s' in found.reason
    assert 10**6 - lock.busy <= 2 * arrival.PATIENCE / arrival.TRY_EVERY
    assert not lock.released, 'it was never ours'
    # Each try asks whether the owner lives, and an engine that is at work may miss a question.
    assert lock.tries == 2


def test_a_signal_that_waited_while_the_stack_was_changed_is_kept_for_who_loads_it_anew(make):
    lock = Lock(busy=3)
    made = make(lock)
    owner = lock.owner

    def change():
        made.statuses[0] = 'SUSPEND_IN_PROGRESS'
        return owner()

    lock.owner = lambda: change() if lock.busy < 2 else owner()
    found = made.acquire(None)
    assert isinstance(found, arrival.Keep) and 'changed while this signal waited' in found.reason
    assert (lock.taken, lock.released) == (1, 1)


def test_a_server_of_somebody_else_is_refused_before_the_lock(make):
    lock = Lock()
    members = tuple(worlds.candidate(n).member for n in 'ab')
    with pytest.raises(exceptions.Refused, match=r"'foreign' is neither .*members: a, b"):
        make(lock, members=members).refuse_foreign('foreign')
    assert not lock.taken


@pytest.mark.parametrize('named', ['a', 'server-a'])
def test_a_member_that_is_not_on_record_is_looked_for_in_the_group(make, named):
    made = make(Lock(), members=(worlds.candidate('a').member,))
    made.refuse_foreign(named)
    assert made.looks


def test_a_name_on_record_costs_no_look_at_the_group(make):
    known = model.Record(seen=(model.MemberServer('a', 'server-a'),))
    made = make(Lock(), [known])
    made.refuse_foreign('server-a')
    assert not made.looks


def test_a_heat_that_does_not_answer_makes_nobody_foreign(make):
    make(Lock(), members=None).refuse_foreign('whoever')
