# SPDX-License-Identifier: Apache-2.0
"""Snapshots of all parts: taken in every region or in none, and deleted in each."""

import dataclasses
import itertools

import pytest

from heat_ha import exceptions
from heat_ha.regions import attributes, model
from heat_ha.regions.model import ErrorClass, Part, PartSnapshot, State
from heat_ha.regions.rules import decide, planning, snapshots, spec, steps, tombstones
from heat_ha.regions.rules.answers import Absent, Present, Silent
from heat_ha.regions.rules.spec import OnDelete
from heat_ha.regions.rules.steps import Done, Fail, Request, Send, Wait
from tests.unit.regions import worlds
from tests.unit.regions.worlds import Way, World


@pytest.fixture(autouse=True)
def no_settling(monkeypatch):
    monkeypatch.setattr(decide, 'SETTLE', -1.0)


READY = Part('A', 'mark', 'name', 'id', desired='new', sent='new', applied='new', state=State.READY)
SHOT = PartSnapshot('A', 'name', 'id', 'heat-ha-1', 'new')


def shown(action, status):
    return Present('id', 'name', action, status, 'why', snapshot_id='snap')


SEEN = (
    Silent(ErrorClass.UNREACHABLE, 'cut'),
    Silent(ErrorClass.UNREACHABLE, 'cut', is_known=True),
    Silent(ErrorClass.AUTH, 'revoked'),
    Absent(),
    *(
        shown(action, status)
        for action in ('CREATE', 'DELETE')
        for status in ('IN_PROGRESS', 'COMPLETE', 'FAILED')
    ),
)


def test_a_snapshot_is_requested_only_where_it_was_seen_to_be_missing():
    for observed, told, known, waited, doubtful in itertools.product(
        SEEN, ('', 'then'), ('', 'snap'), (0.0, 99.0), (True, False)
    ):
        shot = dataclasses.replace(SHOT, sent_at=told, snapshot_id=known)
        step = snapshots.next_step(shot, observed, waited, 10.0, doubtful)
        case = (observed, told, known, waited, doubtful, step)
        if isinstance(step, Send):
            assert isinstance(observed, Absent) and not known and not (told and doubtful), case
        if isinstance(step, Done):
            assert (observed.action, observed.status) == ('CREATE', 'COMPLETE'), case
        if isinstance(observed, Silent):
            is_over = observed.is_known or waited >= 10.0 or observed.error_class is ErrorClass.AUTH
            assert isinstance(step, Fail if is_over else Wait), case
        if isinstance(observed, Present) and observed.status == 'FAILED':
            assert isinstance(step, Fail) and 'why' in step.reason, case


@pytest.mark.parametrize(
    ('part', 'told'),
    [
        (dataclasses.replace(READY, state=State.PENDING, applied='old'), 'signal sync'),
        (dataclasses.replace(READY, applied='old'), 'does not hold what is wanted'),
        (dataclasses.replace(READY, state=State.FAILED), 'does not hold what is wanted'),
        (dataclasses.replace(READY, stack_id=''), 'does not hold what is wanted'),
        (dataclasses.replace(READY, paused=True), 'signal resume'),
        (dataclasses.replace(READY, suspend_wanted=True, suspended=True), 'Resume the stack'),
        (dataclasses.replace(READY, drifted=True), 'Set drift to correct'),
    ],
)
def test_a_part_that_could_not_be_restored_refuses_the_snapshot_by_its_region(part, told):
    with pytest.raises(exceptions.Refused, match=f'A.*{told}'):
        snapshots.planned(model.Record(parts=(part,)), '1')


def test_what_was_given_up_keeps_no_snapshot_from_being_taken():
    gone = dataclasses.replace(READY, region='B', state=State.ABANDONED)
    assert [s.region for s in snapshots.planned(model.Record(parts=(READY, gone)), '1').shots] == [
        'A'
    ]
    with pytest.raises(exceptions.Refused, match='no region has a part'):
        snapshots.planned(model.Record(parts=(gone,)), '1')


# --- all together ---------------------------------------------------------------------------


def made(*names, **rules):
    world = World(*names, **rules)
    world.act()
    world.forget_writes()
    return world


def test_each_region_takes_one_snapshot_and_the_next_update_writes_nothing():
    world = made('A', 'B')
    failures, snapshot = world.snapshot()
    assert not failures and world.snapshots() == {'A': 1, 'B': 1}
    assert [(s.region, bool(s.snapshot_id)) for s in snapshot.shots] == [('A', True), ('B', True)]
    world.forget_writes()
    assert not world.act() and not any(r.writes for r in world.regions.values())


@pytest.mark.parametrize('ways', list(itertools.product(Way, repeat=2)), ids=str)
def test_all_regions_have_the_snapshot_or_none_has(ways):
    world = made('A', 'B')
    for region, way in zip(world.regions.values(), ways, strict=True):
        region.way = way
    work = world.snapshot_action()
    ended = any(work.step() for _ in range(12))
    cut = [n for n, r in world.regions.items() if r.way in (Way.CUT, Way.BAD_TOKEN)]
    if not ended:
        # What is lost on the way is sent again until the action's timeout.
        assert Way.LOSES_REQUESTS in ways and not cut
        work.cancel()
    if ended and not cut:
        assert not work.failures() and world.store.parent_snapshot.is_complete
        assert world.snapshots() == {'A': 1, 'B': 1}
        return
    if ended:
        shown = ' '.join(work.failures())
        assert all(f'{name}: ' in shown for name in cut)
    # After the heal nothing of it is left.
    for region in world.regions.values():
        region.way = Way.OPEN
    assert not world.act()
    assert world.snapshots() == {'A': 0, 'B': 0} and not world.store.record.tombstones


def test_while_a_region_cannot_be_asked_no_other_begins():
    world = made('A', 'B')
    world.regions['B'].way = Way.CUT
    failures, _ = world.snapshot()
    assert len(failures) == 1 and 'B: unreachable' in failures[0] and 'abandon' in failures[0]
    assert not world.regions['A'].writes


def test_a_region_that_fails_is_named_and_the_others_keep_nothing():
    world = made('A', 'B')
    world.regions['B'].fails = True
    failures, _ = world.snapshot()
    assert failures[0].startswith('B: remote_failed') and len(failures) == 1
    assert world.snapshots() == {'A': 0, 'B': 0}
    world.regions['B'].fails = False
    world.forget_writes()
    assert not world.act()
    assert world.regions['B'].writes == [], 'a snapshot that failed hurts no stack'


def test_a_snapshot_that_cannot_be_deleted_again_is_named_and_deleted_after_the_cut():
    world = made('A', 'B')
    work = world.snapshot_action()
    work.step()
    world.regions['A'].way, world.regions['B'].way = Way.CUT, Way.BAD_TOKEN
    while not work.step():
        pass
    shown = ' '.join(work.failures())
    assert 'may be left in A' in shown and 'may be left in B' in shown
    assert attributes.pending(world.store.record) == ['A', 'B']
    for region in world.regions.values():
        region.way = Way.OPEN
    assert not world.act() and world.snapshots() == {'A': 0, 'B': 0}


@pytest.mark.parametrize('writes', range(6))
def test_an_engine_that_dies_over_it_leaves_nothing_that_the_next_snapshot_does_not_delete(writes):
    world = made('A', 'B')
    world.store.writes_left = writes
    try:
        world.snapshot()
        assert writes >= 2, 'it was to die'
    except worlds.Killed:
        pass
    world.store.writes_left = None
    if world.store.parent_snapshot is not None and world.store.parent_snapshot.is_complete:
        return
    failures, _ = world.snapshot()
    assert not failures
    assert not world.act(only_deletes=True)
    assert world.snapshots() == {'A': 1, 'B': 1}


# --- deleting -------------------------------------------------------------------------------


def delete(world, snapshot, **more):
    found = snapshots.with_deletes(world.store.record, snapshot, '2026-01-01T00:00:00+00:00')
    world.store.write(found)
    return world.act(only_deletes=True, **more)


@pytest.mark.parametrize('on_delete', list(OnDelete))
def test_a_delete_ends_in_each_region_and_what_is_cut_off_is_not_forgotten_unless_wanted(on_delete):
    world = made('A', 'B', on_delete=on_delete)
    _, snapshot = world.snapshot()
    world.regions['B'].way = Way.CUT
    failures = delete(world, snapshot)
    assert world.snapshots() == {'A': 0, 'B': 1}
    assert bool(failures) == (on_delete is OnDelete.FAIL)
    is_kept = on_delete is not OnDelete.RETAIN
    assert attributes.pending(world.store.record) == (['B'] if is_kept else [])
    world.regions['B'].way = Way.OPEN
    assert not delete(world, snapshot) and world.snapshots() == {'A': 0, 'B': 0}
    assert not world.store.record.tombstones


def test_only_the_snapshot_that_is_meant_is_deleted_and_nothing_is_sent_to_a_part():
    world = made('A')
    _, first = world.snapshot()
    _, second = world.snapshot()
    world.want('two')
    world.forget_writes()
    assert not delete(world, first)
    assert world.regions['A'].writes == [Request.DELETE] and world.regions['A'].texts() == ['one']
    (stack,) = world.regions['A'].stacks.values()
    assert list(stack.snapshots) == [second.shots[0].snapshot]


def test_a_region_that_was_given_up_is_named_and_nothing_is_sent_there():
    world = made('A', 'B')
    _, snapshot = world.snapshot()
    world.store.write(planning.abandoned(world.store.record, 'B'))
    assert snapshots.given_up(world.store.record, snapshot) == ['B']
    assert not delete(world, snapshot) and world.snapshots() == {'A': 0, 'B': 1}


def test_a_stack_that_goes_takes_its_snapshots_along():
    world = made('A', 'B')
    _, snapshot = world.snapshot()
    world.regions['B'].way = Way.CUT
    delete(world, snapshot)
    del world.wanted['B']
    assert not world.act()
    (left,) = world.store.record.tombstones
    assert not left.snapshot and left.region == 'B'


def test_a_snapshot_is_not_deleted_while_it_is_taken():
    tombstone = snapshots.deletes_of(
        model.Snapshot((dataclasses.replace(SHOT, sent_at='then'),)), '2026-01-01T00:00:00+00:00'
    )[0]
    for observed, attempt in itertools.product(SEEN, ('', 'this', 'other')):
        step = tombstones.next_step(
            dataclasses.replace(tombstone, attempt=attempt), observed, spec.Rules(), 'this', 99.0
        )
        if isinstance(step, Send):
            assert isinstance(observed, Present) and step.request is Request.DELETE
            assert (observed.action, observed.status) != ('CREATE', 'IN_PROGRESS')
        if isinstance(step, steps.Forget):
            assert not isinstance(observed, Silent) and (
                isinstance(observed, Absent)
                or (observed.action, observed.status) == ('DELETE', 'COMPLETE')
            )
