# SPDX-License-Identifier: Apache-2.0
"""What a record leaves out: never what a plan needs to be carried on."""

import dataclasses

import pytest

from heat_ha.failover import model
from heat_ha.failover.model import StepState
from heat_ha.failover.rules import room
from tests.unit.failover import worlds


def record_of(plan, **changes):
    seen = (worlds.holder('a'), worlds.holder('b'))
    return model.Record(plan=plan, active=plan.old, seen=seen, seen_rows='rows', **changes)


def as_carried_on(record):
    """What a plan needs: all of the record but texts, and what can be seen again."""
    steps = tuple(dataclasses.replace(s, reason='') for s in record.plan.steps)
    plan = dataclasses.replace(record.plan, considered={}, steps=steps)
    return dataclasses.replace(record, plan=plan, seen=(), seen_rows='', reason='', remedy='')


@pytest.mark.parametrize('state', StepState)
def test_every_version_of_a_record_has_what_a_plan_needs_to_be_carried_on(state):
    plan = worlds.plan(worlds.seen([worlds.candidate(n) for n in 'abc'], volumes=('v1', 'v2')))
    steps = tuple(dataclasses.replace(s, state=state, reason='r' * 5000) for s in plan.steps)
    record = record_of(dataclasses.replace(plan, steps=steps), reason='r' * 5000, remedy='m')
    versions = list(room.briefer(record))
    assert versions[0] == record
    assert all(as_carried_on(one) == as_carried_on(record) for one in versions)
    assert not versions[-1].seen and not any(s.reason for s in versions[-1].plan.steps)
    lengths = [len(repr(one)) for one in versions]
    assert lengths == sorted(lengths, reverse=True)


def test_a_large_plan_says_of_its_own_members_and_of_some_others_why_they_were_chosen_or_not():
    names = [chr(ord('a') + number) for number in range(26)] + [f'z{n}' for n in range(300)]
    plan = worlds.plan(worlds.seen([worlds.candidate(n) for n in names]))
    last = dataclasses.replace(plan, new=worlds.holder('z299'))
    _all, some, *_rest = room.briefer(record_of(last))
    assert len(some.plan.considered) == room.MOST_CONSIDERED + 3
    assert {'a', 'z299'} <= set(some.plan.considered)
    assert some.plan.considered[room.OTHERS] == 'and 304 others'
    few = worlds.plan(worlds.seen([worlds.candidate(n) for n in 'abc']))
    assert list(room.briefer(record_of(few)))[1].plan.considered == few.considered


@pytest.mark.parametrize('most', [room.BRIEF, room.LONGEST])
def test_a_text_that_is_too_long_keeps_its_beginning_and_its_way_out(most):
    text = 'Nova says: ' + 'x' * 5000 + '. Send resume'
    assert len(room.bounded(text, most)) == most
    assert room.bounded(text, most).startswith('Nova says')
    assert room.bounded(text, most).endswith('. Send resume')
    assert room.bounded('short', 5) == 'short' and room.bounded('short', 0) == ''
