# SPDX-License-Identifier: Apache-2.0
"""Questions in the table of the agents, as an engine writes them and an agent reads them."""

import pytest

from heat_ha import serialization
from heat_ha.agent.adapters import store as agent_store
from heat_ha.failover.adapters import leftover_questions
from heat_ha.fencing.rules import leftovers
from tests.unit.agent.worlds import store

__all__ = ['store']

ASKED = leftovers.Question('q1', 'p1', 's1', 'hash-1', 'v1', 1e9)


@pytest.fixture
def engine(store, monkeypatch):
    monkeypatch.setattr(leftover_questions.db_api, 'get_engine', lambda: store._engine)
    return store._engine


def test_an_agent_reads_the_question_and_the_engine_its_answer(engine, store):
    leftover_questions.ask(ASKED)
    assert leftover_questions.answer('q1') == ''
    entry = store.get(leftovers.KIND, 'q1')
    found = serialization.decode(leftovers.Question, entry.value, 'x')
    assert found == ASKED
    answered = entry.value | {'answer': 'nobody'}
    store.put(leftovers.KIND, 'q1', answered, entry.version)
    assert leftover_questions.answer('q1') == 'nobody'
    leftover_questions.take_away('q1')
    assert store.get(leftovers.KIND, 'q1') == agent_store.ABSENT
    assert leftover_questions.answer('q1') == ''


def test_an_answer_to_a_question_that_was_taken_away_is_written_nowhere(engine, store):
    leftover_questions.ask(ASKED)
    entry = store.get(leftovers.KIND, 'q1')
    leftover_questions.take_away('q1')
    with pytest.raises(agent_store.Changed):
        store.put(leftovers.KIND, 'q1', entry.value, entry.version)
