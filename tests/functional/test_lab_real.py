# SPDX-License-Identifier: Apache-2.0
"""The lab's tier with real guests: what every other test on it takes for granted.

It needs ``make lab-real``. When something here fails, look at the lab first (``make lab-status``).
"""

import pytest
import requests

from lab.client import hosts, real_hosts, waiting

pytestmark = [pytest.mark.real, pytest.mark.alone]

# Seconds until Ceph forgets who has an image open and says nothing any more, and some more.
WATCH_ENDS_WITHIN = 60

# Guests are reached directly.
NONE = {'http': ''}


@pytest.fixture(scope='module')
def servers(admin):
    """A server on each host, by the host's name."""
    made = {host: real_hosts.start_server(admin, host) for host in real_hosts.names()}
    try:
        for server in made.values():
            real_hosts.until_active(admin, server)
        yield made
    finally:
        for server in made.values():
            admin.compute.delete_server(server, ignore_missing=True)
        for server in made.values():
            waiting.until(
                lambda server=server: admin.compute.find_server(server) is None,
                f'{server} is gone',
                every=1,
            )


@pytest.fixture
def volume(admin):
    """A volume with bytes."""
    made = admin.block_storage.create_volume(size=1, volume_type=real_hosts.facts()['volume_type'])
    admin.block_storage.wait_for_status(made, 'available', wait=60)
    yield made.id
    admin.block_storage.wait_for_status(made, 'available', wait=60)
    admin.block_storage.delete_volume(made.id)


@pytest.fixture(autouse=True)
def whole():
    """Every link is there and every host runs, whatever a test before has left."""
    yield
    for verb in ('start', 'thaw', 'heal'):
        hosts.run_lab(verb, *real_hosts.names())


def test_a_guest_runs_on_each_host(servers):
    for host, server in servers.items():
        real_hosts.until_printed(host, server, server)
        assert real_hosts.guests(host)


def test_a_port_of_a_server_is_bound_to_a_tap_device(admin, servers):
    for host, server in servers.items():
        (port,) = admin.network.ports(device_id=server)
        assert (port.binding_host_id, port.binding_vif_type) == (host, 'tap')


def test_a_guest_answers_at_its_address(admin, servers):
    if len(real_hosts.facts()['images']) == 1:
        pytest.skip('the placeholder has no network')
    for server in servers.values():
        (address,) = hosts.addresses_of(admin, server)
        waiting.until(
            lambda address=address: _answers(address), f'{address} answers', seconds=120, every=1
        )
    (address,) = hosts.addresses_of(admin, servers['r1'])
    with real_hosts.cut('r1', 'guests'):
        assert not _answers(address)
    waiting.until(lambda: _answers(address), f'{address} answers again', every=1)


def test_a_volume_is_opened_by_the_host_of_the_server_and_closed_again(admin, servers, volume):
    for host, server in servers.items():
        attached = admin.compute.create_volume_attachment(server, volume_id=volume)
        _until_volume_is(admin, volume, 'in-use')
        assert real_hosts.watchers('volumes', f'volume-{volume}') == {
            real_hosts.storage_address(host)
        }
        admin.compute.delete_volume_attachment(server, attached)
        _until_volume_is(admin, volume, 'available')
        assert real_hosts.watchers('volumes', f'volume-{volume}') == set()


def test_a_host_without_its_management_link_is_down_for_nova_and_its_guest_runs_on(admin, servers):
    running = real_hosts.guests('r1')
    with real_hosts.cut('r1', 'management'):
        _until_nova_says(admin, 'r1', 'down')
        assert real_hosts.guests('r1') == running
        assert _has_disk_open(servers['r1'], 'r1')
        assert hosts.service_of(admin, 'r2')['state'] == 'up'
    _until_nova_says(admin, 'r1', 'up')


def test_a_host_without_its_storage_link_is_up_for_nova_and_has_no_disk(admin, servers):
    with real_hosts.cut('r2', 'storage'):
        waiting.until(
            lambda: not _has_disk_open(servers['r2'], 'r2'),
            "Ceph has forgotten r2's guest",
            seconds=WATCH_ENDS_WITHIN,
            every=1,
        )
        assert hosts.service_of(admin, 'r2')['state'] == 'up'
        assert _has_disk_open(servers['r1'], 'r1')
    waiting.until(
        lambda: _has_disk_open(servers['r2'], 'r2'),
        "r2's guest has its disk again",
        seconds=WATCH_ENDS_WITHIN,
        every=1,
    )


def test_a_host_that_hangs_is_down_until_it_goes_on(admin, servers):
    hosts.run_lab('freeze', 'r2')
    _until_nova_says(admin, 'r2', 'down')
    hosts.run_lab('thaw', 'r2')
    _until_nova_says(admin, 'r2', 'up')


def test_a_host_that_loses_its_power_takes_its_guest_along_and_boots_without_it(admin, servers):
    server = servers['r3']
    with real_hosts.powerless('r3'):
        assert real_hosts.guests('r3') == []
        _until_nova_says(admin, 'r3', 'down')
    _until_nova_says(admin, 'r3', 'up')
    waiting.until(
        lambda: admin.compute.get_server(server).status == 'SHUTOFF',
        'Nova sees no guest',
        # It looks a minute after its start.
        seconds=120,
        every=1,
    )
    admin.compute.start_server(server)
    real_hosts.until_active(admin, server)
    real_hosts.until_printed('r3', server, server)
    assert real_hosts.guests('r3')


def test_guests_outlive_libvirtd_and_nova_compute(admin, servers):
    running = real_hosts.guests('r1')
    hosts.run_lab('kill', 'libvirtd-r1', 'nova-compute-r1')
    assert real_hosts.guests('r1') == running
    hosts.run_lab('start', 'r1')
    _until_nova_says(admin, 'r1', 'up')
    assert real_hosts.guests('r1') == running
    assert admin.compute.get_server(servers['r1']).status == 'ACTIVE'


def _answers(address):
    try:
        return requests.get(f'http://{address}/cgi-bin/health', timeout=5, proxies=NONE).ok
    except requests.RequestException:
        return False


def _has_disk_open(server, host):
    return real_hosts.storage_address(host) in real_hosts.watchers('vms', f'{server}_disk')


def _until_nova_says(admin, host, state):
    waiting.until(
        lambda: hosts.service_of(admin, host)['state'] == state, f'{host} is {state}', every=0.5
    )


def _until_volume_is(admin, volume, status):
    waiting.until(
        lambda: admin.block_storage.get_volume(volume).status == status,
        f'{volume} is {status}',
        every=0.5,
    )
