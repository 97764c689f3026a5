# SPDX-License-Identifier: Apache-2.0
"""An engine dies that carries nothing, but works on a part of what another one carries."""

import pytest

from lab.client import engines, hosts, storage, waiting

pytestmark = pytest.mark.alone

POLICY = 'server_failover_policy'


def policy(stack):
    return stack.resource(POLICY)['attributes']


def is_replacing(found):
    steps = {s['name']: s['state'] for s in found['plan']['steps']} if found['plan'] else {}
    return steps.get('replace') == 'running'


def test_what_died_with_another_engine_is_found_and_done_again(make_stack, tenant, watch):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    summary = watch([volume])
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    waiting.until(lambda: is_replacing(policy(stack)), 'it replaces the old active', every=0.1)
    carrier = engines.carrying()
    (other,) = waiting.until(
        lambda: engines.working_on(stack.id) - {carrier},
        'the other engine works on a part of it',
        every=0.05,
    )
    hosts.run_lab('kill', other)
    try:
        # Without a look for the dead it would take until the stack's timeout, a quarter of an hour.
        found = waiting.until(
            lambda: (now := policy(stack))['state'] != 'running' and now,
            'it has come to an end',
            seconds=90,
            every=1.0,
        )
    finally:
        hosts.run_lab('start', other)
    if found['state'] == 'stopped':
        stack.signal(POLICY, {'action': 'resume'})
        waiting.until(
            lambda: policy(stack)['state'] == 'ready', 'it is ready', seconds=180, every=1
        )
    servers = stack.servers()
    assert len(stack.members('server_group')) == len(servers) == 2 and old not in servers
    assert storage.holder(tenant, volume) == stack.output('active_server')
    assert summary()['violations'] == []
