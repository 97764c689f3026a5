# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy does beside the mail's template: more volumes, other sizes, Heat's own
actions, and signals that ask for nonsense. As the tenant."""

import json

import pytest

from lab.client import failover_policy, storage, waiting

GROUP = """
heat_template_version: 2016-10-14
parameters:
  size: {{type: number, default: {size}}}
  cooldown: {{type: number, default: 0}}
resources:
  volume: {{type: OS::Cinder::Volume, properties: {{size: 1}}}}
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      max_size: 5
      desired_capacity: {{get_param: size}}
      resource:
        type: OS::Nova::Server
        properties: {{image: tiny, flavor: m1.tiny, networks: [{{network: private}}]}}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {{get_resource: group}}
      cooldown: {{get_param: cooldown}}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties:
          instance_uuid: '%active%'
          volume_id: {{get_resource: volume}}
"""


def test_three_volumes_are_handed_over_in_the_templates_order(make_stack, tenant, watch):
    stack = make_stack('failover_three_volumes.yaml')
    volumes = stack.volumes()
    assert len(volumes) == 3
    summary = watch(volumes)
    old = stack.output('active_server')
    assert {storage.holder(tenant, v) for v in volumes} == {old}
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    found = failover_policy.after_epoch(stack, 2)
    assert found['active_server'] != old
    assert {storage.holder(tenant, v) for v in volumes} == {found['active_server']}
    steps = {s['name']: s for s in found['plan']['steps']}
    assert all(s['state'] == 'done' for s in steps.values())
    by_name = {r['resource_name']: r['physical_resource_id'] for r in stack.resources(0)}
    log, data = by_name['log_volume'], by_name['data_volume']
    assert f'attach:{log}' in steps[f'attach:{data}']['after']
    assert f'detach:{data}' in steps[f'detach:{log}']['after']
    assert 'stop_server' in steps and 'digraph' in found['plan']['graphviz']
    assert summary()['violations'] == []


def test_a_group_of_one_makes_the_successor_before_the_old_one_goes(make_stack, tenant, watch):
    stack = make_stack('from_harestarter.yaml')
    volume = stack.output('volume')
    summary = watch([volume])
    (old,) = stack.servers()
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    found = failover_policy.after_epoch(stack, 2, 'restart')
    (new,) = stack.servers()
    assert new != old and storage.holder(tenant, volume) == new == found['active_server']
    assert summary()['violations'] == []
    assert old not in {s.id for s in tenant.compute.servers()}


def test_a_group_of_five_plans_moves_and_lives_with_heats_own_actions(make_stack, tenant):
    stack = make_stack(GROUP.format(size=5))
    (volume,) = stack.volumes()
    old = storage.holder(tenant, volume)
    assert len(failover_policy.attributes(stack)['standbys']) == 4
    # A dry run: it answers, and nothing moves.
    stack.signal('failover', {'action': 'plan'})
    waiting.until(
        lambda: [e for e in stack.events('failover') if 'Signal: plan: failover from' in e],
        'the dry run is answered',
        every=0.5,
    )
    assert storage.holder(tenant, volume) == old and failover_policy.attributes(stack)['epoch'] == 1
    # Signals that must change nothing.
    failover_policy.refused(stack, {'member': 'somebody-elses-server'}, 'neither a member')
    failover_policy.refused(stack, {'action': 'explode'}, 'explode')
    failover_policy.refused(stack, {'action': 'failover', 'force': True}, 'force')
    failover_policy.refused(stack, {'reason': 'x' * 70_000}, 'bytes')
    failover_policy.refused(stack, {'current': 'alarm', 'padding': 'x' * 300_000}, 'bytes')
    failover_policy.refused(stack, {'action': 'resume'}, 'nothing to resume')
    failover_policy.refused(stack, {'action': 'cancel'}, 'nothing to cancel')
    stack.signal('failover', {'previous': 'alarm', 'current': 'ok', 'reason': 'it is over'})
    assert failover_policy.attributes(stack)['epoch'] == 1
    # Paused: an alarm moves nothing.
    stack.signal('failover', {'action': 'pause'})
    waiting.until(
        lambda: failover_policy.attributes(stack)['state'] == 'paused', 'it is paused', every=0.5
    )
    failover_policy.refused(stack, None, 'paused')
    stack.signal('failover', {'action': 'unpause'})
    waiting.until(
        lambda: failover_policy.attributes(stack)['state'] == 'ready', 'it is ready', every=0.5
    )
    # A switchover to a member that is named.
    wanted = failover_policy.attributes(stack)['standbys'][2]
    stack.signal('failover', {'action': 'switchover', 'member': wanted})
    found = failover_policy.after_epoch(stack, 2)
    assert found['active'] == wanted and storage.holder(tenant, volume) == found['active_server']
    # Heat's own actions leave the volume where the policy has it.
    stack.action('check')
    stack.action('suspend')
    stack.action('resume')
    stack.update({'cooldown': 3600, 'size': 5})
    assert storage.holder(tenant, volume) == found['active_server']
    assert failover_policy.attributes(stack)['active'] == wanted
    # The cooldown that the update brought holds at once, after a failover.
    stack.signal('failover')
    failover_policy.after_epoch(stack, 3)
    failover_policy.refused(stack, None, 'cooldown')
    # A group that shrinks below the active's place: the policy follows.
    stack.update({'size': 1})
    found = failover_policy.attributes(stack)
    assert stack.servers() == [found['active_server']]
    assert storage.holder(tenant, volume) == found['active_server']


def test_a_body_that_is_not_json_is_refused_before_it_reaches_the_policy(make_stack, tenant):
    stack = make_stack(GROUP.format(size=1))
    before = failover_policy.attributes(stack)
    # A body that does not even begin like an object never reaches a policy: Heat's API takes
    # the request for one without a body.
    answer = tenant.orchestration.post(
        f'/stacks/{stack.name}/{stack.id}/resources/failover/signal',
        data=b'{this is not JSON',
        headers={'Content-Type': 'application/json'},
    )
    assert answer.status_code == 400
    answer = tenant.orchestration.post(
        f'/stacks/{stack.name}/{stack.id}/resources/failover/signal',
        data=json.dumps({'current': 'alarm', 'padding': 'x' * 1_100_000}),
        headers={'Content-Type': 'application/json'},
    )
    assert answer.status_code in (400, 413)
    assert failover_policy.attributes(stack) == before


BAD = {
    'a group that is none': (
        'auto_scaling_group_id: {get_resource: group}',
        'auto_scaling_group_id: {get_resource: volume}',
        'must be an OS::Heat::AutoScalingGroup',
    ),
    'a definition without a member': (
        "instance_uuid: '%active%'",
        'instance_uuid: 5d3d2c33-0000-4000-8000-000000000000',
        'does not say where the active member belongs',
    ),
    'a definition without a type': (
        'type: OS::Cinder::VolumeAttachment\n',
        'kind: OS::Cinder::VolumeAttachment\n',
        'needs a "type"',
    ),
    'a negative cooldown': (
        'cooldown: {get_param: cooldown}',
        'cooldown: -1',
        'cooldown',
    ),
    'an unknown property': (
        'cooldown: {get_param: cooldown}',
        'cooldwon: 1',
        'cooldwon',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_a_wrong_template_is_refused_before_anything_is_made(make_stack, case):
    right, wrong, why = BAD[case]
    text = GROUP.format(size=1)
    assert right in text
    stack = make_stack(text.replace(right, wrong), create=False)
    assert why in stack.refusal()
