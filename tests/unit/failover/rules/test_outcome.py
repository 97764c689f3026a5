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


def test_a_member_that_was_left_as_sick_is_a_suspect_until_it_is_replaced():
    signals_of = {
        model.Cause.FAILOVER: signals.Signal(),
        model.Cause.SWITCHOVER: signals.Signal(model.Action.SWITCHOVER),
    }
    retained = (model.Retained('a', 'server-a', '2026-01-01T00:00:00+00:00'),)
    for cause, chained, kept in itertools.product(signals_of, (None, CHAINED), ((), retained)):
        plan = plan_for(signals_of[cause], chained)
        assert plan.cause is cause
        known = model.Record(epoch=1, active=worlds.holder('a'), retained=kept, suspects=('b', 'z'))
        ended = outcome.at_end(known, plan, {'a', 'b'})
        is_replaced = any(s.kind is model.StepKind.REPLACE for s in plan.steps) and not kept
        is_suspect = cause is model.Cause.FAILOVER and not is_replaced
        assert ended.suspects == (('a',) if is_suspect else ()), (cause, chained, kept)


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
