# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import itertools

import pytest

from heat_ha.groups import model
from heat_ha.groups.rules import decide
from tests.unit.groups import worlds


def test_the_size_is_the_same_afterwards_and_only_victims_went():
    for order, count, rolling, first, failing in worlds.all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        run = worlds.Run(heat, worlds.wanted_for(order, count), rolling)
        end = run.to_the_end()
        case = (order, count, rolling, first, failing, run.steps)
        assert len(heat.members) == 3, case
        assert not heat.being_deleted, case
        kept = {victim for victim, _ in worlds.PAIRS[count:]}
        assert kept <= heat.names, case
        assert isinstance(end, decide.Finished), case
        unmet = {new for new in run.wanted.given_up if new not in failing}
        assert not unmet or (order is worlds.DELETE_FIRST and rolling.min_in_service), case
        for victim, new in worlds.PAIRS[:count]:
            if new not in run.wanted.given_up:
                assert new in heat.names and victim not in heat.names, case


def test_a_failed_new_member_leaves_the_old_one_in_place():
    for order, count, rolling, first, failing in worlds.all_cases():
        never_created = isinstance(first, model.Member) and first.never_created
        if order is worlds.DELETE_FIRST or never_created:
            continue
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        worlds.Run(heat, worlds.wanted_for(order, count), rolling).to_the_end()
        for victim, new in worlds.PAIRS[:count]:
            assert (victim in heat.names) == (new in failing)
            assert (new in heat.names) == (new not in failing)


def test_bounds_hold_at_every_moment():
    for order, count, rolling, first, failing in worlds.all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        in_service = heat.least_in_service
        worlds.Run(heat, worlds.wanted_for(order, count), rolling).to_the_end()
        case = (order, count, rolling, first, failing)
        assert heat.brought_at_once <= rolling.max_batch_size, case
        if order is worlds.CREATE_FIRST:
            assert heat.least_in_service == in_service, case
            assert heat.most <= 3 + rolling.max_batch_size, case
        else:
            assert heat.least_in_service >= min(in_service, rolling.min_in_service), case
            assert heat.most == 3, case


def test_nothing_is_done_where_min_in_service_leaves_no_room():
    heat = worlds.Heat('a', 'b', 'c')
    run = worlds.Run(
        heat, worlds.wanted_for(worlds.DELETE_FIRST, 1), model.Rolling(min_in_service=3)
    )
    end = run.to_the_end()
    assert isinstance(end, decide.Finished)
    (step,) = run.steps[:-1]
    assert isinstance(step, decide.GiveUp) and 'min_in_service' in step.reason


def test_what_is_out_of_service_already_needs_no_room():
    heat = worlds.Heat(worlds.NOT_IN_SERVICE[0], 'b', 'c')
    run = worlds.Run(
        heat, worlds.wanted_for(worlds.DELETE_FIRST, 1), model.Rolling(min_in_service=3)
    )
    assert isinstance(run.to_the_end(), decide.Finished)
    assert heat.names == {'b', 'c', 'x'}


def test_an_interrupted_run_is_taken_up_anywhere_and_ends_the_same():
    for order, count, rolling, first, failing in worlds.all_cases():
        whole = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        worlds.Run(whole, worlds.wanted_for(order, count), rolling).to_the_end()
        for crash_at, is_noticed in itertools.product(range(1, 20), (False, True)):
            heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
            run = worlds.Run(heat, worlds.wanted_for(order, count), rolling, crash_at=crash_at)
            try:
                run.to_the_end()
            except worlds.Crash:
                if is_noticed:
                    # Heat has seen the worker's death and failed the stack, not its resources.
                    heat.is_in_progress = False
                again = worlds.Run(heat, run.wanted, rolling)
                again.to_the_end()
                case = (order, count, rolling, first, failing, crash_at, run.steps, again.steps)
                assert heat.names == whole.names, case
                assert not heat.being_deleted, case
                continue
            break


def test_it_may_be_interrupted_twice():
    for order, count in itertools.product(worlds.ORDERS, (1, 2, 3)):
        for first_crash, second_crash in itertools.product(range(1, 8), range(1, 8)):
            heat = worlds.Heat('a', 'b', 'c')
            wanted = worlds.wanted_for(order, count)
            for crash_at in (first_crash, second_crash, 0):
                run = worlds.Run(heat, wanted, crash_at=crash_at)
                with contextlib.suppress(worlds.Crash):
                    run.to_the_end()
                wanted = run.wanted
            assert heat.names == {'x', 'y', 'z'} & set(wanted.new_names) | (
                {'a', 'b', 'c'} - set(wanted.victims)
            )


def test_a_dead_workers_half_made_member_does_not_stay():
    for order in worlds.ORDERS:
        heat = worlds.Heat('a', 'b', 'c', cannot_bring=('x',))
        run = worlds.Run(
            heat, worlds.wanted_for(order, 1), crash_at=2 if order is worlds.CREATE_FIRST else 4
        )
        with pytest.raises(worlds.Crash):
            run.to_the_end()
        assert heat.is_in_progress and 'x' in heat.names
        worlds.Run(heat, run.wanted).to_the_end()
        assert ('x' in heat.names) == (order is worlds.DELETE_FIRST)
        assert len(heat.members) == 3


def test_a_deletion_that_died_with_its_engine_is_asked_for_once_more():
    for order in worlds.ORDERS:
        heat = worlds.Heat('a', 'b', 'c', dies_deleting=('a',))
        assert isinstance(
            worlds.Run(heat, worlds.wanted_for(order, 1)).to_the_end(), decide.Finished
        ), order
        assert heat.names == {'b', 'c', 'x'} and not heat.being_deleted
        heat = worlds.Heat('a', 'b', 'c', dies_deleting=('a', 'a'))
        end = worlds.Run(heat, worlds.wanted_for(order, 1)).to_the_end()
        assert isinstance(end, decide.Blocked) and 'Worker went down' in end.reason


def test_a_member_that_cannot_be_deleted_blocks_until_the_next_signal():
    for order in worlds.ORDERS:
        heat = worlds.Heat('a', 'b', 'c', cannot_delete=('a',))
        run = worlds.Run(heat, worlds.wanted_for(order, 1))
        end = run.to_the_end()
        assert isinstance(end, decide.Blocked)
        assert 'a could not be removed: it hangs' in end.reason and end.remedy
        heat.cannot_delete.clear()
        assert isinstance(worlds.Run(heat, run.wanted).to_the_end(), decide.Finished)
        assert heat.names == {'b', 'c', 'x'} and not heat.being_deleted


def test_a_failed_new_member_that_cannot_be_deleted_is_deleted_by_the_next_signal():
    heat = worlds.Heat('a', 'b', 'c', cannot_bring=('x',), cannot_delete=('x',))
    run = worlds.Run(heat, worlds.wanted_for(worlds.CREATE_FIRST, 1))
    assert isinstance(run.to_the_end(), decide.Blocked)
    heat.cannot_delete.clear()
    assert isinstance(worlds.Run(heat, run.wanted).to_the_end(), decide.Finished)
    assert heat.names == {'a', 'b', 'c'} and not heat.being_deleted


def test_what_must_stay_by_now_stays_and_its_new_member_goes():
    for order, crash_at in itertools.product(worlds.ORDERS, range(1, 6)):
        heat = worlds.Heat('a', 'b', 'c')
        run = worlds.Run(heat, worlds.wanted_for(order, 1), crash_at=crash_at)
        try:
            run.to_the_end()
        except worlds.Crash:
            heat.is_worker_dead = False
            heat.end()
        was_there = 'a' in heat.names
        worlds.Run(heat, run.wanted, keep=('a',)).to_the_end()
        assert ('a' in heat.names) == was_there
        assert len(heat.members) == 3


def test_a_victim_that_somebody_removed_is_not_replaced_by_a_second():
    for order in worlds.ORDERS:
        heat = worlds.Heat('b', 'c', 'q')
        run = worlds.Run(heat, worlds.wanted_for(order, 1))
        assert isinstance(run.to_the_end(), decide.Finished)
        assert heat.names == {'b', 'c', 'q'}


def test_room_that_somebody_filled_is_not_filled_twice():
    heat = worlds.Heat('a', 'b', 'c')
    run = worlds.Run(heat, worlds.wanted_for(worlds.DELETE_FIRST, 1), crash_at=3)
    with pytest.raises(worlds.Crash):
        run.to_the_end()
    heat.is_worker_dead = False
    heat.end()
    assert heat.names == {'b', 'c'}
    heat.members.append(worlds.member('q'))
    worlds.Run(heat, run.wanted).to_the_end()
    assert heat.names == {'b', 'c', 'q'}


def test_a_group_that_somebody_made_smaller_is_not_made_smaller_still():
    heat = worlds.Heat('a', 'b', 'c')
    run = worlds.Run(heat, worlds.wanted_for(worlds.CREATE_FIRST, 1), crash_at=2)
    with pytest.raises(worlds.Crash):
        run.to_the_end()
    heat.is_worker_dead = False
    heat.end()
    heat.members = [m for m in heat.members if m.name != 'b']
    worlds.Run(heat, run.wanted).to_the_end()
    assert heat.names == {'a', 'c', 'x'}


def test_a_new_member_that_is_there_already_is_taken():
    for order in worlds.ORDERS:
        heat = worlds.Heat('a', 'b', 'c', 'x')
        run = worlds.Run(heat, worlds.wanted_for(order, 1))
        run.to_the_end()
        assert heat.names == {'b', 'c', 'x'}
        assert [s.add for s in run.steps if isinstance(s, decide.Change)] == [()]


def test_a_member_of_which_nothing_exists_goes_as_its_successor_comes():
    heat = worlds.Heat(worlds.NOT_IN_SERVICE[1], 'b', 'c')
    run = worlds.Run(heat, worlds.wanted_for(worlds.CREATE_FIRST, 1))
    run.to_the_end()
    assert run.steps[0].add == ('x',) and run.steps[0].remove == ('a',)


def test_an_additional_member_comes_and_goes_again_where_it_fails():
    for failing in ((), ('x',)):
        heat = worlds.Heat('a', cannot_bring=failing)
        wanted = worlds.replacement(('', 'x'), order=worlds.DELETE_FIRST, size=2)
        worlds.Run(heat, wanted).to_the_end()
        assert heat.names == {'a'} | ({'x'} - set(failing))


def test_somebody_elses_change_is_waited_for():
    heat = worlds.Heat('a', 'b', 'c')
    requested = decide.Requested(added=frozenset({'x'}))
    seen = dataclasses.replace(heat.seen(), is_in_progress=True)
    step = decide.next_step(
        seen, worlds.wanted_for(worlds.CREATE_FIRST, 1), model.Rolling(), (), requested
    )
    assert isinstance(step, decide.Wait)


def test_a_member_that_heat_does_not_take_is_given_up():
    for order in worlds.ORDERS:
        heat = worlds.Heat('a', 'b', 'c')
        if order is worlds.DELETE_FIRST:
            heat.members.pop(0)
        requested = decide.Requested(added=frozenset({'x'}))
        step = decide.next_step(
            heat.seen(), worlds.wanted_for(order, 1), model.Rolling(), (), requested
        )
        assert isinstance(step, decide.GiveUp) and step.new == 'x'
