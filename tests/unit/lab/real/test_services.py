# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import services
from lab.ports import Ports
from lab.real import kind, names
from lab.real.addresses import HOSTS

BLOCK = Ports(27000)


@pytest.fixture
def tables(monkeypatch):
    """The plain lab's services and the tier's, by name."""
    found = []
    for is_real in (False, True):
        monkeypatch.setattr(kind, 'is_real', lambda is_real=is_real: is_real)
        found.append({service.name: service for service in services.table(BLOCK)})
    return found


def test_the_plain_lab_has_nothing_of_the_tier(tables):
    plain, real = tables
    added = real.keys() - plain.keys()
    assert added == {
        *names.CEPH,
        names.RELAY,
        *(name for host in HOSTS for name in names.of_host(host)),
    }
    assert not plain.keys() - real.keys()


def test_fake_hosts_do_not_start_with_the_tier_by_themselves(tables):
    plain, real = tables
    fakes = {name for name in plain if name.startswith('nova-compute-')}
    assert fakes and all(real[name].is_option for name in fakes)
    assert not any(plain[name].is_option for name in fakes)


def test_whatever_uses_the_storage_waits_for_all_of_it(tables):
    _plain, real = tables
    users = ['cinder-volume-one', *(f'nova-compute-{host}' for host in HOSTS)]
    assert all(set(names.CEPH) <= _all_needs(real, name) for name in users)


def test_a_host_is_started_in_the_order_of_its_names(tables):
    _plain, real = tables
    for host in HOSTS:
        keeper, *others = names.of_host(host)
        assert all(keeper in _all_needs(real, other) for other in others)
        assert set(others) - {f'nova-compute-{host}'} <= _all_needs(real, f'nova-compute-{host}')


def test_what_is_needed_stands_before_or_is_there_at_all(tables):
    for table in tables:
        assert all(need in table for service in table.values() for need in service.needs)


def test_a_program_of_a_host_takes_the_place_of_the_shell_that_looks_for_its_namespaces(tables):
    _plain, real = tables
    for host in HOSTS:
        for name in names.of_host(host)[1:]:
            shell, option, script, *_ = real[name].command
            assert (shell, option) == ('/bin/sh', '-c')
            assert script.startswith('exec nsenter') and f'host-{host}.pid' in script


def _all_needs(table, name):
    found, left = set(), [name]
    while left:
        for need in table[left.pop()].needs:
            if need not in found:
                found.add(need)
                left.append(need)
    return found
