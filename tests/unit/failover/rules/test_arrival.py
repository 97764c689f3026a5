# SPDX-License-Identifier: Apache-2.0
"""What becomes of a signal that finds the lock of its policy taken."""

import dataclasses
import itertools

import pytest

from heat_ha.failover import model
from heat_ha.failover.rules import arrival, decide
from heat_ha.groups import model as groups
from heat_ha.signals import Signal
from tests.unit.failover import worlds

A_PLAN = decide.answer(Signal(), worlds.seen((worlds.candidate('a'), worlds.candidate('b')))).plan
ENDED = dataclasses.replace(
    A_PLAN,
    steps=tuple(dataclasses.replace(s, state=model.StepState.DONE) for s in A_PLAN.steps),
)
OTHER = dataclasses.replace(ENDED, plan_id='another')
RECORDS = [
    model.Record(plan=plan, state=state, active=active)
    for plan, state, active in itertools.product(
        (None, A_PLAN, ENDED, OTHER), model.State, (A_PLAN.old, A_PLAN.new)
    )
]


# S3
def test_a_signal_joins_only_a_failover_about_its_own_member_and_is_kept_otherwise():
    seen = set()
    names = (None, 'a', 'server-a', 'b', 'server-b', 'another')
    for before, now, waited, named in itertools.product(
        RECORDS, RECORDS, (0.0, 29.9, 30.0, 99.0), names
    ):
        step = arrival.when_busy(before, now, waited, 'engine x is at work', named)
        seen.add(type(step))
        is_at_work = now.state in (model.State.RUNNING, model.State.WAITING_FOR_FENCE)
        runs = now.plan is not None and not now.plan.is_moved and is_at_work
        is_about_old = named in (None, 'a', 'server-a')
        has_moved = before.active != now.active
        if isinstance(step, arrival.Join):
            assert (runs and is_about_old) or (not runs and has_moved and named is None)
        elif isinstance(step, arrival.Keep):
            assert (runs and not is_about_old) or (not runs and waited >= arrival.PATIENCE)
        else:
            assert waited < arrival.PATIENCE and not runs, (before, now)
    assert len(seen) == 3


def test_a_plan_that_stopped_is_not_joined_by_the_signal_that_may_take_it_up():
    stopped = model.Record(plan=A_PLAN, state=model.State.STOPPED)
    assert arrival.when_busy(stopped, stopped, 0.0, 'x', None) == arrival.TryAgain()


def test_an_alarm_about_the_active_is_not_a_part_of_what_replaced_a_standby():
    before = model.Record(active=A_PLAN.old)
    now = dataclasses.replace(before, plan=ENDED)
    assert not arrival.is_overtaken(before, now)
    assert arrival.is_overtaken(before, dataclasses.replace(now, active=A_PLAN.new))


@pytest.mark.parametrize('action', [None, model.Action.FAILOVER, model.Action.SWITCHOVER])
def test_a_signal_that_was_overtaken_by_a_failover_moves_nothing_unless_it_names_a_member(action):
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    late = dataclasses.replace(world, is_overtaken=True)
    assert isinstance(decide.answer(Signal(action), world), decide.Start)
    answer = decide.answer(Signal(action), late)
    assert isinstance(answer, decide.Refuse) and 'joins it' in answer.reason
    named = 'b' if action is model.Action.SWITCHOVER else 'a'
    assert isinstance(decide.answer(Signal(action, member=named), late), decide.Start)


def test_every_name_on_record_is_known_and_no_other():
    known = model.Record(
        active=model.MemberServer('a', 's-a'),
        previous=model.MemberServer('p', 's-p'),
        seen=(model.MemberServer('b', 's-b'),),
        plan=A_PLAN,
    )
    ends = (A_PLAN.old, A_PLAN.new)
    names = {'a', 's-a', 'p', 's-p', 'b', 's-b'} | {n for e in ends for n in (e.member, e.server)}
    assert all(arrival.is_known(known, name) for name in names)
    assert not arrival.is_known(known, 'another') and not arrival.is_known(model.Record(), 'a')


def test_a_signal_is_about_the_member_that_it_names_or_about_the_active():
    known = model.Record(active=worlds.holder('a'), seen=(worlds.holder('a'), worlds.holder('b')))
    assert arrival.about(known, None) == worlds.holder('a')
    assert arrival.about(known, 'b') == arrival.about(known, 'server-b') == worlds.holder('b')
    assert arrival.about(known, 'ref-c') is None
    kept = model.Remembered('a', 'server-a', is_named=False, came='', requested_by='policy')
    assert not arrival.is_of_another(kept, known)
    assert arrival.is_of_another(kept, dataclasses.replace(known, active=worlds.holder('b')))


def test_a_switchover_is_not_what_an_alarm_asks_for_and_a_persons_signal_waits():
    switchover = dataclasses.replace(A_PLAN, cause=model.Cause.SWITCHOVER)
    for plan, is_joined in ((A_PLAN, True), (switchover, False)):
        running = model.Record(plan=plan, state=model.State.RUNNING, active=A_PLAN.old)
        found = arrival.when_busy(running, running, 0.0, 'x', 'server-a')
        assert isinstance(found, arrival.Join if is_joined else arrival.Keep)
        for waited, expected in ((0.0, arrival.TryAgain), (31.0, arrival.Keep)):
            found = arrival.when_busy(running, running, waited, 'x', None, is_person=True)
            assert isinstance(found, expected)


def test_a_signal_about_nobody_is_not_of_another_while_nobody_is_active():
    kept = model.Remembered('', '', is_named=False, came='', requested_by='policy')
    assert not arrival.is_of_another(kept, model.Record())
    assert arrival.is_of_another(kept, model.Record(active=worlds.holder('a')))


def test_an_alarm_joins_a_failover_that_replaces_nobody_only_if_it_has_nobody_replaced_either():
    chained = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
    for of_plan, is_chained in itertools.product((None, chained), (False, True)):
        plan = dataclasses.replace(A_PLAN, chained=of_plan)
        running = model.Record(plan=plan, state=model.State.RUNNING, active=A_PLAN.old)
        found = arrival.when_busy(running, running, 0.0, 'x', 'server-a', is_chained=is_chained)
        is_more = is_chained and of_plan is None
        assert isinstance(found, arrival.Keep if is_more else arrival.Join)
