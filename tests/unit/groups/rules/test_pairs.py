# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

from heat_ha.groups import model
from heat_ha.groups.rules import decide, pairs
from tests.unit.groups import worlds


def names():
    return map('n{}'.format, itertools.count()).__next__


def again(run, new_name):
    """What another run has to do once this one has given members up."""
    return pairs.tried_again(run.heat.seen(), run.wanted, new_name)


def test_what_failed_is_brought_by_another_run_and_by_a_third():
    for order, count, rolling, first, failing in worlds.all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        run = worlds.Run(heat, worlds.wanted_for(order, count), rolling)
        run.to_the_end()
        new_name = names()
        for cannot in (('n0', 'n1', 'n2'), ()):
            heat.cannot_bring = set(cannot)
            run = worlds.Run(heat, again(run, new_name), rolling)
            run.to_the_end()
        case = (order, count, rolling, first, failing, run.steps)
        assert len(heat.members) == 3 and not heat.being_deleted, case
        assert all(m.is_in_service for m in heat.members if m.name not in 'abc'), case
        left = {victim for victim, _ in worlds.PAIRS[:count]} & heat.names
        assert not left or (order is worlds.DELETE_FIRST and rolling.min_in_service), case
        assert not pairs.is_short(heat.seen(), run.wanted), case
        assert {victim for victim, _ in worlds.PAIRS[count:]} <= heat.names, case


def test_a_group_is_short_just_when_nobody_is_in_the_place_of_one_that_went():
    short = 0
    for order, count, rolling, first, failing in worlds.all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        run = worlds.Run(heat, worlds.wanted_for(order, count), rolling)
        run.to_the_end()
        seen = heat.seen()
        lacks = any(
            seen.member(victim) is None and not seen.member(new).is_in_service
            for victim, new in worlds.PAIRS[:count]
        )
        assert pairs.is_short(seen, run.wanted) == lacks, (order, count, rolling, first, failing)
        short += lacks
    assert short


def test_what_somebody_healed_or_filled_is_not_tried_again():
    wanted = worlds.replacement(('a', 'x'), given_up=('x',))
    for seen in (worlds.group('x', 'b', 'c'), worlds.group('q', 'b', 'c')):
        assert pairs.still_open(seen, wanted, names()) == ()
    gone = worlds.group('b', 'c')
    assert pairs.still_open(gone, wanted, names()) == (model.Pair('', 'n0'),)


def test_what_must_stay_is_neither_replaced_nor_missed_and_its_place_is_taken():
    for victim, member, keep in itertools.product(
        ('a', ''), (worlds.member('x', is_failed=True), 'x', None), ((), ('x',), ('a',), ('b',))
    ):
        there = () if member is None else (member,)
        seen = worlds.group(*there, 'b', 'c')
        wanted = worlds.replacement((victim, 'x'), given_up=('x',))
        left = pairs.still_open(seen, wanted, names(), keep)
        case = (victim, member, keep, left)
        assert not {p.victim for p in left} & set(keep), case
        if 'x' in keep:
            assert left == () and not pairs.is_short(seen, wanted, keep), case
            assert pairs.resumed(wanted, keep).pairs == (), case
        else:
            assert pairs.resumed(wanted, keep) == wanted, case
    # One that may still come is asked about, whoever it will be.
    coming = worlds.replacement(('a', 'x'))
    assert pairs.resumed(coming, ('x',)) == coming


def test_a_member_in_addition_keeps_its_name():
    heat = worlds.Heat('a', cannot_bring=('x',))
    run = worlds.Run(heat, worlds.replacement(('', 'x'), size=2))
    run.to_the_end()
    assert heat.names == {'a'} and again(run, names()).pairs == (model.Pair('', 'x'),)
    heat.cannot_bring, heat.ever = set(), {'a'}
    worlds.Run(heat, again(run, names())).to_the_end()
    assert heat.names == {'a', 'x'}


def test_a_member_that_an_update_leaves_unfit_is_brought_in_order_and_not_given_up():
    for order, count, batch in itertools.product(worlds.ORDERS, (1, 2), (1, 2)):
        # Only new members, and one that stays: what is deleted is not updated any more.
        for disturbs in (('c',), ('x',), ('c', 'c'), ('x', 'x'), ('c', 'x')):
            heat = worlds.Heat('a', 'b', 'c', disturbs=disturbs)
            run = worlds.Run(
                heat, worlds.wanted_for(order, count), model.Rolling(max_batch_size=batch)
            )
            case = (order, count, batch, disturbs)
            assert isinstance(run.to_the_end(), decide.Finished), case
            # What another update does not bring in order either is another run's to replace.
            assert not run.wanted.given_up or disturbs == ('x', 'x'), (*case, run.steps)
            left = [m.name for m in heat.members if m.update_failed]
            assert not left or len(set(disturbs)) < len(disturbs), (*case, run.steps)
            assert len(heat.members) == 3, case


def all_left():
    """What an earlier replacement may have left of two pairs, and the group by then."""
    former = [worlds.member(name, is_failed=True, reason='it hangs') for name in 'axb']
    for order, count, given_up in itertools.product(
        worlds.ORDERS, range(4), ((), ('x',), ('y',), ('x', 'y'))
    ):
        for members in itertools.chain.from_iterable(
            itertools.combinations('abcxy', size) for size in range(6)
        ):
            for left in itertools.combinations(former, min(count, 3)):
                gone = tuple(m for m in left if m.name not in members)
                seen = worlds.group(*members, being_deleted=gone)
                yield (
                    seen,
                    worlds.replacement(('a', 'x'), ('b', 'y'), order=order, given_up=given_up),
                )


def test_what_is_left_over_holds_each_former_member_once_and_moves_no_other():
    for seen, wanted in all_left():
        left = pairs.left_over(seen, wanted)
        ours = [m.name for m in pairs.former(seen, wanted)]
        assert sorted(left.victims) == sorted(ours), (seen, wanted)
        assert {m.name for m in pairs.former(seen, left)} == set(ours), (seen, wanted)
        assert all(p.is_overtaken for p in left.pairs) and not left.given_up
        for pair in left.pairs:
            # A new one is named while it is there, or is still to come for one that has to go.
            assert not pair.new or pair.new in wanted.new_names
            is_to_come = pair.new and seen.member(pair.new) is None
            assert not is_to_come or wanted.order is worlds.DELETE_FIRST, (seen, wanted)


def test_a_joined_intent_forgets_nothing_and_brings_nobody_back():
    for (seen, left), order in itertools.product(all_left(), worlds.ORDERS):
        for victim in (m.name for m in seen.members):
            wanted = worlds.replacement(
                (victim, 'n'), order=order, size=len(seen.members), named=(victim,)
            )
            left = dataclasses.replace(
                left, masked=(model.MaskedFailure('c', (), 'server', 'sick'),)
            )
            joined = pairs.joined(left, wanted, seen)
            case = (seen, left, joined)
            assert joined.masked == left.masked and joined.pairs[-1] == model.Pair(victim, 'n')
            assert set(pairs.former(seen, joined)) == set(pairs.former(seen, left)), case
            assert victim not in joined.new_names, case
            for pair in joined.pairs[:-1]:
                assert pair.is_overtaken and (pair.order or order) is left.order, case
            to_come = {p.new for p in joined.pairs[:-1]} - {'', *(m.name for m in seen.members)}
            assert wanted.size <= joined.size <= wanted.size + len(to_come), case
            assert joined.size <= max(left.size, wanted.size), case


def test_a_request_is_for_the_members_that_it_names_and_else_for_what_none_has_overtaken():
    left = worlds.replacement(('a', 'x'), ('b', 'y'))
    left = dataclasses.replace(left, pairs=(*left.pairs, model.Pair('c', '', is_overtaken=True)))
    assert pairs.for_request(left, ()) == left
    found = pairs.for_request(left, ('b', 'c')).pairs
    assert [p.is_overtaken for p in found] == [True, False, False]


def test_what_is_left_is_carried_out_within_a_limit_that_was_lowered_since():
    for most in range(5):
        heat = worlds.Heat('a', 'b', 'c')
        wanted = worlds.wanted_for(worlds.DELETE_FIRST, 1)
        # The engine died when the victim was gone, and an update made the group smaller.
        heat.members = [m for m in heat.members if m.name != worlds.PAIRS[0][0]][:most]
        run = worlds.Run(heat, pairs.within(wanted, most), model.Rolling())
        run.to_the_end()
        assert len(heat.members) == min(most, 3), (most, run.steps)


def test_a_limit_that_was_not_lowered_leaves_room_for_who_is_only_kept_for_a_look():
    left = worlds.replacement(('b', 'x'), size=3, given_up=('y',))
    for failed, beside in ((('a',), 1), (('b', 'x', 'y'), 0), ((), 0)):
        seen = worlds.group('c', *(worlds.member(name, is_failed=True) for name in failed))
        found = pairs.kept_beside(seen, left)
        assert found == beside, failed
        assert pairs.within(left, 2, found).size == 2 + beside
    # A parked group stays empty, whoever is kept.
    assert pairs.within(left, 0, 1).size == 0
