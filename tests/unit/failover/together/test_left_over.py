# SPDX-License-Identifier: Apache-2.0
"""What a dropped plan has left elsewhere is shown until it is at the active."""

import dataclasses
import itertools

import pytest

from heat_ha import serialization, signals
from heat_ha.failover import attributes, model
from heat_ha.failover.rules import decide, outcome, ways_out
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_outcome import moved
from tests.unit.failover.rules.test_ways_out import MOVES, stopped_world

A, B, C = (frozenset({f'server-{name}'}) for name in 'abc')
PLACES = (A, B, C, frozenset(), None)


def dropped(name, **places):
    seen = stopped_world(name, **places)
    found = decide.answer(signals.Signal(model.Action.DROP), seen)
    return found, dataclasses.replace(seen, record=found.record)


@pytest.mark.parametrize('name', MOVES)
def test_nothing_is_ready_after_a_drop_that_is_not_all_at_the_active(name):
    for v1, v2, port in itertools.product(PLACES, PLACES, PLACES):
        found, _after = dropped(name, held_by={'v1': v1, 'v2': v2}, others_at={'port': port})
        record = found.record
        own = frozenset({record.active.server})
        state = decide.state(record)
        assert (state is model.State.READY) is (v1 == v2 == port == own), (v1, v2, port)
        if state is model.State.READY:
            assert record.left_over == record.left_with == ()
            continue
        assert state is model.State.INCOMPLETE
        shown = attributes.pending(record, ())['left_over']
        for target, at in (('v1', v1), ('v2', v2), ('port', port)):
            assert any(target in text for text in shown) is (at != own)
        # The event and the attribute name what is where, and the way out of it.
        for text in (found.text, attributes.reason(record, ())):
            assert all(part in text for part in shown)
            assert f'switchover with member {record.active.member}' in text


@pytest.mark.parametrize('name', MOVES)
def test_it_stays_on_record_until_all_of_it_is_seen_at_the_active(name):
    _found, after = dropped(name, held_by={'v1': A, 'v2': B}, others_at={'port': None})
    own = frozenset({after.record.active.server})
    for v1, v2, port in itertools.product(PLACES, PLACES, PLACES):
        seen = dataclasses.replace(after, held_by={'v1': v1, 'v2': v2}, others_at={'port': port})
        now = ways_out.as_left_now(seen)
        assert (now.left_over == ()) is (v1 == v2 == port == own)
        assert now.left_with == (after.record.left_with if now.left_over else ())
    blind = dataclasses.replace(after, held_by={}, others_at={})
    assert ways_out.as_left_now(blind) is after.record, 'no answer is none'


@pytest.mark.parametrize('name', MOVES)
def test_what_a_request_is_under_way_for_is_not_yet_where_it_is_seen(name):
    """Nova may carry it out minutes later: then nobody would have the volume, and nobody know."""
    for v1, v2 in itertools.product(PLACES, PLACES):
        held_by = {'v1': v1, 'v2': v2}
        found, after = dropped(name, held_by=held_by, under_way=frozenset({'v1'}))
        assert decide.state(found.record) is model.State.INCOMPLETE
        assert any('v1' in text and 'under way' in text for text in found.record.left_over)
        own = frozenset({found.record.active.server})
        there = dataclasses.replace(after, held_by={'v1': own, 'v2': own})
        assert ways_out.as_left_now(there).left_over
        done = dataclasses.replace(there, under_way=frozenset())
        assert not ways_out.as_left_now(done).left_over


def test_the_way_out_that_is_named_leads_out():
    _found, after = dropped('attach:v2', held_by={'v1': B, 'v2': A}, others_at={})
    name = after.record.active.member
    assert f'switchover with member {name}' in attributes.reason(after.record, ())
    found = decide.answer(signals.Signal(model.Action.SWITCHOVER, name), after)
    ended = outcome.at_end(after.record, moved(found.plan), ('a', 'b', 'c'))
    assert ended.left_over == ended.left_with == () and decide.state(ended) is model.State.READY


def test_a_drop_that_sees_nothing_forgets_nothing():
    seen = stopped_world('attach:v1', held_by={}, others_at={})
    known = dataclasses.replace(seen.record, left_over=('v1 is at member a',))
    again = decide.answer(
        signals.Signal(model.Action.DROP), dataclasses.replace(seen, record=known)
    )
    assert again.record.left_over == known.left_over


def test_nothing_is_ready_without_an_active_or_with_something_left_to_do():
    ready = model.Record(epoch=1, active=worlds.holder('a'))
    assert decide.state(ready) is model.State.READY
    hindered = model.Retained('b', 'server-b', '2026-01-01T00:00:00+00:00', reason='no')
    for changes in (
        {'active': None},
        {'left_over': ('v1 is at no server',)},
        {'is_paused': True},
        {'retained': (hindered,)},
        {
            'follow_ups': (
                model.FollowUp(
                    worlds.plan(worlds.seen((worlds.candidate('a'), worlds.candidate('b'))))
                ),
            )
        },
    ):
        assert decide.state(dataclasses.replace(ready, **changes)) is not model.State.READY
    assert decide.state(ready, has_signals=True) is not model.State.READY


def test_an_older_version_reads_a_record_that_has_nothing_left_over():
    assert 'left_over' not in serialization.encode(model.Record())
