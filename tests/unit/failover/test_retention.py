# SPDX-License-Identifier: Apache-2.0
import types

import pytest

from heat_ha.failover import events, held_record, model, retention
from heat_ha.groups import replacing
from tests.unit.failover import worlds

LONG_AGO = '2020-01-01T00:00:00.000+00:00'


@pytest.fixture
def retained(monkeypatch):
    """A group with one expired member; each answer about the lock is used once."""

    def make(*is_held):
        answers = list(is_held)
        policy = types.SimpleNamespace(name='policy', _add_event=lambda *_args: None)
        lock = types.SimpleNamespace(is_held=lambda: answers.pop(0))
        held = held_record.HeldRecord(policy, lock)
        held.see(
            model.Record(
                active=worlds.holder('b'), retained=(model.Retained('a', 'server-a', LONG_AGO),)
            )
        )
        made = retention.Retention(policy, None, held, events.EventEmitter(policy))
        made.replaced, made.written = [], []
        monkeypatch.setattr(replacing, 'replace', lambda *a, **k: made.replaced.append(k['named']))
        monkeypatch.setattr(
            held_record.record, 'write', lambda _policy, new: made.written.append(new)
        )
        return made

    return make


def test_a_member_that_was_retained_long_enough_goes(retained):
    made = retained(True, True)
    made.expire('policy')
    assert made.replaced == [('a',)] and made.written[-1].retained == ()


def test_an_engine_that_lost_the_group_removes_nothing_and_writes_nothing(retained):
    made = retained(False)
    made.expire('policy')
    assert made.replaced == [] and made.written == []


def test_an_engine_that_loses_the_group_meanwhile_leaves_the_record_to_its_successor(retained):
    made = retained(True, False)
    made.expire('policy')
    assert made.replaced == [('a',)] and made.written == []


@pytest.mark.parametrize('state', [s for s in model.State if s is not model.State.READY])
def test_nothing_goes_while_a_failover_is_not_at_its_end(retained, state):
    made = retained()
    made._held.see(
        model.Record(state=state, active=worlds.holder('b'), retained=made._held.value.retained)
    )
    made.expire('policy')
    assert made.replaced == [] and made.written == []
