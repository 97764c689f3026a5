# SPDX-License-Identifier: Apache-2.0
"""A ScalingPolicy that an update puts before another group or policy keeps its url.

Whoever sends alarms to it, an older system too, knows the url only.
"""

import pytest
from heat.common import exception
from heat.engine.clients.os import heat_plugin

from tests.plugin import failover, scaling

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

OTHER = """
other:
  type: OS::Heat::AutoScalingGroup
  properties:
    min_size: 1
    max_size: 3
    resource: {type: OS::Nova::Server}
"""
PLACES = {
    'group': scaling.REPLACES,
    'policy': failover.CHAINED,
    'other group': scaling.REPLACES.replace('resource: group', 'resource: other'),
    'scales out': scaling.ADDS,
    'scales another': scaling.ADDS.replace('resource: group', 'resource: other'),
}
# How many members come to each group with a signal, and whether it goes through the FailoverPolicy.
EFFECTS = {
    'group': ([1, 0], False),
    'policy': ([1, 0], True),
    'other group': ([0, 1], False),
    'scales out': ([1, 0], False),
    'scales another': ([0, 1], False),
}
MOVES = [(before, after) for before in PLACES for after in PLACES if before != after]


@pytest.fixture(autouse=True)
def urls(monkeypatch):
    """The endpoints of Heat without a catalogue."""
    for name in ('get_heat_url', 'get_heat_cfn_url'):
        monkeypatch.setattr(heat_plugin.HeatClientPlugin, name, lambda _self: 'http://heat/v1/p')


def template(place):
    group = failover.GROUP.replace('max_size: 2', 'max_size: 3')
    return failover.template(policy=PLACES[place], more=OTHER, group=group)


def identity(engine, stack):
    """All that a sender may have kept of the policy."""
    loaded = engine.stack(stack)
    policy = loaded['policy']
    urls = [policy.FnGetAtt(name) for name in ('alarm_url', 'signal_url')]
    return policy.id, policy.uuid, policy.resource_id, *urls


def members(engine, stack):
    return [{m.name for m in engine.members(stack, group).members} for group in ('group', 'other')]


@pytest.mark.parametrize(('before', 'after'), MOVES)
def test_a_policy_that_moves_keeps_its_url_and_acts_where_it_is_now(engine, before, after):
    stack = engine.create(template(before))
    known = identity(engine, stack)
    assert None not in known

    engine.update(stack, template(after))

    assert engine.state(stack) == ('UPDATE_COMPLETE', 'Stack UPDATE completed successfully')
    assert identity(engine, stack) == known
    # A cooldown after the update would hold back what scales.
    loaded = engine.stack(stack)
    for group in ('group', 'other'):
        loaded[group].metadata_set({})
    before_signal = members(engine, stack)
    engine.signal(stack, 'policy')

    came, goes_through = EFFECTS[after]
    now = members(engine, stack)
    assert [len(n - b) for n, b in zip(now, before_signal, strict=True)] == came
    status, text = scaling.last_event(engine, stack)
    assert status == 'SIGNAL_COMPLETE' and ('failover from' in text) is goes_through


def test_an_update_that_is_refused_leaves_the_policy_where_it_is(engine):
    stack = engine.create(template('group'))
    known = identity(engine, stack)
    both = PLACES['group'] + 'auto_scaling_policy_id: {get_resource: failover}\n'
    with pytest.raises(exception.HeatException, match='same time'):
        engine.update(stack, failover.template(policy=both, more=OTHER))
    assert identity(engine, stack) == known
    engine.signal(stack, 'policy')
    assert scaling.last_event(engine, stack)[1].startswith('Signal: replaced')


def test_a_group_that_goes_with_the_same_update_takes_the_url_with_it_no_more(engine):
    policy = PLACES['other group']
    stack = engine.create(failover.template(policy=policy, more=OTHER))
    known = identity(engine, stack)
    engine.update(stack, failover.template())
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    assert identity(engine, stack) == known
    engine.signal(stack, 'policy')
    assert len(failover.attribute(engine, stack, 'history')) == 1
