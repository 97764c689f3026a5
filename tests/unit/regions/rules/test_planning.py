# SPDX-License-Identifier: Apache-2.0
"""What the record says follows from what is wanted; nobody else's stack is ever meant."""

import dataclasses
import itertools

from heat_ha.regions import model
from heat_ha.regions.model import State
from heat_ha.regions.rules import planning, spec
from tests.unit.regions.states import EARLIER, PARTS


def planned(record, *regions):
    marks = iter(f'mark-{n}' for n in itertools.count())
    wanted = {r: spec.Content('new', {}) for r in regions}
    return planning.plan(record, wanted, 'stack', False, EARLIER, lambda: next(marks))


def test_what_leaves_and_comes_back_is_another_stack_than_its_tombstone():
    for told, stack_id in itertools.product(('', 'new'), ('', 'id')):
        first = planned(model.Record(), 'B')
        first = first.with_part(dataclasses.replace(first.parts[0], sent=told, stack_id=stack_id))
        gone = planned(first)
        assert len(gone.tombstones) == bool(told or stack_id)
        again = planned(gone, 'B')
        assert again.parts[0].name != first.parts[0].name or not gone.tombstones
        assert again.tombstones == gone.tombstones


def test_a_part_that_a_person_gave_up_leaves_no_tombstone():
    part = dataclasses.replace(PARTS[0], sent='new', stack_id='id', state=State.ABANDONED)
    assert not planned(model.Record(parts=(part,))).tombstones


def test_pausing_and_giving_up_are_taken_back_by_resume():
    record = planned(model.Record(), 'A', 'B')
    given_up = planning.paused(planning.abandoned(record, 'B'), 'A', True)
    assert given_up.part('A').paused and given_up.part('B').state is State.ABANDONED
    back = planned(planning.paused(given_up, None, False), 'A', 'B')
    assert not back.part('A').paused
    assert back.part('B').state is State.PENDING and back.part('B').desired == 'new'
