# SPDX-License-Identifier: Apache-2.0
import datetime
import itertools

from heat_ha import signals
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model, options
from heat_ha.failover.rules import decide, repeats
from heat_ha.groups import model as groups
from heat_ha.groups.rules import repeats as group_repeats
from tests.unit.failover import worlds

HOLDS = model.Limits(holds_repeats=True)
REPEAT = signals.Signal(is_repeat=True)
ACTIVE = worlds.candidate('a', host_state=HostState.UP)
STANDBY = worlds.candidate('b', host_state=HostState.UP)


def seen(*ages, active=ACTIVE, limits=HOLDS):
    past = tuple(worlds.NOW - datetime.timedelta(seconds=age) for age in ages)
    return worlds.seen((active, STANDBY), limits=limits, past_failovers=past)


def is_held(signal, world):
    answer = decide.answer(signal, world)
    held = isinstance(answer, decide.Refuse) and 'repeats itself' in answer.reason
    assert held is (repeats.refusal(signal, world) is not None)
    assert held or isinstance(answer, decide.Start)
    return held


def test_a_repeat_is_held_back_for_a_time_after_the_last_failover():
    for age in (-30, 0, 1, 60, 599):
        assert is_held(REPEAT, seen(age)), age
    for age in (600, 3600, 10**6):
        assert not is_held(REPEAT, seen(age)), age
    assert not is_held(REPEAT, seen())


def test_each_failover_of_a_day_doubles_that_time():
    assert is_held(REPEAT, seen(1199, 5000)) and not is_held(REPEAT, seen(1200, 5000))
    assert not is_held(REPEAT, seen(700, 90_000))


def test_what_is_no_mere_repeat_is_never_held_back():
    others = [
        signals.Signal(),
        signals.Signal(alarm='sick'),
        signals.Signal(member='a', is_repeat=True),
        signals.Signal(member='server-a', is_repeat=True),
        signals.Signal(action=model.Action.FAILOVER, is_repeat=True),
        signals.Signal(action=model.Action.SWITCHOVER),
    ]
    for signal in others:
        assert not is_held(signal, seen(1, 2, 3)), signal


def test_a_repeat_that_names_its_member_by_a_host_only_is_held_back():
    assert is_held(signals.Signal(member='a', host='web-1', is_repeat=True), seen(1))
    assert not is_held(signals.Signal(member='a', host='web-1'), seen(1))


def test_an_active_that_is_seen_to_be_down_is_left_at_once():
    dead = [
        worlds.candidate('a', status=ServerStatus.SHUTOFF),
        worlds.candidate('a', status=ServerStatus.ERROR),
        worlds.candidate('a', status=ServerStatus.GONE),
        worlds.candidate('a', host_state=HostState.DOWN),
        worlds.candidate('a', host_state=HostState.CONFIRMED_DOWN),
        worlds.candidate('a', health=model.HealthState.SICK),
    ]
    for active in dead:
        assert not is_held(REPEAT, seen(1, 2, 3, active=active)), active
    # No answer is no evidence.
    unknown = worlds.candidate('a', status=ServerStatus.COULD_NOT_ASK)
    assert is_held(REPEAT, seen(1, active=unknown))


def test_a_cooldown_that_the_template_gives_stands_for_it():
    for own, front in itertools.product((None, 0.0, 30.0), (None, 0.0, 30.0)):
        limits = model.Limits(cooldown=own or 0.0, holds_repeats=own is None)
        wanted = options.Options(
            limits, model.Quiesce.NONE, model.OnDeadHost.WAIT, fencing_timeout=1
        )
        chained = groups.Chained('front', 1, groups.Order.CREATE_FIRST, front)
        found = wanted.limits_with(chained)
        assert found.holds_repeats is (own is None and front is None)
        assert wanted.limits_with(None).holds_repeats is (own is None)
        assert is_held(REPEAT, seen(40, limits=found)) is found.holds_repeats


def test_in_a_day_of_repeats_each_minute_there_are_few_failovers_and_the_second_comes_soon():
    failovers = [worlds.NOW]
    for minute in range(1, 24 * 60):
        now = worlds.NOW + datetime.timedelta(minutes=minute)
        world = worlds.seen(
            (ACTIVE, STANDBY), limits=HOLDS, past_failovers=tuple(failovers), now=now
        )
        if not is_held(REPEAT, world):
            failovers.append(now)
    assert 5 <= len(failovers) <= 12
    assert (failovers[1] - failovers[0]).total_seconds() == group_repeats.HOLD
