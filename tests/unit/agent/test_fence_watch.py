# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import threading
import time
import types

import pytest

from heat_ha.agent import fence_watch, metrics
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import inventory, model
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import findings


class World:
    """A clock, hosts with their reports to Nova, and what their fences answer."""

    def __init__(self, monkeypatch, interval=600.0):
        self.at = 1000.0
        self.powers = {'c1': Power.ON, 'c2': Power.ON}
        self.names = dict.fromkeys(self.powers, '')
        self.up = dict.fromkeys(self.powers, True)
        self.reports = {}
        self.asked = []
        self.partial = set()
        self.more = {}
        entries = ', '.join(
            f'{host}: {{driver: redfish, address: "https://{host}", system: /1, timeout: 1}}'
            for host in self.powers
        )
        fences = inventory.parse(f'hosts: {{{entries}, c3: {{driver: nova_forced_down}}}}')
        monkeypatch.setattr(fence_watch.survey, 'ask', self.ask)
        self.fences = fences
        self.removed = ()
        self.begin(interval)

    def begin(self, interval=600.0):
        """Begin to ask, as an agent that was started."""
        self.watch = fence_watch.FenceWatch(
            self.fences, self, interval, lambda: self.at, lambda _host: self.removed
        )

    @property
    def services(self):
        return {
            host: ComputeService(host, host, is_up, False, False) for host, is_up in self.up.items()
        }

    def heartbeats_of(self, host):
        return self.reports.get(host, ())

    def last_heartbeat(self, host):
        return max((after for after, _seen in self.heartbeats_of(host)), default=float('-inf'))

    def ask(self, host, fences, now):
        self.asked.append(host)
        if host == 'c3':
            return [model.Answer(host, 1, 'x', Power.UNKNOWN, '', now(), is_power_control=False)]
        power, name = self.powers[host], self.names[host]
        more = {'host_name': name, 'is_partial': host in self.partial, **self.more}
        return [model.Answer(host, 1, 'redfish', power, 'seen', now(), **more)]

    def look(self, after=0.0, report=()):
        self.at += after
        for host in report:
            self.reports[host] = (*self.reports.get(host, ()), (self.at - 3, self.at - 1))
        self.asked.clear()
        self.watch.look(types.SimpleNamespace(map=map))
        return list(self.asked)


def test_each_fence_is_asked_at_the_start_and_after_each_interval(monkeypatch):
    world = World(monkeypatch)
    assert world.look() == ['c1', 'c2', 'c3']
    assert world.look(599) == [] and world.look(1) == ['c1', 'c2']
    world = World(monkeypatch, interval=0)
    assert world.look() == ['c1', 'c2', 'c3'] and world.look(10_000) == []


def test_a_host_that_is_let_be_is_asked_at_the_next_look_and_while_it_is_shut_out(monkeypatch):
    world = World(monkeypatch, interval=0)
    world.look()
    world.partial.add('c1')
    world.watch.ask_soon('c1')
    assert world.look(1) == ['c1'] and world.look(1) == []
    assert [one.kind for one in world.watch.found()] == [findings.Kind.OFF_WHILE_UP]
    world.partial.clear()
    assert world.look(fence_watch.SOON) == ['c1'] and world.look(10_000) == []
    assert world.watch.found() == []


def test_power_off_while_the_host_reports_keeps_its_entry_from_being_used(monkeypatch):
    world = World(monkeypatch)
    world.powers['c1'] = Power.OFF
    world.look()
    assert world.watch.wrong('c1') == '', 'it may have died a moment ago'
    assert world.look(fence_watch.SOON, report=['c1', 'c2']) == ['c1']
    assert world.watch.wrong('c1') == '', 'that report may have been under way when it died'
    assert world.look(fence_watch.SOON, report=['c1', 'c2']) == ['c1']
    assert 'goes on reporting' in world.watch.wrong('c1') and not world.watch.wrong('c2')
    sample = metrics.REGISTRY.get_sample_value
    assert sample('heat_ha_agent_fence_wrong', {'host': 'c1'}) == 1
    world.up['c1'] = False
    for _ in range(100):
        world.look(600)
    assert world.watch.wrong('c1'), 'it may be cut off, and another machine is off'
    world.up['c1'], world.powers['c1'] = True, Power.ON
    for _ in range(100):
        world.look(600, report=['c1'])
    assert world.watch.wrong('c1'), 'most machines are on'


def of_storage(world):
    """Let the fences show the key of each host in a storage, and not its power."""
    world.more = {'cuts_power': False, 'off_is_absence': True, 'registration': 'r1'}
    return world


def test_a_host_that_its_storage_never_knew_is_not_fenced_by_that(monkeypatch):
    world = of_storage(World(monkeypatch))
    world.powers['c1'] = Power.OFF
    world.look()
    for _look in range(2):
        assert not world.watch.wrong('c1'), 'one report may be from before'
        world.look(fence_watch.SOON, report=['c1'])
    assert 'no fence on record has removed it' in world.watch.wrong('c1')
    assert not world.watch.wrong('c2')
    # Also when it is silent later, and nobody answers.
    world.up['c1'], world.powers['c1'] = False, Power.UNKNOWN
    world.look(600)
    assert world.watch.wrong('c1')
    world.powers['c1'] = Power.ON
    world.look(600)
    assert not world.watch.wrong('c1')


@pytest.mark.parametrize('is_restarted', [False, True], ids=['goes_on', 'restarted'])
@pytest.mark.parametrize(
    ('removed', 'is_right'),
    [(('r1',), True), ((), False), (('r2',), False), (None, True)],
    ids=['fenced', 'lost', 'of_another_entry', 'not_read'],
)
def test_a_host_may_report_while_its_storage_does_not_know_it_only_after_a_fence_on_record(
    monkeypatch, is_restarted, removed, is_right
):
    world = of_storage(World(monkeypatch))
    world.look()
    world.powers['c1'], world.removed = Power.OFF, removed
    world.look(600, report=['c1'])
    if is_restarted:
        world.begin()
    for _look in range(5):
        world.look(fence_watch.SOON, report=['c1'])
    assert (not world.watch.wrong('c1')) is is_right
    kinds = {one.kind for one in world.watch.found()}
    assert findings.Kind.FENCED_WHILE_UP in kinds
    assert (findings.Kind.NOT_REGISTERED in kinds) is not is_right


def test_a_host_that_died_before_it_was_seen_in_its_storage_has_a_good_entry(monkeypatch):
    world = of_storage(World(monkeypatch))
    world.powers['c1'] = Power.OFF
    world.look(report=['c1'])
    for _look in range(5):
        world.look(fence_watch.SOON)
    world.up['c1'] = False
    world.look(600)
    assert not world.watch.wrong('c1')


def test_the_last_report_of_a_host_that_died_does_not_make_its_entry_wrong(monkeypatch):
    """Nova's conductor was stopped meanwhile, and writes it long after."""
    world = World(monkeypatch)
    world.powers['c1'] = Power.OFF
    for _ in range(3):
        world.look(fence_watch.SOON)
    world.look(fence_watch.SOON, report=['c1'])
    for _ in range(20):
        world.look(fence_watch.SOON, report=['c2'])
        assert world.watch.wrong('c1') == ''


@pytest.mark.parametrize('interval', [600.0, 0.0])
def test_an_entry_is_used_again_once_both_were_seen_to_go_off_and_on_together(
    monkeypatch, interval
):
    world = World(monkeypatch, interval)
    world.powers['c1'] = Power.OFF
    world.look()
    for _ in range(2):
        world.look(fence_watch.SOON, report=['c1'])
    assert world.watch.wrong('c1')
    for power, is_up in ((Power.ON, True), (Power.OFF, False), (Power.ON, False), (Power.ON, True)):
        assert world.watch.wrong('c1')
        world.powers['c1'], world.up['c1'] = power, is_up
        assert world.look(fence_watch.AGAIN, report=['c1'] if is_up else []) != []
    assert world.watch.wrong('c1') == ''


def test_an_entry_that_is_wrong_is_named_again_each_hour(monkeypatch):
    world, lines = World(monkeypatch), []
    monkeypatch.setattr(
        fence_watch.LOG, 'log', lambda _level, text, *args: lines.append(text % args)
    )
    world.names['c1'], world.powers['c2'] = 'c2', Power.UNKNOWN
    for _ in range(13):
        world.look(600)
    named = [line for line in lines if 'wrong: host c1' in line]
    assert len(named) == 3, 'at the start, and after one and two hours'
    assert len([line for line in lines if 'host c2' in line and 'problem' in line]) == 1


def test_a_host_that_is_off_and_silent_has_a_good_entry(monkeypatch):
    world = World(monkeypatch)
    world.powers['c1'] = Power.OFF
    world.look(report=['c1'])
    for _ in range(5):
        world.look(fence_watch.SOON, report=['c2'])
    assert world.watch.wrong('c1') == ''
    world.up['c1'] = False
    assert world.look(fence_watch.SOON) == [], 'a host that is down is asked as seldom as any'


def test_a_host_that_was_started_between_two_looks_has_a_good_entry(monkeypatch):
    world = World(monkeypatch)
    world.powers['c1'], world.up['c1'] = Power.OFF, False
    world.look()
    world.up['c1'] = True
    world.look(600, report=['c1'])
    assert world.watch.wrong('c1') == ''


@pytest.mark.parametrize('interval', [600.0, 0.0])
@pytest.mark.parametrize(
    ('name', 'power', 'is_over'),
    [
        ('c1', Power.ON, True),
        ('C1.example.org', Power.OFF, True),
        ('c1', Power.UNKNOWN, False),
        ('', Power.ON, False),
        ('', Power.OFF, False),
        ('', Power.UNKNOWN, False),
        ('localhost', Power.ON, False),
        ('c2', Power.ON, False),
    ],
)
def test_an_entry_that_names_another_host_is_used_again_only_once_it_names_its_own(
    monkeypatch, interval, name, power, is_over
):
    world = World(monkeypatch, interval)
    world.names['c1'] = 'c2'
    world.look()
    assert 'HostName is c2' in world.watch.wrong('c1') and not world.watch.wrong('c2')
    world.names['c1'], world.powers['c1'] = name, power
    assert 'c1' in world.look(600)
    assert (world.watch.wrong('c1') == '') is is_over
    assert len([one for one in world.watch.found() if 'HostName' in one.detail]) == (not is_over)


@pytest.mark.parametrize('name', ['c9', '', 'localhost'])
def test_the_name_of_a_host_that_is_nowhere_any_more_says_nothing(monkeypatch, name):
    world = World(monkeypatch)
    world.names['c1'], world.up['c9'] = 'c9', True
    world.look()
    assert 'gave the name of another host' in world.watch.wrong('c1')
    world.names['c1'], hosts = name, dict(world.up)
    world.up.clear()
    world.look(600)
    assert world.watch.wrong('c1'), 'Nova did not say that it is gone'
    world.up.update(hosts)
    del world.up['c9']
    world.look(600)
    assert world.watch.wrong('c1'), 'its cell may be hidden'
    world.look(90000)
    assert world.watch.wrong('c1') == ''


def test_a_power_control_that_no_survey_has_reached_is_asked_for_its_name_before_a_fence(
    monkeypatch,
):
    world = World(monkeypatch)
    world.names['c1'] = 'c2'
    assert 'HostName is c2' in world.watch.wrong('c1') and world.asked == ['c1']
    assert world.watch.wrong('c2') == '' and world.asked == ['c1', 'c2']
    world.asked.clear()
    assert world.watch.wrong('c1') and not world.watch.wrong('c2')
    assert world.watch.wrong('c3') == world.watch.wrong('c9') == '' and world.asked == []


def test_a_power_control_that_did_not_answer_yet_is_asked_again_before_a_fence(monkeypatch):
    world = World(monkeypatch)
    world.powers['c1'] = Power.UNKNOWN
    world.look()
    assert world.watch.wrong('c1') == ''
    world.names['c1'], world.powers['c1'] = 'c2', Power.ON
    assert 'HostName is c2' in world.watch.wrong('c1')


def test_a_power_control_without_an_answer_holds_a_fence_up_no_longer_than_its_calls(monkeypatch):
    world, answers = World(monkeypatch), threading.Event()

    def ask(host, fences, now):
        answers.wait(20)
        return world.ask(host, fences, now)

    monkeypatch.setattr(fence_watch.survey, 'ask', ask)
    world.names['c1'] = 'c2'
    began = time.monotonic()
    assert world.watch.wrong('c1') == ''
    # A BMC that is slow, but answers each call in time, must not be fenced unchecked.
    assert 2.9 < time.monotonic() - began < 10
    assert world.watch.wrong('c1') == ''
    answers.set()
    world.watch._urgent['c1'].join(20)
    assert world.asked == ['c1'], 'one question is enough'
    assert 'HostName is c2' in world.watch.wrong('c1')


def test_a_slow_power_control_does_not_delay_what_the_others_answered(monkeypatch):
    world, slow = World(monkeypatch), threading.Event()

    def ask(host, fences, now):
        if host == 'c1':
            assert slow.wait(20)
        return world.ask(host, fences, now)

    monkeypatch.setattr(fence_watch.survey, 'ask', ask)
    world.names['c2'] = 'c1'
    with concurrent.futures.ThreadPoolExecutor() as pool, pool:
        done = pool.submit(world.watch.look, pool)
        try:
            for _ in range(500):
                if found := [str(one) for one in world.watch.found() if one.host == 'c2']:
                    break
                time.sleep(0.01)
        finally:
            slow.set()
        done.result(20)
    assert 'HostName is c1' in found[0]


def test_a_clock_that_is_set_back_does_not_stop_the_questions(monkeypatch):
    world = World(monkeypatch)
    world.at = 10_000.0
    world.look()
    assert world.look(-3600.0) == ['c1', 'c2']


def test_what_is_found_is_logged_once_and_again_when_it_is_over(monkeypatch):
    world, lines = World(monkeypatch), []
    monkeypatch.setattr(
        fence_watch.LOG, 'log', lambda _level, text, *args: lines.append(text % args)
    )
    monkeypatch.setattr(fence_watch.LOG, 'info', lambda text, *args: lines.append(text % args))
    world.powers['c1'], world.up['c9'] = Power.UNKNOWN, True
    world.look()
    assert [line.split(': ')[:2] for line in lines] == [
        ['fence notice', 'host c9'], ['fence problem', 'host c1'], ['fence problem', 'host c3'],
    ]  # fmt: skip
    world.look(600)
    assert len(lines) == 3
    world.powers['c1'] = Power.ON
    world.look(600)
    assert len(lines) == 4 and lines[3].startswith('fence no longer problem: host c1')


@pytest.mark.parametrize('power', list(Power))
def test_prometheus_is_told_whether_a_fence_answers_and_when_it_was_asked(monkeypatch, power):
    world = World(monkeypatch)
    world.powers['c1'] = power
    world.look()
    labels = {'host': 'c1', 'level': '1', 'driver': 'redfish'}
    sample = metrics.REGISTRY.get_sample_value
    assert sample('heat_ha_agent_fence_reachable', labels) == (power is not Power.UNKNOWN)
    assert sample('heat_ha_agent_fence_asked_timestamp_seconds', labels) == 1000.0


def test_it_stops(monkeypatch):
    monkeypatch.setattr(fence_watch, 'TICK', 0.01)
    world = World(monkeypatch)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = pool.submit(world.watch._run)
        while not world.asked:
            pass
        world.watch.stop()
        done.result(timeout=10)


def test_what_all_answers_mean_is_found_out_once_for_a_look_at_many_fences(monkeypatch):
    world, taken = World(monkeypatch), []
    of_answers = fence_watch.findings.of_answers
    monkeypatch.setattr(
        fence_watch.findings, 'of_answers', lambda *given: taken.append(1) or of_answers(*given)
    )
    world.look()
    assert len(taken) == 1, 'each fence, and what all answers mean for each, is a square'
