# SPDX-License-Identifier: Apache-2.0
import itertools

from heat_ha.groups.rules import pairs, result
from tests.unit.groups import worlds


def test_what_is_not_done_is_never_taken_for_done():
    former = [(), (worlds.member('a', is_failed=True),), (worlds.member('b', is_failed=True),)]
    for size, being_deleted, given_up in itertools.product(
        range(6), former, ((), ('x',), ('x', 'y'))
    ):
        for members in itertools.combinations('abcxy', size):
            gone = tuple(m for m in being_deleted if m.name not in members)
            seen = worlds.group(*members, being_deleted=gone)
            plain = worlds.replacement(('a', 'x'), ('b', 'y'), given_up=given_up)
            for wanted in (plain, pairs.for_request(plain, ('a',))):
                found = result.result(seen, wanted, {})
                own = [p for p in wanted.pairs if not p.is_overtaken]
                assert not set(found.replaced) & {m.name for m in seen.members}
                assert not set(found.replaced) & {m.name for m in gone}
                assert set(found.replaced) <= {p.victim for p in own}
                assert set(found.added) <= set(members)
                assert set(found.left_over) == {m.name for m in gone}
                # Each pair of the request is done, has failed, or is left over.
                left = [p for p in own if p.victim in found.left_over]
                assert len(found.done) + len(found.failures) + len(left) >= len(own)


def test_one_that_may_not_go_because_the_group_would_shrink_is_named_with_its_new_one():
    wanted = worlds.replacement(('a', 'x'), size=3)
    found = result.result(worlds.group('a', 'c', 'x'), wanted, {})
    assert found.failures == ('member a is still there with x: the group may not be smaller',)
    assert not found.may_pass
