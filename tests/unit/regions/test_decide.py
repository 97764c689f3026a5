# SPDX-License-Identifier: Apache-2.0
"""The rules of one part and of one tombstone, over all combinations of states."""

import dataclasses
import datetime
import itertools

import pytest

from heat_ha.regions import decide, model
from heat_ha.regions.model import (
    Absent,
    Defer,
    Done,
    Drift,
    ErrorClass,
    Fail,
    Forget,
    OnDelete,
    OnUnreachable,
    Part,
    Present,
    Request,
    Send,
    Silent,
    State,
    Tombstone,
    Wait,
)

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
EARLIER, JUST_NOW = '2026-01-01T11:00:00+00:00', '2026-01-01T11:59:59+00:00'

ACTIONS = ('CREATE', 'UPDATE', 'DELETE', 'ROLLBACK', 'CHECK', 'SUSPEND', 'RESUME')
STATUSES = ('IN_PROGRESS', 'COMPLETE', 'FAILED')

PARTS = [
    Part(
        'B', 'mark', 'name', stack_id, 'new', told, applied, attempt, State.PENDING,
        doubtful_since=doubt, silent_since=silent, changed='then', adopts=adopts,
    )
    for stack_id, (told, applied), attempt, doubt, silent, adopts in itertools.product(
        ('', 'id'),
        (('', ''), ('new', ''), ('new', 'old'), ('old', 'old'), ('new', 'new')),
        ('', 'this'),
        ('', EARLIER, JUST_NOW),
        ('', EARLIER, JUST_NOW),
        ('', 'theirs'),
    )
]  # fmt: skip

SILENT = [
    Silent(error, 'no', is_known)
    for error in (ErrorClass.UNREACHABLE, ErrorClass.AUTH, ErrorClass.INVALID)
    for is_known in (True, False)
]

PRESENT = [
    Present('id', 'name', action, status, '', changed, mark, revision)
    for action, status, changed, (mark, revision) in itertools.product(
        ACTIONS,
        STATUSES,
        ('then', 'since'),
        (('mark', 'new'), ('mark', 'old'), ('mark', 'other'), ('', '')),
    )
]

RULES = [
    model.Rules(unreachable, drift=drift, may_repair=may_repair)
    for unreachable, drift, may_repair in itertools.product(OnUnreachable, Drift, (True, False))
]


def worlds():
    return itertools.product(PARTS, [*SILENT, Absent(), *PRESENT], RULES)


def test_could_not_ask_sends_nothing_and_deletes_nothing():
    for part, seen, rules in itertools.product(PARTS, SILENT, RULES):
        step = decide.next_step(part, seen, rules, 'this', NOW)
        assert isinstance(step, Wait | Done | Defer | Fail), (part, seen)


def test_could_not_ask_keeps_what_was_applied_and_never_calls_another_revision_done():
    for part, seen, rules in itertools.product(PARTS, SILENT, RULES):
        step = decide.next_step(part, seen, rules, 'this', NOW)
        if isinstance(step, Done):
            assert part.is_current
        if not part.is_current and seen.error_class is not ErrorClass.UNREACHABLE:
            assert isinstance(step, Fail) and step.error_class is seen.error_class


def test_a_region_that_has_what_is_wanted_is_sent_nothing():
    for part, seen, rules in itertools.product(PARTS, PRESENT, RULES):
        if part.adopts and not part.told:
            continue
        is_quiet = seen.status == 'COMPLETE' and seen.action in ('CREATE', 'UPDATE')
        if seen.revision == 'new' and is_quiet and seen.changed == 'then':
            assert not isinstance(decide.next_step(part, seen, rules, 'this', NOW), Send)


def test_nobody_is_told_twice_in_one_action_what_failed_in_it():
    for part, seen, rules in worlds():
        if part.attempt == 'this' and part.told == 'new' and isinstance(seen, Present):
            step = decide.next_step(part, seen, rules, 'this', NOW)
            if seen.status == 'FAILED' and seen.action != 'DELETE':
                assert isinstance(step, Fail), (part, seen)


def test_a_rollback_there_ends_the_wait_at_once():
    for part, seen, rules in worlds():
        if not isinstance(seen, Present) or seen.action != 'ROLLBACK' or part.adopts:
            continue
        step = decide.next_step(part, seen, rules, 'this', NOW)
        if part.attempt == 'this' and part.told == 'new' and not part.is_current:
            assert isinstance(step, Fail), (part, seen)


def test_a_check_repairs_nothing_that_was_told():
    for part, seen in itertools.product(PARTS, PRESENT):
        if part.told == 'new' and seen.status == 'FAILED' and not part.adopts:
            rules = model.Rules(may_repair=False)
            assert isinstance(decide.next_step(part, seen, rules, 'this', NOW), Fail)


def test_a_stack_is_made_only_where_the_region_said_that_there_is_none():
    for part, seen, rules in worlds():
        step = decide.next_step(part, seen, rules, 'this', NOW)
        if isinstance(step, Send) and step.request is Request.CREATE:
            is_gone = isinstance(seen, Absent) or (seen.action, seen.status) == (
                'DELETE',
                'COMPLETE',
            )
            assert is_gone, (part, seen)
            assert isinstance(seen, Absent) or part.attempt != 'this', 'deleted while it was told'
            assert decide.intended(part, step.request, seen, 'this', JUST_NOW).stack_id == ''
            assert part.doubtful_since != JUST_NOW, 'the first request may still make it'
        if isinstance(step, Send) and step.request is Request.UPDATE:
            assert isinstance(seen, Present)
        assert not (isinstance(step, Send) and step.request is Request.DELETE)


def test_what_others_changed_is_overwritten_only_with_leave():
    for part, seen in itertools.product(PARTS, PRESENT):
        if part.adopts or not part.applied or seen.status != 'COMPLETE':
            continue
        if seen.action == 'DELETE' or seen.action == 'ROLLBACK' or seen.revision in ('new', 'old'):
            continue
        report = decide.next_step(part, seen, model.Rules(drift=Drift.REPORT), 'other', NOW)
        assert isinstance(report, Done | Fail), (part, seen)
        assert getattr(report, 'is_drifted', True)
        correct = decide.next_step(part, seen, model.Rules(drift=Drift.CORRECT), 'other', NOW)
        assert isinstance(correct, Send), (part, seen)


def test_with_defer_nothing_waits_for_a_region_that_is_known_to_be_silent():
    for part in PARTS:
        step = decide.next_step(part, SILENT[0], model.Rules(), 'this', NOW)
        assert isinstance(step, Defer | Done)


def test_a_wait_for_a_silent_region_ends_when_patience_does():
    part = dataclasses.replace(PARTS[0], silent_since=EARLIER)
    assert isinstance(decide.next_step(part, SILENT[1], model.Rules(), 'x', NOW), Defer)
    part = dataclasses.replace(PARTS[0], silent_since=JUST_NOW)
    assert isinstance(decide.next_step(part, SILENT[1], model.Rules(), 'x', NOW), Wait)


@pytest.mark.parametrize('reply', list(model.Answer))
def test_whatever_the_answer_a_part_that_may_exist_is_never_forgotten(reply):
    before = dataclasses.replace(PARTS[0], told='', doubtful_since='')
    for request, seen in ((Request.CREATE, Absent()), (Request.UPDATE, PRESENT[0])):
        sent = decide.intended(before, request, seen, 'this', EARLIER)
        after, end = decide.after_reply(before, sent, model.Reply(reply, 'why'), EARLIER)
        if reply in (model.Answer.ACCEPTED, model.Answer.UNKNOWN):
            assert after.may_exist and end is None
        if reply is model.Answer.NOT_SENT:
            assert not after.told


def test_a_record_is_read_as_it_was_written():
    for part in PARTS:
        part = dataclasses.replace(part, error_class=ErrorClass.AUTH, state=State.FAILED)
        grave = decide.bury(part, EARLIER)
        record = model.Record('A', 3, 'm', (part,), (grave,), {'B': 2})
        assert model.Record.from_dict(record.to_dict()) == record


# --- plans ----------------------------------------------------------------------------------


def planned(record, *regions):
    marks = iter(f'mark-{n}' for n in itertools.count())
    wanted = {r: model.Content('new', {}) for r in regions}
    return decide.plan(record, wanted, 'stack', False, EARLIER, lambda: next(marks))


def test_what_leaves_and_comes_back_is_another_stack_than_its_tombstone():
    for told, stack_id in itertools.product(('', 'new'), ('', 'id')):
        first = planned(model.Record(), 'B')
        first = first.with_part(dataclasses.replace(first.parts[0], told=told, stack_id=stack_id))
        gone = planned(first)
        assert len(gone.tombstones) == bool(told or stack_id)
        again = planned(gone, 'B')
        assert again.parts[0].name != first.parts[0].name or not gone.tombstones
        assert again.tombstones == gone.tombstones


def test_a_part_that_a_person_gave_up_leaves_no_tombstone():
    part = dataclasses.replace(PARTS[0], told='new', stack_id='id', state=State.ABANDONED)
    assert not planned(model.Record(parts=(part,))).tombstones


def test_pausing_and_giving_up_are_taken_back_by_resume():
    record = planned(model.Record(), 'A', 'B')
    given_up = decide.paused(decide.abandoned(record, 'B'), 'A', True)
    assert given_up.part('A').paused and given_up.part('B').state is State.ABANDONED
    back = planned(decide.paused(given_up, None, False), 'A', 'B')
    assert not back.part('A').paused
    assert back.part('B').state is State.PENDING and back.part('B').desired == 'new'


# --- rollout --------------------------------------------------------------------------------


def test_a_rollout_keeps_its_waves_its_limit_and_its_tolerance():
    names = ('A', 'B', 'C', 'D')
    for limit, split, states in itertools.product(
        (0, 1, 2), (1, 2, 4), itertools.product('-sfb', repeat=4)
    ):
        waves = (names[:split], names[split:])
        settled = {n for n, s in zip(names, states, strict=True) if s in 'sf'}
        begun = {n for n, s in zip(names, states, strict=True) if s in 'sfb'}
        parts = tuple(
            Part(n, n, n, state=State.FAILED if s == 'f' else State.READY)
            for n, s in zip(names, states, strict=True)
        )
        rollout = model.Rollout(waves, limit)
        chosen = decide.may_work(model.Record(parts=parts), rollout, settled, begun)
        assert not set(chosen) & settled
        fresh = set(chosen) - begun
        assert not (fresh and 'f' in states)
        if set(chosen) & set(waves[1]) - begun:
            assert set(waves[0]) <= settled
        if limit and fresh:
            assert len(chosen) <= max(limit, len(begun - settled))


# --- tombstones -----------------------------------------------------------------------------

GRAVES = [
    Tombstone('B', 'mark', 'name', stack_id, EARLIER, attempt=attempt, error_class=error)
    for stack_id, attempt, error in itertools.product(
        ('', 'id', 'elsewhere'), ('', 'this'), (None, ErrorClass.UNREACHABLE)
    )
]


def test_a_delete_is_sent_only_for_the_stack_that_it_was_meant_for():
    for grave, seen, on_delete in itertools.product(
        GRAVES, [*SILENT, Absent(), *PRESENT], OnDelete
    ):
        rules = model.Rules(on_delete=on_delete)
        step = decide.burial_step(grave, seen, rules, 'this', 100.0)
        if isinstance(step, Send):
            assert step.request is Request.DELETE and isinstance(seen, Present)
            assert seen.stack_id == grave.stack_id or seen.mark == grave.mark
        if isinstance(seen, Silent) and isinstance(step, Forget):
            assert on_delete is OnDelete.RETAIN and seen.error_class is ErrorClass.UNREACHABLE


def test_a_delete_that_is_under_way_is_told_once_in_each_attempt():
    seen = Present('id', 'name', 'DELETE', 'IN_PROGRESS')
    for attempt, wanted in (('', Wait), ('this', Wait), ('an earlier one', Send)):
        grave = Tombstone('B', 'mark', 'name', 'id', EARLIER, attempt=attempt)
        assert isinstance(decide.burial_step(grave, seen, model.Rules(), 'this', 0.0), wanted)
