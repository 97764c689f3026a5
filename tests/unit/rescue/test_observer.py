# SPDX-License-Identifier: Apache-2.0
"""What a rescue believes of Nova's answers about migrations."""

import types

import pytest

from heat_ha.cloud.model import Host, HostState, ServerStatus
from heat_ha.rescue import model, observer
from heat_ha.rescue.model import Migration

NONE, RUNNING = Migration(Migration.ABSENT), Migration('running', 'live-migration', 1.0, 'there')


@pytest.fixture
def clock(monkeypatch):
    made = types.SimpleNamespace(now=1000.0, monotonic=lambda: made.now)
    monkeypatch.setattr(observer, 'time', made)
    return made


class Nova:
    def __init__(self, *answers):
        self.answers = list(answers)

    def migration(self, _server):
        return self.answers.pop(0)


def look(made):
    seen = model.Observation(
        model.Server('s', ServerStatus.ACTIVE, 'old'), Host(HostState.CONFIRMED_DOWN, 'x'), 1.0
    )
    found = made.with_migration(seen, lambda _host: Host(HostState.UP, 'x'))
    return found.migration.status, found.absent_for


def test_that_there_is_none_is_asked_again_soon_and_counted(clock):
    made = observer.Observer(Nova(NONE, NONE, NONE))
    assert look(made) == ('absent', 0.0)
    clock.now += 3
    assert look(made) == ('absent', 0.0), 'no new answer yet'
    clock.now += 1
    assert look(made) == ('absent', 4.0)
    clock.now += 26
    assert look(made) == ('absent', 30.0)


def test_one_answer_without_the_cell_is_forgotten_with_the_next(clock):
    made = observer.Observer(Nova(NONE, RUNNING, NONE))
    assert look(made) == ('absent', 0.0)
    clock.now += 4
    assert look(made) == ('running', 0.0)
    clock.now += 4
    assert look(made) == ('running', 0.0), 'it is young still'
    clock.now += 16
    assert look(made) == ('absent', 0.0)


def test_a_new_migration_begins_to_count_at_its_beginning(clock):
    made = observer.Observer(Nova(NONE, NONE))
    look(made)
    clock.now += 60
    made.forget_migration('s')
    assert look(made) == ('absent', 0.0)
