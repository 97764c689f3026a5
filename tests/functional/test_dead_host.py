# SPDX-License-Identifier: Apache-2.0
"""The host of the active dies, and so does the engine that carries the failover."""

import subprocess
import sys

import pytest

from lab.client import engines, hosts, storage, waiting

pytestmark = pytest.mark.alone


def state(stack):
    return stack.attribute('server_failover_policy', 'state')


def test_a_dead_host_is_waited_for_until_it_is_confirmed_even_if_the_engine_dies_too(
    make_stack, admin, tenant, dead_host, watch
):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    summary = watch([volume])
    host = dead_host(old)
    alarm_url = stack.output('alarm_url')
    assert stack.post_alarm(alarm_url) == 200
    waiting.until(lambda: state(stack) == 'waiting_for_fence', 'it waits for the fence', every=0.5)
    # Nothing has been touched, and everyone can see why and what to do.
    reason = stack.attribute('server_failover_policy', 'reason')
    assert 'set --down' in reason
    assert storage.holder(tenant, volume) == old
    # The engine that waits dies; the record stays, and the next signal finds it.
    engine = engines.carrying()
    hosts.run_lab('kill', engine)
    try:
        hosts.confirm_down(admin, host, True)
        assert stack.post_alarm(alarm_url) == 200
        new = waiting.until(
            lambda: (now := storage.holder(tenant, volume)) not in (None, old) and now,
            'the volume is free of the dead host',
            seconds=60,
        )
        waiting.until(lambda: state(stack) == 'ready', 'it is ready', seconds=180, every=1)
    finally:
        hosts.run_lab('start', engine)
    servers = stack.servers()
    assert old not in servers and new in servers and len(servers) == 2
    events = '\n'.join(stack.events('server_failover_policy'))
    assert 'waiting for the fence' in events and 'is taken up' in events
    assert 'its server was deleted' in events
    assert stack.output('history')[-1]['outcome'] == 'done'
    assert summary()['violations'] == []


def test_many_signals_at_once_through_both_engines_make_one_failover(make_stack, tenant, watch):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    summary = watch([volume])
    url = stack.output('alarm_url')
    senders = [
        subprocess.Popen(
            [
                sys.executable,
                '-c',
                f'import urllib.request as r; r.urlopen(r.Request({url!r}, b""))',
            ]
        )
        for _ in range(12)
    ]
    assert [s.wait(timeout=120) for s in senders] == [0] * 12
    waiting.until(
        lambda: stack.attribute('server_failover_policy', 'epoch') == 2 and state(stack) == 'ready',
        'one failover is done',
        seconds=180,
        every=1,
    )
    assert len(stack.output('history')) == 1
    assert storage.holder(tenant, volume) not in (None, old)
    assert len(stack.members('server_group')) == 2
    joined = [e for e in stack.events('server_failover_policy') if 'joins it' in e]
    assert len(joined) == 11
    assert summary()['violations'] == []
