# SPDX-License-Identifier: Apache-2.0
"""Alarms without data: whether they count is a property's to say, and an event shows it."""

import pytest

from tests.plugin import volumes
from tests.plugin.scaling import REPLACES, last_event, names, template

pytestmark = pytest.mark.engine

NO_DATA = {
    'alarm_id': 'a',
    'alarm_name': 'cpu',
    'current': 'insufficient data',
    'previous': 'ok',
    'reason': 'Transition to insufficient data',
}
IGNORED = 'alarm cpu has insufficient data, which is ignored here'
CHAINED = REPLACES.replace('group_id: {get_resource: group', 'policy_id: {get_resource: failover')


@pytest.fixture
def cloud(engine):
    with volumes.in_place(engine) as cloud:
        yield cloud


def says(value):
    return '' if value is None else f'insufficient_data: {value}\n'


@pytest.mark.parametrize('value', [None, 'ignore', 'alarm'])
def test_a_scaling_policy_replaces_the_oldest_only_where_it_counts(engine, value):
    stack = engine.create(template(REPLACES + says(value)))
    before = names(engine, stack)
    events = engine.events(stack, 'policy')

    engine.signal(stack, 'policy', NO_DATA)

    if value == 'alarm':
        assert names(engine, stack)[:2] == before[1:]
        return
    assert names(engine, stack) == before
    (event,) = engine.events(stack, 'policy')[len(events) :]
    assert IGNORED in event[1] and 'insufficient_data' in event[1]


@pytest.mark.parametrize('value', [None, 'ignore', 'alarm'])
def test_a_failover_policy_fails_over_only_where_it_counts(engine, cloud, value):
    stack = engine.create(volumes.with_failover(properties=says(value)))
    before = volumes.active(engine, stack)
    events = engine.events(stack, 'failover')

    engine.signal(stack, 'failover', NO_DATA)

    if value == 'alarm':
        assert volumes.active(engine, stack) != before
        assert any('Transition to insufficient data' in t for t in volumes.texts(engine, stack))
        return
    assert volumes.active(engine, stack) == before
    (event,) = engine.events(stack, 'failover')[len(events) :]
    assert IGNORED in event[1]


@pytest.mark.parametrize('front', [None, 'ignore', 'alarm'])
@pytest.mark.parametrize('behind', [None, 'alarm'])
def test_the_policy_in_front_decides_and_else_the_one_behind(engine, cloud, front, behind):
    text = volumes.with_failover(CHAINED + says(front), properties=says(behind))
    stack = engine.create(text)
    before = volumes.active(engine, stack)

    engine.signal(stack, 'policy', NO_DATA)

    counts = front == 'alarm' or (front is None and behind == 'alarm')
    assert (volumes.active(engine, stack) != before) is counts
    assert (before.member not in names(engine, stack)) is counts
    if not counts:
        assert IGNORED in last_event(engine, stack)[1]
