# SPDX-License-Identifier: Apache-2.0
"""The owner deletes the active's server while its host is silent: Nova does that by itself.

Nova writes in its database that the server is gone and tells Cinder that the volume is free. The
guest runs on, as far as anybody can know, and so nobody else may have the volume.
"""

import time

import pytest

from lab.client import hosts, stacks, storage, waiting

pytestmark = pytest.mark.alone

POLICY = 'server_failover_policy'
GROUP = '      auto_scaling_group_id: {get_resource: server_group}\n'

# Seconds for which the volume must stay where it is: a hand-over takes a few.
LONG_ENOUGH = 12.0


def volume_of(tenant, volume):
    return tenant.block_storage.get(f'/volumes/{volume}').json()['volume']


@pytest.mark.parametrize('end', ['confirmed', 'back'])
def test_what_nova_freed_by_itself_is_given_away_only_once_the_host_is_known_about(
    make_stack, admin, tenant, dead_host, end
):
    pair = (stacks.EXAMPLES / 'failover_pair.yaml').read_text()
    # It stops where it would wait, so that the test can send what follows.
    stops = f'      fencing: none\n{GROUP}'
    stack = make_stack(pair.replace(GROUP, stops))
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    host = dead_host(old)
    assert stack.post_alarm(stack.output('alarm_url')) == 200

    def is_waiting():
        return stack.attribute(POLICY, 'state') == 'waiting_for_fence'

    waiting.until(is_waiting, 'it waits for the fence', every=0.5)
    assert tenant.compute.delete(f'/servers/{old}').status_code == 204
    waiting.until(
        lambda: tenant.compute.get(f'/servers/{old}').status_code == 404, 'Nova has deleted it'
    )
    waiting.until(
        lambda: volume_of(tenant, volume)['status'] == 'available', 'Cinder shows it free'
    )

    stack.signal(POLICY, {'action': 'resume'})
    ends = time.monotonic() + LONG_ENOUGH
    while time.monotonic() < ends:
        seen = volume_of(tenant, volume)
        assert (seen['status'], seen['attachments']) == ('available', [])
        time.sleep(0.5)
    waiting.until(is_waiting, 'it waits for the fence again', every=0.5)
    reason = stack.attribute(POLICY, 'reason')
    assert 'it is free, but' in reason and 'set --down' in reason

    if end == 'confirmed':
        hosts.confirm_down(admin, host, True)
    else:
        hosts.run_lab('thaw', f'nova-compute-{host}')
        hosts.until_up(admin, host)
    stack.signal(POLICY, {'action': 'resume'})
    new = waiting.until(
        lambda: storage.holder(tenant, volume), 'the successor has the volume', seconds=60
    )
    assert new != old
    waiting.until(
        lambda: stack.attribute(POLICY, 'state') == 'ready', 'it is ready', seconds=180, every=1
    )
