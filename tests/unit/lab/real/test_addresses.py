# SPDX-License-Identifier: Apache-2.0
import ipaddress
import itertools

import pytest

from lab.real.addresses import HOSTS, OWN_LINKS, Link, Plan

BASES = (1024, 21000, 24000, 27000, 65000)


@pytest.mark.parametrize('base', BASES)
def test_no_address_is_given_twice_and_each_is_in_its_network(base):
    plan = Plan(base)
    for link in Link:
        own = [plan.own_address(link)] if link in OWN_LINKS else []
        found = [plan.server(link), *own, *(plan.host(host, link) for host in HOSTS)]
        network = ipaddress.ip_network(plan.network(link))
        assert len(set(found)) == len(found)
        assert all(ipaddress.ip_address(address) in network for address in found)


@pytest.mark.parametrize('base', BASES)
def test_names_of_namespaces_hold_the_base_and_links_are_short_enough(base):
    plan = Plan(base)
    assert len(plan.namespaces) == len(set(plan.namespaces)) == 6
    own = [plan.own_link(link) for link in OWN_LINKS]
    assert all(str(base) in name for name in (*plan.namespaces, *own))
    assert all(len(name) <= 15 for name in own)


def test_two_labs_share_neither_name_nor_network():
    for one, other in itertools.combinations(map(Plan, BASES), 2):
        assert not set(one.namespaces) & set(other.namespaces)
        for link in OWN_LINKS:
            assert one.own_link(link) != other.own_link(link)
            assert one.network(link) != other.network(link)


def test_each_link_has_a_hardware_address_of_its_own():
    plan = Plan(27000)
    found = [plan.hardware(host, link) for host in HOSTS for link in Link]
    assert len(set(found)) == len(found)
    # Locally given, and of one device.
    assert all(int(address[:2], 16) & 3 == 2 for address in found)
