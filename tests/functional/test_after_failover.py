# SPDX-License-Identifier: Apache-2.0
"""What becomes of the member that was left: kept for a look, let go of, made active again."""

import time

import pytest

from lab.client import failover_policy, storage, waiting

pytestmark = pytest.mark.thorough

KEEP_SECONDS = 20


def test_a_sick_member_is_kept_for_a_look_then_let_go_and_a_well_one_gets_its_part_back(
    make_stack, tenant, watch
):
    stack = make_stack('failover_keep_failed.yaml', create=False)
    stack.create({'keep_minutes': KEEP_SECONDS / 60})
    volume = stack.output('volume')
    summary = watch([volume])
    before = failover_policy.attributes(stack)
    old, member = before['active_server'], before['active']
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    found = failover_policy.after_epoch(stack, 2)
    ended = time.monotonic()
    # Kept: in the group, shut off, without the volume; and there are two that can work.
    server = tenant.compute.get_server(old)
    assert server.status == 'SHUTOFF' and not server.attached_volumes
    assert len(stack.servers()) == 3 and old in stack.servers()
    assert storage.holder(tenant, volume) == found['active_server'] != old
    failover_policy.refused(stack, {'action': 'fail_back'}, 'kept for a look')
    # The first signal after its time lets it go.
    time.sleep(max(0.0, KEEP_SECONDS - (time.monotonic() - ended)))
    first = found['active']
    stack.signal('failover', {'action': 'switchover'})
    waiting.until(lambda: old not in stack.servers(), 'it is gone', seconds=90, every=0.5)
    assert member not in stack.members('group') and len(stack.members('group')) == 2
    found = failover_policy.after_epoch(stack, 3)
    # Back to the one before, by a person's request only.
    stack.signal('failover', {'action': 'fail_back'})
    found = failover_policy.after_epoch(stack, 4)
    assert found['active'] == first
    assert storage.holder(tenant, volume) == found['active_server']
    stack.update({'keep_minutes': 0, 'fail_back': 'never'})
    failover_policy.refused(stack, {'action': 'fail_back'}, 'fail_back is never')
    assert summary()['violations'] == []
