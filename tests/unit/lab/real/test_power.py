# SPDX-License-Identifier: Apache-2.0
import signal

import pytest

from lab import processes
from lab.real import network, power
from lab.real.addresses import Plan

PLAN = Plan(27000)
STOPPED = processes.State.STOPPED


class Machine:
    """A host whose processes end at a signal, or ignore that they are asked to."""

    def __init__(self, monkeypatch, pids, stubborn=()):
        self.pids, self.stubborn, self.history = list(pids), stubborn, []
        monkeypatch.setattr(network, 'pids', lambda *_: list(self.pids))
        monkeypatch.setattr(network, 'unplug_links', lambda *_: self.history.append('links'))
        monkeypatch.setattr(network, 'unplug', lambda *_: self.history.append('namespace'))
        monkeypatch.setattr(power.os, 'kill', self.kill)
        monkeypatch.setattr(power.processes, 'stop', lambda names, _: self.history.append(names))
        # A lab may run in this checkout.
        monkeypatch.setattr(power.processes, 'look', lambda _: processes.Seen(STOPPED))
        monkeypatch.setattr(power.processes, 'forget', lambda _: None)
        monkeypatch.setattr(power, '_GUESTS_SECONDS', 0.05)
        monkeypatch.setattr(power, '_LOOK_EVERY_SECONDS', 0.01)

    def kill(self, pid, number):
        if pid not in self.pids:
            raise ProcessLookupError
        self.history.append((pid, number))
        if number is signal.SIGKILL or (number is signal.SIGTERM and pid not in self.stubborn):
            self.pids.remove(pid)


def test_a_host_without_power_says_nothing_more(monkeypatch):
    machine = Machine(monkeypatch, [1, 2])
    assert power.cut_off(PLAN, 'r1')
    assert machine.history == ['links', (1, signal.SIGKILL), (2, signal.SIGKILL), 'namespace']


def test_a_host_that_has_no_power_is_not_killed(monkeypatch):
    Machine(monkeypatch, [])
    assert not power.cut_off(PLAN, 'r1')


@pytest.mark.parametrize('stubborn', [(), (2,)])
def test_guests_are_asked_to_end_after_the_services_and_before_the_links_go(monkeypatch, stubborn):
    machine = Machine(monkeypatch, [1, 2], stubborn)
    power.shut_down(PLAN, 'r1')
    assert not machine.pids
    asked = [machine.history.index((pid, signal.SIGTERM)) for pid in (1, 2)]
    assert machine.history[0] == ['nova-compute-r1', 'libvirtd-r1', 'ports-r1', 'relay-r1']
    assert 0 < min(asked) < max(asked) < machine.history.index('links')
    assert ((2, signal.SIGKILL) in machine.history) == bool(stubborn)


def test_what_is_frozen_goes_on(monkeypatch):
    machine = Machine(monkeypatch, [1, 2])
    assert power.freeze(PLAN, 'r1') and power.thaw(PLAN, 'r1')
    assert [number for _, number in machine.history] == [signal.SIGSTOP] * 2 + [signal.SIGCONT] * 2
