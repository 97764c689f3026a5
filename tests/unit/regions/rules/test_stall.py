# SPDX-License-Identifier: Apache-2.0
"""When a part that is in progress is sent the same again, over all combinations."""

import dataclasses
import datetime
import functools
import itertools

import pytest

from heat_ha.regions import model, stall_monitor
from heat_ha.regions.model import Part, State
from heat_ha.regions.rules import answers, decide, spec, stall, transitions
from heat_ha.regions.rules.answers import Present, Unfinished
from heat_ha.regions.rules.steps import Request, Send, Stalled, Wait
from tests.unit.regions import worlds
from tests.unit.regions.worlds import World

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
LONG_AGO, JUST_NOW = '2026-01-01T11:50:00+00:00', '2026-01-01T11:59:01+00:00'

ACTIONS = (
    'CREATE', 'UPDATE', 'DELETE', 'ROLLBACK', 'CHECK', 'SUSPEND', 'RESUME', 'SNAPSHOT', 'RESTORE',
)  # fmt: skip

NEW = Unfinished('thing', 'OS::Nova::Server', 'CREATE', 'IN_PROGRESS')
IN_PLACE = Unfinished('thing', 'OS::Trove::Instance', 'UPDATE', 'IN_PROGRESS')
WAITER = Unfinished('wait', 'OS::Heat::WaitCondition', 'CREATE', 'IN_PROGRESS')
INSIDE = Unfinished('group', 'OS::Heat::ResourceGroup', 'UPDATE', 'IN_PROGRESS', is_stack=True)

OURS = Part(
    'B', 'mark', 'name', 'id', desired='new', sent='new', applied='old', attempt='this',
    state=State.WORKING, traversal='UPDATE then', fingerprint='same', still_since=LONG_AGO,
)  # fmt: skip

PARTS = [
    dataclasses.replace(OURS, **dict(zip(fields, values, strict=True)))
    for fields, choices in (
        (
            ('sent', 'applied', 'still_since', 'resends'),
            itertools.product(
                ('new', 'old', ''), ('', 'old', 'new'), ('', JUST_NOW, LONG_AGO), (0, 1)
            ),
        ),
        (
            ('traversal', 'restore', 'paused', 'state'),
            itertools.product(
                ('UPDATE then', 'UPDATE since', 'CREATE ', ''),
                ('', 'snapshot'),
                (False, True),
                (State.WORKING, State.PENDING, State.ABANDONED),
            ),
        ),
    )
    for values in choices
]

SEEN = [
    Present('id', 'name', action, status, '', changed, mark, revision)
    for action, status, changed, mark, revision in itertools.product(
        ACTIONS,
        ('IN_PROGRESS', 'COMPLETE', 'FAILED'),
        ('then', ''),
        ('mark', ''),
        ('new', 'old', ''),
    )
]

RESOURCES = [
    tuple(chosen)
    for count in range(3)
    for chosen in itertools.combinations((NEW, IN_PLACE, WAITER, INSIDE), count)
]


def all_evidence():
    for part, observed in itertools.product(PARTS, SEEN):
        for unfinished, equal, is_forced in itertools.product(
            RESOURCES if stall.is_ours(part, observed) else RESOURCES[:1],
            (0, stall.EQUAL_FINGERPRINTS),
            (False, True),
        ):
            yield stall.Evidence(part, observed, unfinished, equal, is_forced)


@functools.cache
def decided(may_repair=True):
    rules = spec.Rules(may_repair=may_repair)
    return [(found, stall.next_step(found, rules, NOW)) for found in all_evidence()]


def sent(may_repair=True):
    repeats = [(f, s) for f, s in decided(may_repair) if isinstance(s, Send)]
    assert repeats, 'the rule is about something'
    return repeats


def test_nothing_but_the_same_is_sent_and_only_over_what_we_began_and_nobody_touched_since():
    for found, step in sent():
        part, observed = found.part, found.observed
        assert step.request is Request.REPEAT
        assert (observed.status, observed.mark) == ('IN_PROGRESS', part.mark), found
        assert observed.revision == part.sent == part.desired != part.applied, found
        assert part.traversal == f'{observed.action} {observed.changed}', found


def test_nothing_is_sent_in_a_delete_a_rollback_a_restore_or_any_action_but_a_create_or_update():
    for found, _ in sent():
        assert found.observed.action in ('CREATE', 'UPDATE') and not found.part.restore
        assert not found.part.paused and found.part.state is not State.ABANDONED


def test_without_a_person_it_takes_time_and_equal_fingerprints_and_happens_once():
    for found, step in sent():
        if not found.is_forced:
            assert found.part.still_since == LONG_AGO and found.equal >= stall.EQUAL_FINGERPRINTS
            assert not found.part.resends
            assert step.if_digest == found.part.fingerprint != ''


def test_without_a_person_nothing_that_was_there_before_can_be_replaced():
    for found, _ in sent():
        if not found.is_forced:
            assert IN_PLACE not in found.unfinished and WAITER not in found.unfinished


def test_a_check_sends_nothing_again_but_a_person_may():
    for found, _ in sent(may_repair=False):
        assert found.is_forced


def test_a_stall_in_which_nothing_is_sent_says_so_and_how_to_go_on():
    count = 0
    for found, step in decided():
        if (
            stall.is_ours(found.part, found.observed)
            and not found.is_forced
            and found.part.still_since == LONG_AGO
            and found.equal >= stall.EQUAL_FINGERPRINTS
        ):
            assert isinstance(step, Send | Stalled)
            if isinstance(step, Stalled):
                assert 'nothing has moved since' in step.reason and 'force' in step.reason
                count += 1
    assert count


def test_what_is_not_in_progress_for_us_is_waited_for_in_silence():
    for found, step in decided():
        if not stall.is_ours(found.part, found.observed):
            assert type(step) is Wait


def test_a_repeat_is_on_record_before_it_is_sent_and_begins_a_new_action():
    sent = transitions.intended(OURS, Request.REPEAT, SEEN[0], 'other', JUST_NOW)
    assert (sent.resends, sent.traversal, sent.fingerprint, sent.still_since) == (1, '', '', '')
    assert sent.sent == sent.desired and sent.applied == OURS.applied
    again = transitions.intended(sent, Request.UPDATE, SEEN[0], 'other', JUST_NOW)
    assert again.resends == 0, 'what is sent for another reason may be sent again'


@pytest.mark.parametrize('answer', list(answers.Answer))
def test_a_refusal_of_the_same_ends_nothing_that_is_at_work(answer):
    sent = transitions.intended(OURS, Request.REPEAT, SEEN[0], 'this', JUST_NOW)
    after, end = transitions.after_reply(OURS, sent, answers.Reply(answer, 'why'), JUST_NOW)
    assert end is None and after.sent == 'new' and after.stack_id == 'id'
    is_spent = answer not in (answers.Answer.NOT_SENT, answers.Answer.BUSY)
    assert after.resends == (1 if is_spent else 0)


def test_a_cut_and_somebody_elses_action_end_what_was_known_to_stand_still():
    in_progress = Present('id', 'name', 'UPDATE', 'IN_PROGRESS', '', 'then', 'mark', 'new')
    assert transitions.after_look(OURS, in_progress, JUST_NOW).still_since == LONG_AGO
    theirs = dataclasses.replace(in_progress, changed='since')
    ended = dataclasses.replace(in_progress, status='COMPLETE')
    cut = answers.Silent(model.ErrorClass.UNREACHABLE, 'cut')
    for observed in (theirs, ended, cut, answers.Absent()):
        after = transitions.after_look(OURS, observed, JUST_NOW)
        assert (after.fingerprint, after.still_since) == ('', ''), observed
    assert transitions.after_look(OURS, cut, JUST_NOW).traversal, 'it is ours after a cut too'


# --- whole actions --------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(decide, 'SETTLE', -1.0)
    monkeypatch.setattr(stall_monitor, 'EVERY', 0.0)


def stalled_world(change='create', stalled_after=0.0, unfinished=(NEW,)):
    """A world whose region B was sent something, and whose engine died then."""
    world = World('A', 'B')
    if change == 'update':
        world.act()
        world.want('two')
    world.rules = dataclasses.replace(world.rules, stalled_after=stalled_after)
    world.regions['B'].dies, world.regions['B'].unfinished = True, unfinished
    work = world.work()
    work.step()
    world.regions['B'].dies = False
    world.forget_writes()
    return world, work


def end(work, steps=30):
    return any(work.step() for _ in range(steps))


@pytest.mark.parametrize('change', ['create', 'update'])
def test_what_an_engine_there_has_left_is_sent_again_and_ends(change):
    world, work = stalled_world(change)
    assert end(work) and not work.failures()
    assert world.regions['B'].writes == [Request.REPEAT] and not world.regions['A'].writes
    assert world.regions['B'].texts() == ['one' if change == 'create' else 'two']
    assert any('sent the same again' in e for e in world.events), world.events
    world.forget_writes()
    assert not world.act() and not world.regions['B'].writes


def test_an_engine_there_that_dies_again_is_left_to_a_person():
    world, work = stalled_world()
    world.regions['B'].dies = True
    assert not end(work) and world.regions['B'].writes == [Request.REPEAT]
    assert sum('was sent again' in e for e in world.events) == 1, world.events
    world.regions['B'].dies = False
    work.force('B')
    assert end(work) and world.regions['B'].writes == [Request.REPEAT] * 2


def test_what_is_changed_in_place_is_left_to_a_person():
    world, work = stalled_world('update', unfinished=(IN_PLACE,))
    assert not end(work) and not world.regions['B'].writes
    assert 'thing is UPDATE_IN_PROGRESS' in world.part('B').reason
    assert sum('force' in e for e in world.events) == 1, world.events
    work.force('B')
    assert end(work) and world.regions['B'].writes == [Request.REPEAT]


def test_a_stack_in_which_something_moves_is_waited_for():
    world, work = stalled_world()
    (stack,) = world.regions['B'].stacks.values()
    for count in range(30):
        stack.looks_left = count
        assert not work.step()
    assert not world.regions['B'].writes


def test_nothing_is_sent_where_something_moves_at_the_last_moment():
    world, work = stalled_world()
    region, (stack,) = world.regions['B'], world.regions['B'].stacks.values()
    for _ in range(stall.EQUAL_FINGERPRINTS):
        work.step()
    stack.looks_left += 1
    work.step()
    assert not region.writes and world.part('B').resends == 0
    assert world.part('B').reason == 'something moves there after all'


def test_time_passes_before_it_is_sent_again():
    world, work = stalled_world(stalled_after=60.0)
    assert not end(work) and not world.regions['B'].writes
    assert world.part('B').still_since


def test_what_a_person_asks_for_during_a_cut_is_done_after_it_and_not_later():
    world, work = stalled_world(stalled_after=60.0)
    region = world.regions['B']
    region.way = worlds.Way.CUT
    world.rules = dataclasses.replace(world.rules, on_unreachable=spec.OnUnreachable.WAIT)
    work = world.work()
    work.force('B')
    assert not end(work, steps=3) and not region.writes
    region.way = worlds.Way.OPEN
    region.dies = True
    assert not end(work) and region.writes == [Request.REPEAT]


def test_force_changes_nothing_where_nothing_is_in_progress():
    world = World('A')
    world.act()
    world.forget_writes()
    work = world.work()
    assert work.force('A') and end(work)
    assert not world.regions['A'].writes
    assert not world.work(only=frozenset('A')).force('B')


def test_an_engine_here_may_die_at_any_write_and_the_same_is_sent_once():
    for dies_at in range(20):
        world, work = stalled_world()
        world.store.writes_left = dies_at
        try:
            is_over = end(work)
        except worlds.Killed:
            is_over = False
        world.store.writes_left = None
        left = [s for s in world.regions['B'].stacks.values() if s.is_left]
        if left and world.part('B').resends:
            # It was on record and not sent: a person has to say so.
            work = world.work()
            work.force('B')
            assert end(work)
        else:
            assert not world.act()
        assert world.regions['B'].writes.count(Request.REPEAT) == 1, dies_at
        assert world.regions['B'].texts() == ['one']
        if is_over:
            return
    raise AssertionError('the work has no end')
