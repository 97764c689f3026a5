# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha import exceptions
from heat_ha.groups import model
from heat_ha.groups.rules import decide
from tests.unit.groups import worlds


def test_a_member_is_found_by_its_name_its_reference_or_a_server():
    seen = worlds.group('a', worlds.member('b', servers=('s1', 's2')))
    for name in ('b', 'ref-b', 's1', 's2'):
        assert decide.named_member(seen, name).name == 'b', name


def test_a_name_counts_before_what_another_member_has_as_reference():
    seen = worlds.group(worlds.member('a', reference='b'), 'b')
    assert decide.named_member(seen, 'b').name == 'b'


def test_a_foreign_name_is_refused():
    seen = worlds.group('a', being_deleted=(worlds.member('z'),))
    for name in ('z', 'server-z', 'ref-z', '', 'x' * 1000):
        with pytest.raises(exceptions.Refused) as refused:
            decide.named_member(seen, name)
        assert len(str(refused.value)) < 250


def test_the_first_in_heats_order_go_first():
    seen = worlds.group(worlds.member('c', is_failed=True), 'b', 'a')
    for count in (1, 2, 3):
        chosen = decide.victims(seen, count)
        assert [m.name for m in chosen] == ['c', 'b', 'a'][:count]


def test_named_members_go_before_all_others_and_the_count_holds():
    seen = worlds.group('a', 'b', 'c')
    for count, named in itertools.product((1, 2, 3), ((), ('c',), ('c', 'b'), ('b', 'server-b'))):
        distinct = {n.removeprefix('server-') for n in named}
        if len(distinct) > count:
            with pytest.raises(exceptions.Refused):
                decide.victims(seen, count, named)
            continue
        chosen = [m.name for m in decide.victims(seen, count, named)]
        assert len(chosen) == len(set(chosen)) == count
        assert set(chosen[: len(distinct)]) == distinct


def test_what_must_stay_is_never_chosen():
    seen = worlds.group('a', 'b', 'c')
    for size in range(4):
        for keep in itertools.combinations('abc', size):
            for count in (1, 2, 3):
                if count > 3 - size:
                    with pytest.raises(exceptions.Refused):
                        decide.victims(seen, count, (), keep)
                    continue
                chosen = decide.victims(seen, count, (), keep)
                assert not {m.name for m in chosen} & set(keep)


def test_naming_what_must_stay_is_refused():
    with pytest.raises(exceptions.Refused, match='must stay'):
        decide.victims(worlds.group('a', 'b'), 1, ('a',), ('a',))


def test_more_than_there_are_is_refused():
    with pytest.raises(exceptions.Refused, match='scaling_adjustment'):
        decide.victims(worlds.group('a', 'b'), 3)


def test_pauses_must_fit_into_the_timeout():
    rolling = model.Rolling(max_batch_size=2, pause_seconds=100)
    decide.check_pauses(2, rolling, 60)
    decide.check_pauses(4, rolling, 101)
    with pytest.raises(exceptions.Refused, match='pause_time'):
        decide.check_pauses(4, rolling, 100)
