# SPDX-License-Identifier: Apache-2.0
"""A signal about the successor that comes while a plan is carried out, in each of its states."""

import dataclasses

import pytest

from heat_ha import exceptions, signals
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import failover_run, fence_wait, model, record, remembered, successor_watch
from heat_ha.failover.rules import decide, later, work
from tests.unit.failover import test_failover_run, worlds
from tests.unit.failover.test_controller import Data

ending, group = test_failover_run.ending, test_failover_run.group

CAME = '2026-01-01T00:00:00+00:00'


class Policy(Data):
    """A policy whose events are kept."""

    def __init__(self):
        super().__init__()
        self.events = []

    def _add_event(self, *args):
        self.events.append(args[2])

    def data_delete(self, key):
        left = {k: v for k, v in self.data().items() if k != key}
        found = left != self.data()
        self.moments.append(left)
        return found


def about(member, **changes):
    plain = model.Remembered(member, f'server-{member}', True, CAME, 'alarm', 'ill')
    return dataclasses.replace(plain, **changes)


def keep(policy, one):
    remembered.RememberedSignals(policy).keep(one)


def at_once(_group, _patch, policy, one):
    keep(policy, one)


def while_volumes_move(group, patch, policy, one):
    patch.setattr(failover_run.executor, 'ASK_EVERY', 0.001)
    look, looks = group.world.volume, []

    def volume(name):
        looks.append(name)
        if len(looks) == 2:
            keep(policy, one)
        return look(name)

    patch.setattr(group.world, 'volume', volume)


def while_it_waits_for_the_fence(group, patch, policy, one):
    group.world.let_die('server-a')

    def sleep(_seconds):
        assert record.record_of(policy.data()).state is model.State.WAITING_FOR_FENCE
        keep(policy, one)

    patch.setattr(fence_wait.time, 'sleep', sleep)


def while_heat_hands_over(group, _patch, policy, one):
    group.hand_over = lambda plan: (keep(policy, one), group.run.still_wanted())


PLACES = [at_once, while_volumes_move, while_it_waits_for_the_fence, while_heat_hands_over]


@pytest.fixture
def carried(group, monkeypatch):
    """Carry a failover out while a signal about its successor comes; returns the policy."""
    monkeypatch.setattr(successor_watch, 'LOOK_EVERY', 0.0)
    begin = failover_run.FailoverRun.run

    def run(self, *args, **kwargs):
        group.run = self
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(failover_run.FailoverRun, 'run', run)

    def carry(place, one):
        policy = Policy()
        place(group, monkeypatch, policy, one)
        try:
            group(policy)
        except exceptions.Stopped as exc:
            policy.error = exc
        return policy

    carry.group = group
    return carry


def answer(policy, world, one):
    candidates = [
        model.Candidate(worlds.member(n), server, host=world.state(server))
        for n in 'abc'
        for server in [world.server(f'server-{n}')]
    ]
    known = record.record_of(policy.data())
    seen = worlds.seen(candidates, record=known, plan_id='p9')
    return decide.answer(signals.Signal(member=one.server), seen)


@pytest.mark.parametrize('place', PLACES)
def test_a_plan_makes_way_for_a_signal_about_its_successor(carried, place):
    one = about('b')
    policy = carried(place, one)
    assert 'b, the successor, was reported sick' in policy.error.reason
    known = record.record_of(policy.data())
    waits = place is while_it_waits_for_the_fence
    assert known.state is (model.State.WAITING_FOR_FENCE if waits else model.State.STOPPED)
    assert known.plan.new == worlds.holder('b')
    # What follows without another signal: it is decided, and c takes over.
    found = work.next_work(known, (one,), worlds.NOW, 0.0, is_locked=False)
    assert found == work.DecideAgain(one)
    other = answer(policy, carried.group.world, one)
    assert isinstance(other, decide.Start) and other.plan.new == worlds.holder('c')
    assert worlds.holder('b') in other.plan.tried and other.plan.replaces == ('a', 'b')


@pytest.mark.parametrize('place', [at_once, while_volumes_move, while_heat_hands_over])
def test_it_goes_on_with_the_successor_while_nobody_else_can_take_over(carried, place):
    carried.group.world.add_server('server-c', ServerStatus.SHUTOFF)
    policy = carried(place, about('b'))
    assert record.record_of(policy.data()).active == worlds.holder('b')
    assert len([t for t in policy.events if 'nobody else can take over' in t]) == 1
    assert remembered.among(policy.data()) == (about('b'),), 'it is decided afterwards'


@pytest.mark.parametrize('place', [at_once, while_volumes_move, while_heat_hands_over])
@pytest.mark.parametrize(
    'one', [about('a'), about('c'), about('b', server='server-of-old')], ids=['a', 'c', 'gone']
)
def test_signals_about_others_wait_until_the_plan_is_over(carried, place, one):
    policy = carried(place, one)
    assert record.record_of(policy.data()).active == worlds.holder('b')


@pytest.mark.parametrize('place', PLACES)
def test_the_signal_of_which_the_plan_has_come_does_not_stop_it(carried, monkeypatch, place):
    make = failover_run.FailoverRun.__init__
    monkeypatch.setattr(
        failover_run.FailoverRun,
        '__init__',
        lambda self, *args, **kwargs: make(self, *args, **kwargs, decided=about('b', tries=2)),
    )
    policy = carried(place, about('b'))
    assert 'reported sick' not in str(getattr(policy, 'error', ''))


@pytest.mark.parametrize(
    'state', [model.State.RUNNING, model.State.STOPPED, model.State.WAITING_FOR_FENCE]
)
def test_in_every_state_of_a_plan_it_is_decided_once_nobody_carries_that(state):
    group_of_two = (worlds.candidate('a'), worlds.candidate('b'))
    plan = worlds.plan(worlds.seen(group_of_two))
    known = model.Record(epoch=1, active=worlds.holder('a'), plan=plan, state=state)
    one = about('b')
    waits = work.next_work(known, (one,), worlds.NOW, 0.0, is_locked=True)
    assert not isinstance(waits, work.DecideAgain)
    assert work.next_work(known, (one,), worlds.NOW, 0.0, is_locked=False) == work.DecideAgain(one)
    alone = decide.answer(signals.Signal(member='b'), worlds.seen(group_of_two, record=known))
    assert isinstance(alone, later.Remember), 'nobody forgets it'
