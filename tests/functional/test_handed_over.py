# SPDX-License-Identifier: Apache-2.0
"""More than volumes changes hands, and what never may is refused before anything moves."""

import contextlib
import threading
import time

import pymysql
import pytest

from lab.client import access, failover_policy, storage, waiting


class Ports:
    """Look again and again where Neutron has the service's port and the floating address."""

    def __init__(self, tenant, port, floating_ip):
        self.seen = []
        self._is_over = threading.Event()
        self._tenant, self._port, self._floating_ip = tenant, port, floating_ip
        self._thread = threading.Thread(target=self._watch)

    def now(self):
        port = self._tenant.network.get(f'/ports/{self._port}').json()['port']
        ip = self._tenant.network.get(f'/floatingips/{self._floating_ip}').json()
        holders = self._tenant.network.get(
            f'/ports?fixed_ips=ip_address={port["fixed_ips"][0]["ip_address"]}'
            f'&network_id={port["network_id"]}'
        ).json()['ports']
        return port['device_id'], ip['floatingip']['port_id'], len(holders)

    def _watch(self):
        while not self._is_over.is_set():
            self.seen.append(self.now())
            time.sleep(0.1)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exc):
        self._is_over.set()
        self._thread.join()


def port_of(tenant, server, but):
    ports = tenant.network.get(f'/ports?device_id={server}').json()['ports']
    (found,) = [p['id'] for p in ports if p['id'] != but]
    return found


def test_volumes_a_port_and_a_floating_address_go_together_in_the_templates_order(
    make_stack, tenant, watch
):
    stack = make_stack('failover_address.yaml')
    volumes = stack.volumes()
    service, floating = stack.output('service_port'), stack.output('floating_ip')
    old = stack.output('active_server')
    old_port = port_of(tenant, old, service)
    summary = watch(volumes)
    with Ports(tenant, service, floating) as ports:
        assert ports.now() == (old, old_port, 1)
        assert stack.post_alarm(stack.output('alarm_url')) == 200
        found = failover_policy.after_epoch(stack, 2)
        new = found['active_server']
        assert {storage.holder(tenant, v) for v in volumes} == {new} != {old}
        new_port = port_of(tenant, new, service)
        assert ports.now() == (new, new_port, 1)
    # At the old active, at nobody, at the new one, and never back; the floating address last.
    assert {count for _, _, count in ports.seen} == {1}
    way = [s for s, before in zip(ports.seen, [None, *ports.seen], strict=False) if s != before]
    places = [server for server, _, _ in way]
    assert sorted(places, key=[old, '', new].index) == places, way
    assert way[0] == (old, old_port, 1) and way[-1] == (new, new_port, 1)
    assert all(server == new for server, ip, _ in way if ip == new_port), way
    assert summary()['violations'] == []
    old_member = found['history'][-1]['old_server']
    assert old_member == old and old not in stack.servers()

    # What Heat would replace, and take away with what it replaced, is mended where it is.
    handed_over = [r for r in stack.resources() if r.get('parent_resource') == 'handoff']
    assert {r['resource_name'] for r in handed_over} == {'log', 'data', 'service', 'floating'}
    for resource in handed_over:
        stack.mark_unhealthy(resource)
    stack.signal('failover', {'action': 'switchover'})
    found = failover_policy.after_epoch(stack, 3)
    assert found['active_server'] != new
    new = found['active_server']
    assert {storage.holder(tenant, v) for v in volumes} == {new}
    assert ports.now() == (new, port_of(tenant, new, service), 1)
    handed_over = [r for r in stack.resources() if r.get('parent_resource') == 'handoff']
    assert {r['resource_status'] for r in handed_over} == {'UPDATE_COMPLETE'}


@pytest.fixture
def volume(tenant):
    """A volume of nobody."""
    made = tenant.block_storage.post('/volumes', json={'volume': {'size': 1}}).json()['volume']
    path = f'/volumes/{made["id"]}'

    def status():
        return tenant.block_storage.get(path).json()['volume']['status']

    waiting.until(lambda: status() == 'available', 'the volume is there')
    yield made['id']
    waiting.until(lambda: status() == 'available', 'the volume is free')
    tenant.block_storage.delete(path)
    waiting.until(lambda: tenant.block_storage.get(path).status_code == 404, 'it is gone')


@pytest.fixture
def shared_volume(volume):
    """A volume that several servers may have at once.

    The lab's volume driver says of itself that it can make none, so Cinder's record is changed.
    """
    connection = pymysql.connect(
        unix_socket=access.environment()['database']['root_socket'], user='root', autocommit=True
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute('UPDATE cinder_one.volumes SET multiattach = 1 WHERE id = %s', volume)
    return volume


@pytest.fixture
def root_volume(tenant, volume):
    """The volume that a server runs from."""
    answer = tenant.block_storage.post(
        f'/volumes/{volume}/action', json={'os-set_bootable': {'bootable': True}}
    )
    assert answer.status_code == 200, answer.text
    flavor = next(f for f in tenant.compute.flavors() if f.name == 'm1.tiny')
    server = tenant.compute.create_server(
        name='runs-from-volume',
        flavor_id=flavor.id,
        networks=[{'uuid': tenant.network.find_network('private').id}],
        block_device_mapping=[
            {
                'boot_index': 0,
                'uuid': volume,
                'source_type': 'volume',
                'destination_type': 'volume',
            }
        ],
    )
    tenant.compute.wait_for_server(server, wait=60 * waiting.PATIENCE)
    yield volume
    tenant.compute.delete_server(server)
    tenant.compute.wait_for_delete(server)


WITH_VOLUME = """
heat_template_version: 2016-10-14
parameters: {volume: {type: string}}
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 2
      max_size: 2
      resource:
        type: OS::Nova::Server
        properties: {image: tiny, flavor: m1.tiny, networks: [{network: private}]}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties: {instance_uuid: '%active%', volume_id: {get_param: volume}}
"""


def test_a_multiattach_volume_is_refused_with_the_reason_before_anything_is_made(
    make_stack, shared_volume
):
    stack = make_stack(WITH_VOLUME, create=False)
    assert 'multiattach' in stack.refusal({'volume': shared_volume})


def test_a_root_volume_is_refused_with_the_reason_before_anything_is_made(make_stack, root_volume):
    stack = make_stack(WITH_VOLUME, create=False)
    assert 'root disk' in stack.refusal({'volume': root_volume})
