# SPDX-License-Identifier: Apache-2.0
"""The lab itself: what every other functional test takes for granted.

When something here fails, look at the lab first (``make lab-status``), not at heat-ha.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.client import access, stacks, storage, waiting

pytestmark = pytest.mark.functional

CLOUDS = ('demo', 'admin', 'demo-two', 'admin-two')
# Each service's type, and a request that it answers only when its database does.
REQUESTS = (
    ('compute', '/servers'),
    ('network', '/v2.0/networks'),
    ('image', '/v2/images'),
    ('block-storage', '/volumes'),
    ('orchestration', '/stacks'),
    ('alarming', '/v2/alarms'),
)

SERVER_WITH_VOLUME = f"""
heat_template_version: 2021-04-16
resources:
  server: {stacks.SERVER}
  volume:
    type: OS::Cinder::Volume
    properties: {{size: 1}}
  attachment:
    type: OS::Cinder::VolumeAttachment
    properties:
      instance_uuid: {{get_resource: server}}
      volume_id: {{get_resource: volume}}
"""

SCALED_GROUP = """
heat_template_version: 2021-04-16
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      max_size: 4
      desired_capacity: 1
      resource:
        type: OS::Nova::Server
        properties:
          image: tiny
          flavor: m1.tiny
          networks: [{network: private}]
  policy:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: change_in_capacity
      auto_scaling_group_id: {get_resource: group}
      scaling_adjustment: 1
      cooldown: 1
  alarm:
    type: OS::Aodh::EventAlarm
    properties:
      event_type: compute.instance.update
      query:
        - {field: traits.state, op: eq, value: stopped}
      alarm_actions:
        - str_replace:
            template: trust+url
            params: {url: {get_attr: [policy, signal_url]}}
outputs:
  alarm_url: {value: {get_attr: [policy, alarm_url]}}
"""


def lab(*arguments: str) -> str:
    """Carry out one verb of the lab's command line."""
    done = subprocess.run(
        [sys.executable, '-m', 'lab', *arguments],
        cwd=access.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def stack() -> Iterator[Callable[..., stacks.Stack]]:
    """Make stacks that are gone after the test."""
    made = []

    def make(template: str, who: str = 'demo') -> stacks.Stack:
        name = f'lab-{uuid.uuid4().hex[:8]}'
        made.append(stacks.Stack(access.connect(who), name, template))
        return made[-1]

    yield make
    for one in made:
        one.delete()


@pytest.fixture
def compute() -> Iterator[str]:
    """A compute host that may be maltreated: it works again after the test."""
    name = 'nova-compute-c3'
    yield name
    lab('start', name)


def is_up(host: str) -> bool:
    """What Nova says of a compute host."""
    answer = access.connect('admin').compute.get(f'/os-services?host={host}&binary=nova-compute')
    return bool(answer.json()['services'][0]['state'] == 'up')


def server_on(host: str, who: str) -> dict[str, Any]:
    """Create a server on a certain host, which only an admin may choose."""
    connection = access.connect(who)
    return connection.compute.create_server(
        name=f'lab-on-{host}',
        image_id=connection.image.find_image('tiny').id,
        flavor_id=connection.compute.find_flavor('m1.tiny').id,
        networks='none',
        availability_zone=f'nova:{host}',
    )


@pytest.mark.parametrize('who', CLOUDS)
@pytest.mark.parametrize(('service', 'path'), REQUESTS)
def test_each_service_answers_each_user_in_each_region(who, service, path):
    connection = access.connect(who)
    session = connection.session
    answer = session.get(
        path,
        endpoint_filter={
            'service_type': service,
            'region_name': connection.config.region_name,
            'interface': 'public',
        },
        raise_exc=False,
    )
    assert answer.status_code == 200, answer.text


def test_the_tenant_is_not_an_admin():
    roles = (
        access.connect('demo').session.auth.get_access(access.connect('demo').session).role_names
    )
    assert {'member', 'heat_stack_owner'} <= set(roles)
    assert not {'admin', 'service', 'manager'} & set(roles)


@pytest.mark.alone
def test_every_service_of_the_table_runs():
    found = json.loads(lab('status', '--json'))
    assert {one['service'] for one in found if one['state'] != 'running'} == set()


def test_both_engines_of_the_first_region_are_there():
    answer = access.connect('admin').orchestration.get('/services')
    up = {one['host'] for one in answer.json()['services'] if one['status'] == 'up'}
    assert {'heat-engine-one-1', 'heat-engine-one-2'} <= up


@pytest.mark.parametrize('who', ['demo', 'demo-two'])
def test_a_volume_is_attached_to_a_server(stack, who):
    made = stack(SERVER_WITH_VOLUME, who).create()
    (server,), (volume,) = made.servers(), made.volumes()
    assert storage.holder(made.cloud, volume) == server


def test_an_alarm_url_scales_a_group_without_a_login(stack):
    made = stack(SCALED_GROUP).create()
    assert stacks.Stack.post_alarm(made.output('alarm_url')) == 200
    waiting.until(lambda: len(made.members('group')) == 2, 'a second member')


def test_a_notification_of_nova_scales_a_group(stack):
    made = stack(SCALED_GROUP).create()
    (server,) = made.servers()
    made.cloud.compute.stop_server(server)
    waiting.until(lambda: len(made.members('group')) == 2, 'a second member')


@pytest.mark.alone
def test_nova_sees_a_frozen_host_and_its_return(compute):
    lab('freeze', compute)
    waiting.until(lambda: not is_up('c3'), 'c3 is down')
    lab('thaw', compute)
    waiting.until(lambda: is_up('c3'), 'c3 is up')


@pytest.mark.alone
def test_nova_sees_a_killed_host_and_its_return(compute):
    lab('kill', compute)
    states = {one['service']: one['state'] for one in json.loads(lab('status', '--json'))}
    assert states[compute] == 'dead'
    waiting.until(lambda: not is_up('c3'), 'c3 is down')
    lab('start', compute)
    waiting.until(lambda: is_up('c3'), 'c3 is up')


@pytest.mark.alone
def test_guests_outlive_a_killed_nova_compute(compute):
    nova = access.connect('admin').compute
    server = nova.wait_for_server(server_on('c3', 'admin'), wait=60)
    try:
        lab('kill', compute)
        lab('start', compute)
        # The driver refuses this for a guest that it does not know.
        nova.stop_server(server)
        nova.wait_for_server(server, status='SHUTOFF', wait=60)
    finally:
        nova.delete_server(server)
        nova.wait_for_delete(server, wait=60)
