# SPDX-License-Identifier: Apache-2.0
"""A reminder is an event each hour, once, whatever number of engines comes by."""

import datetime

import pytest

from heat_ha.failover import events, model, record, reminding
from heat_ha.failover.rules import reminders
from tests.unit.failover import worlds
from tests.unit.failover.test_successor_watch import Policy

PAUSED = model.Record(active=worlds.holder('a'), is_paused=True)
READY = model.Record(active=worlds.holder('a'))


@pytest.fixture
def policy(monkeypatch):
    found = Policy()
    found.now = worlds.NOW
    monkeypatch.setattr(reminding.clock, 'now', lambda: found.now)
    monkeypatch.setattr(reminding.clock, 'now_text', lambda *_args: found.now.isoformat())
    return found


def remind(policy, times=1):
    for _ in range(times):
        reminding.remind(policy, events.EventEmitter(policy))


def test_a_person_is_reminded_each_hour_until_it_is_over(policy):
    record.write(policy, PAUSED)
    for hours in range(1, 4):
        remind(policy, 3)
        policy.now += datetime.timedelta(seconds=reminders.EVERY)
        remind(policy, 3)
        assert len(policy.events) == hours and 'Send unpause' in policy.events[-1]
    record.write(policy, READY)
    remind(policy)
    assert reminding.REMINDED not in policy.data()
    policy.now += datetime.timedelta(days=1)
    remind(policy)
    record.write(policy, PAUSED)
    remind(policy, 2)
    assert len(policy.events) == 3, 'what has just begun is no reminder'


def test_of_two_engines_that_come_by_at_once_one_reminds(policy, monkeypatch):
    record.write(policy, PAUSED)
    remind(policy)
    policy.now += datetime.timedelta(seconds=reminders.EVERY)
    real, is_first = reminding.resource_data.fresh, [True]

    def fresh(one):
        found = real(one)
        if is_first:
            is_first.clear()
            remind(policy)
        return found

    monkeypatch.setattr(reminding.resource_data, 'fresh', fresh)
    remind(policy)
    assert len(policy.events) == 1
