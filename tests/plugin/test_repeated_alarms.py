# SPDX-License-Identifier: Apache-2.0
"""Alarms as Aodh posts them once a minute for as long as they last, which is Heat's default."""

import datetime

import pytest

from heat_ha.cloud import clock
from tests.plugin import failover, scaling

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

FIRST = {
    'alarm_id': 'b2c3d4e5-0000-4000-8000-000000000002',
    'alarm_name': 'sick',
    'severity': 'low',
    'previous': 'ok',
    'current': 'alarm',
    'reason': 'Transition to alarm due to 1 samples outside threshold, most recent: 99.0',
    'reason_data': {'type': 'threshold', 'count': 1, 'disposition': 'outside'},
}
AGAIN = {**FIRST, 'previous': 'alarm', 'reason': 'Remaining as alarm due to 1 samples outside'}


@pytest.fixture
def minutes(monkeypatch):
    """Let minutes pass by calling it; time goes on otherwise as well."""
    passed = [datetime.timedelta()]
    real = clock.now
    monkeypatch.setattr(clock, 'now', lambda: real() + passed[0])

    def passes(count):
        passed[0] += datetime.timedelta(minutes=count)

    return passes


def failovers(engine, stack):
    return len(failover.attribute(engine, stack, 'history'))


@pytest.mark.parametrize('to', ['policy', 'failover'])
def test_an_alarm_that_lasts_an_hour_has_a_few_failovers(engine, minutes, to):
    stack = engine.create(failover.template())
    engine.signal(stack, to, FIRST)
    assert failovers(engine, stack) == 1
    counts = []
    for _minute in range(60):
        minutes(1)
        engine.signal(stack, to, AGAIN)
        counts.append(failovers(engine, stack))
    assert counts[8] == 1 and counts[-1] <= 4
    # Without a replacement the former active is not eligible any more.
    assert counts[10] == (2 if to == 'policy' else 1)
    refused = [text for status, text in engine.events(stack, 'failover') if 'SIGNAL_F' in status]
    assert any('repeats itself' in text and 'cooldown' in text for text in refused)


def test_the_death_of_the_next_active_is_answered_at_once(engine, minutes):
    stack = engine.create(failover.template())
    engine.signal(stack, 'policy', FIRST)
    (server,) = scaling.servers(engine, stack)[failover.attribute(engine, stack, 'active')]
    (engine.servers / f'off-{server}').touch()
    minutes(1)

    engine.signal(stack, 'policy', AGAIN)

    assert failovers(engine, stack) == 2
    assert failover.attribute(engine, stack, 'active_server') != server


@pytest.mark.parametrize('kind', ['another alarm', 'without a body', 'names the active', 'event'])
def test_a_new_alarm_a_moment_later_is_answered_at_once(engine, minutes, kind):
    stack = engine.create(failover.template())
    engine.signal(stack, 'policy', FIRST)
    active = failover.attribute(engine, stack, 'active')
    event = {'event': {'traits': [['instance_id', 1, failover.attribute(
        engine, stack, 'active_server')]]}}  # fmt: skip
    bodies = {
        'another alarm': {**FIRST, 'alarm_id': 'c'},
        'without a body': None,
        'names the active': {'member': active},
        'event': {**AGAIN, 'reason_data': event},
    }
    minutes(1)

    engine.signal(stack, 'policy', bodies[kind])

    assert failovers(engine, stack) == 2
    assert failover.attribute(engine, stack, 'active') != active


@pytest.mark.parametrize(
    ('own', 'front'), [('cooldown: 0', ''), ('', 'cooldown: 0'), ('cooldown: 30', '')]
)
def test_a_cooldown_in_the_template_holds_instead(engine, minutes, own, front):
    stack = engine.create(failover.template(own, failover.CHAINED + front))
    for minute in range(1, 4):
        engine.signal(stack, 'policy', AGAIN)
        assert failovers(engine, stack) == minute
        minutes(1)


def test_a_policy_without_a_failover_holds_repeats_back_as_well(engine, minutes):
    stack = engine.create(scaling.template())
    engine.signal(stack, 'policy', FIRST)
    before = scaling.servers(engine, stack)

    engine.signal(stack, 'policy', AGAIN)

    scaling.unchanged(engine, stack, before)
    assert 'repeats itself' in scaling.last_event(engine, stack)[1]

    # A member that has failed is replaced all the same, and later any.
    nested = engine.nested(stack)
    engine.mark_unhealthy(nested, next(iter(before)))
    engine.signal(stack, 'policy', AGAIN)
    assert next(iter(before)) not in scaling.servers(engine, stack)
    minutes(11)
    before = scaling.servers(engine, stack)
    engine.signal(stack, 'policy', AGAIN)
    assert scaling.servers(engine, stack) != before


@pytest.mark.parametrize('where', ['policy', 'group'])
def test_a_cooldown_of_the_policy_or_its_group_holds_instead(engine, where):
    policy = scaling.REPLACES + ('cooldown: 0\n' if where == 'policy' else '')
    group = 'cooldown: 0' if where == 'group' else ''
    stack = engine.create(scaling.template(policy, group=group))
    for _count in range(2):
        before = scaling.servers(engine, stack)
        engine.signal(stack, 'policy', AGAIN)
        assert scaling.servers(engine, stack) != before
