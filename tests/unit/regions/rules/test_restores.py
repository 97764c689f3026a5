# SPDX-License-Identifier: Apache-2.0
"""Parts that go back to a snapshot: each once, and then as if they had been updated to it."""

import dataclasses
import itertools

import pytest

from heat_ha.regions import attributes, model
from heat_ha.regions.model import State
from heat_ha.regions.rules import answers, decide, planning, restores, spec, steps
from heat_ha.regions.rules.answers import Present
from heat_ha.regions.rules.steps import Request, Send
from tests.unit.regions import worlds
from tests.unit.regions.states import NOW
from tests.unit.regions.worlds import Way, World


@pytest.fixture(autouse=True)
def no_settling(monkeypatch):
    monkeypatch.setattr(decide, 'SETTLE', -1.0)


def changed(*names):
    """Regions that have a snapshot with text one, and hold text two."""
    world = World(*names)
    world.act()
    failures, snapshot = world.snapshot()
    assert not failures
    world.want('two')
    world.act()
    world.forget_writes()
    return world, snapshot


def restore(world, snapshot, request_id='1', **more):
    world.want('one')
    return world.act(restore=model.Restore(request_id, snapshot), **more)


RESTORED = [Request.RESTORE, Request.TAG]


def test_each_region_restores_once_and_later_passes_write_nothing():
    world, snapshot = changed('A', 'B')
    assert not restore(world, snapshot)
    for region in world.regions.values():
        assert region.writes == RESTORED and region.texts() == ['one']
    for part in world.store.record.parts:
        assert part.is_settled and part.state is State.READY and not part.drifted
    # The stored template keeps the request.
    assert not restore(world, snapshot) and not world.act()
    assert all(r.writes == RESTORED for r in world.regions.values())
    # Its tags are right: a look by them finds the stack.
    (stack,) = world.regions['A'].stacks.values()
    assert (stack.mark, stack.revision) == (world.part('A').mark, world.part('A').desired)


def test_the_same_snapshot_is_restored_again_when_a_new_request_asks_for_it():
    world, snapshot = changed('A')
    restore(world, snapshot)
    world.want('two')
    world.act()
    world.forget_writes()
    assert not restore(world, snapshot, request_id='2')
    assert world.regions['A'].writes == RESTORED and world.regions['A'].texts() == ['one']


def test_what_another_revision_is_wanted_of_is_restored_and_then_updated():
    world, snapshot = changed('A')
    world.want('three')
    assert not world.act(restore=model.Restore('1', snapshot))
    assert world.regions['A'].writes == [*RESTORED, Request.UPDATE]
    assert world.regions['A'].texts() == ['three'] and world.part('A').is_settled


def test_a_region_that_is_cut_off_goes_back_when_it_is_there_again():
    world, snapshot = changed('A', 'B')
    world.regions['B'].way = Way.CUT
    assert not restore(world, snapshot)
    assert attributes.pending(world.store.record) == ['B']
    world.regions['B'].way = Way.OPEN
    assert not world.act()
    assert world.regions['B'].writes == RESTORED and world.regions['B'].texts() == ['one']


def test_what_is_wanted_after_the_restore_takes_its_place_while_it_is_pending():
    world, snapshot = changed('A')
    world.regions['A'].way = Way.CUT
    restore(world, snapshot)
    world.want('three')
    world.act()
    world.regions['A'].way = Way.OPEN
    assert not world.act()
    assert world.regions['A'].writes == [Request.UPDATE]
    assert world.regions['A'].texts() == ['three']


def test_a_snapshot_that_is_gone_there_gives_way_to_the_template_of_then():
    world, snapshot = changed('A')
    (stack,) = world.regions['A'].stacks.values()
    stack.snapshots.clear()
    assert not restore(world, snapshot)
    assert world.regions['A'].writes == [Request.RESTORE, Request.UPDATE]
    assert world.regions['A'].texts() == ['one'] and world.part('A').is_settled


def test_a_stack_that_is_another_one_now_is_not_restored():
    world, snapshot = changed('A')
    (shot,) = snapshot.shots
    other = model.Snapshot((dataclasses.replace(shot, stack_id='another'),))
    assert not restore(world, other)
    assert world.regions['A'].writes == [Request.UPDATE] and world.regions['A'].texts() == ['one']


def test_what_was_given_up_is_not_restored():
    world, snapshot = changed('A')
    world.store.write(planning.abandoned(world.store.record, 'A'))
    assert not restore(world, snapshot) and not world.regions['A'].writes


def test_a_lost_reply_is_looked_for_and_nothing_is_done_twice():
    world, snapshot = changed('A')
    world.regions['A'].way = Way.EATS_REPLIES
    assert not restore(world, snapshot)
    assert world.regions['A'].writes == RESTORED and world.regions['A'].texts() == ['one']


@pytest.mark.parametrize('writes', range(8))
def test_an_engine_that_dies_over_it_is_followed_by_one_that_ends_it(writes):
    world, snapshot = changed('A')
    world.store.writes_left = writes
    try:
        restore(world, snapshot)
        assert writes >= 4, 'it was to die'
    except worlds.Killed:
        pass
    world.store.writes_left = None
    assert not restore(world, snapshot)
    assert world.regions['A'].texts() == ['one'] and world.part('A').is_settled
    # At most what was put on record and not sent, or sent and not put on record, comes again.
    assert world.regions['A'].writes.count(Request.RESTORE) == 1


def test_a_restore_that_failed_ends_the_action_and_is_tried_again_by_the_next():
    world, snapshot = changed('A')
    world.regions['A'].fails = True
    (failure,) = restore(world, snapshot)
    assert 'RESTORE_FAILED there: boom' in failure
    world.regions['A'].fails = False
    assert not world.act() and world.part('A').is_settled
    assert world.regions['A'].writes == [Request.RESTORE, *RESTORED]


PART = model.Part(
    'A', 'mark', 'name', 'id', desired='new', sent='old', attempt='this', changed='then',
    restore='snap', restore_revision='new',
)  # fmt: skip


def test_nothing_is_restored_over_what_is_at_work_nor_twice_in_an_action():
    for stage, action, status, changed_, revision, attempt, doubtful in itertools.product(
        ('', restores.RESTORE_SENT, restores.TAGS_SENT),
        ('CREATE', 'UPDATE', 'RESTORE', 'SNAPSHOT'),
        ('IN_PROGRESS', 'COMPLETE', 'FAILED'),
        ('then', 'now'),
        ('', 'new', 'old'),
        ('this', 'other'),
        (True, False),
    ):
        part = dataclasses.replace(PART, restoring=stage)
        observed = Present('id', 'name', action, status, changed=changed_, revision=revision)
        step = restores.step(part, observed, spec.Rules(), attempt, doubtful)
        case = (part, observed, attempt, doubtful, step)
        if not isinstance(step, Send):
            continue
        assert status != 'IN_PROGRESS', case
        was_seen = bool(stage) and action == 'RESTORE' and changed_ == 'now'
        if step.request is Request.RESTORE:
            assert not was_seen or (status == 'FAILED' and attempt == 'other'), case
            assert not (stage and doubtful and not was_seen), case
        else:
            assert step.request is Request.TAG and stage, case
            assert status == 'COMPLETE' or stage == restores.TAGS_SENT, case


def test_nothing_is_sent_to_a_region_that_could_not_be_asked():
    for stage in ('', restores.RESTORE_SENT, restores.TAGS_SENT):
        part = dataclasses.replace(PART, restoring=stage)
        observed = answers.Silent(model.ErrorClass.UNREACHABLE, 'cut', is_known=True)
        step = decide.next_step(part, observed, spec.Rules(), 'other', NOW)
        assert isinstance(step, steps.Defer)
