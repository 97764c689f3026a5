# SPDX-License-Identifier: Apache-2.0
"""Software configs on the old and the new active, with guests that are slow, fail or are mute."""

import contextlib
import time

import pytest

from lab.client import engines, failover_policy, guest, hosts, storage, waiting

# Longer in all than it may be silent, with a heartbeat in between.
ACTIVATE = """
for i in 1 2 3 4 5 6 7 8; do
  python3 - "$heartbeat_url" <<'END'
import sys, urllib.request
headers = {'Content-Type': 'application/json'}
urllib.request.urlopen(urllib.request.Request(sys.argv[1], b'{}', headers, method='PUT'))
END
  sleep 2
done
echo "the service runs on $mount_point"
"""
HEARTBEAT = 12
QUIESCE = 15

pytestmark = pytest.mark.thorough


@pytest.fixture
def pair(make_stack, admin):
    """A stack whose servers have somebody inside, and its guests by the servers' ids."""
    with contextlib.ExitStack() as lives:
        stack = make_stack('failover_quiesce_activate.yaml', create=False)
        stack.create(
            {
                'quiesce_timeout': QUIESCE,
                'activate_heartbeat': HEARTBEAT,
                'activate_script': ACTIVATE,
            },
            wait=False,
        )
        servers = waiting.until(
            lambda: len(found := stack.servers()) == 2 and found, 'two servers are made'
        )
        guests = {s: lives.enter_context(guest.Guest(admin, s)) for s in servers}
        stack.wait('CREATE')
        yield stack, guests


def step(found, name):
    steps = (found['plan'] or {}).get('steps', ())
    return next((s for s in steps if s['name'] == name), {'state': 'none'})


def stopped(stack):
    return waiting.until(
        lambda: (now := failover_policy.attributes(stack))['state'] == 'stopped' and now,
        'the failover stops',
        seconds=90,
        every=0.5,
    )


def test_the_old_active_is_quiesced_and_the_new_one_activated(pair, tenant, watch):
    stack, guests = pair
    volume = stack.output('volume')
    first = stack.output('active_server')
    (second,) = set(guests) - {first}
    # The first active is activated with the stack, though no failover chose it.
    assert [out.strip() for _, out in guests[first].ran] == ['the service runs on /srv/data']
    assert guests[second].ran == []
    summary = watch([volume])

    # Both answer.
    stack.signal('failover', {'action': 'switchover'})
    found = failover_policy.after_epoch(stack, 2)
    assert storage.holder(tenant, volume) == second == found['active_server']
    assert 'the service is stopped' in guests[first].ran[-1][1]
    assert [out.strip() for _, out in guests[second].ran] == ['the service runs on /srv/data']
    steps = {s['name']: s for s in found['plan']['steps']}
    assert steps['quiesce']['state'] == steps['activate']['state'] == 'done'
    assert f'detach:{volume}' in steps and steps[f'detach:{volume}']['after'] == ['quiesce']
    assert steps['activate']['seconds'] > HEARTBEAT, 'its heartbeats kept it alive'

    # The old active is mute: the failover goes on after the timeout, as the template says.
    guests[second].mute = True
    stack.signal('failover', {'action': 'switchover'})
    found = failover_policy.after_epoch(stack, 3)
    assert found['active_server'] == first
    assert f'no answer within {QUIESCE} s' in step(found, 'quiesce')['reason']
    guests[second].mute = False

    # The new active fails: nothing is done beyond, and the volume stays where it is by then.
    guests[second].fails = True
    stack.signal('failover', {'action': 'switchover'})
    found = stopped(stack)
    assert 'the guest fails on purpose' in found['reason']
    assert storage.holder(tenant, volume) == second
    guests[second].fails = False
    stack.signal('failover', {'action': 'resume'})
    found = failover_policy.after_epoch(stack, 4)
    assert found['active_server'] == second and step(found, 'activate')['state'] == 'done'

    # The new active is silent for longer than a heartbeat may be away.
    guests[first].slow = 60
    stack.signal('failover', {'action': 'switchover'})
    before = time.monotonic()
    assert 'no heartbeat' in stopped(stack)['reason']
    assert time.monotonic() - before < 60
    guests[first].slow = 0
    stack.signal('failover', {'action': 'resume'})
    assert failover_policy.after_epoch(stack, 5)['active_server'] == first
    assert summary()['violations'] == []
    # No run is left behind.
    names = {s.name for s in tenant.orchestration.stacks(show_nested=True)}
    assert not {n for n in names if stack.name in n and ('quiesce-' in n or 'activate-' in n)}


# What another test does with the engine that is killed would be lost with it.
@pytest.mark.alone
def test_an_engine_that_dies_during_a_hook_leaves_it_to_another_which_does_not_run_it_twice(
    pair, tenant
):
    stack, guests = pair
    first = stack.output('active_server')
    (second,) = set(guests) - {first}
    guests[first].slow = 5
    before = {s: len(g.ran) for s, g in guests.items()}
    for name in ('quiesce', 'activate'):
        if name == 'quiesce':
            stack.signal('failover', {'action': 'switchover'})
        waiting.until(
            lambda n=name: step(failover_policy.attributes(stack), n)['state'] == 'running',
            f'{name} runs',
            seconds=90,
        )
        time.sleep(1.5)
        engine = engines.carrying()
        hosts.run_lab('kill', engine)
        try:
            stack.signal('failover', {'action': 'resume'})
            waiting.until(
                lambda n=name: step(failover_policy.attributes(stack), n)['state'] == 'done',
                f'{name} is done',
                seconds=90,
            )
        finally:
            hosts.run_lab('start', engine)
    found = failover_policy.after_epoch(stack, 2)
    assert found['active_server'] == second
    assert {s: len(g.ran) - before[s] for s, g in guests.items()} == {first: 1, second: 1}
