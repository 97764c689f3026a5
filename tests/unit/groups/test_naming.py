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
