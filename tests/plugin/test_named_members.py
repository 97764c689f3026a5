# SPDX-License-Identifier: Apache-2.0
"""Signals that name a member by what people and monitoring systems know of it."""

import pytest

from heat_ha.testing import clouds
from tests.plugin import volumes
from tests.plugin.scaling import MEMBER, REPLACES, last_event, names, template

pytestmark = pytest.mark.engine

# Without the output OS::stack_id, a reference to a member is a long name of its stack.
PLAIN = {'member.yaml': MEMBER.partition('outputs:')[0]}
SAME_NAME = {
    'member.yaml': PLAIN['member.yaml'].replace('Server}', 'Server, properties: {name: db}}')
}


@pytest.fixture
def cloud(engine):
    with volumes.in_place(engine) as cloud:
        yield cloud


def called(engine, cloud, stack, member, how):
    """What a member is called by its nested stack's reference, or by its server's name."""
    if how == 'reference':
        loaded = engine.stack(stack)
        return loaded['group'].FnGetAtt('refs_map')[member.name]
    return cloud.name_of(member.servers[0])


HOWS = pytest.mark.parametrize('how', ['reference', 'name of the server'])


@HOWS
def test_a_scaling_policy_replaces_the_member(engine, cloud, how):
    stack = engine.create(template(REPLACES, member='member.yaml'), files=PLAIN)
    chosen = engine.members(stack).members[1]
    name = called(engine, cloud, stack, chosen, how)
    assert name not in (chosen.name, chosen.reference, *chosen.servers)

    engine.signal(stack, 'policy', {'member': name})

    after = names(engine, stack)
    assert chosen.name not in after and len(after) == 3, last_event(engine, stack)


@HOWS
def test_a_failover_policy_switches_over_to_the_member(engine, cloud, how):
    text = volumes.with_failover(member='member.yaml')
    stack = engine.create(text, files=PLAIN)
    chosen = engine.members(stack).members[2]
    name = called(engine, cloud, stack, chosen, how)

    engine.signal(stack, 'failover', {'action': 'switchover', 'member': name})

    assert volumes.active(engine, stack).member == chosen.name, volumes.texts(engine, stack)
    assert cloud.holder('v1') == chosen.servers[0]


@HOWS
def test_a_failover_policy_knows_the_active_by_it(engine, cloud, how):
    stack = engine.create(volumes.with_failover(member='member.yaml'), files=PLAIN)
    first = engine.members(stack).members[0]
    name = called(engine, cloud, stack, first, how)

    engine.signal(stack, 'failover', {'member': name})

    assert volumes.active(engine, stack).member != first.name, volumes.texts(engine, stack)


@pytest.mark.parametrize('policy', ['policy', 'failover'])
def test_a_name_that_two_members_share_is_refused_with_both(engine, cloud, policy):
    text = volumes.with_failover(REPLACES, member='member.yaml', size=2)
    stack = engine.create(text, files=SAME_NAME)
    before = engine.members(stack)
    active = volumes.active(engine, stack)

    engine.signal(stack, policy, {'member': 'db'})

    status, reason = last_event(engine, stack, policy)
    assert status == 'SIGNAL_FAILED' and "2 members have a server of the name 'db'" in reason
    for member in before.members:
        assert f'{member.servers[0]} (member {member.name})' in reason
    assert engine.members(stack).members == before.members
    assert volumes.active(engine, stack) == active


@pytest.mark.parametrize('policy', ['policy', 'failover'])
def test_a_name_of_a_server_outside_of_the_group_is_refused_as_foreign(engine, cloud, policy):
    more = '  db: {type: OS::Nova::Server, properties: {name: db}}\n'
    stack = engine.create(volumes.with_failover(REPLACES, more=more))
    before = engine.members(stack)

    engine.signal(stack, policy, {'member': 'db'})

    status, reason = last_event(engine, stack, policy)
    assert status == 'SIGNAL_FAILED' and "'db' is " in reason, reason
    assert engine.members(stack).members == before.members


def alert(**labels):
    return {'alerts': [{'status': 'firing', 'labels': {'alertname': 'sick', **labels}}]}


def hosts_of(cloud, member):
    """What alerts say of the host of a member: its server's name, a full one, its address."""
    name = cloud.name_of(member.servers[0])
    address = clouds.address_of(member.servers[0])
    sick = {'type': 'loadbalancer_member_health', 'unhealthy_members': [{'address': address}]}
    return {
        'name': alert(hostname=name),
        'full name': alert(host=f'{name}.example.org'),
        'address': alert(node=address),
        'pool': {'alarm_id': 'a', 'current': 'alarm', 'reason_data': sick},
    }


SAID = pytest.mark.parametrize('said', ['name', 'full name', 'address', 'pool'])


@SAID
def test_a_scaling_policy_replaces_the_member_that_the_host_of_an_alert_is(engine, cloud, said):
    stack = engine.create(template(REPLACES))
    chosen = engine.members(stack).members[1]

    engine.signal(stack, 'policy', hosts_of(cloud, chosen)[said])

    after = names(engine, stack)
    assert chosen.name not in after and len(after) == 3, last_event(engine, stack)


@SAID
def test_an_alert_about_the_host_of_a_standby_leaves_the_active_alone(engine, cloud, said):
    stack = engine.create(volumes.with_failover())
    standby, active = engine.members(stack).members[2], volumes.active(engine, stack)

    engine.signal(stack, 'failover', hosts_of(cloud, standby)[said])

    assert volumes.active(engine, stack) == active, volumes.texts(engine, stack)


@pytest.mark.parametrize('said', [alert(host='compute-1'), alert(node='10.0.0.9:9100'), alert()])
def test_an_alert_whose_host_is_no_member_is_about_whichever_is_found(engine, cloud, said):
    stack = engine.create(volumes.with_failover(REPLACES))
    oldest, active = names(engine, stack)[0], volumes.active(engine, stack)
    assert oldest == active.member

    engine.signal(stack, 'failover', said)
    assert volumes.active(engine, stack).member != oldest

    engine.signal(stack, 'policy', said)
    assert oldest not in names(engine, stack), last_event(engine, stack)


def test_a_host_that_several_members_may_be_is_about_whichever_is_found(engine, cloud):
    stack = engine.create(template(REPLACES, member='member.yaml'), files=SAME_NAME)
    oldest = names(engine, stack)[0]

    engine.signal(stack, 'policy', alert(host='db'))

    assert oldest not in names(engine, stack), last_event(engine, stack)
