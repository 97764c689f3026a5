# SPDX-License-Identifier: Apache-2.0
"""Whole actions on regions that are cut, that fail, and on engines that die."""

import pytest

from heat_ha.regions.model import State
from heat_ha.regions.rules import decide, planning, spec
from heat_ha.regions.rules.steps import Request
from tests.unit.regions import worlds
from tests.unit.regions.worlds import Way, World


@pytest.fixture(autouse=True)
def no_settling(monkeypatch):
    monkeypatch.setattr(decide, 'SETTLE', -1.0)


def test_all_regions_hold_what_is_wanted_and_a_second_pass_writes_nothing():
    world = World('A', 'B')
    assert not world.act()
    assert [r.texts() for r in world.regions.values()] == [['one'], ['one']]
    world.forget_writes()
    assert not world.act()
    assert not any(r.writes for r in world.regions.values())


def test_a_region_that_is_down_holds_up_no_other_and_is_updated_once_when_it_is_back():
    world = World('A', 'B')
    world.regions['B'].way = Way.CUT
    assert not world.act(steps=4)
    assert world.regions['A'].texts() == ['one'] and not world.regions['B'].stacks
    assert world.part('B').state is State.PENDING
    world.regions['B'].way = Way.OPEN
    assert not world.act()
    assert world.regions['B'].writes == [Request.CREATE]


def test_of_three_updates_during_a_cut_only_the_newest_is_sent():
    world = World('A', 'B')
    world.act()
    world.forget_writes()
    world.regions['B'].way = Way.CUT
    for text in ('two', 'three', 'four'):
        world.want(text)
        assert not world.act(steps=5)
    world.regions['B'].way = Way.OPEN
    assert not world.act()
    assert world.regions['B'].writes == [Request.UPDATE]
    assert world.regions['B'].texts() == ['four']


@pytest.mark.parametrize('way', [Way.EATS_REPLIES, Way.LOSES_REQUESTS])
@pytest.mark.parametrize('is_new', [True, False])
def test_a_lost_answer_leads_to_neither_two_stacks_nor_none(way, is_new):
    world = World('A')
    if not is_new:
        world.act()
        world.want('two')
    world.regions['A'].way = way
    work = world.work()
    for _ in range(3):
        work.step()
    world.regions['A'].way = Way.OPEN
    assert not world.act()
    assert world.regions['A'].texts() == ['one' if is_new else 'two']
    assert world.part('A').stack_id in world.regions['A'].stacks


@pytest.mark.parametrize('change', ['create', 'update', 'remove', 'lost reply'])
def test_an_engine_may_die_at_any_write_and_another_one_ends_the_work(change):
    for dies_at in range(40):
        world = World('A', 'B')
        if change != 'create':
            world.act()
            world.want('two', *(['A'] if change == 'remove' else []))
        if change == 'lost reply':
            world.regions['B'].way = Way.EATS_REPLIES
        world.store.writes_left = dies_at
        try:
            world.act()
            is_over = True
        except worlds.Killed:
            is_over = False
        world.store.writes_left = None
        world.regions['B'].way = Way.OPEN
        assert not world.act()
        text = 'one' if change == 'create' else 'two'
        assert world.regions['A'].texts() == [text]
        assert world.regions['B'].texts() == ([] if change == 'remove' else [text])
        world.forget_writes()
        world.act()
        assert not any(r.writes for r in world.regions.values()), (change, dies_at)
        if is_over:
            return
    raise AssertionError('the work has no end')


def test_what_leaves_during_a_cut_is_deleted_later_and_only_that():
    world = World('A', 'B')
    world.act()
    world.regions['B'].way = Way.CUT
    world.want('one', 'A')
    assert not world.act()
    world.want('two', 'A', 'B')
    assert not world.act()
    (tombstone,) = world.store.record.tombstones
    assert tombstone.stack_id in world.regions['B'].stacks
    world.regions['B'].way = Way.OPEN
    assert not world.act()
    assert world.regions['B'].texts() == ['two']
    assert not world.store.record.tombstones
    assert sorted(r.value for r in world.regions['B'].writes) == ['create', 'create', 'delete']


def test_a_region_that_nothing_was_sent_to_leaves_no_tombstone():
    world = World('A', 'B')
    world.regions['B'].way = Way.CUT
    world.act()
    world.want('one', 'A')
    assert not world.act()
    assert not world.store.record.tombstones


def test_retain_ends_a_delete_without_the_region():
    world = World('B', on_delete=spec.OnDelete.RETAIN)
    world.act()
    world.regions['B'].way = Way.CUT
    world.wanted = {}
    assert not world.act()
    assert not world.store.record.tombstones and world.regions['B'].stacks


def test_a_failure_there_is_shown_with_its_cause_and_sent_again_by_the_next_action_only():
    world = World('A', 'B')
    world.regions['B'].fails = True
    (failure,) = world.act()
    assert failure.startswith('B: remote_failed: CREATE_FAILED') and 'thing: boom' in failure
    assert world.regions['B'].writes == [Request.CREATE]
    world.regions['B'].fails = False
    assert not world.act()
    assert world.regions['B'].writes == [Request.CREATE, Request.UPDATE]


def test_credentials_that_are_not_accepted_are_no_cut():
    world = World('A')
    world.regions['A'].way = Way.BAD_TOKEN
    (failure,) = world.act()
    assert failure.startswith('A: auth:')


def test_what_somebody_else_changed_is_reported_and_not_overwritten():
    world = World('A')
    world.act()
    world.regions['A'].changed_by_hand()
    world.forget_writes()
    assert not world.act()
    assert world.part('A').drifted
    world.want('two')
    (failure,) = world.act()
    assert failure.startswith('A: conflict:') and not world.regions['A'].writes


@pytest.mark.parametrize('drift', [spec.Drift.CORRECT, spec.Drift.IGNORE])
def test_what_somebody_else_changed_is_overwritten_where_the_template_says_so(drift):
    world = World('A', drift=drift)
    world.act()
    world.regions['A'].changed_by_hand()
    world.want('two')
    assert not world.act()
    assert world.regions['A'].texts() == ['two']


def test_a_wave_begins_after_the_one_before_and_a_dead_region_keeps_none_waiting():
    world = World('A', 'B', 'C')
    world.rollout = spec.Rollout((('A',), ('B',), ('C',)))
    world.regions['B'].way = Way.CUT
    work = world.work()
    work.step()
    assert world.regions['A'].stacks and not world.regions['C'].stacks
    assert not world.act()
    assert world.regions['C'].texts() == ['one']


def test_no_further_region_is_begun_after_more_failures_than_are_tolerated():
    world = World('A', 'B')
    world.rollout = spec.Rollout((('A',), ('B',)))
    world.regions['A'].fails = True
    assert world.act()
    assert not world.regions['B'].writes
    assert 'failure_tolerance' in world.part('B').reason


def test_outputs_travel_to_the_other_part_and_only_changes_do():
    world = World('A', 'B')

    def of_a():
        known = world.store.outputs('A')
        if known is None:
            return spec.MissingInput('waits for A')
        return worlds.content('from ' + known.values['text'])

    world.wanted = {'B': of_a, 'A': worlds.content('one')}
    assert not world.act()
    assert world.regions['B'].texts() == ['from one']
    world.wanted['A'] = worlds.content('two')
    assert not world.act()
    assert world.regions['B'].texts() == ['from two']
    world.forget_writes()
    assert not world.act()
    assert not world.regions['B'].writes


def test_inputs_that_never_come_to_rest_are_sent_a_bounded_number_of_times():
    world = World('A')

    def grows():
        known = world.store.outputs('A')
        return worlds.content('x' if known is None else known.values['text'] + 'x')

    world.wanted = {'A': grows}
    (failure,) = world.act(steps=100)
    assert 'come to rest' in failure


def test_what_waits_for_an_output_that_does_not_come_ends_the_action_all_the_same():
    world = World('A', 'B')
    world.regions['A'].way = Way.CUT
    world.wanted['B'] = spec.MissingInput('waits for A')
    assert not world.act()
    assert world.part('B').state is State.WAITING and not world.regions['B'].writes


def test_a_stack_is_adopted_where_it_was_made_by_somebody_else():
    world = World('A', adopt_overwrites=True)
    world.regions['A'].stacks['there'] = worlds.FakeStack(
        'there', 'theirs', '', '', 'CREATE', 'COMPLETE'
    )
    world.adopts = {'A': 'theirs'}
    assert not world.act()
    assert world.part('A').stack_id == 'there' and world.regions['A'].writes == [Request.UPDATE]


def test_a_stack_that_differs_is_not_adopted_without_leave():
    world = World('A')
    world.regions['A'].stacks['there'] = worlds.FakeStack(
        'there', 'theirs', '', '', 'CREATE', 'COMPLETE'
    )
    world.adopts = {'A': 'theirs'}
    (failure,) = world.act()
    assert 'conflict' in failure and not world.regions['A'].writes
    world.wanted = {}
    assert not world.act()
    assert 'there' in world.regions['A'].stacks, 'what was never ours is deleted'


def test_a_foreign_stack_of_the_same_name_is_left_alone():
    world = World('A')
    world.regions['A'].stacks['x'] = worlds.FakeStack('x', 'stack-A', '', '', 'CREATE', 'COMPLETE')
    (failure,) = world.act()
    assert 'another stack has the name' in failure
    world.wanted = {}
    assert not world.act()
    assert 'x' in world.regions['A'].stacks


def test_nothing_is_sent_to_a_region_given_up_and_nothing_waits_for_it():
    world = World('A', 'B')
    world.act()
    world.store.record = planning.abandoned(world.store.record, 'B')
    world.forget_writes()
    world.want('two')
    assert not world.act()
    world.wanted = {}
    assert not world.act()
    assert not world.regions['B'].writes and world.regions['B'].stacks


def test_what_was_deleted_there_is_created_again_by_an_update_and_not_by_the_action_that_waits():
    world = World('A')
    work = world.work()
    work.step()
    world.regions['A'].deleted_by_hand()
    while not work.step():
        pass
    (failure,) = work.failures()
    assert failure.startswith('A: conflict: somebody else has deleted')
    assert world.regions['A'].writes == [Request.CREATE]
    before = world.part('A').stack_id
    assert not world.act()
    assert world.regions['A'].writes == [Request.CREATE] * 2
    assert world.part('A').is_settled and world.part('A').stack_id != before


def test_what_was_deleted_between_actions_is_shown_and_created_again_with_the_next_change():
    world = World('A')
    world.act()
    world.regions['A'].deleted_by_hand()
    world.forget_writes()
    assert not world.act()
    assert world.part('A').drifted and not world.regions['A'].writes
    world.want('two')
    assert not world.act()
    assert world.regions['A'].writes == [Request.CREATE] and not world.part('A').drifted
