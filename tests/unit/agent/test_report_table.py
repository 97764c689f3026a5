# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from heat_ha.agent import report_table
from heat_ha.agent.model import Claimed
from heat_ha.agent.report_table import Arrival, ReportTable
from heat_ha.agent.rules.reports import ParsedReport
from heat_ha.cloud import model as cloud

DOWN, UP, RESOLVED, SILENT = Claimed.DOWN, Claimed.UP, Claimed.RESOLVED, Claimed.SILENT


class Table:
    """A table, and a clock that a test sets."""

    def __init__(self, monkeypatch):
        self.table = ReportTable(300.0, ['nova_notifications'])
        self.now = 1000.0
        monkeypatch.setattr(report_table.time, 'time', lambda: self.now)

    def tell(self, claimed, said_at=None, source='webhook', **changes):
        parsed = ParsedReport('c1', claimed, said_at=said_at, **{'sender': 's', **changes})
        return self.table.add(report_table.stamp(source, parsed))

    def claims(self, source='webhook', **changes):
        found = self.table.claims('c1', None, {}, self.now, **changes)
        return found.get(source, SILENT)


@pytest.fixture
def known(monkeypatch):
    return Table(monkeypatch)


def test_a_death_is_news_once_and_a_repetition_keeps_it_young(known):
    assert known.tell(DOWN, 900.0) is Arrival.NEWS
    known.now += 250
    assert known.tell(DOWN, 900.0) is Arrival.REPEATED
    known.now += 250
    assert known.claims() is DOWN
    known.now += 100
    assert known.claims() is SILENT
    # It fires still, hours later.
    known.now += 4 * 3600
    assert known.tell(DOWN, 900.0) is Arrival.NEWS and known.claims() is DOWN


def test_an_event_that_is_sent_twice_does_not_become_younger(known):
    assert known.tell(DOWN, 1000.0, is_event=True) is Arrival.NEWS
    known.now += 200
    assert known.tell(DOWN, 1000.0, is_event=True) is Arrival.REPEATED
    # The failure is over since; the doubled event is none of the next failure.
    assert known.claims(since=1100.0) is SILENT
    known.now += 150
    assert known.claims() is SILENT


def test_what_arrives_late_changes_nothing_even_after_reports_have_expired(known):
    known.tell(DOWN, 900.0)
    known.tell(RESOLVED, 990.0)
    assert known.tell(DOWN, 900.0) is Arrival.LATE and known.claims() is RESOLVED
    known.now += 3600
    known.table.expire(['c1'], known.now)
    assert known.tell(DOWN, 900.0) is Arrival.LATE
    assert known.tell(DOWN, 2000.0) is Arrival.NEWS and known.claims() is DOWN


def test_an_old_event_that_nobody_knew_is_late(known):
    assert known.tell(DOWN, 600.0, is_event=True) is Arrival.LATE
    assert known.claims() is SILENT


@pytest.mark.parametrize('ahead', [10.0, 86400.0 * 365])
def test_a_sender_whose_clock_is_ahead_is_heard_all_the_same(known, ahead):
    known.tell(DOWN, known.now + ahead, is_event=True)
    known.now += 5
    assert known.tell(UP, known.now, is_event=True) is Arrival.NEWS and known.claims() is UP


def test_novas_notifications_are_taken_in_the_order_in_which_they_were_sent(known):
    for claimed, said_at, arrival in (
        (SILENT, 990.0, Arrival.NEWS),
        (DOWN, 980.0, Arrival.LATE),
        (DOWN, 995.0, Arrival.NEWS),
    ):
        assert known.tell(claimed, said_at, 'nova_notifications') is arrival
    known.now += 10 * 86400
    known.table.expire(['c1'], known.now)
    assert known.claims('nova_notifications') is DOWN


def test_each_alert_and_each_sender_speaks_for_itself(known):
    known.tell(DOWN, 900.0, thing='a')
    known.tell(DOWN, 900.0, thing='b')
    known.tell(RESOLVED, 990.0, thing='a')
    assert known.claims() is DOWN
    # One that knows nothing of the alert cannot resolve it.
    known.tell(RESOLVED, 990.0, thing='b', sender='other')
    assert known.claims() is DOWN
    known.tell(RESOLVED, 990.0, thing='b')
    assert known.claims() is RESOLVED
    assert known.claims(heard_at=known.now + 1) is UP


def test_a_sender_that_was_restarted_does_not_bring_a_host_to_life(known):
    is_down = cloud.ComputeService('c1', 'id', False, False, False)
    known.tell(DOWN, 900.0)
    known.now += 10
    known.tell(RESOLVED, known.now)
    found = known.table.claims('c1', is_down, {}, known.now, heard_at=905.0)
    assert found == {'services_api': DOWN, 'webhook': RESOLVED}


def test_a_sender_cannot_fill_the_table(known):
    for number in range(3 * report_table.MAX_THINGS):
        known.now += 1
        known.tell(RESOLVED, thing=str(number))
    known.tell(DOWN, thing='x', sender='other')
    assert len(known.table) == report_table.MAX_THINGS + 1 and known.claims() is DOWN
    known.table.expire([], known.now)
    assert len(known.table) == 0


def test_what_was_said_last_is_forgotten_in_the_end(known):
    known.tell(DOWN, 900.0)
    known.now += report_table.KEPT + 1
    known.table.expire(['c1'], known.now)
    assert len(known.table) == 0


@pytest.mark.parametrize('source', ['webhook', 'nova_notifications'])
def test_what_nova_notified_of_does_not_outlast_what_nova_shows(known, source):
    known.tell(DOWN, source=source)
    known.now += 200
    shown = cloud.ComputeService('c1', 'id', True, False, False)
    dead = dataclasses.replace(shown, is_up=False, heartbeat_at=known.now)
    early = dataclasses.replace(shown, heartbeat_at=1000.0 + cloud.CLOCKS_APART)
    for services in ({}, {'c1': shown}, {'c1': dead}, {'c1': early}):
        known.table.check(services, known.now)
        assert known.claims(source) is DOWN
    known.table.check({'c1': dataclasses.replace(dead, is_up=True)}, known.now)
    is_novas = source == 'nova_notifications'
    assert known.claims(source) is (SILENT if is_novas else DOWN)
    # A mark of later counts again.
    known.now += 1
    known.tell(DOWN, source=source)
    assert known.claims(source) is DOWN
