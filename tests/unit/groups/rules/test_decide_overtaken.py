# SPDX-License-Identifier: Apache-2.0
"""A replacement beside the deletion of a former member that fails, or goes on and on."""

import dataclasses
import itertools

import pytest

from heat_ha.groups import model
from heat_ha.groups.rules import decide, pairs
from tests.unit.groups import worlds

KINDS = ('cannot_delete', 'silent')


def joined(heat, left, *new_pairs, order=worlds.CREATE_FIRST, **changes):
    """The intent for more members, beside what an earlier one has left."""
    seen = heat.seen()
    wanted = worlds.replacement(
        *new_pairs,
        order=order,
        size=len(seen.members),
        named=tuple(victim for victim, _ in new_pairs),
        **changes,
    )
    return pairs.joined(left, wanted, seen)


def blocked_by(kind, order=worlds.CREATE_FIRST, members=('a', 'b', 'c')):
    """A group whose member ``a`` was replaced by ``x`` and cannot be deleted, and the intent."""
    heat = worlds.Heat(*members, is_convergent=True, **{kind: ('a',)})
    run = worlds.Run(heat, worlds.replacement(('a', 'x'), order=order, size=len(members)))
    assert isinstance(run.to_the_end(), decide.Blocked)
    return heat, run.wanted


def is_over(heat, kind):
    """Let the deletion succeed from now on."""
    getattr(heat, kind).clear()
    if heat.is_in_progress:
        heat.end()


def test_a_convergent_group_ends_as_any_other():
    for order, count, rolling, first, failing in worlds.all_cases():
        whole = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        worlds.Run(whole, worlds.wanted_for(order, count), rolling).to_the_end()
        for crash_at in itertools.count():
            heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing, is_convergent=True)
            run = worlds.Run(heat, worlds.wanted_for(order, count), rolling, crash_at=crash_at)
            case = (order, count, rolling, first, failing, crash_at, run.steps)
            has_crashed = False
            try:
                run.to_the_end()
            except worlds.Crash:
                has_crashed = True
                worlds.Run(heat, run.wanted, rolling).to_the_end()
            assert heat.names == whole.names, case
            assert not heat.being_deleted and not heat.is_in_progress, case
            if crash_at and not has_crashed:
                break


@pytest.mark.parametrize('kind', KINDS)
def test_a_member_whose_deletion_does_not_end_stops_no_other_pair(kind):
    for (first, second), order in itertools.product(
        itertools.permutations(worlds.PAIRS, 2), worlds.ORDERS
    ):
        stuck = first[0]
        heat = worlds.Heat('a', 'b', 'c', is_convergent=True, **{kind: (stuck,)})
        run = worlds.Run(heat, worlds.replacement(first, second, order=order))
        end = run.to_the_end()
        assert isinstance(end, decide.Blocked) and stuck in end.reason, (order, run.steps)
        assert second[1] in heat.names and second[0] not in heat.names, (order, run.steps)
        assert {m.name for m in heat.being_deleted} == {stuck}
        is_over(heat, kind)
        assert isinstance(worlds.Run(heat, run.wanted).to_the_end(), decide.Finished)
        assert len(heat.members) == 3 and not heat.being_deleted


@pytest.mark.parametrize('kind', KINDS)
def test_another_request_overtakes_a_deletion_that_does_not_end(kind):
    for before, order, victim, crash_at in itertools.product(
        worlds.ORDERS, worlds.ORDERS, ('b', 'c', 'x'), range(12)
    ):
        heat, left = blocked_by(kind, before)
        if victim not in heat.names:
            continue
        tries = heat.tried['a']
        wanted = joined(heat, left, (victim, 'n'), order=order)
        size = wanted.size
        run = worlds.Run(heat, wanted, crash_at=crash_at)
        case = (kind, before, order, victim, crash_at)
        try:
            end = run.to_the_end()
            assert heat.tried['a'] <= tries + (kind == 'cannot_delete'), (*case, run.steps)
            # Nothing waits for it, nor is anything of the earlier request asked for again.
            assert not any(isinstance(s, decide.Wait) for s in run.steps), (*case, run.steps)
            assert 'repeating' not in str(run.steps), case
        except worlds.Crash:
            run = worlds.Run(heat, run.wanted)
            end = run.to_the_end()
        assert isinstance(end, decide.Blocked) and end.names == ('a',), (*case, run.steps)
        # Heat waits for nothing that is held.
        assert heat.is_in_progress == (kind == 'silent'), (*case, run.steps)
        assert 'n' in heat.names and victim not in heat.names, (*case, run.steps)
        is_over(heat, kind)
        end = worlds.Run(heat, run.wanted).to_the_end()
        assert isinstance(end, decide.Finished), case
        assert len(heat.members) == size == 3 and not heat.being_deleted, case
        assert all(m.is_in_service for m in heat.members), case


@pytest.mark.parametrize('kind', KINDS)
def test_bounds_hold_beside_a_deletion_that_does_not_end(kind):
    for before, order, least, batch in itertools.product(
        worlds.ORDERS, worlds.ORDERS, range(4), (1, 2)
    ):
        heat, left = blocked_by(kind, before)
        in_service = heat.least_in_service = len(heat.seen().in_service)
        wanted = joined(heat, left, ('b', 'n'), ('c', 'o'), order=order)
        rolling = model.Rolling(min_in_service=least, max_batch_size=batch)
        heat.brought_at_once = 0
        worlds.Run(heat, wanted, rolling).to_the_end()
        case = (kind, before, order, least, batch)
        assert heat.brought_at_once <= batch, case
        least_allowed = least if order is worlds.DELETE_FIRST else in_service
        assert heat.least_in_service >= min(in_service, least_allowed), case


def test_a_place_that_a_former_member_holds_is_not_made_up_for_below_min_in_service():
    for least in range(5):
        heat, left = blocked_by('cannot_delete', worlds.DELETE_FIRST)
        run = worlds.Run(heat, joined(heat, left, ('b', 'n')), model.Rolling(min_in_service=least))
        run.to_the_end()
        assert 'n' in heat.names and ('b' in heat.names) == (least > 2), (least, run.steps)
        assert len(heat.seen().in_service) >= min(least, 3)


def test_many_requests_overtake_one_another_and_each_former_member_is_deleted_in_the_end():
    for order in worlds.ORDERS:
        heat = worlds.Heat('a', 'b', 'c', is_convergent=True, cannot_delete='abcxyz')
        left = worlds.replacement(('a', 'x'), order=worlds.CREATE_FIRST)
        worlds.Run(heat, left).to_the_end()
        for victim, new in (('b', 'y'), ('x', 'z'), ('c', 'n')):
            left = joined(heat, left, (victim, new), order=order)
            run = worlds.Run(heat, left)
            assert isinstance(run.to_the_end(), decide.Blocked)
            assert not heat.is_in_progress and not heat.held, run.steps
            left = run.wanted
        assert {m.name for m in heat.being_deleted} == {'a', 'b', 'x', 'c'}
        waits = {p.new for p in left.pairs} - heat.names - {''}
        assert len(heat.members) + len(waits) == 3
        heat.cannot_delete = {'b'}
        run = worlds.Run(heat, left)
        run.to_the_end()
        # One that still cannot be deleted does not keep those from it that can by now.
        assert {m.name for m in heat.being_deleted} == {'b'}
        heat.cannot_delete.clear()
        assert isinstance(worlds.Run(heat, run.wanted).to_the_end(), decide.Finished)
        assert len(heat.members) == 3 and not heat.being_deleted


def test_a_former_member_of_somebody_else_stops_nothing_either():
    for order, kind in itertools.product(worlds.ORDERS, ('cannot_delete',)):
        heat = worlds.Heat('a', 'b', 'c', is_convergent=True, **{kind: ('old',)})
        heat.being_deleted = [worlds.member('old', is_failed=True, reason='it hangs')]
        run = worlds.Run(heat, worlds.wanted_for(order, 2))
        assert isinstance(run.to_the_end(), decide.Finished), run.steps
        assert heat.names == {'c', 'x', 'y'} and heat.tried['old'] == 1
        assert not heat.is_in_progress


class Watched(worlds.Heat):
    """Notes at each change whether ``a`` is there and has to stay by then."""

    def __init__(self, must_stay_after):
        super().__init__('a', 'b', 'c')
        self.asked = 0
        self.found = []
        self._after = must_stay_after

    def keep(self):
        self.asked += 1
        return ('a',) if self.asked > self._after else ()

    def begin(self, change):
        if self.asked > self._after:
            self.found.append('a' in self.names)
        super().begin(change)


def test_what_must_stay_is_asked_before_each_step():
    for order, after in itertools.product(worlds.ORDERS, range(8)):
        heat = Watched(after)
        run = worlds.Run(heat, worlds.wanted_for(order, 1), keep=heat.keep)
        run.to_the_end()
        assert heat.asked == len(run.steps)
        # From the moment on that it must stay nothing takes it away.
        assert not any(heat.found) or 'a' in heat.names, (order, after, run.steps)
        assert len(heat.members) == 3, (order, after, run.steps)


def test_only_removals_are_left_just_when_nothing_else_can_be_done():
    rolling = model.Rolling()
    for kind, order in itertools.product(KINDS, worlds.ORDERS):
        heat, left = blocked_by(kind, order)
        assert decide.is_only_removing(heat.seen(), left, rolling)
        for more in (('b', 'n'), ('', 'n')):
            more_pairs = (*left.pairs, model.Pair(*more))
            open_one = dataclasses.replace(left, pairs=more_pairs, size=4)
            assert not decide.is_only_removing(heat.seen(), open_one, rolling), more
        lost = dataclasses.replace(left, pairs=(*left.pairs, model.Pair('z', 'n')))
        lost = dataclasses.replace(lost, given_up=('n',), size=4)
        assert not decide.is_only_removing(heat.seen(), lost, rolling)


@pytest.mark.parametrize('is_failed', [True, False])
def test_a_member_that_heat_had_not_begun_with_is_asked_for_once_more(is_failed):
    heat = worlds.Heat('a', 'b', 'c', is_convergent=True)
    if is_failed:
        heat.being_deleted = [worlds.member('old', is_failed=True, reason='it hangs')]
    heat.members.append(worlds.member('x', is_in_progress=True))
    requested = decide.Requested(added=frozenset({'x'}))
    wanted = worlds.wanted_for(worlds.CREATE_FIRST, 1)
    step = decide.next_step(heat.seen(), wanted, model.Rolling(), (), requested)
    if not is_failed:
        assert isinstance(step, decide.GiveUp)
        return
    assert step.add == ('x',) and step.hold == ('old',)
    step = decide.next_step(heat.seen(), wanted, model.Rolling(), (), requested.and_for(step))
    assert isinstance(step, decide.GiveUp)
