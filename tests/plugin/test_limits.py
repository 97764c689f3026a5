# SPDX-License-Identifier: Apache-2.0
"""The longest time that each property may ask for, and stacks that have a longer one already."""

import re

import pytest
from heat.common import exception
from heat.engine import properties

from heat_ha.plugin import limits
from tests.plugin import failover, scaling
from tests.plugin.test_given import TYPES, made, paths, problem, schema_of, written

# Figures that are no times. The cooldown of a ScalingPolicy is Heat's own.
NO_TIMES = {
    'OS::Heat::ScalingPolicy': {'scaling_adjustment', 'cooldown', 'min_adjustment_step'},
    'OS::Heat::FailoverPolicy': {'max_failovers', 'port'},
    'OS::Heat::RescuePolicy': {'attempts', 'priority', 'max_rescues'},
    'OS::Heat::RemoteStack': {'max_in_flight', 'failure_tolerance'},
    'OS::Heat::RemoteStackTombstone': set(),
    'OS::Heat::PortAttachment': set(),
}
FIGURES = (properties.Schema.NUMBER, properties.Schema.INTEGER)


def schema_at(kind, path):
    schemata = properties.schemata(schema_of(kind))
    for step in path:
        schema = schemata[step]
        inner = schema.schema
        if schema.type == schema.LIST and inner:
            schemata = {0: inner[0]}
        else:
            schemata = properties.schemata(inner or {}) if inner else {}
    return schema


def times(kind):
    for path, _required in paths(schema_of(kind)):
        if path[-1] == 0:
            continue
        schema = schema_at(kind, path)
        if schema.type in FIGURES and path[-1] not in NO_TIMES[kind]:
            yield path, schema


@pytest.mark.parametrize('kind', TYPES)
def test_every_time_has_a_longest_value(heat, kind):
    for path, schema in times(kind):
        longest = limits.of(schema)
        assert longest is not None and longest.max <= limits.DAYS_30, path
        value = longest.max
        assert problem(made(kind, written(kind, path, value))) is None, path
        for wrong in (value + 1, 10**12, -1, float('inf'), float('nan')):
            if schema.type == schema.INTEGER and not isinstance(wrong, int):
                continue
            refused = problem(made(kind, written(kind, path, wrong)))
            assert refused is not None and f'max: {value}' in refused, (path, wrong)
            assert f'{path[-1]}: ' in refused, path


@pytest.mark.parametrize('kind', TYPES)
def test_what_waits_ends_within_a_day(heat, kind):
    passive = {'cooldown', 'period', 'keep_failed'}
    for path, schema in times(kind):
        if path[-1] not in passive:
            in_minutes = kind == 'OS::Heat::RemoteStack'
            assert limits.of(schema).max * (60 if in_minutes else 1) <= limits.DAY


# --- in an engine ------------------------------------------------------------------------------

RESCUE = """
rescue:
  type: OS::Heat::RescuePolicy
  properties: {methods: [{method: none, timeout: TIME}]}
"""
HAS_LONG = 'fencing_timeout: TIME\ncooldown: OTHER\nactivate: {timeout: TIME}\n'


def template(time, other=0):
    return failover.template(
        HAS_LONG.replace('TIME', str(time)).replace('OTHER', str(other)),
        more=RESCUE.replace('TIME', str(time)),
    )


@pytest.fixture
def longer(engine, monkeypatch):
    """A stack that an earlier release made, which had no longest time."""
    with monkeypatch.context() as earlier:
        earlier.setattr(limits.Within, '_is_valid', lambda _self, value, *_args: value >= 0)
        return engine.create(template(10**6))


@pytest.mark.engine
def test_a_longer_time_of_an_earlier_release_is_the_longest_one(engine, longer):
    assert engine.state(longer)[0] == 'CREATE_COMPLETE'
    loaded = engine.stack(longer)
    with loaded['failover'].frozen_properties() as found:
        assert found['fencing_timeout'] == found['activate']['timeout'] == limits.DAY
    assert loaded['failover'].properties['fencing_timeout'] == limits.DAY
    assert loaded['rescue'].properties['methods'][0]['timeout'] == limits.DAY

    engine.signal(longer, 'policy')
    assert failover.attribute(engine, longer, 'state') == 'ready'
    scaling.in_order(engine, longer, 2)


@pytest.mark.engine
@pytest.mark.parametrize('time', [10**6, 10**6 - 1, 5])
def test_a_stack_with_a_longer_time_is_updated_as_long_as_it_asks_for_no_more(engine, longer, time):
    before = {name: engine.stack(longer)[name].resource_id for name in ('failover', 'rescue')}
    engine.update(longer, template(time, other=7))
    assert engine.state(longer)[0] == 'UPDATE_COMPLETE'
    loaded = engine.stack(longer)
    assert {name: loaded[name].resource_id for name in before} == before
    assert loaded['failover'].properties['fencing_timeout'] == min(time, limits.DAY)
    assert loaded['failover'].properties['cooldown'] == 7


@pytest.mark.engine
def test_no_update_asks_for_more_than_before(engine, longer):
    with pytest.raises(exception.HeatException, match='out of range'):
        engine.update(longer, template(10**6 + 1))
    engine.update(longer, template(5))
    with pytest.raises(exception.HeatException, match='out of range'):
        engine.update(longer, template(10**6))


@pytest.mark.engine
def test_a_new_stack_has_no_longer_time(engine):
    # Which of the two times Heat comes to first differs from run to run.
    found = engine.refusal(template(10**6))
    assert re.search(r'1000000 is out of range \(min: [01], max: 86400\)', found), found
