# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

from heat_ha.groups import model
from heat_ha.groups.rules import marks

TRACED = model.Mark('engine-1', '2026-01-01T00:00:00+00:00', 'policy', 'id')


def evidence(**changes):
    plain = marks.MarkEvidence(
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
        assert marks.who_holds(dataclasses.replace(seen, mark=None)) == marks.Free()


def test_a_living_holder_is_never_passed_over():
    for seen in all_evidence():
        if seen.is_holder_alive:
            assert isinstance(marks.who_holds(seen), marks.Held), seen


def test_a_dead_engines_mark_is_stale_at_once():
    for seen in all_evidence():
        if seen.is_holder_alive is False:
            assert isinstance(marks.who_holds(seen), marks.Free), seen


def test_who_looks_on_for_a_minute_knows_of_a_mark_whatever_the_clocks_say():
    for ahead in (1.0, 59.0, 7200.0):
        for seen_for in (0.0, 59.0, 60.0):
            seen = evidence(mark=model.Mark(), changed_ago=-ahead, seen_for=seen_for)
            verdict = marks.who_holds(seen)
            assert isinstance(verdict, marks.Free) is (seen_for >= 60), seen
            if isinstance(verdict, marks.Unclear):
                assert 0 < verdict.seconds <= 60, seen


def test_a_mark_without_a_trace_is_stale_only_after_a_minute_of_rest():
    for seen in all_evidence():
        if seen.is_holder_alive is not None:
            continue
        verdict = marks.who_holds(dataclasses.replace(seen, mark=model.Mark()))
        is_at_rest = not seen.is_nested_in_progress or seen.changed_ago > seen.timeout
        if isinstance(verdict, marks.Free):
            assert is_at_rest and min(seen.changed_ago, seen.seen_for) >= 60, seen
        elif isinstance(verdict, marks.Unclear):
            assert is_at_rest and 0 < verdict.seconds <= 60, seen
        else:
            assert not is_at_rest, seen
