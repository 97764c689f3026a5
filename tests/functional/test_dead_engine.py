# SPDX-License-Identifier: Apache-2.0
"""An engine dies that carries nothing, but works on a part of what another one carries."""

import pytest

from lab.client import engines, hosts, storage, waiting

pytestmark = pytest.mark.alone

POLICY = 'server_failover_policy'


def policy(stack):
    return stack.resource(POLICY)['attributes']


def test_what_died_with_another_engine_is_found_and_done_again(make_stack, tenant, watch):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    summary = watch([volume])
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    carrier = waiting.until(
        lambda: engines.replacing(stack.id), 'it replaces the old active', every=0.1
    )
    (other,) = waiting.until(
        lambda: engines.working_on(stack.id) - {carrier},
        'the other engine works on a part of it',
        every=0.05,
    )
    hosts.run_lab('kill', other)
    try:
        # Without a look for the dead it would take until the stack's timeout, a quarter of an hour.
        waiting.until(
            lambda: policy(stack)['state'] == 'ready',
            'it has come to an end by itself',
            seconds=150,
            every=1.0,
        )
    finally:
        hosts.run_lab('start', other)
    servers = stack.servers()
    assert len(stack.members('server_group')) == len(servers) == 2 and old not in servers
    assert storage.holder(tenant, volume) == stack.output('active_server')
    assert summary()['violations'] == []
