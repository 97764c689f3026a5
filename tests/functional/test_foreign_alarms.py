# SPDX-License-Identifier: Apache-2.0
"""Several pairs in one project, whose alarms hear of every server of it, or ask for their own."""

import concurrent.futures
import os
import re
import threading

import pytest

from lab.client import stacks, storage, waiting

pytestmark = pytest.mark.alone

# Ten need a while: ``PAIRS=10``.
PAIRS = int(os.environ.get('PAIRS', '3'))


def without_a_query():
    """The example, with an alarm that hears of every server of the project."""
    text = (stacks.EXAMPLES / 'failover_pair.yaml').read_text()
    changed = re.sub(r'( +)query:\n(\1 .*\n)+', '', text)
    assert changed != text
    return changed


def test_actives_that_stop_at_the_same_time_are_all_failed_over(make_stack, tenant):
    with concurrent.futures.ThreadPoolExecutor(PAIRS) as pool:
        templates = ['failover_pair.yaml', *[without_a_query()] * (PAIRS - 1)]
        pairs = list(pool.map(make_stack, templates))
        volumes = [pair.output('volume') for pair in pairs]
        actives = [storage.holder(tenant, volume) for volume in volumes]
        list(
            pool.map(
                lambda s: tenant.compute.post(f'/servers/{s}/action', json={'os-stop': None}),
                actives,
            )
        )
    for pair, volume, active in zip(pairs, volumes, actives, strict=True):
        waiting.until(
            lambda v=volume, a=active: storage.holder(tenant, v) not in (None, a),
            f'{pair.name} has its volume on the standby',
            seconds=90,
            every=0.5,
        )
    for pair, active in zip(pairs, actives, strict=True):
        waiting.until(
            lambda p=pair, a=active: (
                p.output('state') == 'ready' and a not in (now := p.servers()) and len(now) == 2
            ),
            f'{pair.name} has replaced its stopped server',
            seconds=180,
            every=1,
        )
        assert [line['outcome'] for line in pair.output('history')] == ['done']
    asks, *hear_of_all = [
        [e for e in pair.events('server_replace_policy') if 'neither a member' in e]
        for pair in pairs
    ]
    assert not asks and all(hear_of_all)


def test_signals_about_servers_of_others_hold_nothing_that_an_alarm_needs(make_stack, tenant):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    active = storage.holder(tenant, volume)
    over = threading.Event()

    def send():
        while not over.wait(0.3):
            stack.signal('server_failover_policy', {'member': 'a-server-of-somebody-else'})

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send) for _ in range(2)]
        try:
            # They go on while it is told of its own.
            assert stack.post_alarm(stack.output('alarm_url'), {'member': active}) == 200
            waiting.until(
                lambda: storage.holder(tenant, volume) not in (None, active),
                'the volume moved',
                seconds=60,
            )
        finally:
            over.set()
        for sender in senders:
            sender.result()
    waiting.until(lambda: stack.output('state') == 'ready', 'it is ready', seconds=180, every=1)
    refused = [e for e in stack.events('server_failover_policy') if 'somebody-else' in e]
    assert refused and all('is neither a member of the group' in e for e in refused)
