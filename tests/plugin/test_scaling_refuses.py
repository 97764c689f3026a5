# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::ScalingPolicy in Heat's engine: what is refused, and what stays as Heat has it."""

import datetime
import json
import textwrap

import pytest
from heat.engine import resources
from heat.engine.resources.openstack.heat import scaling_policy

from tests.plugin.scaling import (
    ADDS,
    DELETES_FIRST,
    REPLACES,
    in_order,
    last_event,
    servers,
    template,
    unchanged,
)

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine


# --- what is not -------------------------------------------------------------------------------


@pytest.mark.parametrize('state', ['ok', 'OK'])
def test_an_alarm_that_is_none_replaces_nothing_and_says_nothing(engine, state):
    stack = engine.create(template())
    before = servers(engine, stack)
    events = engine.events(stack, 'policy')

    engine.signal(stack, 'policy', {'current': state, 'previous': 'alarm', 'reason': 'r'})

    unchanged(engine, stack, before)
    assert engine.events(stack, 'policy') == events


BAD_BODIES = {
    'text': 'no JSON',
    'a list': ['replace'],
    'a number': 7,
    'another action': {'action': 'explode'},
    'an action of the FailoverPolicy': {'action': 'switchover'},
    'a foreign server': {'member': '11111111-2222-4333-8444-555555555555'},
    'a foreign server in an event': {
        'reason_data': {'event': {'traits': [['instance_id', 1, 'somebody-elses']]}}
    },
    'an unknown key': {'action': 'replace', 'force': True},
    'a member of a wrong type': {'member': ['a', 'b']},
    'an unknown state': {'current': 'burning'},
    'a megabyte': {'reason': 'x' * 1_000_000},
    'a long name': {'member': 'x' * 1000},
}


@pytest.mark.parametrize('kind', BAD_BODIES)
def test_a_bad_signal_is_refused_with_an_event_and_changes_nothing(engine, kind):
    stack = engine.create(template(size=2))
    before = servers(engine, stack)

    engine.signal(stack, 'policy', BAD_BODIES[kind])

    unchanged(engine, stack, before)
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 10 < len(reason) < 400
    assert not engine.errors


def test_a_text_is_refused_by_heats_own_adjustments_too(engine):
    stack = engine.create(template(ADDS, size=2))
    before = servers(engine, stack)

    engine.signal(stack, 'policy', 'no JSON')

    unchanged(engine, stack, before)
    assert last_event(engine, stack)[0] == 'SIGNAL_FAILED'


def test_more_members_than_there_are_is_refused(engine):
    stack = engine.create(template(REPLACES.replace('adjustment: 1', 'adjustment: 4')))
    before = servers(engine, stack)

    engine.signal(stack, 'policy')

    unchanged(engine, stack, before)
    assert 'scaling_adjustment' in last_event(engine, stack)[1]


def test_the_cooldown_holds(engine):
    stack = engine.create(template(REPLACES + 'cooldown: 300\n'))
    engine.signal(stack, 'policy')
    before = servers(engine, stack)

    engine.signal(stack, 'policy')

    unchanged(engine, stack, before)
    status, reason = last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 'cooldown until' in reason


def test_a_replacement_begins_heats_own_cooldown(engine):
    more = f"""
    adds:
      type: OS::Heat::ScalingPolicy
      properties:
        {textwrap.indent(ADDS, '        ').strip()}
        cooldown: 300
    """
    stack = engine.create(template(REPLACES + 'cooldown: 300\n', more=more))
    engine.signal(stack, 'policy')
    before = servers(engine, stack)

    engine.signal(stack, 'adds')

    unchanged(engine, stack, before)


def test_a_group_that_is_being_updated_is_left_alone(engine):
    stack = engine.create(template())
    before = servers(engine, stack)
    loaded = engine.stack(stack)
    group = loaded['group']
    group.state_set('UPDATE', 'IN_PROGRESS')

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before
    assert 'UPDATE_IN_PROGRESS' in last_event(engine, stack)[1]


def test_a_nested_stack_that_somebody_changes_is_left_alone_until_its_timeout(engine):
    stack = engine.create(template())
    before = servers(engine, stack)
    nested = engine.nested(stack)
    engine.set_status(nested, 'IN_PROGRESS')
    engine.age(nested, datetime.timedelta(0))

    engine.signal(stack, 'policy')

    assert servers(engine, stack) == before
    assert 'is being changed' in last_event(engine, stack)[1]
    engine.age(nested, datetime.timedelta(hours=2))
    engine.signal(stack, 'policy')
    assert servers(engine, stack) != before
    in_order(engine, stack)


def test_min_in_service_that_leaves_no_room_is_refused(engine):
    stack = engine.create(template(DELETES_FIRST, group='rolling_updates: {min_in_service: 3}'))
    before = servers(engine, stack)

    engine.signal(stack, 'policy')

    unchanged(engine, stack, before)
    assert 'min_in_service' in last_event(engine, stack)[1]


# --- validation --------------------------------------------------------------------------------

FAILOVER = 'failover: {type: Test::FailOver}'
BAD_PROPERTIES = {
    'neither': ('adjustment_type: replace_oldest\nscaling_adjustment: 1', '', 'auto_scaling'),
    'both': (REPLACES + 'auto_scaling_policy_id: {get_resource: failover}', FAILOVER, 'same time'),
    'no group': (
        REPLACES.replace('resource: group', 'resource: note'),
        'note: {type: OS::Heat::Value, properties: {value: 1}}',
        'not an OS::Heat::AutoScalingGroup',
    ),
    'no policy': (
        REPLACES.replace('auto_scaling_group_id', 'auto_scaling_policy_id'),
        '',
        'not an OS::Heat::FailoverPolicy',
    ),
    'a ScalingPolicy': (
        REPLACES.replace('group_id: {get_resource: group', 'policy_id: {get_resource: other'),
        'other:\n  type: OS::Heat::ScalingPolicy\n  properties:\n' + textwrap.indent(ADDS, '    '),
        'not an OS::Heat::FailoverPolicy',
    ),
    'itself': (
        REPLACES.replace('group_id: {get_resource: group}', 'policy_id: policy'),
        '',
        'policy -> policy',
    ),
    'a chain with another adjustment': (
        ADDS.replace('group_id: {get_resource: group', 'policy_id: {get_resource: failover'),
        FAILOVER,
        'replace_oldest',
    ),
    'zero': (REPLACES.replace('adjustment: 1', 'adjustment: 0'), '', 'whole number'),
    'negative': (REPLACES.replace('adjustment: 1', 'adjustment: -1'), '', 'whole number'),
    'a fraction': (REPLACES.replace('adjustment: 1', 'adjustment: 1.5'), '', 'whole number'),
    'more than the most': (REPLACES.replace('adjustment: 1', 'adjustment: 5'), '', 'at most 4'),
    'a step': (REPLACES + 'min_adjustment_step: 1', '', 'percent_change_in_capacity'),
    'another order': (REPLACES + 'replacement_order: sideways', '', 'create_first'),
    'another type': (REPLACES.replace('replace_oldest', 'replace_eldest'), '', 'replace_oldest'),
}


@pytest.mark.parametrize('kind', BAD_PROPERTIES)
def test_bad_properties_are_an_error_of_validation(engine, kind):
    policy, more, what = BAD_PROPERTIES[kind]
    assert what in engine.refusal(template(policy, more=more))


@pytest.mark.parametrize('count', [1, 3])
def test_a_group_on_which_a_policy_acts_can_be_parked(engine, count):
    text = template(REPLACES.replace('adjustment: 1', f'adjustment: {count}'))
    stack = engine.create(text)
    parked = text.replace('min_size: 1', 'min_size: 0').replace('max_size: 4', 'max_size: 0')
    engine.update(stack, parked.replace('desired_capacity: 3', 'desired_capacity: 0'))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE' and servers(engine, stack) == {}

    engine.signal(stack, 'policy')

    assert last_event(engine, stack)[0] == 'SIGNAL_FAILED' and servers(engine, stack) == {}
    engine.update(stack, text)
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE' and len(servers(engine, stack)) == 3


def test_two_policies_in_a_loop_are_named(engine):
    policy = REPLACES.replace('group_id: {get_resource: group}', 'policy_id: other')
    more = 'other:\n  type: OS::Heat::ScalingPolicy\n  properties:\n' + textwrap.indent(
        policy.replace('other', 'policy'), '    '
    )
    refusal = engine.refusal(template(policy, more=more))
    assert ' -> other -> policy' in refusal or ' -> policy -> other' in refusal


def test_the_type_is_heats_with_additions(heat):
    ours = resources.global_env().registry.get_class('OS::Heat::ScalingPolicy')
    heats = scaling_policy.AutoScalingPolicy
    assert ours is not heats and issubclass(ours, heats)
    assert set(ours.properties_schema) - set(heats.properties_schema) == {
        'auto_scaling_policy_id',
        'insufficient_data',
        'replacement_order',
    }
    assert ours.attributes_schema == heats.attributes_schema
    for name, theirs in heats.properties_schema.items():
        schema = ours.properties_schema[name]
        # The policy that moves from one group to another keeps its url.
        assert (schema.type, schema.default, schema.update_allowed) == (
            theirs.type,
            theirs.default,
            theirs.update_allowed or name == 'auto_scaling_group_id',
        )
        assert schema.required == (theirs.required and name != 'auto_scaling_group_id')
        assert schema.description().endswith('.') if callable(schema.description) else True


def test_properties_change_in_place(engine):
    stack = engine.create(template())
    loaded = engine.stack(stack)
    url = loaded['policy'].resource_id

    engine.update(stack, template(DELETES_FIRST + 'cooldown: 5\n'))

    loaded = engine.stack(stack)
    assert loaded['policy'].resource_id == url
    engine.signal(stack, 'policy')
    assert engine.most_servers == 3


@pytest.mark.parametrize(
    ('adjustment', 'size'),
    [
        ('change_in_capacity\nscaling_adjustment: 1', 4),
        ('change_in_capacity\nscaling_adjustment: -2', 1),
        ('exact_capacity\nscaling_adjustment: 2', 2),
        ('percent_change_in_capacity\nscaling_adjustment: -34\nmin_adjustment_step: 2', 1),
    ],
)
@pytest.mark.parametrize('details', [None, {'current': 'ok'}, {'action': 'whatever', 'x': 1}])
def test_heats_own_adjustments_do_what_they_did(engine, adjustment, size, details):
    policy = f'adjustment_type: {adjustment}\nauto_scaling_group_id: {{get_resource: group}}\n'
    stack = engine.create(template(policy))

    engine.signal(stack, 'policy', details)

    in_order(engine, stack, size)
    assert last_event(engine, stack)[0] == 'SIGNAL_COMPLETE'
    json.dumps(engine.events(stack, 'policy'))
