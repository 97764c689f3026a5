# SPDX-License-Identifier: Apache-2.0
"""Agents at work on a simulated Nova and a filled database: ``python -m bench.scale_agents``.

A program of its own, since only one that is started like an engine imports Heat. ``rounds``
measures the rounds of one agent, ``dead`` lets hosts die that some agents watch, each in a process
of its own. The agents are put together as ``heat-ha-agent`` puts itself together; Nova, the fences
and Heat's engines are simulated.
"""

import argparse
import concurrent.futures
import contextlib
import json
import logging
import multiprocessing
import pathlib
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy

from bench import scale_world

# How often each figure is taken; the median counts.
TIMES = 5

# Seconds until agents know how often the hosts report, and those until all signals must have come.
WARM, LIMIT = 8 * scale_world.REPORT_EVERY, 80.0


def use_threads() -> None:
    """Let oslo.service use threads, before anything of Heat is imported."""
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)


class Queries:
    """Counts the queries of an engine of SQLAlchemy."""

    def __init__(self, engine: Any) -> None:
        self.count = 0
        sqlalchemy.event.listen(engine, 'before_cursor_execute', self._note)

    def _note(self, *_args: Any) -> None:
        self.count += 1


class Held(concurrent.futures.Executor):
    """Keeps what a round hands over to threads until ``run``."""

    def __init__(self) -> None:
        self._calls: list[tuple[concurrent.futures.Future[Any], Callable[..., Any], Any]] = []

    def submit(self, call: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Keep a call."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls.append((future, call, args))
        return future

    def run(self) -> int:
        """Do what was kept. :returns: how many calls that were."""
        calls, self._calls = self._calls, []
        for future, call, args in calls:
            future.set_result(call(*args))
        return len(calls)

    def forget(self) -> int:
        """Do none of it. :returns: how many calls that were."""
        calls, self._calls = self._calls, []
        for future, _call, _args in calls:
            future.set_result(None)
        return len(calls)


class Simulation:
    """One agent with all that surrounds it.

    :param signalled: called with the id of each stack whose policy is signalled.
    """

    def __init__(
        self,
        url: str,
        name: str,
        shared: scale_world.Shared,
        locks: str,
        signalled: Callable[[str], None] = lambda _stack: None,
    ) -> None:
        from heat.common import config as _heat_options  # noqa: F401  registers Heat's own
        from oslo_config import cfg

        from heat_ha.agent.adapters import nova_admin, policy_index
        from heat_ha.cli import agent as program
        from heat_ha.cloud import heat_rpc
        from heat_ha.cloud import model as cloud
        from heat_ha.conf import agent as options

        conf = cfg.CONF
        conf(args=[], default_config_files=[])
        options.register(conf)
        own = conf[options.GROUP]
        conf.set_override('name', name, options.GROUP)
        # Hosts that die together would be held back for a person (S6), who has released them here.
        conf.set_override('storm_together', 0, options.GROUP)
        conf.set_override('sources', ['services_api'], options.GROUP)
        self.engine = sqlalchemy.create_engine(url, pool_size=20)
        self.queries = Queries(self.engine)
        self.nova = scale_world.Nova(shared, nova_admin._compute_service, cloud.reason_of_mark)
        simulated = {
            (policy_index, 'engine'): lambda: self.engine,
            (nova_admin, 'NovaAdmin'): lambda _region: self.nova,
            (heat_rpc, 'ping'): lambda _limit: None,
            (heat_rpc, 'prepare'): lambda *_args: None,
            (heat_rpc, 'is_alive'): lambda _engine: False,
            (heat_rpc, 'signal'): lambda _p, _n, stack_id, *_args: signalled(stack_id),
        }
        for (module, attribute), value in simulated.items():
            setattr(module, attribute, value)
        self.locks = program._locks(f'file://{locks}', name)
        self.locks.start(start_heart=True)
        settings = program._settings(conf, own)
        fences = _fences([scale_world.host_name(n) for n in range(len(shared.died))])
        self.agent = program._agent(settings, own, fences, self.locks)

    def close(self) -> None:
        """End what was begun."""
        self.locks.stop()
        self.engine.dispose()


def _fences(hosts: Sequence[str]) -> Any:
    """An entry in the fencing file for each host; each fence does at once what it is told."""
    from heat_ha.fencing import driver, inventory

    off: set[str] = set()

    class Fence(driver.Driver):
        name = 'simulated'
        apart = 0.0

        def __init__(self, host: str) -> None:
            self.host = host

        def power(self) -> tuple[driver.Power, str]:
            return driver.Power.OFF if self.host in off else driver.Power.ON, 'simulated'

        def switch_off(self) -> None:
            off.add(self.host)

    class Fences(inventory.Inventory):
        def driver(self, host: str) -> Any:
            return Fence(host)

    return Fences({host: {'driver': 'simulated'} for host in hosts}, {})


def peak_mib() -> float:
    """The most memory that this process has had in RAM."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _times(call: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
    """The median of the seconds that a call takes."""
    found = []
    for _ in range(TIMES):
        before()
        found.append(_timed(call))
    return statistics.median(found)


# --- rounds ---------------------------------------------------------------------------------


def rounds(url: str, hosts: int, failed: int) -> dict[str, Any]:
    """What a round costs, and the look-up of one host's servers, beside the bare questions."""
    from heat_ha.agent import resumer
    from heat_ha.agent.model import Incident, Phase

    resumer.POLL_SECONDS = 0.0
    shared = scale_world.Shared.of(hosts, lambda code, size: multiprocessing.RawArray(code, size))
    with tempfile.TemporaryDirectory() as locks:
        one = Simulation(url, 'agent-1', shared, locks)
        agent, nova, held = one.agent, one.nova, Held()

        def prepare() -> None:
            held.run()
            nova.prepare()

        agent.round(held)
        prepare()
        one.queries.count = 0
        round_s = _times(lambda: agent.round(held), prepare)
        # The look at unfinished work, which has a thread of its own.
        look_s = _times(held.run, lambda: agent.round(held))
        held.run()
        one.queries.count = nova.requests = 0
        agent.round(held)
        of_round = one.queries.count
        held.run()
        of_look, requests = one.queries.count - of_round, nova.requests
        now = time.time()
        names = iter([scale_world.host_name(n) for n in range(0, hosts, hosts // 50)])
        incident = lambda: Incident(next(names), Phase.RESCUING, now, 'down', now)  # noqa: E731
        dispatches = agent._worker._steps._rescues
        dispatches.unfinished(incident(), agent._table.services)
        one.queries.count = 0
        lookup_s = _times(lambda: dispatches.unfinished(incident(), agent._table.services))
        lookup_queries = one.queries.count // TIMES
        quiet = peak_mib()
        figures = {
            'hosts': hosts,
            'servers': hosts * scale_world.SERVERS_OF_A_HOST,
            'round_s': round_s,
            'round_queries': of_round,
            'nova_requests': requests,
            'look_s': look_s,
            'look_queries': of_look,
            'lookup_s': lookup_s,
            'lookup_queries': lookup_queries,
            'bare_list_s': _times(nova.compute_services, nova.prepare),
            'bare_select_s': _times(lambda: _bare(one.engine, hosts)),
            'fences_s': _fence_look(agent),
            **_with_incidents(one, shared, min(failed, hosts // 10)),
            'quiet_peak_mib': quiet,
            'peak_mib': peak_mib(),
        }
        one.close()
        return figures


def _bare(engine: Any, hosts: int) -> Any:
    from heat.db import models

    table = models.Resource.__table__
    servers = [scale_world.server_id(n) for n in scale_world.servers_of(1, hosts)]
    with engine.connect() as connection:
        return connection.execute(
            sqlalchemy.select(table.c.stack_id).where(table.c.nova_instance.in_(servers))
        ).all()


def _fence_look(agent: Any) -> float:
    """Seconds of the second look at all fences, of which none is due."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        agent._watch.look(pool)
        return _timed(lambda: agent._watch.look(pool))


def _with_incidents(one: Simulation, shared: scale_world.Shared, failed: int) -> dict[str, Any]:
    """What a round costs while so many hosts have failed, and what one step for a host."""
    from heat_ha import serialization
    from heat_ha.agent.adapters import store as agent_store
    from heat_ha.agent.model import Incident, Phase

    agent, held, now = one.agent, Held(), time.time()
    store = agent_store.Store(one.engine)
    step = len(shared.died) // max(failed, 1)
    numbers = range(0, failed * step, step)
    for number in numbers:
        host = scale_world.host_name(number)
        shared.died[number] = now - 2 * scale_world.DOWN_AFTER
        incident = Incident(host, Phase.CONFIRMED, now, 'down', now, agreed=('services_api',))
        store.put(agent_store.INCIDENT, host, serialization.encode(incident), 0)

    def prepare() -> None:
        held.forget()
        one.nova.prepare()

    agent.round(held)
    round_s = _times(lambda: agent.round(held), prepare)
    held.forget()
    found = iter(numbers)
    situation_s = _times(lambda: agent._observer.situation(scale_world.host_name(next(found))))
    with one.engine.begin() as connection:
        connection.execute(sqlalchemy.text('DELETE FROM heat_ha_agent'))
    return {'failed': failed, 'round_with_failed_s': round_s, 'step_with_failed_s': situation_s}


# --- dead hosts -----------------------------------------------------------------------------


def dead(url: str, hosts: int, counts: Sequence[int], agents: int) -> dict[str, Any]:
    """Let so many hosts die, and wait for the signals to the policies of their servers."""
    shared = scale_world.Shared.of(hosts, multiprocessing.RawArray)
    signals: Any = multiprocessing.SimpleQueue()
    over = multiprocessing.Event()
    ends = [multiprocessing.Pipe(duplex=False) for _ in range(agents)]
    with tempfile.TemporaryDirectory() as locks:
        running = [
            multiprocessing.Process(
                target=_agent, args=(url, f'agent-{n}', shared, locks, signals, over, ends[n][1])
            )
            for n in range(agents)
        ]
        for process in running:
            process.start()
        try:
            for receives, _sends in ends:
                assert receives.poll(LIMIT), 'an agent has not finished a round'
                receives.recv()
            time.sleep(WARM)
            found = list(_deaths(shared, counts, signals))
        finally:
            over.set()
            memory = [one for receives, _sends in ends for one in _received(receives)]
            for process in running:
                process.join(30)
                if process.is_alive():
                    process.kill()
    return {'agents': agents, 'dead': found, 'of_agents': memory}


def _received(receives: Any) -> Iterator[Any]:
    with contextlib.suppress(EOFError):
        if receives.poll(30):
            yield receives.recv()


def _deaths(
    shared: scale_world.Shared, counts: Sequence[int], signals: Any
) -> Iterator[dict[str, Any]]:
    hosts, begin = len(shared.died), 0
    step = hosts // sum(counts)
    for count in counts:
        numbers = [(begin + n) * step for n in range(count)]
        begin += count
        now = time.time()
        for number in numbers:
            shared.died[number] = now
        yield {'dead': count} | _signals(shared, numbers, now, signals)
        # The agents find that nothing is left to do.
        time.sleep(5.0)


def _signals(
    shared: scale_world.Shared, numbers: Sequence[int], died: float, signals: Any
) -> dict[str, Any]:
    """When the signals came for hosts that have died, in seconds since then."""
    per_host = scale_world.SERVERS_OF_A_HOST // scale_world.PROTECTED_EVERY
    left = dict.fromkeys(numbers, per_host)
    times: list[float] = []
    while left and time.time() - died < LIMIT:
        if signals.empty():
            time.sleep(0.01)
            continue
        at, signalled = signals.get()
        for host in signalled:
            times.append(at - died)
            left[host] -= 1
            if not left[host]:
                del left[host]
    return {
        'servers': len(numbers) * per_host,
        'nova_shows_after_s': scale_world.DOWN_AFTER,
        'first_s': min(times, default=None),
        'last_s': None if left else max(times),
        'without_a_signal': sum(left.values()),
    }


def _agent(
    url: str, name: str, shared: Any, locks: str, signals: Any, over: Any, sends: Any
) -> None:
    """One agent, in a process of its own."""
    use_threads()
    one: list[Simulation] = []

    def signalled(stack: str) -> None:
        signals.put((time.time(), one[0].nova.signalled(stack)))

    one.append(Simulation(url, name, shared, locks, signalled))
    agent, seconds = one[0].agent, list[float]()
    of_service = agent.round

    def round_(pool: Any) -> float:
        begin = time.perf_counter()
        pause: float = of_service(pool)
        seconds.append(time.perf_counter() - begin)
        if len(seconds) == 2:
            sends.send('works')
        return pause

    agent.round = round_

    def until_over() -> None:
        over.wait()
        agent.stop()

    threading.Thread(target=until_over, daemon=True).start()
    agent.run()
    sends.send(
        {
            'peak_mib': peak_mib(),
            'rounds': len(seconds),
            'round_p50_s': statistics.median(seconds),
            'round_longest_s': max(seconds),
            'queries': one[0].queries.count,
        }
    )
    one[0].close()


def main() -> int:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog='python -m bench.scale_agents', description=__doc__)
    parser.add_argument('what', choices=('rounds', 'dead'))
    parser.add_argument('url')
    parser.add_argument('--hosts', type=int, required=True)
    parser.add_argument('--dead', type=int, nargs='+', default=[1])
    parser.add_argument('--agents', type=int, default=3)
    parser.add_argument('--log', type=pathlib.Path, help='what the agents log goes to this file')
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, filename=options.log or '/dev/null')
    multiprocessing.set_start_method('fork')
    if options.what == 'dead':
        found = dead(options.url, options.hosts, options.dead, options.agents)
    else:
        use_threads()
        found = rounds(options.url, options.hosts, max(options.dead))
    print(json.dumps(found))
    return 0


if __name__ == '__main__':
    sys.exit(main())
