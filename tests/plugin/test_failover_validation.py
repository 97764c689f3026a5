# SPDX-License-Identifier: Apache-2.0
"""A FailoverPolicy and the policy in front of it, with groups that they cannot work with."""

import textwrap

import pytest
from heat.common import exception

from heat_ha import exceptions
from heat_ha.groups import replacing
from tests.plugin import failover, scaling

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

MEMBER = 'server.yaml'
FILES = {MEMBER: scaling.MEMBER}
AWS = """
MinSize: 1
MaxSize: 2
AvailabilityZones: [nova]
LaunchConfigurationName: {get_resource: launch}
"""
# Of which Heat asks at validation only that it is there.
LAUNCH = 'launch: {type: OS::Nova::Server}'
NOT_GROUPS = {
    'AWS::AutoScaling::AutoScalingGroup': AWS,
    'OS::Heat::InstanceGroup': AWS.replace('MinSize: 1\nMaxSize: 2', 'Size: 2'),
    'OS::Heat::ResourceGroup': 'count: 2\nresource_def: {type: OS::Nova::Server}',
    'OS::Heat::ResourceChain': 'resources: [OS::Nova::Server]',
    'OS::Nova::Server': '{}',
    'OS::Heat::Value': 'value: 1',
    'OS::Heat::None': '{}',
    MEMBER: '{}',
}


def refusal(engine, template, stack=None):
    """The reason with which Heat refuses the template at validation, before anything is made."""
    before = engine.servers_there()
    try:
        if stack is None:
            engine.create(template, files=FILES)
        else:
            engine.update(stack, template, files=FILES)
    except exception.HeatException as exc:
        assert engine.servers_there() == before
        return str(exc).split('\nTraceback')[0]
    raise AssertionError('it was not refused')


@pytest.fixture
def without_clouds(monkeypatch):
    """Heat does not look at the images of an AWS group."""
    from heat.engine.resources.openstack.heat import instance_group

    monkeypatch.setattr(instance_group.InstanceGroup, 'validate_nested_stack', lambda _self: None)


# --- what is no group --------------------------------------------------------------------------


@pytest.mark.usefixtures('without_clouds')
@pytest.mark.parametrize('kind', NOT_GROUPS)
def test_a_failover_policy_refuses_what_is_no_group_by_its_type(engine, kind):
    text = failover.template(group=NOT_GROUPS[kind], group_type=kind, more=LAUNCH)
    assert f'must be an OS::Heat::AutoScalingGroup of the same template; it is {kind}' in refusal(
        engine, text
    )


@pytest.mark.usefixtures('without_clouds')
@pytest.mark.parametrize('kind', NOT_GROUPS)
def test_a_policy_that_replaces_members_refuses_what_is_no_group_by_its_type(engine, kind):
    text = f"""
heat_template_version: 2016-10-14
resources:
  group:
    type: {kind}
    properties:
{textwrap.indent(textwrap.dedent(NOT_GROUPS[kind]), '      ')}
  policy:
    type: OS::Heat::ScalingPolicy
    properties:
{textwrap.indent(scaling.REPLACES, '      ')}
{textwrap.indent(LAUNCH, '  ')}
"""
    found = refusal(engine, text)
    assert 'auto_scaling_group_id names group' in found and f'is an {kind}, not an' in found


def test_a_group_that_is_not_in_the_template_is_refused(engine):
    text = failover.template().replace('auto_scaling_group_id: {get_resource: group}',
                                       'auto_scaling_group_id: grop')  # fmt: skip
    assert 'it is grop' in refusal(engine, text)


def test_a_group_under_another_name_of_its_type_is_one(engine):
    registry = {'My::Group': 'OS::Heat::AutoScalingGroup'}
    stack = engine.create(failover.template(group_type='My::Group'), registry=registry)
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    assert failover.attribute(engine, stack, 'active') is not None


RESCUE = """
rescue:
  type: OS::Heat::RescuePolicy
  properties:
    methods: [{method: failover}]
    failover_policy: {get_resource: TARGET}
adds:
  type: OS::Heat::ScalingPolicy
  properties:
    adjustment_type: change_in_capacity
    auto_scaling_group_id: {get_resource: group}
    scaling_adjustment: 1
other: {type: OS::Nova::Server}
"""


@pytest.mark.parametrize('target', ['group', 'adds', 'other'])
def test_a_rescue_policy_signals_nothing_that_does_not_fail_over(engine, target):
    text = failover.template(more=RESCUE.replace('TARGET', target))
    assert f'failover_policy names {target}, which is an OS::' in refusal(engine, text)


@pytest.mark.parametrize('target', ['failover', 'policy'])
def test_a_rescue_policy_signals_a_failover_policy_or_the_one_in_front(engine, target):
    stack = engine.create(failover.template(more=RESCUE.replace('TARGET', target)))
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'


# --- how many are replaced ---------------------------------------------------------------------


def counted(count, most=2, size=2, more=''):
    group = failover.GROUP.replace('max_size: 2', f'max_size: {most}').replace(
        'desired_capacity: 2', f'desired_capacity: {size}'
    )
    policy = failover.CHAINED.replace('adjustment: 1', f'adjustment: {count}')
    return failover.template(group=group, policy=policy, more=more)


@pytest.mark.parametrize(('count', 'most'), [(2, 2), (99, 2), (3, 3), (2, 1), ('"2"', 2)])
def test_more_than_can_go_beside_the_active_is_refused_with_the_property(engine, count, most):
    found = refusal(engine, counted(count, most, size=1))
    assert f'scaling_adjustment is {str(count).strip(chr(34))}' in found
    assert f'max_size of group group is {most}' in found
    assert f'lower it to {max(most - 1, 1)}' in found


@pytest.mark.parametrize(('count', 'most'), [(1, 1), (1, 2), (2, 3)])
def test_as_many_as_can_go_are_replaced(engine, count, most):
    stack = engine.create(counted(count, most, size=most))
    before = set(scaling.names(engine, stack))
    active = failover.attribute(engine, stack, 'active')

    engine.signal(stack, 'policy')

    assert failover.attribute(engine, stack, 'state') == 'ready'
    now = scaling.in_order(engine, stack, most)
    assert len(before - {m.name for m in now.members}) == count
    assert active not in {m.name for m in now.members}


@pytest.mark.parametrize('change', ['a higher count', 'a smaller group'])
def test_an_update_to_more_than_can_go_is_refused(engine, change):
    stack = engine.create(counted(2, 3, size=3))
    wanted = counted(3, 3, size=3) if change == 'a higher count' else counted(2, 2, size=2)
    assert 'scaling_adjustment' in refusal(engine, wanted, stack)


FIGURE = 'figure: {type: OS::Heat::Value, properties: {value: FIGURE}}'
UNKNOWN = '{get_attr: [figure, value]}'


@pytest.mark.parametrize(('figure', 'replaced'), [(1, 1), (2, 1), (99, 1), (0, 1), (1.5, 1)])
def test_a_count_that_was_not_known_replaces_what_may_go(engine, figure, replaced):
    stack = engine.create(counted(UNKNOWN, more=FIGURE.replace('FIGURE', str(figure))))
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    before = set(scaling.names(engine, stack))
    active = failover.attribute(engine, stack, 'active')

    engine.signal(stack, 'policy')

    assert failover.attribute(engine, stack, 'state') == 'ready'
    assert failover.attribute(engine, stack, 'history')[-1]['outcome'] == 'done'
    now = {m.name for m in scaling.in_order(engine, stack, 2).members}
    assert active not in now and len(before - now) == replaced
    is_count = figure in (1, 2, 99)
    told = [text for _status, text in engine.events(stack, 'policy') if 'scaling_adj' in text]
    assert is_count or (f'scaling_adjustment is {figure}' in told[0] and 'one member' in told[0])


def unsized(text):
    """Heat compares the sizes of a group with one another, known or not."""
    text = text.replace('min_size: 1', f'min_size: {UNKNOWN}')
    return ''.join(x for x in text.splitlines(keepends=True) if 'desired_capacity' not in x)


def test_a_size_that_was_not_known_refuses_nothing(engine):
    text = counted(2, UNKNOWN, more=FIGURE.replace('FIGURE', '2'))
    stack = engine.create(unsized(text))
    active = failover.attribute(engine, stack, 'active')

    engine.signal(stack, 'policy')

    assert failover.attribute(engine, stack, 'state') == 'ready'
    now = {m.name for m in scaling.in_order(engine, stack, 2).members}
    assert len(now) == 2 and active not in now


def test_a_group_that_has_become_smaller_than_the_count_still_gets_its_failover(engine):
    shrinks = """
    shrinks:
      type: OS::Heat::ScalingPolicy
      properties:
        adjustment_type: change_in_capacity
        auto_scaling_group_id: {get_resource: group}
        scaling_adjustment: -1
    """
    stack = engine.create(counted(2, 3, size=3, more=shrinks))
    standby = scaling.names(engine, stack)[-1]
    engine.signal(stack, 'failover', {'action': 'switchover', 'member': standby})
    engine.signal(stack, 'shrinks')
    before = scaling.names(engine, stack)
    assert len(before) == 2

    engine.signal(stack, 'policy')

    assert failover.attribute(engine, stack, 'state') == 'ready'
    now = [m.name for m in scaling.in_order(engine, stack, 2).members]
    assert standby not in now and len(set(before) - set(now)) == 1


def test_an_unknown_count_of_a_policy_without_a_failover_is_looked_at_when_a_signal_comes(engine):
    policy = scaling.REPLACES.replace('adjustment: 1', f'adjustment: {UNKNOWN}')
    stack = engine.create(scaling.template(policy, more=FIGURE.replace('FIGURE', '0')))
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    before = scaling.servers(engine, stack)

    engine.signal(stack, 'policy')

    scaling.unchanged(engine, stack, before)
    status, reason = scaling.last_event(engine, stack)
    assert status == 'SIGNAL_FAILED' and 'scaling_adjustment is 0' in reason


def test_an_unknown_size_of_a_group_without_a_failover_refuses_nothing(engine):
    text = scaling.template(most=UNKNOWN, more=FIGURE.replace('FIGURE', '3'))
    stack = engine.create(unsized(text))
    engine.signal(stack, 'policy')
    scaling.in_order(engine, stack)
    assert scaling.last_event(engine, stack)[0] == 'SIGNAL_COMPLETE'


@pytest.mark.parametrize('policy', [failover.CHAINED, scaling.REPLACES])
def test_pauses_that_do_not_fit_into_the_timeout_are_refused(engine, policy):
    group = failover.GROUP.replace('max_size: 2', 'max_size: 4') + (
        'rolling_updates: {pause_time: 3600}\n'
    )
    text = failover.template(group=group, policy=policy.replace('adjustment: 1', 'adjustment: 3'))
    assert 'pause_time' in refusal(engine, text)


# --- a parked group ----------------------------------------------------------------------------

PARKED = 'min_size: 0\nmax_size: 0\nresource: {type: OS::Nova::Server}'
EMPTY = 'min_size: 0\nmax_size: 2\nresource: {type: OS::Nova::Server}'


def test_a_policy_that_is_added_to_a_parked_group_says_why_it_has_no_active(engine):
    without = scaling.template(scaling.ADDS, size=0, most=0).replace('min_size: 1', 'min_size: 0')
    stack = engine.create(without)
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    engine.update(stack, failover.template(group=PARKED))
    status, reason = engine.state(stack)
    assert status == 'UPDATE_FAILED' and 'its max_size is 0' in reason
    assert not engine.servers_there()


@pytest.mark.parametrize(
    'group',
    [PARKED, EMPTY, PARKED.replace('max_size: 0', f'max_size: {UNKNOWN}')],
    ids=['parked', 'empty', 'unknown'],
)
def test_a_group_without_a_member_ends_the_creation_with_its_sizes(engine, group):
    more = FIGURE.replace('FIGURE', '0')
    stack = engine.create(failover.template(group=group, more=more))
    status, reason = engine.state(stack)
    assert status == 'CREATE_FAILED' and 'group group is empty' in reason
    assert 'max_size is' in reason and 'min_size 0' in reason


PARKING = {
    'max_size 0': lambda engine, stack: engine.update(stack, failover.template(group=PARKED)),
    'scaled to 0': lambda engine, stack: engine.signal(stack, 'parks'),
}
PARKS = """
parks:
  type: OS::Heat::ScalingPolicy
  properties:
    adjustment_type: exact_capacity
    auto_scaling_group_id: {get_resource: group}
    scaling_adjustment: 0
"""
AODH = {'alarm_id': 'a', 'current': 'alarm', 'previous': 'ok'}
ALARMS = {
    'to the policy in front': ('policy', None),
    'an alarm to the policy in front': ('policy', AODH),
    'without a body': ('failover', None),
    'an alarm': ('failover', AODH),
    'an action': ('failover', {'action': 'failover'}),
}


@pytest.mark.parametrize('way', PARKING)
@pytest.mark.parametrize('alarm', ALARMS)
def test_an_alarm_builds_no_server_in_a_parked_group(engine, way, alarm):
    group = failover.GROUP.replace('min_size: 1', 'min_size: 0')
    text = failover.template(group=group, more=PARKS)
    stack = engine.create(text)
    PARKING[way](engine, stack)
    assert engine.state(stack)[0] in ('CREATE_COMPLETE', 'UPDATE_COMPLETE')
    assert not engine.servers_there()

    engine.signal(stack, *ALARMS[alarm])

    assert not engine.servers_there()
    assert engine.members(stack).members == ()
    status, reason = engine.events(stack, 'failover')[-1]
    assert status == 'SIGNAL_FAILED' and 'the group has no member' in reason

    # And it is of use again afterwards.
    engine.update(stack, text.replace('min_size: 0', 'min_size: 2'))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    active = failover.attribute(engine, stack, 'active')
    assert active in scaling.names(engine, stack)
    engine.signal(stack, 'policy')
    assert failover.attribute(engine, stack, 'state') == 'ready'
    assert active not in scaling.names(engine, stack)


def test_a_failover_that_began_before_its_group_was_parked_makes_no_member(engine):
    stack = engine.create(failover.template())
    engine.update(stack, failover.template(group=PARKED))
    loaded = engine.stack(stack)
    with pytest.raises(exceptions.Stopped, match='its max_size is 0'):
        replacing.add_member(loaded['group'], requested_by='failover', name='ha1')
    assert not engine.servers_there()
