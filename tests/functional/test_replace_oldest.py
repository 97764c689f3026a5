# SPDX-License-Identifier: Apache-2.0
"""Replacing members on the real cloud, as the tenant: the mail's first template and its like."""

import json
import subprocess
import sys
import time

import pytest

from lab.client import access, waiting

GROUP = """
heat_template_version: 2016-10-14
parameters:
  order: {{type: string, default: create_first}}
  flavor: {{type: string, default: m1.tiny}}
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      max_size: 4
      desired_capacity: {size}
      resource: {{type: ha_server.yaml, properties: {{flavor: {{get_param: flavor}}}}}}
  policy:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: replace_oldest
      auto_scaling_group_id: {{get_resource: group}}
      scaling_adjustment: 1
      replacement_order: {{get_param: order}}
  grow:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: change_in_capacity
      auto_scaling_group_id: {{get_resource: group}}
      scaling_adjustment: 1
outputs:
  alarm_url: {{value: {{get_attr: [policy, alarm_url]}}}}
"""


def ended(stack, policy='policy', before=0, seconds=180):
    """Wait until the policy has ended a signal and return the last event of it."""

    def look():
        found = stack.events(policy)[before:]
        return [e for e in found if 'SIGNAL_COMPLETE' in e or 'SIGNAL_FAILED' in e]

    return waiting.until(look, f'{policy} has ended', seconds=seconds, every=0.5)[-1]


def all_servers(tenant):
    return {s['id'] for s in tenant.compute.get('/servers').json()['servers']}


@pytest.mark.alone
def test_the_mails_first_template_replaces_its_server(make_stack, tenant):
    others = all_servers(tenant)
    stack = make_stack('replace_oldest.yaml')
    (old,) = stack.servers()

    assert stack.post_alarm(stack.output('alarm_url')) == 200

    assert 'SIGNAL_COMPLETE' in ended(stack, 'server_replace_policy')
    (new,) = stack.servers()
    assert new != old
    assert all_servers(tenant) - others == {new}
    assert stack.show()['stack_status'] == 'CREATE_COMPLETE'
    assert stack.output('servers') == [new]


@pytest.mark.alone
@pytest.mark.parametrize('order', ['create_first', 'delete_first'])
def test_the_named_server_is_replaced_and_nothing_else(make_stack, tenant, order):
    others = all_servers(tenant)
    stack = make_stack(GROUP.format(size=2), {'order': order})
    before = set(stack.servers())
    chosen = sorted(before)[0]

    stack.signal('policy', {'action': 'replace', 'member': chosen})

    assert 'SIGNAL_COMPLETE' in ended(stack)
    after = set(stack.servers())
    assert before - after == {chosen}
    assert all_servers(tenant) - others == after and len(after) == 2


def test_an_aodh_event_alarm_names_the_server(make_stack, tenant):
    stack = make_stack(GROUP.format(size=2))
    before = set(stack.servers())
    chosen = sorted(before)[1]
    body = {
        'alarm_name': 'sick',
        'alarm_id': 'a',
        'current': 'alarm',
        'previous': 'ok',
        'reason': 'an event',
        'reason_data': {
            'type': 'event',
            'event': {
                'event_type': 'compute.instance.update',
                'traits': [['state', 1, 'stopped'], ['instance_id', 1, chosen]],
            },
        },
    }

    assert stack.post_alarm(stack.output('alarm_url'), body | {'current': 'ok'}) == 200
    assert stack.post_alarm(stack.output('alarm_url'), body) == 200

    assert 'SIGNAL_COMPLETE' in ended(stack)
    assert before - set(stack.servers()) == {chosen}


def test_foreign_servers_and_nonsense_are_refused(make_stack, tenant):
    stack = make_stack(GROUP.format(size=1))
    foreign = make_stack(GROUP.format(size=1))
    before = stack.servers()
    for body in (
        {'member': foreign.servers()[0]},
        {'action': 'explode'},
        {'action': 'replace', 'surprise': 1},
        {'reason': 'x' * 100_000},
    ):
        count = len(stack.events('policy'))
        stack.signal('policy', body)
        assert 'SIGNAL_FAILED' in ended(stack, before=count, seconds=60), body
    # What is longer than Heat's API takes, or looks like JSON and is none, it refuses itself.
    path = f'/stacks/{stack.name}/{stack.id}/resources/policy/signal'
    for text in ('{not JSON', '{"reason": "' + 'x' * 1_100_000 + '"}'):
        answer = tenant.orchestration.request(
            path, 'POST', data=text, headers={'Content-Type': 'application/json'}
        )
        assert answer.status_code == 400, text[:20]
    assert stack.servers() == before
    assert len(foreign.servers()) == 1


@pytest.mark.alone
def test_the_old_server_stays_where_the_new_one_cannot_be_made(make_stack, tenant):
    others = all_servers(tenant)
    stack = make_stack(GROUP.format(size=1))
    (old,) = stack.servers()
    nested = stack.resource('group')['physical_resource_id']
    name = tenant.orchestration.get(f'/stacks/{nested}', allow_redirects=True).json()['stack'][
        'stack_name'
    ]
    (member,) = stack.members('group')
    tenant.orchestration.patch(
        f'/stacks/{name}/{nested}/resources/{member}',
        json={'mark_unhealthy': True, 'resource_status_reason': 'the test says so'},
    )
    count = len(stack.events('policy'))
    with NoMoreServers(stack):
        stack.signal('policy')
        event = ended(stack, before=count, seconds=240)
    assert 'SIGNAL_FAILED' in event and 'is still there' in event
    assert stack.servers() == [old]
    found = tenant.orchestration.get(f'/stacks/{name}/{nested}/resources/{member}').json()
    assert found['resource']['resource_status'] == 'CHECK_FAILED'
    assert all_servers(tenant) - others == {old}

    count = len(stack.events('policy'))
    stack.signal('policy')
    assert 'SIGNAL_COMPLETE' in ended(stack, before=count)
    assert stack.servers() != [old]


class NoMoreServers:
    """Let the tenant have no more servers than there are."""

    def __init__(self, stack):
        self._admin = access.connect('admin')
        self._project = stack.cloud.current_project_id
        self._path = f'/os-quota-sets/{self._project}'

    def __enter__(self):
        found = self._admin.compute.get(self._path).json()['quota_set']
        self._limit = found['instances']
        answer = self._admin.compute.put(
            self._path, json={'quota_set': {'instances': 0, 'force': True}}
        )
        assert answer.status_code == 200, answer.text

    def __exit__(self, *_exc):
        self._admin.compute.put(
            self._path, json={'quota_set': {'instances': self._limit, 'force': True}}
        )


def test_heats_own_adjustment_works_beside_it(make_stack):
    stack = make_stack(GROUP.format(size=1))
    stack.signal('grow')
    assert 'SIGNAL_COMPLETE' in ended(stack, 'grow')
    assert len(stack.servers()) == 2


def lab(verb, *services):
    subprocess.run(
        [sys.executable, '-m', 'lab', verb, *services],
        cwd=access.ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )


@pytest.mark.alone
@pytest.mark.parametrize(
    ('order', 'seconds'),
    [
        ('create_first', 3),
        pytest.param('create_first', 10, marks=pytest.mark.thorough),
        pytest.param('delete_first', 3, marks=pytest.mark.thorough),
        ('delete_first', 10),
    ],
)
def test_engines_that_die_in_a_replacement_are_made_up_for(make_stack, tenant, order, seconds):
    engines = access.environment()['regions']['RegionOne']['engines']
    others = all_servers(tenant)
    stack = make_stack(GROUP.format(size=2), {'order': order})
    before = set(stack.servers())
    stack.signal('policy')
    time.sleep(seconds)
    try:
        lab('kill', *engines)
    finally:
        lab('start', *engines)
    has_begun = 'replacing member' in json.dumps(stack.events('policy'))
    if any('SIGNAL_COMPLETE' in e for e in stack.events('policy')):
        pytest.skip('it was quicker')
    count = len(stack.events('policy'))

    stack.signal('policy')

    event = ended(stack, before=count, seconds=300)
    assert 'SIGNAL_COMPLETE' in event, stack.events('policy')
    after = set(stack.servers())
    assert len(after) == 2
    assert len(before & after) == 1, (has_begun, before, after)
    assert all_servers(tenant) - others == after, 'a server is left over'
    assert len(stack.members('group')) == 2
