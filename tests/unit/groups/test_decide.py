# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import itertools

import pytest

from heat_ha import exceptions
from heat_ha.groups import decide, model
from tests.unit.groups import worlds

ORDERS = list(model.Order)
CREATE_FIRST, DELETE_FIRST = ORDERS


# --- which members ---------------------------------------------------------------------------


def test_a_member_is_found_by_its_name_its_reference_or_a_server():
    seen = worlds.group('a', worlds.member('b', servers=('s1', 's2')))
    for name in ('b', 'ref-b', 's1', 's2'):
        assert decide.named_member(seen, name).name == 'b', name


def test_a_name_counts_before_what_another_member_has_as_reference():
    seen = worlds.group(worlds.member('a', reference='b'), 'b')
    assert decide.named_member(seen, 'b').name == 'b'


def test_a_foreign_name_is_refused():
    seen = worlds.group('a', leaving=(worlds.member('z'),))
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
        for spare in itertools.combinations('abc', size):
            for count in (1, 2, 3):
                if count > 3 - size:
                    with pytest.raises(exceptions.Refused):
                        decide.victims(seen, count, (), spare)
                    continue
                chosen = decide.victims(seen, count, (), spare)
                assert not {m.name for m in chosen} & set(spare)


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


# --- the way there ---------------------------------------------------------------------------

PAIRS = (('a', 'x'), ('b', 'y'), ('c', 'z'))
NOT_IN_SERVICE = [
    worlds.member('a', is_failed=True, reason='marked unhealthy'),
    worlds.member('a', is_failed=True, reference=None, servers=(), reason='no host'),
]


def all_cases():
    """Every order, number of victims, bound, kind of first victim, and what cannot be done."""
    for order, count, batch, least in itertools.product(ORDERS, (1, 2, 3), (1, 2, 3), (0, 1, 2, 3)):
        rolling = model.Rolling(min_in_service=least, max_batch_size=batch)
        for first in ('a', *NOT_IN_SERVICE):
            for failing in ((), ('x',), ('y',), ('x', 'z')):
                yield order, count, rolling, first, failing


def wanted_for(order, count):
    return worlds.replacement(*PAIRS[:count], order=order, size=3)


def test_the_size_is_the_same_afterwards_and_only_victims_went():
    for order, count, rolling, first, failing in all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        run = worlds.Run(heat, wanted_for(order, count), rolling)
        end = run.to_the_end()
        case = (order, count, rolling, first, failing, run.steps)
        assert len(heat.members) == 3, case
        assert not heat.leaving, case
        kept = {victim for victim, _ in PAIRS[count:]}
        assert kept <= heat.names, case
        assert isinstance(end, decide.Finished), case
        unmet = {new for new in run.wanted.given_up if new not in failing}
        assert not unmet or (order is DELETE_FIRST and rolling.min_in_service), case
        for victim, new in PAIRS[:count]:
            if new not in run.wanted.given_up:
                assert new in heat.names and victim not in heat.names, case


def test_a_failed_new_member_leaves_the_old_one_in_place():
    for order, count, rolling, first, failing in all_cases():
        is_hollow = isinstance(first, model.Member) and first.is_hollow
        if order is DELETE_FIRST or is_hollow:
            continue
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        worlds.Run(heat, wanted_for(order, count), rolling).to_the_end()
        for victim, new in PAIRS[:count]:
            assert (victim in heat.names) == (new in failing)
            assert (new in heat.names) == (new not in failing)


def test_bounds_hold_at_every_moment():
    for order, count, rolling, first, failing in all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        in_service = heat.least_in_service
        worlds.Run(heat, wanted_for(order, count), rolling).to_the_end()
        case = (order, count, rolling, first, failing)
        assert heat.brought_at_once <= rolling.max_batch_size, case
        if order is CREATE_FIRST:
            assert heat.least_in_service == in_service, case
            assert heat.most <= 3 + rolling.max_batch_size, case
        else:
            assert heat.least_in_service >= min(in_service, rolling.min_in_service), case
            assert heat.most == 3, case


def test_nothing_is_done_where_min_in_service_leaves_no_room():
    heat = worlds.Heat('a', 'b', 'c')
    run = worlds.Run(heat, wanted_for(DELETE_FIRST, 1), model.Rolling(min_in_service=3))
    end = run.to_the_end()
    assert isinstance(end, decide.Finished)
    (step,) = run.steps[:-1]
    assert isinstance(step, decide.GiveUp) and 'min_in_service' in step.reason


def test_what_is_out_of_service_already_needs_no_room():
    heat = worlds.Heat(NOT_IN_SERVICE[0], 'b', 'c')
    run = worlds.Run(heat, wanted_for(DELETE_FIRST, 1), model.Rolling(min_in_service=3))
    assert isinstance(run.to_the_end(), decide.Finished)
    assert heat.names == {'b', 'c', 'x'}


def test_an_interrupted_run_is_taken_up_anywhere_and_ends_the_same():
    for order, count, rolling, first, failing in all_cases():
        whole = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        worlds.Run(whole, wanted_for(order, count), rolling).to_the_end()
        for crash_at, is_noticed in itertools.product(range(1, 20), (False, True)):
            heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
            run = worlds.Run(heat, wanted_for(order, count), rolling, crash_at=crash_at)
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
                assert not heat.leaving, case
                continue
            break


def test_it_may_be_interrupted_twice():
    for order, count in itertools.product(ORDERS, (1, 2, 3)):
        for first_crash, second_crash in itertools.product(range(1, 8), range(1, 8)):
            heat = worlds.Heat('a', 'b', 'c')
            wanted = wanted_for(order, count)
            for crash_at in (first_crash, second_crash, 0):
                run = worlds.Run(heat, wanted, crash_at=crash_at)
                with contextlib.suppress(worlds.Crash):
                    run.to_the_end()
                wanted = run.wanted
            assert heat.names == {'x', 'y', 'z'} & set(wanted.new_names) | (
                {'a', 'b', 'c'} - set(wanted.victims)
            )


def test_a_dead_workers_half_made_member_does_not_stay():
    for order in ORDERS:
        heat = worlds.Heat('a', 'b', 'c', cannot_bring=('x',))
        run = worlds.Run(heat, wanted_for(order, 1), crash_at=2 if order is CREATE_FIRST else 4)
        with pytest.raises(worlds.Crash):
            run.to_the_end()
        assert heat.is_in_progress and 'x' in heat.names
        worlds.Run(heat, run.wanted).to_the_end()
        assert ('x' in heat.names) == (order is DELETE_FIRST)
        assert len(heat.members) == 3


def test_a_deletion_that_died_with_its_engine_is_asked_for_once_more():
    for order in ORDERS:
        heat = worlds.Heat('a', 'b', 'c', dies_deleting=('a',))
        assert isinstance(worlds.Run(heat, wanted_for(order, 1)).to_the_end(), decide.Finished), (
            order
        )
        assert heat.names == {'b', 'c', 'x'} and not heat.leaving
        heat = worlds.Heat('a', 'b', 'c', dies_deleting=('a', 'a'))
        end = worlds.Run(heat, wanted_for(order, 1)).to_the_end()
        assert isinstance(end, decide.Blocked) and 'Worker went down' in end.reason


def test_a_member_that_cannot_be_deleted_blocks_until_the_next_signal():
    for order in ORDERS:
        heat = worlds.Heat('a', 'b', 'c', cannot_delete=('a',))
        run = worlds.Run(heat, wanted_for(order, 1))
        end = run.to_the_end()
        assert isinstance(end, decide.Blocked)
        assert 'a could not be removed: it hangs' in end.reason and end.way_out
        heat.cannot_delete.clear()
        assert isinstance(worlds.Run(heat, run.wanted).to_the_end(), decide.Finished)
        assert heat.names == {'b', 'c', 'x'} and not heat.leaving


def test_a_failed_new_member_that_cannot_be_deleted_is_deleted_by_the_next_signal():
    heat = worlds.Heat('a', 'b', 'c', cannot_bring=('x',), cannot_delete=('x',))
    run = worlds.Run(heat, wanted_for(CREATE_FIRST, 1))
    assert isinstance(run.to_the_end(), decide.Blocked)
    heat.cannot_delete.clear()
    assert isinstance(worlds.Run(heat, run.wanted).to_the_end(), decide.Finished)
    assert heat.names == {'a', 'b', 'c'} and not heat.leaving


def test_what_must_stay_by_now_stays_and_its_new_member_goes():
    for order, crash_at in itertools.product(ORDERS, range(1, 6)):
        heat = worlds.Heat('a', 'b', 'c')
        run = worlds.Run(heat, wanted_for(order, 1), crash_at=crash_at)
        try:
            run.to_the_end()
        except worlds.Crash:
            heat.is_worker_dead = False
            heat.end()
        was_there = 'a' in heat.names
        worlds.Run(heat, run.wanted, spare=('a',)).to_the_end()
        assert ('a' in heat.names) == was_there
        assert len(heat.members) == 3


def test_a_victim_that_somebody_removed_is_not_replaced_by_a_second():
    for order in ORDERS:
        heat = worlds.Heat('b', 'c', 'q')
        run = worlds.Run(heat, wanted_for(order, 1))
        assert isinstance(run.to_the_end(), decide.Finished)
        assert heat.names == {'b', 'c', 'q'}


def test_room_that_somebody_filled_is_not_filled_twice():
    heat = worlds.Heat('a', 'b', 'c')
    run = worlds.Run(heat, wanted_for(DELETE_FIRST, 1), crash_at=3)
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
    run = worlds.Run(heat, wanted_for(CREATE_FIRST, 1), crash_at=2)
    with pytest.raises(worlds.Crash):
        run.to_the_end()
    heat.is_worker_dead = False
    heat.end()
    heat.members = [m for m in heat.members if m.name != 'b']
    worlds.Run(heat, run.wanted).to_the_end()
    assert heat.names == {'a', 'c', 'x'}


def test_a_new_member_that_is_there_already_is_taken():
    for order in ORDERS:
        heat = worlds.Heat('a', 'b', 'c', 'x')
        run = worlds.Run(heat, wanted_for(order, 1))
        run.to_the_end()
        assert heat.names == {'b', 'c', 'x'}
        assert [s.add for s in run.steps if isinstance(s, decide.Change)] == [()]


def test_a_member_of_which_nothing_exists_goes_as_its_successor_comes():
    heat = worlds.Heat(NOT_IN_SERVICE[1], 'b', 'c')
    run = worlds.Run(heat, wanted_for(CREATE_FIRST, 1))
    run.to_the_end()
    assert run.steps[0].add == ('x',) and run.steps[0].remove == ('a',)


def test_an_additional_member_comes_and_goes_again_where_it_fails():
    for failing in ((), ('x',)):
        heat = worlds.Heat('a', cannot_bring=failing)
        wanted = worlds.replacement(('', 'x'), order=DELETE_FIRST, size=2)
        worlds.Run(heat, wanted).to_the_end()
        assert heat.names == {'a'} | ({'x'} - set(failing))


def test_somebody_elses_change_is_waited_for():
    heat = worlds.Heat('a', 'b', 'c')
    asked = decide.Asked(brought=frozenset({'x'}))
    seen = dataclasses.replace(heat.seen(), is_in_progress=True)
    step = decide.next_step(seen, wanted_for(CREATE_FIRST, 1), model.Rolling(), (), asked)
    assert isinstance(step, decide.Wait)


def test_a_member_that_heat_does_not_take_is_given_up():
    for order in ORDERS:
        heat = worlds.Heat('a', 'b', 'c')
        if order is DELETE_FIRST:
            heat.members.pop(0)
        asked = decide.Asked(brought=frozenset({'x'}))
        step = decide.next_step(heat.seen(), wanted_for(order, 1), model.Rolling(), (), asked)
        assert isinstance(step, decide.GiveUp) and step.new == 'x'


# --- what failed is tried again --------------------------------------------------------------


def names():
    return map('n{}'.format, itertools.count()).__next__


def again(run, new_name):
    """What another run has to do once this one has given members up."""
    pairs = decide.still_open(run.heat.seen(), run.wanted, new_name)
    return dataclasses.replace(run.wanted, pairs=pairs, given_up=())


def test_what_failed_is_brought_by_another_run_and_by_a_third():
    for order, count, rolling, first, failing in all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        run = worlds.Run(heat, wanted_for(order, count), rolling)
        run.to_the_end()
        new_name = names()
        for cannot in (('n0', 'n1', 'n2'), ()):
            heat.cannot_bring = set(cannot)
            run = worlds.Run(heat, again(run, new_name), rolling)
            run.to_the_end()
        case = (order, count, rolling, first, failing, run.steps)
        assert len(heat.members) == 3 and not heat.leaving, case
        assert all(m.is_in_service for m in heat.members if m.name not in 'abc'), case
        left = {victim for victim, _ in PAIRS[:count]} & heat.names
        assert not left or (order is DELETE_FIRST and rolling.min_in_service), case
        assert not decide.is_short(heat.seen(), run.wanted), case
        assert {victim for victim, _ in PAIRS[count:]} <= heat.names, case


def test_a_group_is_short_just_when_nobody_is_in_the_place_of_one_that_went():
    short = 0
    for order, count, rolling, first, failing in all_cases():
        heat = worlds.Heat(first, 'b', 'c', cannot_bring=failing)
        run = worlds.Run(heat, wanted_for(order, count), rolling)
        run.to_the_end()
        seen = heat.seen()
        lacks = any(
            seen.member(victim) is None and not seen.member(new).is_in_service
            for victim, new in PAIRS[:count]
        )
        assert decide.is_short(seen, run.wanted) == lacks, (order, count, rolling, first, failing)
        short += lacks
    assert short


def test_what_somebody_healed_or_filled_is_not_tried_again():
    wanted = worlds.replacement(('a', 'x'), given_up=('x',))
    for seen in (worlds.group('x', 'b', 'c'), worlds.group('q', 'b', 'c')):
        assert decide.still_open(seen, wanted, names()) == ()
    gone = worlds.group('b', 'c')
    assert decide.still_open(gone, wanted, names()) == (model.Pair('', 'n0'),)


def test_what_must_stay_is_neither_replaced_nor_missed_and_its_place_is_taken():
    for victim, member, spare in itertools.product(
        ('a', ''), (worlds.member('x', is_failed=True), 'x', None), ((), ('x',), ('a',), ('b',))
    ):
        there = () if member is None else (member,)
        seen = worlds.group(*there, 'b', 'c')
        wanted = worlds.replacement((victim, 'x'), given_up=('x',))
        pairs = decide.still_open(seen, wanted, names(), spare)
        case = (victim, member, spare, pairs)
        assert not {p.victim for p in pairs} & set(spare), case
        if 'x' in spare:
            assert pairs == () and not decide.is_short(seen, wanted, spare), case
            assert decide.taken_up(wanted, spare).pairs == (), case
        else:
            assert decide.taken_up(wanted, spare) == wanted, case
    # One that may still come is asked about, whoever it will be.
    coming = worlds.replacement(('a', 'x'))
    assert decide.taken_up(coming, ('x',)) == coming


def test_a_member_in_addition_keeps_its_name():
    heat = worlds.Heat('a', cannot_bring=('x',))
    run = worlds.Run(heat, worlds.replacement(('', 'x'), size=2))
    run.to_the_end()
    assert heat.names == {'a'} and again(run, names()).pairs == (model.Pair('', 'x'),)
    heat.cannot_bring, heat.ever = set(), {'a'}
    worlds.Run(heat, again(run, names())).to_the_end()
    assert heat.names == {'a', 'x'}


def test_a_member_that_an_update_leaves_unfit_is_brought_in_order_and_not_given_up():
    for order, count, batch in itertools.product(ORDERS, (1, 2), (1, 2)):
        # Only new members, and one that stays: what is deleted is not updated any more.
        for disturbs in (('c',), ('x',), ('c', 'c'), ('x', 'x'), ('c', 'x')):
            heat = worlds.Heat('a', 'b', 'c', disturbs=disturbs)
            run = worlds.Run(heat, wanted_for(order, count), model.Rolling(max_batch_size=batch))
            case = (order, count, batch, disturbs)
            assert isinstance(run.to_the_end(), decide.Finished), case
            # What another update does not bring in order either is another run's to replace.
            assert not run.wanted.given_up or disturbs == ('x', 'x'), (*case, run.steps)
            left = [m.name for m in heat.members if m.is_disturbed]
            assert not left or len(set(disturbs)) < len(disturbs), (*case, run.steps)
            assert len(heat.members) == 3, case


@pytest.mark.parametrize(
    'reason',
    [
        'ClientException: resources.x.resources.server: the database is gone (HTTP 503)',
        'RateLimit: resources.x: slow down (HTTP 429)',
        'ConnectTimeout: resources.x: Request to http://nova timed out',
        f'{decide.DIED_WITH_ENGINE} CREATE',
    ],
)
def test_what_services_do_for_a_while_may_pass(reason):
    assert decide.is_passing(reason)


@pytest.mark.parametrize(
    'reason',
    [
        '',
        'it failed',
        'ResourceInError: resources.x: Went to status ERROR due to "No valid host was found"',
        'Forbidden: resources.x: Quota exceeded for instances (HTTP 403)',
        'BadRequest: resources.x: Invalid image identifier (HTTP 400)',
        'min_in_service 3 leaves no member of group g to delete first, for 503 are in service',
    ],
)
def test_what_a_person_has_to_mend_does_not_pass(reason):
    assert not decide.is_passing(reason)


# --- who scales it ---------------------------------------------------------------------------

TRACED = model.Mark('engine-1', '2026-01-01T00:00:00+00:00', 'policy', 'id')


def evidence(**changes):
    plain = decide.MarkEvidence(
        mark=TRACED,
        is_holder_alive=None,
        is_nested_in_progress=False,
        changed_ago=1000.0,
        seen_for=1000.0,
        timeout=3600.0,
    )
    return dataclasses.replace(plain, **changes)


def all_evidence():
    ages = (0.0, 59.0, 60.0, 3601.0, float('inf'))
    for alive, busy, changed, seen in itertools.product(
        (True, False, None), (True, False), ages, ages
    ):
        yield evidence(
            is_holder_alive=alive, is_nested_in_progress=busy, changed_ago=changed, seen_for=seen
        )


def test_without_a_mark_the_group_is_free():
    for seen in all_evidence():
        assert decide.who_holds(dataclasses.replace(seen, mark=None)) == decide.Free()


def test_a_living_holder_is_never_passed_over():
    for seen in all_evidence():
        if seen.is_holder_alive:
            assert isinstance(decide.who_holds(seen), decide.Held), seen


def test_a_dead_engines_mark_is_stale_at_once():
    for seen in all_evidence():
        if seen.is_holder_alive is False:
            assert isinstance(decide.who_holds(seen), decide.Free), seen


def test_a_mark_without_a_trace_is_stale_only_after_a_minute_of_rest():
    for seen in all_evidence():
        if seen.is_holder_alive is not None:
            continue
        verdict = decide.who_holds(dataclasses.replace(seen, mark=model.Mark()))
        is_at_rest = not seen.is_nested_in_progress or seen.changed_ago > seen.timeout
        if isinstance(verdict, decide.Free):
            assert is_at_rest and min(seen.changed_ago, seen.seen_for) >= 60, seen
        elif isinstance(verdict, decide.Unclear):
            assert is_at_rest and 0 < verdict.seconds <= 60, seen
        else:
            assert not is_at_rest, seen


# --- the records -----------------------------------------------------------------------------


def test_a_replacement_is_read_as_it_was_written():
    for order, given_up in itertools.product(ORDERS, ((), ('x',))):
        held = model.HeldBack('a', (('stack_id', '1'), ('tenant', 't')), 'server', 'sick')
        wanted = worlds.replacement(
            *PAIRS, order=order, named=('a',), given_up=given_up, held_back=(held,)
        )
        assert model.Replacement.from_json(wanted.to_json()) == wanted


@pytest.mark.parametrize('stored', ['', 'null', '[]', '{}', '{"order": "sideways"}', '{"id": 1}'])
def test_a_record_of_another_form_is_told_as_such(stored):
    with pytest.raises(ValueError, match=r'.'):
        model.Replacement.from_json(stored)


def test_a_chained_request_is_read_as_it_was_written():
    for order, cooldown in itertools.product(ORDERS, (None, 0, 60.5)):
        chained = model.Chained('policy', 2, order, cooldown)
        assert model.Chained.from_dict(chained.to_dict()) == chained
