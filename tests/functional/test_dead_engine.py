# SPDX-License-Identifier: Apache-2.0
"""An engine dies that carries nothing, but works on a part of what another one carries."""

import pytest

from lab import processes
from lab.client import access, database, engines, hosts, stacks, storage, waiting

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


GROWS = """
  grow:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: change_in_capacity
      auto_scaling_group_id: {get_resource: server_group}
      scaling_adjustment: 1

outputs:
"""


def test_an_alarm_does_not_wait_for_a_scaling_that_died_with_its_engine(make_stack, tenant, watch):
    text = (stacks.EXAMPLES / 'failover_pair.yaml').read_text()
    # A third one has a host of its own, and a fourth one, which replaces the first, has not.
    text = text.replace('[anti-affinity]', '[soft-anti-affinity]')
    stack = make_stack(text.replace('max_size: 2', 'max_size: 3').replace('\noutputs:\n', GROWS))
    volume = stack.output('volume')
    old = storage.holder(tenant, volume)
    summary = watch([volume])
    stack.signal('grow')
    worker = waiting.until(
        lambda: sorted(engines.adding_to(stack.id))[:1], 'an engine adds a member', every=0.02
    )[0]
    hosts.run_lab('kill', worker)
    hosts.run_lab('start', worker)
    assert stack.post_alarm(stack.output('alarm_url'), {'member': old}) == 200
    waiting.until(
        lambda: storage.holder(tenant, volume) not in (None, old),
        'the volume is on a standby, although nobody goes on with the new member',
        seconds=90,
        every=0.5,
    )
    waiting.until(lambda: policy(stack)['state'] == 'ready', 'it is ready', seconds=150, every=1.0)
    assert summary()['violations'] == []


def test_a_server_that_no_engine_wrote_down_goes_with_its_member(make_stack, tenant):
    def servers():
        return {one.id for one in tenant.compute.servers(details=False)}

    others = servers()
    # Its template names the server itself, so Heat's own name does not find it.
    stack = make_stack('replace_oldest.yaml')
    before = set(stack.servers())
    stack.signal('server_replace_policy')
    both = access.environment()['regions']['RegionOne']['engines']
    ((row,),) = waiting.until(
        lambda: database.query(
            'SELECT id FROM heat_one.resource WHERE root_stack_id = %s AND nova_instance IS NULL'
            " AND name = 'server' AND action = 'CREATE' AND status = 'IN_PROGRESS'",
            stack.id,
        ),
        'an engine is about to ask Nova for the new server',
        seconds=30,
        every=0.002,
    )
    try:
        with database.locked('SELECT id FROM heat_one.resource WHERE id = %s', row):
            waiting.until(lambda: servers() - others - before, 'Nova has made it')
            for engine in both:
                processes.kill(engine)
    finally:
        hosts.run_lab('start', *both)
    count = len(stack.events('server_replace_policy'))
    stack.signal('server_replace_policy')
    waiting.until(
        lambda: [
            event
            for event in stack.events('server_replace_policy')[count:]
            if 'SIGNAL_COMPLETE' in event or 'SIGNAL_FAILED' in event
        ],
        'the replacement has ended',
        seconds=180,
        every=1.0,
    )
    after = set(stack.servers())
    assert len(after) == 1 and not after & before
    assert servers() - others == after, 'a server is left over'
