# SPDX-License-Identifier: Apache-2.0
"""Mail 001's second template, as the tenant, with real alarms."""

import pytest

from lab.client import storage, waiting


def settled(stack, policy='server_failover_policy'):
    """Wait until nothing is on the way and return the policy's attributes."""

    def look():
        found = stack.resource(policy)['attributes']
        return found if found['state'] in ('ready', 'stopped', 'paused') else None

    found = waiting.until(look, f'{policy} is settled', seconds=180, every=1.0)
    assert found['state'] == 'ready', found['reason']
    return found


def moved_from(stack, volume, old):
    return waiting.until(
        lambda: (now := storage.holder(stack.cloud, volume)) not in (None, old) and now,
        f'volume {volume} has left {old}',
        seconds=90,
    )


def replaced(stack, gone):
    """Wait until the member that had the server ``gone`` is replaced; return the servers."""

    def look():
        servers = stack.servers()
        return servers if gone not in servers and len(servers) == 2 else None

    return waiting.until(look, f'{gone} is replaced', seconds=180, every=1.0)


def test_the_oldest_member_has_the_volume_as_soon_as_the_stack_is_made(make_stack, tenant):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    policy = settled(stack)
    assert policy['active_server'] == storage.holder(tenant, volume)
    assert policy['active_server'] in stack.servers()
    assert len(policy['standbys']) == 1 and policy['epoch'] == 1


@pytest.mark.alone
@pytest.mark.parametrize('alarms', [3, pytest.param(10, marks=pytest.mark.thorough)])
def test_alarms_in_a_row_move_the_volume_and_replace_the_member_each_time(
    make_stack, tenant, watch, alarms
):
    before = {s.id for s in tenant.compute.servers()}
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    summary = watch([volume])
    alarm_url = stack.output('alarm_url')
    for count in range(1, alarms + 1):
        old = storage.holder(tenant, volume)
        members = stack.members('server_group')
        assert stack.post_alarm(alarm_url) == 200
        new = moved_from(stack, volume, old)
        servers = replaced(stack, old)
        policy = settled(stack)
        assert policy['active_server'] == new and new in servers
        assert policy['epoch'] == count + 1
        after = stack.members('server_group')
        assert len(after) == 2 and len(set(after) & set(members)) == 1
    history = policy['history']
    assert [line['outcome'] for line in history] == ['done'] * alarms
    assert all(line['requested_by'] == 'server_replace_policy' for line in history)
    seen = summary()
    assert seen['violations'] == [] and seen['samples'] > 100
    left = {s.id for s in tenant.compute.servers()} - before
    assert left == set(servers), 'a server is left over'


def test_a_stopped_server_is_noticed_by_the_alarm_chain_and_failed_over(make_stack, tenant):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    tenant.compute.stop_server(old)
    new = moved_from(stack, volume, old)
    replaced(stack, old)
    policy = settled(stack)
    assert policy['active_server'] == new
    assert policy['history'][-1]['old_server'] == old


def test_a_stopped_standby_is_replaced_and_the_volume_stays(make_stack, tenant):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    active = storage.holder(tenant, volume)
    standby = next(s for s in stack.servers() if s != active)
    stack.signal('server_replace_policy', {'member': standby})
    replaced(stack, standby)
    assert settled(stack)['epoch'] == 1
    assert storage.holder(tenant, volume) == active
