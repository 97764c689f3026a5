# SPDX-License-Identifier: Apache-2.0
"""A stack is deleted while its volume is not where the record of the policy says."""

import time

import pytest

from lab.client import storage, waiting

POLICY = 'server_failover_policy'


def volume_of(tenant, volume):
    return tenant.block_storage.get(f'/volumes/{volume}').json()['volume']


def status_of(tenant, volume):
    return volume_of(tenant, volume)['status']


def is_gone(tenant, volume):
    return tenant.block_storage.get(f'/volumes/{volume}').status_code == 404


def move_by_hand(tenant, volume, old, new):
    tenant.compute.delete(f'/servers/{old}/os-volume_attachments/{volume}')
    waiting.until(
        lambda: status_of(tenant, volume) == 'available', 'it is free', seconds=60, every=0.5
    )
    answer = tenant.compute.post(
        f'/servers/{new}/os-volume_attachments', json={'volumeAttachment': {'volumeId': volume}}
    )
    assert answer.status_code == 200, answer.text
    waiting.until(
        lambda: storage.holder(tenant, volume) == new, 'it is at the other', seconds=60, every=0.5
    )


def test_a_volume_that_somebody_has_moved_to_the_other_member_goes_with_the_stack(
    make_stack, tenant
):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    (other,) = set(stack.servers()) - {old}
    move_by_hand(tenant, volume, old, other)
    stack.delete()
    assert is_gone(tenant, volume)


@pytest.mark.parametrize('seconds', [0.0, 0.4, 0.8, 1.2])
def test_a_stack_that_is_deleted_in_the_middle_of_a_handoff_goes_at_once(
    make_stack, tenant, watch, seconds
):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    summary = watch([volume])
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    waiting.until(
        lambda: storage.holder(tenant, volume) != old, 'it is on its way', seconds=60, every=0.05
    )
    time.sleep(seconds)
    stack.delete()
    assert is_gone(tenant, volume)
    assert summary()['violations'] == []


@pytest.mark.alone
def test_a_stack_whose_failover_waits_for_a_fence_goes_with_the_server_on_the_dead_host(
    make_stack, tenant, dead_host
):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    dead_host(old)
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    waiting.until(
        lambda: stack.attribute(POLICY, 'state') == 'waiting_for_fence', 'it waits', every=0.5
    )
    assert storage.holder(tenant, volume) == old
    stack.delete()
    assert is_gone(tenant, volume)
