# SPDX-License-Identifier: Apache-2.0
"""Signals, kills and reminders of one failover, without a cloud."""

import time
import types

import pytest

# The campaign reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from chaos.real import drive
from chaos.real.choice import AGENT, ENGINES, Failure, Kill, Run, Way


class Stack:
    def __init__(self):
        self.signals, self.state = [], 'running'

    def signal(self, resource, body):
        self.signals.append((resource, body))

    def resource(self, _name):
        return {'attributes': {'state': self.state, 'reason': 'nobody can'}}


class Pair:
    active, host = 'a', 'r1'

    def __init__(self):
        self.stack, self.signals = Stack(), []

    def signal(self, body):
        self.signals.append(body)


class Agent:
    def __init__(self):
        self.reports, self.lives = [], []

    def report(self, body):
        self.reports.append(body)
        return 202

    def kill(self):
        self.lives.append('killed')

    def start(self):
        self.lives.append('started')


@pytest.fixture
def killed(monkeypatch):
    found = []
    monkeypatch.setattr(drive.processes, 'kill', lambda what: found.append(('kill', what)))
    monkeypatch.setattr(drive.hosts, 'run_lab', lambda *words: found.append(words))
    return found


def driver_of(failure, way, signals=(0.0,), kills=()):
    outcome = drive.Outcome(Run(1, failure, way, signals, kills))
    made = drive.Driver(outcome, Pair(), None, lambda _text: None)
    made._agent = Agent()
    return made


def signalled(driver, seconds=0.1):
    with driver._signalled(None):
        time.sleep(seconds)


def test_a_monitor_names_the_server_as_often_as_was_drawn():
    driver = driver_of(Failure.CRASH, Way.MONITOR, (0.0, 0.0, 0.01))
    signalled(driver)
    assert driver._pair.signals == [{'member': 'a'}] * 3 and not driver._agent.reports


def test_a_sender_reports_the_host():
    driver = driver_of(Failure.POWER, Way.AGENT, (0.0, 0.0))
    signalled(driver)
    assert driver._agent.reports == [{'host': 'r1', 'state': 'down'}] * 2
    assert not driver._pair.signals


def test_a_monitor_waits_until_nova_shows_the_host_as_down(monkeypatch):
    states = iter(['up', 'up', 'down'])
    monkeypatch.setattr(drive.hosts, 'service_of', lambda *_args: {'state': next(states)})
    driver = driver_of(Failure.CUT, Way.MONITOR)
    signalled(driver)
    assert driver._pair.signals and next(states, None) is None


def test_what_is_killed_runs_again_also_when_the_failover_is_over_before(killed):
    kills = Kill(ENGINES[1], 0.0, 60.0), Kill(AGENT, 0.0, 60.0)
    driver = driver_of(Failure.CRASH, Way.MONITOR, kills=kills)
    signalled(driver)
    assert killed == [('kill', ENGINES[1]), ('start', ENGINES[1])]
    assert driver._agent.lives == ['killed', 'started']
    assert set(driver.outcome.kills) == set(kills)


def test_nothing_is_sent_or_killed_once_the_failover_is_over(killed):
    driver = driver_of(Failure.CRASH, Way.MONITOR, (0.0, 60.0), (Kill(ENGINES[0], 60.0, 1.0),))
    signalled(driver)
    assert len(driver._pair.signals) == 1 and not killed and not driver.outcome.kills


def test_what_was_killed_runs_again_when_the_run_fails(killed):
    driver = driver_of(Failure.CRASH, Way.MONITOR, kills=(Kill(ENGINES[0], 0.0, 60.0),))

    def interrupted():
        with driver._signalled(None):
            time.sleep(0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert killed[-1] == ('start', ENGINES[0])


def test_a_policy_that_stops_is_taken_up_and_that_counts():
    driver = driver_of(Failure.CRASH, Way.MONITOR)
    driver._pair.stack.state = 'stopped'
    driver._remind()
    assert driver.outcome.stops == ['nobody can']
    assert driver._pair.stack.signals == [('failover', {'action': 'resume'})]
    driver._remind()
    assert len(driver.outcome.stops) == 1


@pytest.mark.parametrize('has_moved', [True, False])
def test_the_signal_comes_again_until_another_has_the_volume(has_moved):
    driver = driver_of(Failure.CRASH, Way.MONITOR)
    driver._has_moved = has_moved
    driver._remind()
    assert bool(driver._pair.signals) is not has_moved
    assert bool(driver._pair.stack.signals) is has_moved


def test_a_wait_goes_on_over_what_does_not_answer_and_says_what_it_was(monkeypatch):
    monkeypatch.setattr(drive, 'LOOK', 0.0)
    driver = driver_of(Failure.CRASH, Way.MONITOR)
    answers = iter([AssertionError('no engine'), ''])

    def look():
        answer = next(answers, 'found')
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert driver._until('it is there', look, 10.0) == 'found'

    def fail():
        raise AssertionError('no engine')

    with pytest.raises(AssertionError, match='not seen in time: it is there: no engine'):
        driver._until('it is there', fail, 0.0)


def test_what_was_seen_at_last_leaves_out_what_cannot_be_asked():
    driver = driver_of(Failure.CRASH, Way.MONITOR)
    del driver._agent
    driver._pair.report = lambda: {}['no volume']
    assert driver.seen_at_last() == ['the policy is running: nobody can']


def test_a_run_that_does_not_end_says_what_is_wrong_on_the_volume(monkeypatch):
    def never(_driver, _admin):
        raise AssertionError('not seen in time')

    monkeypatch.setattr(drive.Driver, '_drive', never)
    driver = driver_of(Failure.CRASH, Way.MONITOR)
    driver._pair.report = lambda: types.SimpleNamespace(faults=('no record at 3',))
    with pytest.raises(AssertionError, match='not seen in time'):
        driver.drive(None)
    assert driver.outcome.wrong == ['no record at 3'] and not driver.outcome.is_done


@pytest.mark.parametrize('is_left', [True, False])
def test_a_guest_that_stays_is_a_violation_after_nova_compute_was_started_again(
    monkeypatch, is_left
):
    restarts = []
    monkeypatch.setattr(drive, 'REMOVED_WITHIN', 0.0)
    monkeypatch.setattr(drive, 'LOOK', 0.0)
    monkeypatch.setattr(drive.real_hosts, 'restart_computes', lambda: restarts.append(1))
    monkeypatch.setattr(drive.real_hosts, 'is_running', lambda _server: is_left or not restarts)
    driver = driver_of(Failure.CUT, Way.AGENT)
    driver._until_removed()
    assert restarts and bool(driver.outcome.wrong) is is_left


@pytest.mark.parametrize(('phase', 'is_right'), [('quarantined', True), ('rescuing', False)])
def test_an_agent_that_does_not_get_to_its_end_is_a_violation(monkeypatch, phase, is_right):
    monkeypatch.setattr(drive, 'DONE_WITHIN', 0.0)
    monkeypatch.setattr(drive, 'LOOK', 0.0)
    monkeypatch.setattr(drive.agents, 'phase', lambda _host: phase)
    driver = driver_of(Failure.CUT, Way.AGENT)
    driver._until_agent_is_done()
    assert driver._agent.reports == [{'host': 'r1', 'state': 'up'}]
    assert (driver.outcome.wrong == []) is is_right


def test_nobody_waits_for_an_agent_that_fences_no_host():
    driver = driver_of(Failure.CUT, Way.MONITOR)
    driver._until_agent_is_done()
    assert not driver._agent.reports


def test_how_long_nobody_wrote_is_that_of_the_last_handover(monkeypatch):
    passed = (types.SimpleNamespace(seconds=2.0), types.SimpleNamespace(seconds=3.0))
    monkeypatch.setattr(drive.check, 'of_volume', lambda _found, _writers: [])
    monkeypatch.setattr(drive.handovers, 'of', lambda _found: passed)
    driver = driver_of(Failure.CRASH, Way.MONITOR)
    driver._pair.report = lambda: None
    driver._pair.writers = []
    driver._read()
    assert driver.outcome.pause_s == 3.0
