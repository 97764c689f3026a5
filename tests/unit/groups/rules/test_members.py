# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha import exceptions
from heat_ha.groups.rules import members
from tests.unit.groups import worlds

ARN = 'arn:openstack:heat::project:stacks/stack-group-x/'


def test_a_nested_member_is_found_by_what_the_groups_refs_give():
    group = (worlds.member('a'), worlds.member('b'))
    assert members.find(group, f'{ARN}ref-b').name == 'b'
    for foreign in (ARN, f'{ARN}ref-c', 'stacks/stack-group-x/ref-b', f'{ARN}server-b', f'{ARN}b'):
        assert members.find(group, foreign) is None, foreign


def test_a_member_that_has_no_reference_is_never_found_by_one():
    group = (worlds.member('a', reference=None), worlds.member('b', reference=''))
    assert members.find(group, ARN.removesuffix('/')) is None


# The same in every process that collects the tests.
ID = '7d1f4c0e-52a9-4b86-9e37-0c8a6d2b91f5'


@pytest.mark.parametrize('named', [ID, ID.replace('-', ''), f'{ARN}{ID}'])
def test_an_id_or_a_reference_is_no_servers_name(named):
    assert not members.may_be_server_name(named)


@pytest.mark.parametrize('named', ['db', 'db-1.example.org', 'stack-group-x', 'ünï'])
def test_any_other_text_may_be_a_servers_name(named):
    assert members.may_be_server_name(named)


@pytest.mark.parametrize(
    ('named', 'short'),
    [
        ('web-1.example.org', 'web-1'),
        ('web-1.novalocal', 'web-1'),
        ('web-1.example.org.', 'web-1'),
        ('web-1', ''),
        ('web-1.', ''),
        ('.example.org', ''),
        ('10.0.0.7', ''),
        ('a server. Another one', ''),
        ('', ''),
    ],
)
def test_a_full_name_is_known_by_its_domain(named, short):
    assert members.without_domain(named) == short


# S7
def test_a_servers_name_means_the_one_member_that_has_it_and_never_another():
    group = (worlds.member('a'), worlds.member('b', servers=('s1', 's2')), worlds.member('c'))
    servers = {'a': {'server-a'}, 'b': {'s1', 's2'}, 'c': {'server-c'}, None: {'foreign'}}
    every = [s for own in servers.values() for s in sorted(own)]
    for size in range(len(every) + 1):
        for named in itertools.combinations(every, size):
            owners = [name for name, own in servers.items() if name and own & set(named)]
            if len(owners) > 1:
                with pytest.raises(exceptions.Refused) as refused:
                    members.with_server(group, 'db', named)
                text = str(refused.value)
                assert all(f'(member {o})' in text for o in owners) and 'foreign' not in text
                continue
            found = members.with_server(group, 'db', named)
            assert [found.name] == owners if found else not owners, named
