# SPDX-License-Identifier: Apache-2.0
"""The steps of the page about moving existing stacks to heat-ha, in the user guide."""

import json

import pytest

from lab.client import stacks, storage, waiting

BEFORE = stacks.EXAMPLES / 'migrate_attachment.yaml'
AFTER = stacks.EXAMPLES / 'migrate_attachment_after.yaml'


def text_of(path):
    return path.read_text()


def without(text, name):
    """The template without one resource."""
    head, _, rest = text.partition(f'\n  {name}:\n')
    lines = rest.splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if line.strip() and not line.startswith('   '))
    return head + '\n' + ''.join(lines[end:])


def pictures(folder):
    """How many different things the observer has seen of the volumes that it watches."""
    lines = (folder / 'observed.jsonl').read_text().splitlines()
    return len([line for line in lines if 'holders' in json.loads(line)])


def settled(stack, policy='attach'):
    def look():
        found = stack.resource(policy)['attributes']
        return found if found['state'] in ('ready', 'stopped') else None

    found = waiting.until(look, f'{policy} is settled', seconds=180, every=1.0)
    assert found['state'] == 'ready', found['reason']
    return found


@pytest.fixture
def plain_pair(make_stack):
    """A pair, and its second server with the volume by a plain attachment."""
    stack = make_stack(without(text_of(BEFORE), 'attach'), {'active': 'none'})
    server = stack.output('servers')[1]
    stack.template = BEFORE
    stack.update({'active': server})
    return stack, stack.output('volume'), server


def test_an_attachment_becomes_a_policy_and_the_url_of_the_alarm_stays(
    plain_pair, tenant, watch, tmp_path
):
    stack, volume, server = plain_pair
    url = stack.output('alarm_url')
    assert storage.holder(tenant, volume) == server
    summary = watch([volume])

    stack.template = AFTER
    stack.update()

    assert stack.output('active_server') == storage.holder(tenant, volume) == server
    assert summary()['violations'] == []
    assert pictures(tmp_path) == 1, 'the volume was never away'
    assert stack.output('alarm_url') == url
    # What posts to it fails over now, and replaces the server that was left.
    assert stack.post_alarm(url) == 200
    waiting.until(
        lambda: server not in stack.servers() and len(stack.servers()) == 2,
        'the server is replaced', seconds=180, every=1.0,
    )  # fmt: skip
    found = settled(stack)
    assert found['active_server'] == storage.holder(tenant, volume) in stack.servers()
    # Another update changes nothing.
    stack.update()
    assert storage.holder(tenant, volume) == found['active_server']


def test_the_cautious_way_leaves_the_volume_where_it_is(make_stack, tenant, watch, tmp_path):
    both = text_of(AFTER).replace('  attach:', '  policy:').replace('[attach,', '[policy,')
    both = both.replace('{get_resource: attach}', '{get_resource: policy}')
    stack = make_stack(without(text_of(BEFORE), 'attach'), {'active': 'none'})
    server = stack.output('servers')[0]
    stack.template = BEFORE
    stack.update({'active': server})
    volume = stack.output('volume')
    plain = text_of(BEFORE).partition('\n  attach:\n')[2].partition('\n  # Its alarm_url')[0]
    plain = plain.replace('{get_param: active}', server)
    summary = watch([volume])

    stack.template = both.replace('\n  alarm_policy:', f'\n  attach:\n{plain}\n  alarm_policy:')
    stack.update()
    assert settled(stack, 'policy')['active_server'] == server
    stack.signal('policy', {'action': 'plan'})
    stack.template = both
    stack.update()

    assert storage.holder(tenant, volume) == server == stack.output('active_server')
    assert summary()['violations'] == []
    assert pictures(tmp_path) == 1, 'the volume was never away'


def test_a_policy_that_gets_another_name_keeps_the_volume(plain_pair, tenant):
    stack, volume, _server = plain_pair
    stack.template = AFTER
    stack.update()
    renamed = text_of(AFTER).replace('  attach:', '  policy:').replace('[attach,', '[policy,')
    stack.template = renamed.replace('{get_resource: attach}', '{get_resource: policy}')
    stack.update()
    holder = storage.holder(tenant, volume)
    assert holder is not None and holder == stack.output('active_server')
    stack.delete()
    assert tenant.block_storage.get(f'/volumes/{volume}').status_code == 404


HA_RESTARTER = """
heat_template_version: 2016-10-14
resources:
  volume: {type: OS::Cinder::Volume, properties: {size: 1}}
  my_server: %(server)s
  my_attachment:
    type: OS::Cinder::VolumeAttachment
    properties: {instance_uuid: {get_resource: my_server}, volume_id: {get_resource: volume}}
  my_restarter:
    type: OS::Heat::HARestarter
    properties: {InstanceId: {get_resource: my_server}}
outputs:
  volume: {value: {get_resource: volume}}
"""


def test_a_restarter_becomes_a_policy_of_a_group_of_one(make_stack, tenant, watch):
    stack = make_stack(HA_RESTARTER % {'server': stacks.SERVER})
    volume = stack.output('volume')
    (old,) = stack.servers()
    assert storage.holder(tenant, volume) == old
    summary = watch([volume])

    stack.template = stacks.EXAMPLES / 'from_harestarter.yaml'
    stack.update()

    (new,) = stack.servers()
    assert storage.holder(tenant, volume) == new != old
    assert settled(stack, 'restart')['active_server'] == new
    assert summary()['violations'] == []
    assert stack.post_alarm(stack.output('alarm_url')) == 200
    waiting.until(
        lambda: new not in stack.servers() and len(stack.servers()) == 1,
        'the server is replaced', seconds=180, every=1.0,
    )  # fmt: skip
    assert settled(stack, 'restart')['active_server'] == storage.holder(tenant, volume)


def test_what_aodh_marks_as_unhealthy_is_handed_over_before_heat_replaces_it(
    plain_pair, tenant, watch
):
    stack, volume, server = plain_pair
    stack.template = AFTER
    stack.update()
    active = settled(stack)['active']
    group = stack.resource('server_group')['physical_resource_id']
    summary = watch([volume])

    # As Aodh's notifier does it for trust+heat.
    found = tenant.orchestration.get(f'/stacks/{group}').json()['stack']
    path = f'/stacks/{found["stack_name"]}/{group}'
    answer = tenant.orchestration.patch(
        f'{path}/resources/{active}',
        json={'mark_unhealthy': True, 'resource_status_reason': 'unhealthy load balancer member'},
    )
    assert answer.status_code == 200, answer.text
    answer = tenant.orchestration.patch(f'/stacks/{stack.name}/{stack.id}', json={})
    assert answer.status_code == 202, answer.text
    stack.wait('UPDATE')

    now = settled(stack)
    assert now['active'] != active
    assert storage.holder(tenant, volume) == now['active_server'] in stack.servers()
    assert server not in stack.servers()
    assert [line['cause'] for line in now['history']] == ['switchover']
    assert summary()['violations'] == []


# --- the group changes ---------------------------------------------------------------------------


def test_a_rolling_update_hands_over_and_a_smaller_group_keeps_the_active(
    plain_pair, tenant, watch
):
    stack, volume, _server = plain_pair
    stack.template = AFTER
    stack.update()
    before = set(stack.servers())
    summary = watch([volume])

    # Another user data takes another server.
    changed = text_of(AFTER).replace(
        '          networks:', "          user_data: 'echo new'\n          networks:"
    )
    stack.template = changed
    stack.update()

    found = settled(stack)
    assert not before & set(stack.servers()) and len(stack.servers()) == 2
    assert storage.holder(tenant, volume) == found['active_server'] in stack.servers()
    assert found['history'][-1]['cause'] == 'switchover'

    stack.template = changed.replace('desired_capacity: 2', 'desired_capacity: 1')
    stack.update()
    assert stack.servers() == [found['active_server']]
    assert storage.holder(tenant, volume) == found['active_server']
    assert summary()['violations'] == []
