# SPDX-License-Identifier: Apache-2.0
"""Deletes reach only what they are meant for."""

import itertools

from heat_ha.regions.model import ErrorClass, Tombstone
from heat_ha.regions.rules import spec, tombstones
from heat_ha.regions.rules.answers import Absent, Present, Silent
from heat_ha.regions.rules.spec import OnDelete
from heat_ha.regions.rules.steps import Forget, Request, Send, Wait
from tests.unit.regions.states import EARLIER, PRESENT, SILENT

GRAVES = [
    Tombstone('B', 'mark', 'name', stack_id, EARLIER, attempt=attempt, error_class=error)
    for stack_id, attempt, error in itertools.product(
        ('', 'id', 'elsewhere'), ('', 'this'), (None, ErrorClass.UNREACHABLE)
    )
]


def test_a_delete_is_sent_only_for_the_stack_that_it_was_meant_for():
    for tombstone, observed, on_delete in itertools.product(
        GRAVES, [*SILENT, Absent(), *PRESENT], OnDelete
    ):
        rules = spec.Rules(on_delete=on_delete)
        step = tombstones.next_step(tombstone, observed, rules, 'this', 100.0)
        if isinstance(step, Send):
            assert step.request is Request.DELETE and isinstance(observed, Present)
            assert observed.stack_id == tombstone.stack_id or observed.mark == tombstone.mark
        if isinstance(observed, Silent) and isinstance(step, Forget):
            assert on_delete is OnDelete.RETAIN and observed.error_class is ErrorClass.UNREACHABLE


def test_a_delete_that_is_under_way_is_sent_once_in_each_attempt():
    observed = Present('id', 'name', 'DELETE', 'IN_PROGRESS')
    for attempt, wanted in (('', Wait), ('this', Wait), ('an earlier one', Send)):
        tombstone = Tombstone('B', 'mark', 'name', 'id', EARLIER, attempt=attempt)
        assert isinstance(
            tombstones.next_step(tombstone, observed, spec.Rules(), 'this', 0.0), wanted
        )
