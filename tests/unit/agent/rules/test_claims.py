# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha.agent.model import Claimed, Report
from heat_ha.agent.rules import claims

DOWN, UP, RESOLVED, SILENT = Claimed.DOWN, Claimed.UP, Claimed.RESOLVED, Claimed.SILENT
NEVER = float('-inf')


def report(claimed, at=100.0, said_at=None, thing='', is_event=False, sender='s'):
    said = at if said_at is None else said_at
    return Report('webhook', 'c1', claimed, at, '', said, sender, thing, is_event)


@pytest.mark.parametrize(
    ('new', 'known', 'expected'),
    [
        # A firing alert that arrives after its own resolution, and the other way round.
        (report(DOWN, 102, 50), report(RESOLVED, 101, 60), True),
        (report(RESOLVED, 102, 60), report(DOWN, 101, 70), True),
        (report(DOWN, 102, 70), report(RESOLVED, 101, 60), False),
        (report(RESOLVED, 102, 60), report(DOWN, 101, 50), False),
        # It fires still: a repetition, be it hours later, and be the alert merged with an older.
        (report(DOWN, 9999, 50), report(DOWN, 100, 50), False),
        (report(DOWN, 9999, 50), None, False),
        (report(DOWN, 102, 40), report(DOWN, 100, 50), False),
        # Events.
        (report(DOWN, 102, 50, is_event=True), report(UP, 101, 60, is_event=True), True),
        (report(DOWN, 102, 50, is_event=True), report(DOWN, 101, 60, is_event=True), True),
        (report(UP, 102, 60, is_event=True), report(DOWN, 101, 60, is_event=True), False),
        (report(DOWN, 402, 100, is_event=True), None, True),
        (report(DOWN, 400, 100, is_event=True), None, False),
    ],
)
def test_what_says_how_things_were_is_late(new, known, expected):
    assert claims.is_late(new, known, 300.0) is expected


def test_an_event_that_is_sent_twice_is_one():
    one = report(DOWN, 100, 50, is_event=True)
    again = dataclasses.replace(one, at=200.0)
    assert claims.is_same_event(again, one)
    assert not claims.is_same_event(again, None)
    assert not claims.is_same_event(dataclasses.replace(again, said_at=60.0), one)
    assert not claims.is_same_event(dataclasses.replace(again, claimed=UP), one)
    # An alert that is repeated fires still.
    assert not claims.is_same_event(report(DOWN, 200, 50), report(DOWN, 100, 50))


@pytest.mark.parametrize(
    ('told', 'heard_at', 'expected'),
    [
        ([], NEVER, SILENT),
        ([report(DOWN)], NEVER, DOWN),
        ([report(UP)], NEVER, UP),
        ([report(SILENT)], 200.0, SILENT),
        # Two alerts about one host: one that is resolved does not take the other along.
        ([report(DOWN, 100, thing='a'), report(RESOLVED, 101, thing='b')], 200.0, DOWN),
        # A sender that was restarted resolves what it has forgotten.
        ([report(RESOLVED, 100)], NEVER, RESOLVED),
        ([report(RESOLVED, 100)], 100.0, RESOLVED),
        ([report(RESOLVED, 100)], 100.5, UP),
        # Two senders do not agree: the younger one counts, and at once the one that says up.
        ([report(DOWN, 100), report(UP, 101, sender='t')], NEVER, UP),
        ([report(DOWN, 102), report(UP, 101, sender='t')], NEVER, DOWN),
        ([report(DOWN, 101), report(UP, 101, sender='t')], NEVER, UP),
    ],
)
def test_what_was_reported_of_a_host_means_together(told, heard_at, expected):
    for order in itertools.permutations(told):
        assert claims.together(order, heard_at) is expected


def test_only_a_claim_of_a_death_that_nothing_younger_denies_is_one():
    kinds = (DOWN, UP, RESOLVED, SILENT)
    for size in range(4):
        for mixture in itertools.product(itertools.product(kinds, (1.0, 2.0)), repeat=size):
            told = [report(kind, at, thing=str(n)) for n, (kind, at) in enumerate(mixture)]
            for heard_at in (NEVER, 1.5, 3.0):
                if claims.together(told, heard_at) is DOWN:
                    youngest = max(r.at for r in told if r.claimed is DOWN)
                    assert all(r.at < youngest for r in told if r.claimed is UP)
