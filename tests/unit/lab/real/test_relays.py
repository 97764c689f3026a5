# SPDX-License-Identifier: Apache-2.0
import re

from lab.ports import Ports
from lab.real import relays
from lab.real.addresses import Link, Plan

BLOCK = Ports(27000)
PLAN = Plan(27000)


def test_a_host_reaches_each_service_by_the_address_that_the_catalogue_has():
    middle = _pairs(relays.in_the_middle(BLOCK, PLAN))
    host = _pairs(relays.on_host(BLOCK, PLAN))
    guests = {name for name in middle if name.startswith('guests-')}
    assert middle.keys() - guests == host.keys() == relays.relayed(BLOCK).keys()
    for name, port in relays.relayed(BLOCK).items():
        between = f'{PLAN.server(Link.MANAGEMENT)}:{port}'
        assert host[name] == (f'127.0.0.1:{port}', between)
        assert middle[name] == (f'{between} namespace lab27000-core', f'127.0.0.1:{port}')


def test_guests_find_keystone_and_heat_at_their_gateway_and_nothing_else():
    found = _pairs(relays.in_the_middle(BLOCK, PLAN))
    gateway = f'{PLAN.server(Link.GUESTS)}:27000 namespace {PLAN.middle(Link.GUESTS)}'
    assert found['guests-keystone'] == (gateway, '127.0.0.1:27000')
    guests = {name for name in found if name.startswith('guests-')}
    assert guests == {'guests-keystone', 'guests-heat-api', 'guests-heat-api-cfn'}


def test_hosts_do_not_reach_the_databases():
    ports = relays.relayed(BLOCK).values()
    assert BLOCK.of('mariadb') not in ports and BLOCK.of('memcached') not in ports


def _pairs(listeners):
    found = re.findall(r'listen (\S+)\n    bind (.*) tcp-ut 12s\n    server one (\S+)\n', listeners)
    return {name: (place, target) for name, place, target in found}
