# SPDX-License-Identifier: Apache-2.0
"""For how long an answer of Nova and of the engines counts."""

import types

import pytest

from heat_ha import exceptions
from heat_ha.agent import isolation
from heat_ha.cloud.model import ComputeService

HOSTS = {'c1': ComputeService('c1', 'id', True, False, False)}


@pytest.fixture
def clock(monkeypatch):
    """A clock, and threads that run when the test says so."""
    made = types.SimpleNamespace(now=1000.0, threads=[])

    def thread(target, **_how):
        return types.SimpleNamespace(start=lambda: made.threads.append(target))

    ours = types.SimpleNamespace(time=lambda: made.now, monotonic=lambda: made.now)
    monkeypatch.setattr(isolation, 'time', ours)
    threads = types.SimpleNamespace(Thread=thread, Lock=isolation.threading.Lock)
    monkeypatch.setattr(isolation, 'threading', threads)
    return made


def look(monitor, clock):
    """One round, as the agent does it. :returns: whether the agent was cut off in it."""
    monitor.nova_answered()
    monitor.update(HOSTS)
    found = monitor.problem()
    while clock.threads:
        clock.threads.pop()()
    return found


@pytest.mark.parametrize('poll_interval', [0.2, 3.0, 15.0, 20.0, 30.0, 120.0])
def test_an_agent_that_looks_seldom_is_not_cut_off_between_two_looks(clock, poll_interval):
    monitor = isolation.IsolationMonitor(lambda _limit: None, poll_interval)
    assert 'it was not asked yet' in look(monitor, clock)
    clock.now += poll_interval
    assert look(monitor, clock) == ''
    trusted_since = monitor.trusted_since
    for _ in range(20):
        # A look may take some seconds itself.
        clock.now += poll_interval + 3
        assert monitor.has_nova() and look(monitor, clock) == ''
    assert monitor.trusted_since == trusted_since


@pytest.mark.parametrize('poll_interval', [3.0, 30.0])
def test_an_agent_that_is_not_answered_knows_after_two_more_looks(clock, poll_interval):
    def ping(_limit):
        if clock.now > 2000:
            raise exceptions.CouldNotAsk('heat', 'its engines', 'nobody answered')

    monitor = isolation.IsolationMonitor(ping, poll_interval)
    while clock.now <= 2000:
        look(monitor, clock)
        clock.now += poll_interval
    until = clock.now + max(isolation.VALID, 3 * poll_interval)
    while clock.now <= until:
        found = look(monitor, clock)
        clock.now += poll_interval
    assert 'nobody answered' in found
    monitor.nova_failed('timeout')
    assert not monitor.has_nova() and 'cut off from Nova: timeout' in monitor.problem()


def test_a_thread_that_cannot_be_started_cuts_the_agent_off_only_for_a_while(clock, monkeypatch):
    monitor = isolation.IsolationMonitor(lambda _limit: None)
    works = isolation.threading.Thread

    def full(**_how):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(isolation.threading, 'Thread', full)
    with pytest.raises(RuntimeError):
        look(monitor, clock)
    monkeypatch.setattr(isolation.threading, 'Thread', works)
    clock.now += 100.0
    look(monitor, clock)
    assert not look(monitor, clock)
