# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import itertools

from heat_ha import signals
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import decide, instance_failure
from tests.unit.failover import worlds

HOLDS = model.Limits(holds_repeats=True)
OF_AGENT = instance_failure.reason('compute-1')
ALARM = signals.Signal(alarm='crashed')
WELL = worlds.candidate('a', host_state=HostState.UP)
DOWN = worlds.candidate('a', status=ServerStatus.SHUTOFF, host_state=HostState.UP)
STANDBY = worlds.candidate('b', host_state=HostState.UP)


def seen(age=10.0, *, reason=OF_AGENT, cause=None, active=WELL, limits=HOLDS):
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
    return dataclasses.replace(world, record=done)


def is_held(signal, world):
    held = instance_failure.refusal(signal, world) is not None
    answer = decide.answer(signal, world)
    assert held is (isinstance(answer, decide.Refuse) and 'the agent has reported' in answer.reason)
    return held


def test_only_an_alarm_that_names_nobody_joins_and_only_soon_after_the_agents_failover():
    reasons = (OF_AGENT, 'alarm crashed: Event hits the query', '')
    limits = (HOLDS, model.Limits(), model.Limits(cooldown=0.0))
    ages = (-20, 0, 10, 299.9, 300, 10_000)
    for age, reason, active, limit in itertools.product(ages, reasons, (WELL, DOWN), limits):
        world = seen(age, reason=reason, active=active, limits=limit)
        expected = reason == OF_AGENT and active is WELL and limit == HOLDS and abs(age) < 300
        assert is_held(ALARM, world) is expected, (age, reason, active, limit)


def test_what_names_a_member_or_asks_for_something_is_never_held_back():
    names = [signals.Signal(member=name) for name in ('a', 'server-a', 'b')]
    actions = [signals.Signal(action=action) for action in model.Action]
    for signal in (*names, *actions):
        assert instance_failure.refusal(signal, seen()) is None, signal
    assert is_held(signals.Signal(member='a', host='web-1'), seen())


def test_a_replaced_standby_and_a_policy_without_a_plan_hold_nothing_back():
    assert not is_held(ALARM, seen(cause=model.Cause.REPLACE_STANDBY))
    world = seen()
    bare = dataclasses.replace(world, record=dataclasses.replace(world.record, plan=None))
    assert not is_held(ALARM, bare)


def test_the_reasons_of_the_two_paths_are_told_apart_by_their_first_word():
    assert OF_AGENT.startswith('heat-ha-agent: ') and 'compute-1' in OF_AGENT
    assert not signals.Signal(alarm='heat-ha-agent: ').cause.startswith(instance_failure.SENDER)
