# SPDX-License-Identifier: Apache-2.0

import pytest

from heat_ha import exceptions
from heat_ha.groups import naming
from tests.unit.groups import worlds

GROUP = (worlds.member('a'), worlds.member('b'))


class Nova:
    """Servers of the name ``db``; ``asked`` is how often somebody looked."""

    def __init__(self, servers=(), is_silent=False):
        self.asked, self._servers, self._is_silent = 0, frozenset(servers), is_silent

    def __call__(self):
        return self

    def named(self, name):
        self.asked += 1
        if self._is_silent:
            raise exceptions.CouldNotAsk('nova', 'servers of a name', 'HTTP 503')
        return self._servers if name == 'db' else frozenset()

    def addressed(self, address):
        self.asked += 1
        if self._is_silent:
            raise exceptions.CouldNotAsk('nova', 'servers with the address', 'HTTP 503')
        return self._servers if address in ('10.0.0.8', 'fd00::8') else frozenset()


def test_a_member_is_found_by_the_name_of_its_server():
    assert naming.find(GROUP, 'db', Nova(['server-b', 'foreign'])).name == 'b'
    assert naming.find(GROUP, 'db', Nova(['foreign'])) is None
    assert naming.find(GROUP, 'another', Nova(['server-b'])) is None


@pytest.mark.parametrize(
    'named', ['a', 'ref-a', 'server-a', '0f1c7b52-8d6e-4b0a-9a3c-5a6f3a1f2e10']
)
def test_nova_is_not_asked_about_what_heat_knows_or_what_is_an_id(named):
    nova = Nova()
    naming.find(GROUP, named, nova)
    assert not nova.asked


def test_a_member_is_found_by_the_full_name_of_its_server():
    for named in ('db.example.org', 'db.novalocal.'):
        assert naming.find(GROUP, named, Nova(['server-b'])).name == 'b'
        assert naming.find(GROUP, named, Nova(['foreign'])) is None


# S7
def test_a_server_of_the_whole_name_decides_also_a_foreign_one():
    class Full(Nova):
        def named(self, name):
            return {'db': frozenset(['server-b']), 'db.org': frozenset(['foreign'])}[name]

    assert naming.find(GROUP, 'db.org', Full()) is None


# S2
def test_a_nova_that_does_not_answer_makes_nobody_foreign():
    with pytest.raises(exceptions.Refused, match=r'could not be seen.*Send the signal again'):
        naming.find(GROUP, 'db', Nova(is_silent=True))


HOSTS = pytest.mark.parametrize('host', ['db', 'db.example.org', '10.0.0.8', 'fd00::8'])


@HOSTS
def test_a_host_is_a_member_that_has_a_server_of_this_name_or_address(host):
    assert naming.find_host(GROUP, host, Nova(['server-b', 'foreign'])).name == 'b'


@HOSTS
def test_a_host_that_may_be_several_members_or_none_tells_nothing(host):
    for servers in (['server-a', 'server-b'], ['foreign'], []):
        assert naming.find_host(GROUP, host, Nova(servers)) is None
    for other in ('compute-1', '10.0.0.9', '10.0.0.8:9100', '::1', '10', 'x' * 255):
        assert naming.find_host(GROUP, other, Nova(['server-b'])) is None


@HOSTS
def test_an_alarm_is_not_lost_because_nobody_can_tell_what_its_host_is(host):
    assert naming.find_host(GROUP, host, Nova(is_silent=True)) is None


def test_a_name_is_surer_than_a_host():
    nova = Nova(['server-b'])
    for named, host, expected in (('a', 'db', 'a'), (None, 'db', 'b'), ('db', 'x', 'b')):
        assert naming.find_either(GROUP, named, host, nova).name == expected
    assert naming.find_either(GROUP, 'foreign', 'db', nova) is None
    assert naming.find_either(GROUP, None, None, nova) is None


@pytest.mark.parametrize('host', ['b', 'ref-b', 'server-b'])
def test_a_host_that_heat_knows_is_asked_of_nobody(host):
    nova = Nova()
    assert naming.find_host(GROUP, host, nova).name == 'b'
    assert not nova.asked
