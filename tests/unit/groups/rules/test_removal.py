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
    for keep, outdated, failed in itertools.product(subsets(names), subsets(names), subsets(names)):
        found = removal.order(names, keep, outdated, failed)
        assert sorted(found) == sorted(names)
        groups = [
            (n not in failed or n in keep, bool(outdated) and n not in outdated, n in keep)
            for n in found
        ]
        assert groups == sorted(groups), 'failed ones first, then outdated ones that may go'
        for key in set(groups):
            same = [n for n, own in zip(found, groups, strict=True) if own == key]
            assert same == sorted(same), "Heat's order is kept"
        for left in range(1, 5):
            if not outdated and len(keep) <= left:
                assert set(keep) <= set(found[-left:])


def test_one_member_is_always_left_to_hand_over_to_where_there_are_two():
    for batch, size in itertools.product(range(1, 6), range(6)):
        assert removal.largest_batch(batch, size, has_active=False) == batch
        found = removal.largest_batch(batch, size, has_active=True)
        assert 1 <= found <= batch and (found < size or size < 2)


def test_a_rolling_update_mends_what_failed_before_it_changes_the_active():
    """Every group of up to four, in every state, with every size of batch, until it is through.

    A batch leaves what it gave the new definition, and what had failed, well: where it does not,
    Heat ends the update. The active is changed only where a member stays that can take over.
    """
    walked = 0
    for size, left in itertools.combinations_with_replacement(range(2, 5), 2):
        left, size = sorted((left, size))
        names = tuple('abcd'[:size])
        batches = range(1, removal.largest_batch(size, left, has_active=True) + 1)
        for outdated, failed, batch in itertools.product(
            subsets(names), subsets(names[1:]), batches
        ):
            old, sick, there = set(outdated), set(failed), list(names)
            for _ in range(-(-left // batch)):
                before = sorted(there, key=lambda n: (n not in sick, n))
                order = removal.order(before, 'a', old, sick)
                staying = order[-left:]
                count = removal.left_of_batch(batch, staying, 'a', old, sick)
                changed = [n for n in staying if n in old][:count]
                is_hit = 'a' in changed or 'a' not in staying
                others = set(staying) - set(changed) - sick - {'a'}
                assert not is_hit or others, (outdated, failed, batch, left)
                there = list(staying)
                old -= {*changed, *(set(names) - set(staying))}
                sick.clear()
                walked += 1
            assert not old, (outdated, failed, batch, left)
    assert walked > 500


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
