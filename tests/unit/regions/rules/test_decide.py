# SPDX-License-Identifier: Apache-2.0
"""The rules of one part and of one tombstone, over all combinations of states."""

import dataclasses
import itertools

from heat_ha import serialization
from heat_ha.regions import model
from heat_ha.regions.model import ErrorClass, State
from heat_ha.regions.rules import decide, spec, tombstones, transitions
from heat_ha.regions.rules.answers import Absent, Present
from heat_ha.regions.rules.spec import Drift, OnUnreachable
from heat_ha.regions.rules.steps import Defer, Done, Fail, Request, Send, Wait
from tests.unit.regions.states import (
    EARLIER,
    JUST_NOW,
    NOW,
    PARTS,
    PRESENT,
    SILENT,
)

RULES = [
    spec.Rules(unreachable, drift=drift, may_repair=may_repair)
    for unreachable, drift, may_repair in itertools.product(OnUnreachable, Drift, (True, False))
]


def worlds():
    return itertools.product(PARTS, [*SILENT, Absent(), *PRESENT], RULES)


# S2, S8
def test_could_not_ask_sends_nothing_and_deletes_nothing():
    for part, observed, rules in itertools.product(PARTS, SILENT, RULES):
        step = decide.next_step(part, observed, rules, 'this', NOW)
        assert isinstance(step, Wait | Done | Defer | Fail), (part, observed)


def test_could_not_ask_keeps_what_was_applied_and_never_calls_another_revision_done():
    for part, observed, rules in itertools.product(PARTS, SILENT, RULES):
        step = decide.next_step(part, observed, rules, 'this', NOW)
        if isinstance(step, Done):
            assert part.is_current
        if not part.is_current and observed.error_class is not ErrorClass.UNREACHABLE:
            assert isinstance(step, Fail) and step.error_class is observed.error_class


def test_a_region_that_has_what_is_wanted_is_sent_nothing():
    for part, observed, rules in itertools.product(PARTS, PRESENT, RULES):
        if part.adopts and not part.sent:
            continue
        is_quiet = observed.status == 'COMPLETE' and observed.action in ('CREATE', 'UPDATE')
        if observed.revision == 'new' and is_quiet and observed.changed == 'then':
            assert not isinstance(decide.next_step(part, observed, rules, 'this', NOW), Send)


def test_what_has_failed_in_an_action_is_not_sent_again_by_it():
    for part, observed, rules in worlds():
        if part.attempt == 'this' and part.sent == 'new' and isinstance(observed, Present):
            step = decide.next_step(part, observed, rules, 'this', NOW)
            if observed.status == 'FAILED' and observed.action != 'DELETE':
                assert isinstance(step, Fail), (part, observed)


def test_a_rollback_there_ends_the_wait_at_once():
    for part, observed, rules in worlds():
        if not isinstance(observed, Present) or observed.action != 'ROLLBACK' or part.adopts:
            continue
        step = decide.next_step(part, observed, rules, 'this', NOW)
        if part.attempt == 'this' and part.sent == 'new' and not part.is_current:
            assert isinstance(step, Fail), (part, observed)


def test_a_check_repairs_nothing_that_was_sent():
    for part, observed in itertools.product(PARTS, PRESENT):
        if part.sent == 'new' and observed.status == 'FAILED' and not part.adopts:
            rules = spec.Rules(may_repair=False)
            assert isinstance(decide.next_step(part, observed, rules, 'this', NOW), Fail)


def test_a_stack_is_made_only_where_the_region_said_that_there_is_none():
    for part, observed, rules in worlds():
        step = decide.next_step(part, observed, rules, 'this', NOW)
        if isinstance(step, Send) and step.request is Request.CREATE:
            is_gone = isinstance(observed, Absent) or (observed.action, observed.status) == (
                'DELETE',
                'COMPLETE',
            )
            assert is_gone, (part, observed)
            assert isinstance(observed, Absent) or part.attempt != 'this', (
                'deleted after it was sent'
            )
            assert (
                transitions.intended(part, step.request, observed, 'this', JUST_NOW).stack_id == ''
            )
            assert part.doubtful_since != JUST_NOW, 'the first request may still make it'
        if isinstance(step, Send) and step.request is Request.UPDATE:
            assert isinstance(observed, Present)
        assert not (isinstance(step, Send) and step.request is Request.DELETE)


def test_what_others_changed_is_overwritten_only_with_leave():
    for part, observed in itertools.product(PARTS, PRESENT):
        if part.adopts or not part.applied or observed.status != 'COMPLETE':
            continue
        if (
            observed.action == 'DELETE'
            or observed.action == 'ROLLBACK'
            or observed.revision in ('new', 'old')
        ):
            continue
        report = decide.next_step(part, observed, spec.Rules(drift=Drift.REPORT), 'other', NOW)
        assert isinstance(report, Done | Fail), (part, observed)
        assert getattr(report, 'is_drifted', True)
        correct = decide.next_step(part, observed, spec.Rules(drift=Drift.CORRECT), 'other', NOW)
        assert isinstance(correct, Send), (part, observed)


def test_with_defer_nothing_waits_for_a_region_that_is_known_to_be_silent():
    for part in PARTS:
        step = decide.next_step(part, SILENT[0], spec.Rules(), 'this', NOW)
        assert isinstance(step, Defer | Done)


def test_a_wait_for_a_silent_region_ends_when_patience_does():
    part = dataclasses.replace(PARTS[0], silent_since=EARLIER)
    assert isinstance(decide.next_step(part, SILENT[1], spec.Rules(), 'x', NOW), Defer)
    part = dataclasses.replace(PARTS[0], silent_since=JUST_NOW)
    assert isinstance(decide.next_step(part, SILENT[1], spec.Rules(), 'x', NOW), Wait)


def test_a_record_is_read_as_it_was_written():
    for part in PARTS:
        part = dataclasses.replace(part, error_class=ErrorClass.AUTH, state=State.FAILED)
        tombstone = tombstones.tombstone_of(part, EARLIER)
        record = model.Record('A', 3, 'm', (part,), (tombstone,), {'B': 2})
        assert serialization.decode(model.Record, serialization.encode(record), 'it') == record
