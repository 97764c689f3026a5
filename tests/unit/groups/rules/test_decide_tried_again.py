# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha.groups import model
from heat_ha.groups.rules import decide
from tests.unit.groups import worlds


def names():
    return map('n{}'.format, itertools.count()).__next__


def again(run, new_name):
    """What another run has to do once this one has given members up."""
    pairs = decide.still_open(run.heat.seen(), run.wanted, new_name)
    return dataclasses.replace(run.wanted, pairs=pairs, given_up=())


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
        assert not decide.is_short(heat.seen(), run.wanted), case
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
    for victim, member, keep in itertools.product(
        ('a', ''), (worlds.member('x', is_failed=True), 'x', None), ((), ('x',), ('a',), ('b',))
    ):
        there = () if member is None else (member,)
        seen = worlds.group(*there, 'b', 'c')
        wanted = worlds.replacement((victim, 'x'), given_up=('x',))
        pairs = decide.still_open(seen, wanted, names(), keep)
        case = (victim, member, keep, pairs)
        assert not {p.victim for p in pairs} & set(keep), case
        if 'x' in keep:
            assert pairs == () and not decide.is_short(seen, wanted, keep), case
            assert decide.resumed(wanted, keep).pairs == (), case
        else:
            assert decide.resumed(wanted, keep) == wanted, case
    # One that may still come is asked about, whoever it will be.
    coming = worlds.replacement(('a', 'x'))
    assert decide.resumed(coming, ('x',)) == coming


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
