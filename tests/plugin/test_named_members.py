# SPDX-License-Identifier: Apache-2.0
"""Signals that name a member by what people and monitoring systems know of it."""

import pytest

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
