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
    """A lock that is busy for so many tries."""

    def __init__(self, busy=0):
        self.busy, self.taken, self.released = busy, 0, 0

    def acquire(self):
        if self.busy:
            self.busy -= 1
            raise lease.Busy('engine x is at work')
        self.taken += 1

    def release(self):
        self.released += 1


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes an admission; its clock goes on by its pauses only."""
    clock = [0.0]
    monkeypatch.setattr(admission.time, 'monotonic', lambda: clock[0])
    monkeypatch.setattr(
        admission.time, 'sleep', lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    looks = []

    def make(lock, records=(EMPTY,), members=()):
        left = list(records)
        monkeypatch.setattr(record, 'read', lambda _p: left.pop(0) if left[1:] else left[0])

        def look(_group):
            looks.append(1)
            if members is None:
                raise exceptions.CouldNotAsk('heat', 'the members', 'no answer')
            return groups.Group('group', members)

        monkeypatch.setattr(admission.group_members, 'look', look)
        made = admission.Admission(None, types.SimpleNamespace(name='group'), lock)
        made.looks = looks
        return made

    return make


def test_an_alarm_waits_for_a_signal_that_only_looks(make):
    lock = Lock(busy=5)
    with make(lock).locked():
        assert (lock.taken, lock.released) == (1, 0)
    assert lock.released == 1


def test_an_alarm_joins_a_failover_that_begins_while_it_waits(make):
    lock = Lock(busy=5)
    with (
        pytest.raises(exceptions.Refused, match=r'running already.*joins it'),
        make(lock, [model.Record(), model.Record(), RUNNING]).locked(),
    ):
        raise AssertionError
    assert lock.busy == 3 and not lock.taken and not lock.released


def test_no_signal_waits_without_end(make):
    lock = Lock(busy=10**6)
    with pytest.raises(exceptions.Refused, match=r'engine x.*within 30 s'), make(lock).locked():
        raise AssertionError
    assert 10**6 - lock.busy <= 2 * arrival.PATIENCE / arrival.TRY_EVERY
    assert not lock.released, 'it was never ours'


def test_the_lock_is_given_back_whatever_becomes_of_the_signal(make):
    lock = Lock()
    with pytest.raises(exceptions.Stopped), make(lock).locked():
        raise exceptions.Stopped('a', 'b')
    assert lock.released == 1


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
