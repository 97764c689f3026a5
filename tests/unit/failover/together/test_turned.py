# SPDX-License-Identifier: Apache-2.0
"""What an alarm makes of a stopped plan, beside what it would lead to if no plan were open."""

import dataclasses
import datetime

import pytest

from heat_ha import signals
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import decide, ways_out
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

CHAINED = groups.Chained('front', 1, groups.Order.CREATE_FIRST)
ALARM = signals.Signal[model.Action](reason='too much load')


def group(status=ServerStatus.ACTIVE):
    return (worlds.candidate('a', status), worlds.candidate('b'), worlds.candidate('c'))


def switchover_that_stopped(status=ServerStatus.ACTIVE, **changes):
    """A person's switchover from a to b, which Nova has refused once."""
    begun = worlds.seen(group())
    plan = decide.answer(signals.Signal(model.Action.SWITCHOVER, member='b'), begun).plan
    first = next(s for s in plan.steps if s.kind is StepKind.DETACH)
    plan = plan.with_step(dataclasses.replace(first, state=StepState.FAILED, reason='no'))
    record = model.Record(epoch=1, active=plan.old, plan=plan, state=model.State.STOPPED)
    return worlds.seen(group(status), record=record, chained=CHAINED, **changes)


JUST_NOW = (worlds.NOW - datetime.timedelta(seconds=1),)
# What refuses an alarm about an active that looks well, while no plan is open.
HELD = {
    'cooldown': {'limits': model.Limits(cooldown=3600.0), 'past_failovers': JUST_NOW},
    'flapping': {'limits': model.Limits(max_failovers=1, period=60), 'past_failovers': JUST_NOW},
    'overtaken': {'is_overtaken': True},
    'repeat': {'limits': model.Limits(holds_repeats=True), 'past_failovers': JUST_NOW},
}


# S5
@pytest.mark.parametrize('why', HELD)
def test_an_alarm_that_would_be_refused_has_no_healthy_active_replaced_by_a_stopped_plan(why):
    seen = switchover_that_stopped(**HELD[why])
    alarm = dataclasses.replace(ALARM, is_repeat=why == 'repeat')
    ready = dataclasses.replace(seen, record=model.Record(epoch=1, active=seen.record.active))
    assert not isinstance(decide.answer(alarm, ready), decide.Start), 'as it is meant'
    assert decide.answer(alarm, seen) == decide.GoOn(seen.record.plan)


@pytest.mark.parametrize('why', [None, *(w for w in HELD if w != 'overtaken')])
def test_one_about_an_active_that_is_down_has_it_replaced(why):
    seen = switchover_that_stopped(ServerStatus.SHUTOFF, **HELD.get(why, {}))
    found = decide.answer(ALARM, seen)
    assert found.plan.replaces == ('a',) and found.plan.cause is model.Cause.FAILOVER


def test_one_that_nothing_holds_back_does_so_too():
    assert decide.answer(ALARM, switchover_that_stopped()).plan.replaces == ('a',)


def stopped_after_the_shutdown(status):
    begun = worlds.seen(group(), quiesce=model.Quiesce.STOP)
    plan = decide.answer(signals.Signal(), begun).plan
    stop = next(s for s in plan.steps if s.kind is StepKind.STOP_SERVER)
    detach = next(s for s in plan.steps if s.kind is StepKind.DETACH)
    plan = plan.with_step(dataclasses.replace(stop, state=StepState.DONE))
    plan = plan.with_step(dataclasses.replace(detach, state=StepState.FAILED, reason='no'))
    record = model.Record(epoch=1, active=plan.old, plan=plan, state=model.State.STOPPED)
    return worlds.seen(group(status), record=record, quiesce=model.Quiesce.STOP)


def test_who_starts_the_old_active_to_give_everything_back_has_the_time_for_it():
    started = stopped_after_the_shutdown(ServerStatus.ACTIVE)
    plan = started.record.plan
    waits = decide.answer(signals.Signal(model.Action.RETRY), started)
    assert waits.record.retry_due and 'fail_back' in waits.text and waits.record.plan == plan
    back = decide.answer(signals.Signal(model.Action.FAIL_BACK), started)
    assert back.plan.new == plan.old
    # A person who wants to go on, and an alarm, have it shut off once more.
    for signal in (signals.Signal(model.Action.RESUME), signals.Signal(member='a')):
        assert decide.answer(signal, started) == decide.GoOn(plan)
    still_off = stopped_after_the_shutdown(ServerStatus.SHUTOFF)
    assert decide.answer(signals.Signal(model.Action.RETRY), still_off) == decide.GoOn(plan)


def going_back(candidates):
    """The way back from a member that was made for a failover, with nothing done of it."""
    begun = worlds.seen((worlds.candidate('a', ServerStatus.SHUTOFF),), chained=CHAINED)
    plan = decide.answer(signals.Signal(), begun).plan
    made = next(s for s in plan.steps if s.kind is StepKind.ADD_MEMBER)
    plan = plan.with_step(dataclasses.replace(made, state=StepState.DONE))
    name = made.target or f'ha{plan.plan_id}'
    plan = dataclasses.replace(plan, new=worlds.holder(name))
    record = model.Record(epoch=1, active=plan.old, plan=plan, state=model.State.STOPPED)
    members = (worlds.candidate('a'), *(worlds.candidate(name) for _ in range(candidates)))
    seen = worlds.seen(members, record=record, chained=CHAINED)
    return name, ways_out.back(plan, seen, 'back'), seen


def test_who_goes_because_the_old_active_comes_back_is_not_suspect():
    name, back, seen = going_back(1)
    assert back.replaces == (name,)
    record = dataclasses.replace(seen.record, plan=back)
    found = ways_out.dropped(dataclasses.replace(seen, record=record))
    assert not found.record.suspects
    assert (
        'member a,' not in found.left_over and f'member {name} is not replaced' in found.left_over
    )


def test_on_the_way_back_nobody_goes_who_never_came():
    _name, back, _seen = going_back(0)
    assert back.replaces == ()
