# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.groups.rules import removal

SERVER = {'type': 'OS::Nova::Server', 'properties': {'image': 'i', 'flavor': 'f'}}


def subsets(names):
    for size in range(len(names) + 1):
        yield from itertools.combinations(names, size)


def test_what_has_to_stay_is_the_last_that_goes_and_else_it_is_heats_order():
    names = ('a', 'b', 'c', 'd')
    for keep in subsets(names):
        found = removal.order(names, keep)
        assert found == (*(n for n in names if n not in keep), *(n for n in names if n in keep))


def test_members_are_told_apart_by_what_a_change_does_to_them():
    old = dict.fromkeys('abc', SERVER)
    new = {
        'a': SERVER,
        'b': {**SERVER, 'properties': {**SERVER['properties'], 'image': 'j'}},
        'd': SERVER,
    }
    assert removal.disturbed(old, new) == (frozenset('c'), frozenset('b'))


@pytest.mark.parametrize(
    ('change', 'is_harmless'),
    [
        ({'metadata': {'a': 'b'}}, True),
        ({'name': 'n', 'tags': ['t']}, True),
        ({'image': 'j'}, False),
        ({'flavor': 'g'}, False),
        ({'metadata': {'a': 'b'}, 'user_data': 'u'}, False),
    ],
)
def test_only_what_nova_changes_beside_the_guest_is_harmless(change, is_harmless):
    new = {**SERVER, 'properties': {**SERVER['properties'], **change}}
    assert removal.disturbed({'a': SERVER}, {'a': new})[1] == frozenset('' if is_harmless else 'a')
    # What a template of the user's own does with it is not known.
    old, new = ({**d, 'type': 'member.yaml'} for d in (SERVER, new))
    assert removal.disturbed({'a': old}, {'a': new})[1] == frozenset('a')


def test_another_type_is_another_member():
    assert removal.disturbed({'a': SERVER}, {'a': {**SERVER, 'type': 'member.yaml'}})[1]
    assert not removal.disturbed({'a': {'type': 'x'}}, {'a': {'type': 'x', 'properties': {}}})[
        1
    ] - {'a'}
