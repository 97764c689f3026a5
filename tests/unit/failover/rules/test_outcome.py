# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import decide, outcome
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


def plan_for(signal, chained):
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')), chained=chained)
    return decide.answer(signal, world).plan


def moved(plan):
    return dataclasses.replace(
        plan,
        steps=tuple(
            s if s.is_follow_up else dataclasses.replace(s, state=model.StepState.DONE)
            for s in plan.steps
        ),
    )


def test_a_member_that_was_left_as_sick_is_a_suspect_until_it_is_replaced():
    signals_of = {
        model.Cause.FAILOVER: signals.Signal(),
        model.Cause.SWITCHOVER: signals.Signal(model.Action.SWITCHOVER),
    }
    retained = (model.Retained('a', 'server-a', '2026-01-01T00:00:00+00:00'),)
    for cause, chained, kept in itertools.product(signals_of, (None, CHAINED), ((), retained)):
        plan = moved(plan_for(signals_of[cause], chained))
        assert plan.cause is cause and plan.is_moved
        known = model.Record(epoch=1, active=worlds.holder('a'), retained=kept, suspects=('b', 'z'))
        ended = outcome.at_end(known, plan, {'a', 'b'})
        assert ended.suspects == (('a',) if cause is model.Cause.FAILOVER else ())
        is_replaced = cause is model.Cause.FAILOVER and chained is not None
        assert bool(ended.follow_ups) is is_replaced, (cause, chained)
        if not is_replaced:
            continue
        follow_up = ended.follow_ups[0].plan
        done = dataclasses.replace(
            follow_up,
            steps=tuple(
                dataclasses.replace(s, state=model.StepState.DONE) for s in follow_up.steps
            ),
        )
        after = outcome.after_follow_up(ended, done, {'b', 'c', *(r.member for r in kept)})
        assert after.suspects == (('a',) if kept else ()) and after.follow_ups == ()
        assert after.plan.is_done, 'the graph shows the whole'


def test_what_is_left_of_several_failovers_is_kept_side_by_side_and_each_once():
    plan = moved(plan_for(signals.Signal(), CHAINED))
    known = model.Record(epoch=1, active=worlds.holder('a'))
    once = outcome.at_end(known, plan, {'a', 'b'})
    assert outcome.at_end(once, plan, {'a', 'b'}).follow_ups == once.follow_ups
    second = dataclasses.replace(plan, plan_id='p2', old=worlds.holder('b'), new=worlds.holder('c'))
    both = outcome.at_end(once, second, {'a', 'b', 'c'})
    assert [one.plan.plan_id for one in both.follow_ups] == ['p1', 'p2']
    # Who was made the active by a person is not replaced any more.
    back = dataclasses.replace(
        plan, plan_id='p3', cause=model.Cause.SWITCHOVER, new=worlds.holder('a'), steps=()
    )
    assert outcome.at_end(once, back, {'a', 'b'}).follow_ups == ()
    assert outcome.at_end(once, back, {'a', 'b'}).suspects == ()


def test_the_end_of_a_plan_is_ready_and_says_who_was_active_before():
    plan = plan_for(signals.Signal(), None)
    known = model.Record(
        state=model.State.STOPPED, reason='r', remedy='x', previous=worlds.holder('z')
    )
    ended = outcome.at_end(known, plan, ())
    assert (ended.state, ended.reason, ended.remedy) == (model.State.READY, '', '')
    assert (ended.plan, ended.previous) == (plan, worlds.holder('a'))
    standby = dataclasses.replace(plan, cause=model.Cause.REPLACE_STANDBY)
    assert outcome.at_end(known, standby, ()).previous == worlds.holder('z')


# S1
def test_who_was_active_before_a_change_without_a_failover_is_not_forgotten():
    a, b = worlds.holder('a'), worlds.holder('b')
    parked = outcome.with_active(model.Record(epoch=1, active=a), None)
    assert (parked.active, parked.epoch, parked.left_with) == (None, 2, (a,))
    again = outcome.with_active(parked, b)
    assert (again.active, again.left_with) == (b, (a,))
    assert outcome.with_active(outcome.with_active(again, None), a).left_with == (b,)
