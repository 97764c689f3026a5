# SPDX-License-Identifier: Apache-2.0
"""Heat's own actions while a failover runs, and signals while Heat's own actions run.

The old active is asked to quiesce and nobody is inside to answer, so each failover here takes as
long as that is waited for, and Heat's action comes in the middle of it.
"""

import pytest

from lab.client import failover_policy, storage, waiting

pytestmark = pytest.mark.thorough

TEMPLATE = """
heat_template_version: 2016-10-14
parameters:
  size: {type: number, default: 2}
resources:
  first: {type: OS::Cinder::Volume, properties: {size: 1}}
  second: {type: OS::Cinder::Volume, properties: {size: 1}}
  config: {type: OS::Heat::SoftwareConfig, properties: {group: script, config: 'true'}}
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      max_size: 5
      desired_capacity: {get_param: size}
      resource:
        type: OS::Nova::Server
        properties: {image: tiny, flavor: m1.tiny, networks: [{network: private}]}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      quiesce: {config: {get_resource: config}, timeout: 6}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties:
          instance_uuid: '%active%'
          volume_id: {get_resource: FIRST}
"""


@pytest.fixture
def stack(make_stack):
    return make_stack(TEMPLATE.replace('FIRST', 'first'))


def running(stack):
    """Start a failover and return when it is in the middle."""
    stack.signal('failover', {'action': 'switchover'})
    waiting.until(
        lambda: (
            (failover_policy.attributes(stack)['plan'] or {'steps': [{}]})['steps'][0].get('state')
            == 'running'
        ),
        'the failover runs',
        seconds=60,
    )


def holds(stack, tenant, name='first'):
    found = stack.resource(name)['physical_resource_id']
    return storage.holder(tenant, found) == failover_policy.attributes(stack)['active_server']


def test_an_update_of_group_and_definition_waits_and_then_acts_on_the_new_active(stack, tenant):
    old = failover_policy.attributes(stack)['active']
    running(stack)
    stack.template = TEMPLATE.replace('FIRST', 'second')
    stack.update({'size': 3})
    found = failover_policy.attributes(stack)
    assert (found['state'], found['epoch']) == ('ready', 2) and found['active'] != old
    assert len(stack.members('group')) == 3
    assert holds(stack, tenant, 'second')
    first = stack.resource('first')['physical_resource_id']
    status = tenant.block_storage.get(f'/volumes/{first}').json()['volume']['status']
    assert status == 'available', 'what is not handed over any more is free'
    # A signal while an update runs: either it is refused with the reason, or it is done; and
    # the update ends right.
    stack.update({'size': 4}, wait=False)
    stack.signal('failover', {'action': 'switchover'})
    stack.wait('UPDATE')
    waiting.until(
        lambda: failover_policy.attributes(stack)['state'] == 'ready', 'it is ready', every=0.5
    )
    assert len(stack.members('group')) == 4 and holds(stack, tenant, 'second')
    outcome = [e for e in stack.events('failover') if 'running already' in e]
    assert outcome or failover_policy.attributes(stack)['epoch'] == 3


def test_a_check_and_a_suspend_wait_for_the_failover_and_signals_for_neither(stack, tenant):
    running(stack)
    stack.action('check')
    assert failover_policy.attributes(stack)['epoch'] == 2 and holds(stack, tenant)
    running(stack)
    stack.action('suspend')
    found = failover_policy.attributes(stack)
    assert (found['state'], found['epoch']) == ('ready', 3)
    # Heat itself takes no signal for what is suspended.
    answer = tenant.orchestration.post(
        f'/stacks/{stack.name}/{stack.id}/resources/failover/signal',
        json={'action': 'switchover'},
    )
    assert answer.status_code == 400 and failover_policy.attributes(stack)['epoch'] == 3
    stack.action('resume')
    running(stack)
    failover_policy.after_epoch(stack, 4)
    assert holds(stack, tenant)


def test_a_delete_ends_the_failover_and_leaves_nothing(stack, tenant):
    servers, volumes = stack.servers(), stack.volumes()
    running(stack)
    stack.delete()
    assert not set(servers) & {s.id for s in tenant.compute.servers()}
    for volume in volumes:
        assert tenant.block_storage.get(f'/volumes/{volume}').status_code == 404
    left = [s.name for s in tenant.orchestration.stacks(show_nested=True) if stack.name in s.name]
    assert left == []
