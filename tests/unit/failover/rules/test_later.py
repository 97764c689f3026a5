# SPDX-License-Identifier: Apache-2.0
"""Which signals are kept because what hinders them may pass."""

import dataclasses
import datetime
import itertools

import pytest

from heat_ha import signals
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import model, options
from heat_ha.failover.rules import decide, later, work
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

ALARM = signals.Signal()
CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


def follow_up(old='z', new='a', cause=model.Cause.FAILOVER):
    world = worlds.seen((worlds.candidate(old), worlds.candidate(new)), active=old, chained=CHAINED)
    plan = decide.answer(ALARM, world).plan
    return model.FollowUp(dataclasses.replace(plan, cause=cause))


# What keeps a standby from taking over, and whether it passes by itself.
HINDRANCES = {
    'Heat is at work on it': ({'is_in_progress': True}, True),
    'Nova did not answer': ({'status': ServerStatus.COULD_NOT_ASK}, True),
    'it is shut off': ({'status': ServerStatus.SHUTOFF}, False),
    'its host is down': ({'host_state': HostState.DOWN}, False),
    'it is sick': ({'health': model.HealthState.SICK}, False),
}
# How the active is, and whether it is seen to be down.
ACTIVES = {
    'well': ({}, False),
    'not known': ({'status': ServerStatus.COULD_NOT_ASK}, False),
    'shut off': ({'status': ServerStatus.SHUTOFF}, True),
    'gone': ({'status': ServerStatus.GONE}, True),
    'on a host that is down': ({'host_state': HostState.DOWN}, True),
    'on a host that is confirmed down': ({'host_state': HostState.CONFIRMED_DOWN}, True),
    'on a host that does not tell': ({'host_state': HostState.UNKNOWN}, False),
    'sick': ({'health': model.HealthState.SICK}, True),
}


@pytest.mark.parametrize(
    ('hindrance', 'active'), list(itertools.product(HINDRANCES, ACTIVES)), ids=str
)
def test_an_alarm_without_a_successor_is_kept_while_it_passes_or_the_active_is_down(
    hindrance, active
):
    (of_standby, passes), (of_active, is_down) = HINDRANCES[hindrance], ACTIVES[active]
    world = worlds.seen((worlds.candidate('a', **of_active), worlds.candidate('b', **of_standby)))
    found = decide.answer(ALARM, world)
    # An active that Nova was not asked about says nothing for itself, but of Nova.
    passes = passes or of_active.get('status') is ServerStatus.COULD_NOT_ASK
    assert isinstance(found, later.Remember) is (passes or is_down), found
    if isinstance(found, later.Remember):
        assert found.until == (later.FOR_A_STANDBY if is_down else later.FOR_HEAT)
        assert 'no standby can take over' in found.why


LOST = {
    'it failed': {'is_failed': True},
    'it is gone': {'status': ServerStatus.GONE},
    'it failed and is shut off': {'is_failed': True, 'status': ServerStatus.SHUTOFF},
}


@pytest.mark.parametrize(('of_standby', 'active'), list(itertools.product(LOST, ACTIVES)), ids=str)
def test_nobody_waits_for_standbys_that_are_lost(of_standby, active):
    of_active, is_down = ACTIVES[active]
    lost = worlds.candidate('b', **LOST[of_standby])
    found = decide.answer(ALARM, worlds.seen((worlds.candidate('a', **of_active), lost)))
    if active == 'on a host that is down':
        # It is only silent, and its guest may well go on.
        assert isinstance(found, later.Remember)
    elif is_down:
        assert isinstance(found, decide.Start) and found.plan.new is None
    elif of_active.get('status') is ServerStatus.COULD_NOT_ASK:
        assert isinstance(found, later.Remember)
    else:
        assert isinstance(found, decide.Refuse), 'a healthy active stays (S5)'


@pytest.mark.parametrize(
    ('has_chained', 'advice'),
    [(True, 'A signal with the member b has'), (False, 'Mark b as unhealthy if its server is')],
)
@pytest.mark.parametrize('of_standby', LOST)
@pytest.mark.parametrize('action', [None, model.Action.SWITCHOVER])
def test_who_hears_that_the_standbys_are_lost_hears_what_brings_one_back(
    has_chained, advice, of_standby, action
):
    # An engine that died in an update of the group leaves its active failed as well.
    active = worlds.candidate('a', is_failed=True)
    world = worlds.seen((active, worlds.candidate('b', **LOST[of_standby])))
    world = dataclasses.replace(world, chained=CHAINED if has_chained else None)
    found = decide.answer(dataclasses.replace(ALARM, action=action), world)
    assert isinstance(found, decide.Refuse) and advice in found.reason
    if has_chained:
        named = decide.answer(dataclasses.replace(ALARM, member='b'), world)
        assert isinstance(named, decide.Start) and named.plan.replaces == ('b',)
    waiting = worlds.seen((active, worlds.candidate('b', status=ServerStatus.SHUTOFF)))
    found = decide.answer(dataclasses.replace(ALARM, action=action), waiting)
    assert advice not in found.reason


@pytest.mark.parametrize('hindrance', HINDRANCES)
def test_one_that_may_come_back_is_waited_for_beside_one_that_is_lost(hindrance):
    down = worlds.candidate('a', status=ServerStatus.SHUTOFF)
    waited_for = worlds.candidate('b', **HINDRANCES[hindrance][0])
    world = worlds.seen((down, waited_for, worlds.candidate('c', is_failed=True)))
    assert isinstance(decide.answer(ALARM, world), later.Remember)
    record = model.Record(epoch=2, active=worlds.holder('a'), follow_ups=(follow_up('c', 'a'),))
    world = worlds.seen((down, worlds.candidate('c', is_failed=True)), record=record)
    assert isinstance(decide.answer(ALARM, world), later.Remember), 'its successor is on the way'


def test_a_member_that_is_being_replaced_does_not_take_over_and_is_waited_for():
    record = model.Record(epoch=2, active=worlds.holder('a'), follow_ups=(follow_up('b', 'a'),))
    dead = worlds.candidate('a', host_state=HostState.CONFIRMED_DOWN)
    found = decide.answer(ALARM, worlds.seen((dead, worlds.candidate('b')), record=record))
    assert isinstance(found, later.Remember) and 'it is being replaced' in found.why
    # What has come in its place takes over.
    world = worlds.seen((dead, worlds.candidate('b'), worlds.candidate('c')), record=record)
    assert decide.answer(ALARM, world).plan.new == worlds.holder('c')


def test_an_alarm_that_names_nobody_is_a_late_copy_while_the_active_looks_well():
    record = model.Record(epoch=2, active=worlds.holder('a'), follow_ups=(follow_up('b', 'a'),))
    for name, (of_active, is_down) in ACTIVES.items():
        group = (worlds.candidate('a', **of_active), worlds.candidate('c'))
        found = decide.answer(ALARM, worlds.seen(group, record=record))
        assert isinstance(found, decide.Start) is is_down, name
        if not is_down:
            assert 'joins it' in found.reason
        # One that names the active is believed.
        named = decide.answer(signals.Signal(member='a'), worlds.seen(group, record=record))
        assert isinstance(named, decide.Start), name
    # A replacement that was tried in vain goes on for days; what comes then is no copy.
    tried = dataclasses.replace(record.follow_ups[0], tries=1)
    later_on = dataclasses.replace(record, follow_ups=(tried,))
    group = (worlds.candidate('a'), worlds.candidate('c'))
    assert isinstance(decide.answer(ALARM, worlds.seen(group, record=later_on)), decide.Start)
    other = dataclasses.replace(record, follow_ups=(follow_up('y', 'z'),))
    group = (worlds.candidate('a'), worlds.candidate('c'))
    assert isinstance(decide.answer(ALARM, worlds.seen(group, record=other)), decide.Start)


def test_the_alarm_of_an_active_that_is_down_waits_for_the_end_of_the_cooldown():
    limits = model.Limits(cooldown=60)
    past = (worlds.NOW - datetime.timedelta(seconds=20),)
    for name, (of_active, is_down) in ACTIVES.items():
        group = (worlds.candidate('a', **of_active), worlds.candidate('b'))
        world = worlds.seen(group, limits=limits, past_failovers=past)
        found = decide.answer(ALARM, world)
        assert isinstance(found, later.Remember if is_down else decide.Refuse), name
        if is_down:
            assert 40 < found.due_in < 41 and found.until > found.due_in
        flapping = dataclasses.replace(limits, max_failovers=1, period=60)
        world = dataclasses.replace(world, limits=flapping)
        assert isinstance(decide.answer(ALARM, world), decide.Refuse), 'a person should look'


def test_a_signal_in_a_long_cooldown_is_decided_now_and_then():
    world = worlds.seen((worlds.candidate('a', ServerStatus.SHUTOFF), worlds.candidate('b')))
    world = dataclasses.replace(world, limits=model.Limits(cooldown=86_400.0))
    found = later.after_cooldown('cooldown', 86_400.0, world)
    assert found.due_in == later.LONGEST_WAIT and found.until > 86_400


@pytest.mark.parametrize('cooldown', [60.0, 3600.0, 5000.0, 86_400.0, 30 * 86_400.0])
def test_no_signal_is_given_up_while_a_cooldown_lasts(cooldown):
    world = worlds.seen((worlds.candidate('a', ServerStatus.SHUTOFF), worlds.candidate('b')))
    world = dataclasses.replace(world, limits=model.Limits(cooldown=cooldown))
    # It came right after the failover, and is decided again and again.
    age, left = 0.0, cooldown
    while left > 0:
        found = later.after_cooldown('cooldown', left, world)
        assert age <= found.until, (age, left)
        age, left = age + found.due_in, left - found.due_in
    assert age < cooldown + 1


@pytest.mark.parametrize('figure', [10.0**12, float('inf'), float('nan'), 1e300])
def test_no_figure_of_a_policy_in_front_loses_the_alarm_of_an_active_that_is_down(figure):
    wanted = options.Options(
        model.Limits(), model.Quiesce.NONE, model.OnDeadHost.WAIT, fencing_timeout=1
    )
    chained = groups.Chained('front', 1, groups.Order.CREATE_FIRST, figure)
    world = worlds.seen(
        (worlds.candidate('a', ServerStatus.SHUTOFF), worlds.candidate('b')),
        limits=wanted.limits_with(chained),
        past_failovers=(worlds.NOW - datetime.timedelta(seconds=20),),
    )
    found = decide.answer(ALARM, world)
    if isinstance(found, later.Remember):
        assert work.at(worlds.NOW, found.due_in) and found.until < float('inf')
    else:
        assert isinstance(found, decide.Start) and figure != figure


DAY = 86_400.0


@pytest.mark.parametrize('active', ACTIVES)
@pytest.mark.parametrize('named', [None, 'a', 'server-a'])
def test_what_was_kept_for_longer_than_a_day_counts_only_while_the_active_is_seen_to_be_down(
    active, named
):
    of_active, is_down = ACTIVES[active]
    for age, cooldown in itertools.product((0.0, DAY - 1, DAY + 1, 3 * DAY), (0.0, 2 * DAY)):
        came = worlds.NOW - datetime.timedelta(seconds=age)
        one = model.Remembered(
            'a', 'server-a', named is not None, came.isoformat(), 'policy', named=named or ''
        )
        world = worlds.seen(
            (worlds.candidate('a', **of_active), worlds.candidate('b')),
            limits=model.Limits(cooldown=cooldown), kept=(one,), decided=one,
        )  # fmt: skip
        found = decide.answer(signals.Signal(member=named), world)
        is_over = not is_down and age > max(DAY, cooldown and cooldown + later.FOR_HEAT)
        ended = later.Remember if active == 'not known' else decide.Refuse
        assert isinstance(found, ended if is_over else decide.Start), (age, cooldown)
        fresh = dataclasses.replace(world, decided=None)
        assert isinstance(decide.answer(signals.Signal(member=named), fresh), decide.Start)


def test_pauses_grow_and_stay_well_below_a_minute():
    pauses = [later.pause(tries) for tries in range(1000)]
    assert pauses == sorted(pauses) and pauses[0] <= 2.0 and pauses[-1] <= 20.0


def test_what_is_not_at_the_active_is_seen():
    world = worlds.seen((worlds.candidate('a'),))
    for held, is_elsewhere in (
        ({}, False),
        ({'v1': frozenset({'server-a'})}, False),
        ({'v1': None}, False),
        ({'v1': frozenset()}, True),
        ({'v1': frozenset({'server-a'}), 'v2': frozenset({'server-b'})}, True),
    ):
        seen = dataclasses.replace(world, held_by=held)
        assert later.is_anything_elsewhere(seen, worlds.holder('a')) is is_elsewhere
