# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import itertools

import pytest

from heat_ha import serialization, signals
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import arrival, decide, instance_failure, later
from heat_ha.failover.rules import outcome as outcomes
from tests.unit.failover import worlds

HOLDS = model.Limits(holds_repeats=True)
OF_AGENT = instance_failure.reason('compute-1')
ALARM = signals.Signal(alarm='crashed', sources=('crashed',))
FROM_OK = dataclasses.replace(ALARM, was_ok=True)
WELL = worlds.candidate('a', host_state=HostState.UP)
ANSWERS = worlds.candidate('a', host_state=HostState.UP, health=model.HealthState.WELL)
SILENT = worlds.candidate('a', host_state=HostState.UP, health=model.HealthState.COULD_NOT_ASK)
SICK = worlds.candidate('a', host_state=HostState.UP, health=model.HealthState.SICK)
DOWN = worlds.candidate('a', status=ServerStatus.SHUTOFF, host_state=HostState.UP)
STANDBY = worlds.candidate('b', host_state=HostState.UP)


def line(plan, *, outcome='done'):
    """The line of a plan in the history."""
    return serialization.encode(outcomes.past(plan, outcome, handoff_seconds=1.0, seconds=1.0))


def seen(age=10.0, *, reason=OF_AGENT, cause=None, active=WELL, limits=HOLDS, **changes):
    """The active is well, and took over from ``b`` by a failover of so many seconds ago."""
    world = worlds.seen((active, STANDBY), limits=limits)
    started = decide.answer(signals.Signal(reason=reason), world)
    created = worlds.NOW - datetime.timedelta(seconds=age)
    plan = dataclasses.replace(
        started.plan,
        created=created.isoformat(timespec='milliseconds'),
        cause=cause or started.plan.cause,
        steps=tuple(
            dataclasses.replace(step, state=model.StepState.DONE) for step in started.plan.steps
        ),
    )
    done = dataclasses.replace(world.record, state=model.State.READY, plan=plan)
    began = instance_failure.agents_failover([line(plan)])
    return dataclasses.replace(world, record=done, **{'agents_failover': began, **changes})


def kept(seconds_ago, alarms=('crashed',), over=()):
    """A signal about the active that came so long ago, as it is on record."""
    came = worlds.NOW - datetime.timedelta(seconds=seconds_ago)
    return model.Remembered(
        'a', 'server-a', False, came.isoformat(), 'policy', 'alarm crashed',
        alarms=alarms, over=over,
    )  # fmt: skip


def again(age, one, **changes):
    """The world in which a kept signal is decided, so many seconds after the failover began."""
    return seen(age, kept=(one,), decided=one, **changes)


def is_held(signal, world):
    held = instance_failure.held(signal, world) is not None
    answer = decide.answer(signal, world)
    assert held is (isinstance(answer, later.Remember) and answer.alarms == signal.sources), answer
    return held


def test_only_an_alarm_that_names_nobody_waits_and_only_soon_after_the_agents_failover():
    reasons = (OF_AGENT, 'alarm crashed: Event hits the query', '')
    limits = (HOLDS, model.Limits(), model.Limits(cooldown=0.0))
    actives = (WELL, ANSWERS, SILENT, SICK, DOWN)
    ages = (-20, 0, 10, 299.9, 300, 10_000)
    for age, reason, active, limit in itertools.product(ages, reasons, actives, limits):
        world = seen(age, reason=reason, active=active, limits=limit)
        is_well = active not in (SICK, DOWN)
        expected = reason == OF_AGENT and is_well and limit == HOLDS and abs(age) < 300
        assert is_held(ALARM, world) is expected, (age, reason, active, limit)


def test_no_alarm_of_a_sender_that_repeats_itself_not_is_refused_because_of_the_time():
    """What would start a failover later is kept until then, whatever is known of the active."""
    for age, active in itertools.product((0, 60, 299), (WELL, ANSWERS, SILENT, SICK, DOWN)):
        answer = decide.answer(ALARM, seen(age, active=active))
        assert isinstance(answer, later.Remember | decide.Start), (age, active)


@pytest.mark.parametrize('age', [0.0, 100.0, 299.0])
def test_it_is_decided_again_soon_and_when_the_time_is_over_at_the_latest(age):
    answer = decide.answer(ALARM, seen(age))
    assert 0 < answer.due_in <= 20.1 and age + answer.due_in < 300.2
    # It does not become too old before that.
    assert answer.until > 2 * instance_failure.SAME_FAILURE


# S3
@pytest.mark.parametrize('active', [WELL, SILENT])
def test_what_nothing_has_shown_to_be_about_the_same_failure_counts_in_the_end(active):
    one = kept(250)
    assert isinstance(decide.answer(ALARM, again(299, one, active=active)), later.Remember)
    assert isinstance(decide.answer(ALARM, again(301, one, active=active)), decide.Start)
    # It may have been paused for a while.
    assert isinstance(decide.answer(ALARM, again(400, kept(200), active=active)), decide.Start)


@pytest.mark.parametrize('active', [WELL, SILENT, SICK, DOWN])
@pytest.mark.parametrize('days', [0.04, 0.05, 0.9, 3])
def test_what_was_paused_for_hours_counts_only_while_the_active_is_seen_to_be_down(days, active):
    age = days * 86_400
    answer = decide.answer(ALARM, again(age + 9, kept(age), active=active))
    counts = active in (SICK, DOWN) or age < instance_failure.LONGEST
    assert isinstance(answer, decide.Start if counts else decide.Refuse)
    assert counts or 'send it again' in answer.reason


def test_it_counts_as_soon_as_the_active_is_seen_to_be_down():
    for active in (SICK, DOWN):
        assert isinstance(decide.answer(ALARM, again(50, kept(20), active=active)), decide.Start)


def test_it_joins_where_the_active_answers_its_health_check_when_the_time_is_over():
    one = kept(290)
    assert isinstance(decide.answer(ALARM, again(299, one, active=ANSWERS)), later.Remember)
    refused = decide.answer(ALARM, again(301, one, active=ANSWERS))
    assert isinstance(refused, decide.Refuse) and 'health check' in refused.reason
    # One that comes then is about something new.
    assert isinstance(decide.answer(ALARM, seen(301, active=ANSWERS)), decide.Start)


def test_an_alarm_that_has_said_ok_joins_when_the_time_is_over():
    for active in (WELL, DOWN):
        over = kept(250, alarms=(), over=('crashed',))
        assert isinstance(decide.answer(ALARM, again(299, over, active=active)), later.Remember)
        refused = decide.answer(ALARM, again(301, over, active=active))
        assert isinstance(refused, decide.Refuse) and 'said ok' in refused.reason
    half = kept(250, alarms=('other',), over=('crashed',))
    assert isinstance(decide.answer(ALARM, again(301, half)), decide.Start)


def test_an_alarm_that_fires_anew_counts_at_once():
    changed = FROM_OK
    assert is_held(changed, seen(20))
    # The sender says so in the body, or has said ok.
    assert not is_held(changed, seen(200, kept=(kept(180),)))
    assert not is_held(ALARM, seen(30, kept=(kept(10, alarms=(), over=('crashed',)),)))
    # A copy of the same body, an alarm that does not say what it was before, and another alarm.
    assert is_held(changed, seen(40, kept=(kept(20),)))
    assert is_held(ALARM, seen(200, kept=(kept(180),)))
    assert is_held(dataclasses.replace(changed, sources=('other',)), seen(200, kept=(kept(180),)))
    # What is kept about the active before says nothing of this one.
    before = dataclasses.replace(kept(180), member='c', server='server-c')
    assert is_held(changed, seen(200, kept=(before,)))


def test_an_alarm_that_fires_anew_counts_while_the_old_active_is_still_being_replaced():
    world = seen(200, kept=(kept(180),))
    plan = dataclasses.replace(world.record.plan, new=worlds.holder('a'))
    left = dataclasses.replace(world.record, plan=plan, follow_ups=(model.FollowUp(plan),))
    world = dataclasses.replace(world, record=left)
    assert later.is_late_copy(world)
    assert isinstance(decide.answer(ALARM, world), later.Remember)
    changed = FROM_OK
    assert isinstance(decide.answer(changed, world), decide.Start)


def test_what_names_a_member_or_asks_for_something_is_never_held_back():
    names = [signals.Signal(member=name) for name in ('a', 'server-a', 'b')]
    actions = [signals.Signal(action=action) for action in model.Action]
    for signal in (*names, *actions):
        assert instance_failure.held(signal, seen()) is None, signal


@pytest.mark.parametrize('host', ['web-1', '10.0.0.6', 'fd00::6'])
def test_an_alarm_with_a_name_or_an_address_of_the_new_active_counts_at_once(host):
    named = signals.Signal(member='server-a', host=host, sources=('Down',))
    assert isinstance(decide.answer(named, seen(150)), decide.Start)
    # An address comes along with a port that is handed over.
    world = seen(150, asks_old_host=True)
    assert is_held(named, world) is (host != 'web-1')
    # One that is of no member says nothing of it.
    assert is_held(dataclasses.replace(named, member=None), seen(150))


SENT = [
    ALARM,
    dataclasses.replace(ALARM, sources=()),
    *(dataclasses.replace(ALARM, member='server-a', host=host) for host in ('web-1', '10.0.0.6')),
    *(signals.Signal(member=name) for name in ('a', 'server-a', 'b')),
    signals.Signal(action=model.Action.FAILOVER),
    signals.Signal(action=model.Action.FAILOVER, member='a'),
]


def kept_as(signal):
    """A signal that came just now, as a policy that asks for the agent's signals keeps it."""
    named = signal.member or 'a'
    plain = model.Remembered(
        'b' if named == 'b' else 'a', named if named == 'b' else 'server-a',
        signal.member is not None, worlds.NOW.isoformat(), 'policy', named=signal.member or '',
    )  # fmt: skip
    return instance_failure.as_kept(plain, signal)


@pytest.mark.parametrize('signal', SENT)
def test_what_is_kept_for_whatever_reason_is_worth_what_it_was_when_it_came(signal):
    for age, active, asks in itertools.product(
        (10, 299, 301), (WELL, ANSWERS, DOWN), (False, True)
    ):
        fresh = decide.answer(signal, seen(age, active=active, asks_old_host=asks))
        one = kept_as(signal)
        world = again(age, one, active=active, asks_old_host=asks)
        answer = decide.answer(arrival.signal_in(one), world)
        assert type(answer) is type(fresh), (age, active, asks)
        if not isinstance(answer, later.Remember):
            continue
        # However often it is decided again.
        one = instance_failure.unnamed(one, one.alarms)
        assert one.alarms == (signal.sources or ('',))
        world = again(age, one, active=active, asks_old_host=asks)
        assert isinstance(decide.answer(arrival.signal_in(one), world), later.Remember)


def test_a_policy_without_a_failover_by_the_agent_holds_nothing_back():
    assert not is_held(ALARM, seen(cause=model.Cause.SWITCHOVER))
    assert not is_held(ALARM, seen(agents_failover=None))
    assert instance_failure.agents_failover([]) is None


@pytest.mark.parametrize('cause', model.Cause)
@pytest.mark.parametrize('reason', [OF_AGENT, 'alarm crashed'])
@pytest.mark.parametrize('outcome', ['done', 'dropped', 'stopped'])
def test_only_another_failover_is_later_than_the_agents(cause, reason, outcome):
    first = seen(60).record.plan
    began = datetime.datetime.fromisoformat(first.created)
    later_on = (began + datetime.timedelta(seconds=9)).isoformat()
    then = dataclasses.replace(first, plan_id='p2', cause=cause, reason=reason, created=later_on)
    found = instance_failure.agents_failover([line(first), line(then, outcome=outcome)])
    if cause is not model.Cause.FAILOVER:
        assert found == began
    elif reason == OF_AGENT and outcome == 'done':
        assert found == datetime.datetime.fromisoformat(later_on)
    else:
        assert found is None


def test_a_standby_that_is_replaced_meanwhile_ends_no_hold():
    world = seen()
    plan = dataclasses.replace(world.record.plan, cause=model.Cause.REPLACE_STANDBY, reason='')
    for now in (plan, None):
        assert is_held(ALARM, dataclasses.replace(
            world, record=dataclasses.replace(world.record, plan=now)
        ))  # fmt: skip


@pytest.mark.parametrize('age', [60, 301])
def test_a_dry_run_tells_the_same_as_a_failover_that_is_asked_for(age):
    for active in (WELL, ANSWERS, SICK, DOWN):
        world = seen(age, active=active)
        shown = decide.answer(signals.Signal(action=model.Action.PLAN), world)
        real = decide.answer(signals.Signal(action=model.Action.FAILOVER), world)
        assert type(shown.answer) is type(real) is decide.Start, active


def test_the_reasons_of_the_two_paths_are_told_apart_by_their_first_word():
    assert OF_AGENT.startswith('heat-ha-agent: ') and 'compute-1' in OF_AGENT
    assert not signals.Signal(alarm='heat-ha-agent: ').cause.startswith(instance_failure.SENDER)
