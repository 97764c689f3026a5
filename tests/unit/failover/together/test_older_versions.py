# SPDX-License-Identifier: Apache-2.0
"""A version before reads what this one writes in the ordinary course of things."""

import dataclasses
import json
import pathlib

import pytest

from heat_ha import serialization
from heat_ha.failover import model
from heat_ha.failover.rules import outcome
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_outcome import moved

FIRST = json.loads((pathlib.Path(__file__).parents[2] / 'records' / 'failover-1.json').read_text())
GROUP = tuple(worlds.candidate(name) for name in 'abc')
PLAN = worlds.plan(worlds.seen(GROUP))
BEFORE = model.Record(epoch=1, active=worlds.holder('a'), seen=(worlds.holder('a'),), seen_rows='x')
RUNS = dataclasses.replace(BEFORE, plan=PLAN, state=model.State.RUNNING)

ORDINARY = {
    'ready': BEFORE,
    'paused': dataclasses.replace(BEFORE, is_paused=True),
    'a failover runs': RUNS,
    'it waits for a fence': dataclasses.replace(
        RUNS, state=model.State.WAITING_FOR_FENCE, reason='no', remedy='Fence it'
    ),
    'a switchover is over': dataclasses.replace(
        outcome.at_end(
            RUNS, moved(dataclasses.replace(PLAN, cause=model.Cause.SWITCHOVER)), ('a', 'b', 'c')
        ),
        active=PLAN.new,
    ),
}


def unknown(found, known, path=''):
    """The keys that the first version did not have, below each other as on record."""
    if isinstance(found, list):
        return {u for one in found for u in unknown(one, known[0] if known else {}, path)}
    if not isinstance(found, dict) or not isinstance(known, dict) or path.endswith('considered.'):
        return set()
    new = {path + key for key in found.keys() - known.keys()}
    both = found.keys() & known.keys()
    return new.union(*(unknown(found[key], known[key], f'{path}{key}.') for key in both))


@pytest.mark.parametrize('kind', ORDINARY)
def test_the_first_version_knows_all_that_is_on_record_in_the_ordinary_course(kind):
    plain = json.loads(json.dumps(serialization.encode(ORDINARY[kind])))
    assert unknown(plain, FIRST) == set()


def test_each_field_that_came_later_is_written_only_while_it_has_something():
    for field in dataclasses.fields(model.Record):
        key = model.Record.FORM.keys.get(field.name, field.name)
        assert key in FIRST or field.name in model.Record.FORM.omits, field.name


def test_what_is_found_as_unknown_is_named():
    known = dataclasses.replace(BEFORE, left_with=(worlds.holder('b'),), retries=2)
    plain = json.loads(json.dumps(serialization.encode(known)))
    assert unknown(plain, FIRST) == {'left_with', 'retries'}
