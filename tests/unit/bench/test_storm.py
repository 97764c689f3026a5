# SPDX-License-Identifier: Apache-2.0
"""The storm benchmark: what it sends, when it gives up, and what its figures say."""

import contextlib
import threading
import types

import pytest

# The benchmarks read the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from bench import handoff, storm

OURS = storm.Storm((2.0, 3.0, 5.0), 900, (40, 52), (300.0, 330.0))
BARE = storm.Storm((1.0, 2.0, 4.0), 300)


class Database:
    """Volumes on servers, and how many statements there were: each costs one more."""

    def __init__(self):
        self.holders = {}
        self.statements = 0

    def cursor(self):
        return contextlib.nullcontext(self)

    def execute(self, text):
        self.statements += 1
        is_status = text.startswith('SHOW')
        self.rows = [('Questions', self.statements)] if is_status else self.holders.items()

    def fetchall(self):
        return self.rows

    def close(self):
        pass


@pytest.fixture
def database(monkeypatch):
    made = Database()
    monkeypatch.setattr(storm.pymysql, 'connect', lambda **_: made)
    monkeypatch.setattr(
        storm.access, 'environment', lambda: {'database': {'root_socket': 'socket'}}
    )
    monkeypatch.setattr(storm, 'IDLE', 0.01)
    monkeypatch.setattr(storm, 'LOOK', 0.001)
    return made


def test_all_are_sent_at_once_and_the_clock_stops_at_the_last_volume(database):
    together = threading.Barrier(2, timeout=10)

    def send(volume):
        together.wait()
        database.statements += 50
        database.holders[volume] = 'standby'

    sends = [lambda v=volume: send(v) for volume in 'ab']
    found, queries = storm.measured({'a': 'standby', 'b': 'standby'}, sends)
    assert len(found) == 2 and found == tuple(sorted(found))
    # The looks of the clock are not counted.
    assert queries == 100


def test_what_fails_on_the_way_is_told_and_not_waited_for(database):
    def send():
        raise AssertionError('Nova refuses')

    with pytest.raises(AssertionError, match='Nova refuses'):
        storm.measured({'a': 'standby'}, [send])


def test_a_volume_that_never_comes_ends_the_storm(database, monkeypatch):
    monkeypatch.setattr(storm, 'LIMIT', 0.05)
    with pytest.raises(AssertionError, match='1 of 1 volumes did not arrive'):
        storm.measured({'a': 'standby'}, [lambda: None])


def test_the_bare_calls_delete_the_dead_server_and_attach_what_is_free(database):
    calls = []
    looks = [handoff.Volume('in-use', 'dead'), handoff.Volume('available', None)]

    class One:
        volumes = ('a',)
        tenant = types.SimpleNamespace(attach=lambda *args: attach(*args))

        def delete(self, server):
            calls.append(('delete', server))

        def look(self):
            return {'a': looks.pop(0)}

    def attach(server, volume):
        calls.append(('attach', server, volume))
        database.holders[volume] = server

    found = storm._storm_of_bare([(One(), 'dead', 'living')])
    assert calls == [('delete', 'dead'), ('attach', 'living', 'a')] and len(found.arrivals) == 1


def test_both_contenders_have_what_the_storm_calls():
    assert callable(storm.Bare.delete) and callable(storm.Bare.move)
    assert callable(storm.Ours.is_ready) and storm.Ours.is_logged_in is False


def test_the_figures_are_of_the_last_volume_and_of_each_failover_that_waits():
    figures = storm.summary(BARE, OURS, pairs=9)
    assert figures['ours_over_bare'] == 1.25 and figures['goals']['ours_over_bare']['holds']
    assert (figures['bare_first_s'], figures['bare_median_s'], figures['bare_s']) == (1.0, 2.0, 4.0)
    assert (figures['engine_threads_each'], figures['engine_mib_each']) == (4.0, 10.0)
    assert (figures['ours_queries_each'], figures['bare_queries_each']) == (300, 100)
    assert figures['volumes'] == 3 and 'holds' in storm.verdict(figures)
    slower = storm.Storm((2.0, 3.0, 5.1), 900)
    assert 'is missed' in storm.verdict(storm.summary(BARE, slower, pairs=9))
    assert storm.table(figures).row_count == 2
