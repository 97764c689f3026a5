# SPDX-License-Identifier: Apache-2.0
"""Hosts whose power control or whose engines do not answer keep no other host waiting."""

import concurrent.futures
import threading
import time

import pytest

from heat_ha import serialization
from heat_ha.agent import service, worker
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import decide, storm
from heat_ha.fencing import driver
from tests.unit.agent.worlds import Bmc, World, make, phase, rounds, store

__all__ = ['store']


class Hanging(Bmc):
    """A power control that does not answer before the test ends."""

    answers = threading.Event()

    def switch_off(self):
        self.world.tried.append(self.host)
        self.answers.wait(60)
        raise driver.NotFenced('the power control does not answer')


@pytest.fixture
def pools():
    Hanging.answers = threading.Event()
    with (
        concurrent.futures.ThreadPoolExecutor(service.SLOW_WORKERS, 'slow') as slow,
        concurrent.futures.ThreadPoolExecutor(service.WORKERS, 'quick') as quick,
    ):
        yield quick, slow
        Hanging.answers.set()


def until(agent, pools, wanted):
    """Do rounds until something is so, for ten seconds at most."""
    end = time.monotonic() + 10
    while not wanted() and time.monotonic() < end:
        agent.monitor._broker_at = float('inf')
        agent.round(*pools)
        time.sleep(0.02)
    assert wanted()


def test_power_controls_that_hang_keep_no_other_host_waiting(store, pools):
    world = World(hosts=60)
    agent = make(world, store)
    agent._observer._limits = storm.Limits(host_share=1.0, together=0)
    fences = agent._worker._steps._fences
    hanging = [f'c{number}' for number in range(1, 2 * service.WORKERS + 1)]
    of = type(fences).driver
    object.__setattr__(
        fences, 'driver', lambda h: Hanging(world, h) if h in hanging else of(fences, h)
    )
    rounds(agent, world, 2)
    world.down(*hanging)
    # They have waited for their turn for so long that nobody waits for them.
    for host in hanging:
        old = Incident(host, Phase.CONFIRMED, time.time() - 300, 'x', time.time() - 300, None, 'op')
        store.put(agent_store.INCIDENT, host, serialization.encode(old), 0)
    until(agent, pools, lambda: set(world.tried) == set(hanging))
    world.down('c30')
    world.servers = {'c30': {'s'}}
    until(agent, pools, lambda: phase(store, 'c30') == 'done')
    assert world.power['c30'] == 'off' and {phase(store, h) for h in hanging} == {'confirmed'}
    agent.stop()


def test_a_step_that_may_wait_for_long_is_never_executed_in_the_quick_pool(store, pools):
    world = World(hosts=6)
    agent = make(world, store)
    steps, where = agent._worker._steps, []
    execute = steps.execute

    def watched(found, step):
        where.append((type(step), threading.current_thread().name.partition('_')[0]))
        return execute(found, step)

    steps.execute = watched
    rounds(agent, world, 2)
    where.clear()
    world.down('c1')
    until(agent, pools, lambda: phase(store, 'c1') == 'done')
    agent.stop()
    kinds = {step for step, _pool in where}
    assert kinds >= {decide.Enter, decide.Fence, decide.MarkDown, decide.Rescue}
    assert {pool for step, pool in where if step in worker.SLOW_STEPS} == {'slow'}
    assert {pool for _step, pool in where} == {'slow', 'quick'}


def test_the_lock_of_a_host_has_a_name_that_each_driver_takes():
    hosts = ['c1', 'c' * 51, 'c' * 52, 'c' * 53, 'c' * 254 + 'd', 'c' * 255, 'ö' * 26, 'ö' * 25]
    found = {host: worker.lock_of(host) for host in hosts}
    assert all(len(name) <= worker.LONGEST_LOCK for name in found.values())
    assert len(set(found.values())) == len(hosts)
    assert found['c1'] == b'heat-ha-host-c1'
    # As before, where the name was short enough.
    kept = [host for host, name in found.items() if name == b'heat-ha-host-' + host.encode()]
    assert kept == ['c1', 'c' * 51, 'ö' * 25]
