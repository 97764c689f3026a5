# SPDX-License-Identifier: Apache-2.0
"""A world of hosts that the agent's rounds run in, and that a test can tell what to do."""

import concurrent.futures
import dataclasses
import functools
import threading
import time
import types

import pytest
import sqlalchemy

from heat_ha import exceptions, serialization
from heat_ha.agent import (
    dispatcher,
    executor,
    isolation,
    model,
    observation,
    power_watch,
    report_table,
    service,
    service_table,
)
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.rules import confirmation, dispatch_rules, storm
from heat_ha.cloud import model as cloud
from heat_ha.fencing import driver, inventory, topology


class Died(BaseException):
    """The agent's process ends here."""


class World:
    """Hosts, their power, and what was done to them."""

    def __init__(self, hosts=3):
        names = [f'c{number}' for number in range(1, hosts + 1)]
        # Nova's clock at the last look.
        self.beats = time.time() - 1000
        self.services = {
            h: cloud.ComputeService(h, f'id-{h}', True, False, False, heartbeat_at=self.beats)
            for h in names
        }
        self.power = dict.fromkeys(self.services, 'on')
        self.servers = {'c1': {'s1', 's2'}}
        self.done = []
        self.can_ask = True
        self.broker = True
        self.dies_before = None
        self.calls = 0
        self.silent = set()
        self.fails = False
        self.tried = []
        self.reports_by_itself = True
        self.time = time.time

    def touch(self, what):
        self.calls += 1
        if self.dies_before == self.calls:
            raise Died
        self.done.append(what)

    def down(self, *hosts):
        for host in hosts:
            self.services[host] = dataclasses.replace(self.services[host], is_up=False)

    # --- Nova ---
    def nova_services(self):
        if not self.can_ask:
            raise exceptions.CouldNotAsk('nova', 'hosts', 'timeout')
        self.beats += 1
        for host, mark in self.services.items():
            if self.reports_by_itself and mark.is_up and host not in self.silent:
                self.services[host] = dataclasses.replace(mark, heartbeat_at=float(self.beats))
        return dict(self.services)

    def mark_down(self, mark, reason):
        assert self.power[mark.host] == 'off', 'marked before it was fenced'
        self.touch(('mark', mark.host))
        self.services[mark.host] = dataclasses.replace(
            self.services[mark.host], is_forced_down=True, is_disabled=True, is_up=False,
            disabled_reason=cloud.reason_of_mark(reason, self.time()),
        )  # fmt: skip
        return self.services[mark.host]

    def reopen(self, mark):
        self.services[mark.host] = dataclasses.replace(
            self.services[mark.host], is_forced_down=False, is_disabled=False, disabled_reason=''
        )


class Nova:
    def __init__(self, world):
        self.compute_services = world.nova_services
        self.leftovers = lambda _host: ()
        self.mark_down = world.mark_down
        self.reopen = world.reopen


class Bmc(driver.Driver):
    name = 'fake'
    apart = 0.0

    def __init__(self, world, host):
        self.world, self.host = world, host

    def power(self):
        return driver.Power(self.world.power[self.host]), 'asked'

    def switch_off(self):
        self.world.tried.append(self.host)
        if self.world.fails:
            raise driver.NotFenced('the power control does not answer')
        self.world.touch(('off', self.host))
        self.world.power[self.host] = 'off'


class Fences(inventory.Inventory):
    def __init__(self, world):
        super().__init__({}, {})
        object.__setattr__(self, 'world', world)

    def driver(self, host):
        return Bmc(self.world, host)


class Dispatcher:
    def __init__(self, world):
        self.world = world

    def unfinished(self, incident, services):
        rows = tuple(
            dispatch_rules.PolicyDispatch(n, name, 'st', 's', 'p', 'r', 0, (name,))
            for n, name in enumerate(sorted(self.world.servers.get(incident.host, ())))
        )
        return dispatcher.DispatchPlan(rows, rows[:1], 0, False, False, len(rows))

    def signal_due(self, incident, plan):
        assert self.world.services[incident.host].is_forced_down
        self.world.touch(('rescue', incident.host))
        for row in plan.due:
            self.world.servers[incident.host] -= set(row.servers)

    def record(self, incident, plan):
        assert not plan.left, 'only what is at its end is recorded without a signal'


class Locks:
    def __init__(self):
        self.locks = {}

    def get_lock(self, name):
        return self.locks.setdefault(name, threading.Lock())


class Inline(concurrent.futures.Executor):
    """Does at once what a pool would do in threads."""

    def submit(self, call, *args):
        call(*args)


@pytest.fixture
def store(tmp_path):
    engine = sqlalchemy.create_engine(f'sqlite:///{tmp_path}/agent.sqlite')
    made = agent_store.Store(engine)
    made.create()
    made.create()
    yield made
    engine.dispose()


class Resumer:
    def start(self, pool, services):
        pass


def make(
    world, store, *, confirm=('services_api',), settle=0.0, locks=None, certain=(), mark_settle=0.0
):
    monitor = isolation.IsolationMonitor(lambda _limit: None)
    monitor._ask_engines = lambda: None
    settings = service.Settings(
        'a', model.Settings(settle=settle, mark_settle=mark_settle),
        confirmation.parse(confirm, [], SOURCES, certain),
        storm.Limits(host_share=0.2), 1.0, True,
    )  # fmt: skip
    made = service.Agent(
        settings, Nova(world), store, Fences(world),
        report_table.ReportTable(300, ['nova_notifications']),
        monitor, Dispatcher(world), Resumer(), locks or Locks(),
    )  # fmt: skip
    made.monitor = monitor
    # Their threads are apart from the rounds, and would log into other tests.
    made._guests = types.SimpleNamespace(
        start=lambda _found: None, stop=lambda: None, close=lambda: None
    )
    made._leftovers = types.SimpleNamespace(start=lambda *_found: None, close=lambda: None)
    made._observer._power = power_watch.PowerWatch(
        Fences(world), now=lambda: service.time.time(), monotonic=lambda: service.time.time(),
        run=lambda call: call(),
    )  # fmt: skip
    return made


SOURCES = ('services_api', 'webhook', 'nova_notifications')


def rounds(agent, world, count=12):
    for _ in range(count):
        if world.broker:
            agent.monitor._broker_at = float('inf')
        agent._worker._backoffs.clear()
        agent.round(Inline())


def phase(store, host):
    found = store.all('incident').get(host)
    return found and found.value['phase']


class Clock:
    """The time, which goes on by a second with each round; all hosts report each three."""

    def __init__(self, monkeypatch, world):
        self.now = 1000.0
        self.world = world
        ours = types.SimpleNamespace(time=lambda: self.now, monotonic=time.monotonic)
        for module in (executor, observation, report_table, service, service_table):
            monkeypatch.setattr(module, 'time', ours)
        monkeypatch.setattr(
            isolation, 'time', types.SimpleNamespace(time=lambda: self.now, monotonic=lambda: 0.0)
        )
        fence = functools.partial(
            topology.fence, now=lambda: self.now, monotonic=lambda: self.now, pause=lambda _s: None
        )
        monkeypatch.setattr(executor, 'topology', types.SimpleNamespace(fence=fence))
        self.dead = set()
        # Whether Nova writes what the hosts report.
        self.are_written = True
        for host, mark in world.services.items():
            world.services[host] = dataclasses.replace(mark, heartbeat_at=0.0)
        world.reports_by_itself = False
        world.time = ours.time

    def tick(self, agent, seconds):
        for _ in range(seconds):
            self.now += 1
            for number, (host, mark) in enumerate(self.world.services.items()):
                is_sent = host not in self.dead and (self.now + number) % 3 == 0
                if is_sent and self.are_written:
                    self.world.services[host] = dataclasses.replace(mark, heartbeat_at=self.now)
                last = self.world.services[host].heartbeat_at or 0.0
                if host in self.dead and self.now - last >= 12:
                    self.world.down(host)
            rounds(agent, self.world, 1)


class Scene:
    """A cloud whose hosts report, with the time, and an agent that has begun to look at it.

    :param silent: by host that is down, the seconds for which it has been silent.
    """

    def __init__(self, monkeypatch, store, hosts=6, silent=types.MappingProxyType({}), **how):
        self.store = store
        self.world = World(hosts)
        self.world.servers = {host: {f's-{host}'} for host in self.world.services}
        self.clock = Clock(monkeypatch, self.world)
        self.clock.now = 10_000_000.0
        for host, mark in self.world.services.items():
            at = self.clock.now - silent.get(host, 2.0)
            self.world.services[host] = dataclasses.replace(
                mark, is_up=host not in silent, heartbeat_at=at
            )
        self.clock.dead |= set(silent)
        self.agent = make(self.world, store, **{'settle': 5.0, **how})

    def tick(self, seconds):
        self.clock.tick(self.agent, seconds)

    def phase(self, host):
        return phase(self.store, host)

    def on_record(self, host, phase, ago, **more):
        """Put an incident of so many seconds ago on record."""
        at = self.clock.now - ago
        made = model.Incident(host, phase, at, 'down', at, **{'agreed': ('services_api',), **more})
        self.store.put('incident', host, serialization.encode(made), 0)


@pytest.fixture
def begin(monkeypatch, store):
    """Begin a scene."""
    return functools.partial(Scene, monkeypatch, store)
