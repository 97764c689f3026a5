# SPDX-License-Identifier: Apache-2.0
"""How much ``heat-ha-agent`` takes: a flood of notifications and of reports, and a big database.

* Nova's notifications are offered at a rate for a while, of which 1 % matter: all that matter must
  have been read in the end, and the agent's memory must not grow. How old they were when they were
  read is the agent's own figure (``heat_ha_agent_notification_age_seconds``).
* Reports are posted to the webhook in some threads, as many as go.
* From a host's servers to their policies in a database with 100,000 resources, in as many queries
  for one server as for 500; beside it a look-up per server (peer), and the mere query for the
  servers' rows (bare).
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import rich.console
import rich.table

from lab import database, layout, ports, regions, service
from lab.client import access, agents

# So many senders, since one does not get to the whole rate.
SENDERS = 2
SOURCE = 'nova_notifications'
READ = f'heat_ha_agent_reports_total{{says="silent",source="{SOURCE}"}}'
AGE = 'heat_ha_agent_notification_age_seconds'

# Seconds until the broker's queue must be empty after the flood.
DRAIN = 600.0

# At most so much more memory after the flood than before it.
GOAL_GROWTH = 1.1

DATABASE = 'heat_bench'
_HEAT_MANAGE = layout.VENV / 'bin' / 'heat-manage'


# --- notifications --------------------------------------------------------------------------


def _program(*words: str) -> 'subprocess.Popen[str]':
    return subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-m', *words],
        cwd=access.ROOT,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


# Seconds that a program may take beyond those that it was asked to work.
SLACK = 300.0


def _figures(process: 'subprocess.Popen[str]', seconds: float) -> dict[str, Any]:
    """What a program has measured. :raises AssertionError: it failed, or took too long."""
    try:
        said, _none = process.communicate(timeout=seconds + SLACK)
    except subprocess.TimeoutExpired as exc:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f'{process.args[4]} took more than {exc.timeout:.0f} s') from exc
    assert process.returncode == 0, f'{process.args}: {said}'
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def resident_mib(pid: int) -> float:
    """The memory that a process has in RAM."""
    pages = int(pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


@contextlib.contextmanager
def highest_memory(pid: int) -> Iterator[Callable[[], float]]:
    """Watch the memory of a process during the body; yields a function for the highest value."""
    seen = [resident_mib(pid)]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            seen.append(resident_mib(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: max(seen)
    finally:
        over.set()
        thread.join()


def offer(rate: float, seconds: float) -> dict[str, Any]:
    """Let the senders offer notifications together. :returns: what they have sent."""
    bus = access.environment()['bus'][regions.ONE.key]
    words = ('--rate', str(rate / SENDERS), '--seconds', str(seconds))
    running = [_program('bench.sender', 'bus', bus, *words) for _ in range(SENDERS)]
    try:
        found = [_figures(process, seconds) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    sent = sum(one['sent'] for one in found)
    return {
        'sent': sent,
        'matter': sum(one['matter'] for one in found),
        'offered_per_s': sent / max(one['seconds'] for one in found),
    }


def _until_read(agent: agents.Agent, count: float) -> float:
    """Wait until so many that matter were read. :returns: how many were, when it is at its end."""
    deadline = time.monotonic() + DRAIN
    while (read := agent.metric(READ)) < count and time.monotonic() < deadline:
        time.sleep(0.2)
    # One that is counted twice would come now.
    time.sleep(2.0)
    return max(read, agent.metric(READ))


def quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """The bound of the histogram's bucket in which so many of the new values are, in seconds."""
    all_new = after[float('inf')] - before[float('inf')]
    for bound in sorted(after):
        if after[bound] - before[bound] >= share * all_new:
            return bound
    return float('inf')


def notifications(agent: agents.Agent, rate: float, seconds: float, say: Any) -> dict[str, Any]:
    """Flood it, and see what came of that."""
    say('a small flood first, after which its memory is what it needs')
    warm = offer(min(rate, 1000.0), 10.0)
    read = _until_read(agent, warm['matter'])
    before, ages, rounds = resident_mib(agent.pid), agent.buckets(AGE), _rounds(agent)
    age_sum = agent.metric(f'{AGE}_sum')
    say(f'{rate:.0f} notifications a second for {seconds:.0f} s')
    begin = time.monotonic()
    with highest_memory(agent.pid) as highest:
        offered = offer(rate, seconds)
        flooded = time.monotonic() - begin
        all_read = _until_read(agent, read + offered['matter']) - read
        took = time.monotonic() - begin - 2.0
    after = resident_mib(agent.pid)
    now = agent.buckets(AGE)
    return offered | {
        'lost': max(offered['matter'] - all_read, 0),
        'read_twice': max(all_read - offered['matter'], 0),
        'read_per_s': offered['sent'] / max(took, flooded),
        'drained_after_s': max(took - flooded, 0.0),
        'age_mean_s': (agent.metric(f'{AGE}_sum') - age_sum) / max(all_read, 1),
        'age_p50_at_most_s': quantile(ages, now, 0.5),
        'age_p99_at_most_s': quantile(ages, now, 0.99),
        'memory_before_mib': before,
        'memory_highest_mib': highest(),
        'memory_after_mib': after,
        'rounds_per_s': (_rounds(agent) - rounds) / took,
    }


def _rounds(agent: agents.Agent) -> float:
    return agent.metric('heat_ha_agent_round_seconds_count')


def webhook(agent: agents.Agent, seconds: float, say: Any) -> dict[str, Any]:
    """Post reports, as many as go."""
    say(f'reports to the webhook for {seconds:.0f} s')
    before = resident_mib(agent.pid)
    words = ('--seconds', str(seconds), '--token', agents.TOKEN)
    figures = _figures(_program('bench.sender', 'web', str(agent.port), *words), seconds)
    return {
        'web_per_s': figures['sent'] / figures['seconds'],
        'web_lost': figures['sent'] - figures['accepted'],
        'web_p50_ms': figures['p50_ms'],
        'web_p99_ms': figures['p99_ms'],
        'web_memory_growth_mib': resident_mib(agent.pid) - before,
    }


# --- the look-up ----------------------------------------------------------------------------


def lookup(resources: int, servers: int, say: Any) -> dict[str, Any]:
    """Make a database with Heat's schema, fill it, and look servers up in it."""
    say(f'a database with {resources} resources')
    url = f'{regions.database_url(ports.from_environment())}/{DATABASE}?charset=utf8mb3'
    database.recreate(DATABASE)
    try:
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as own:
            own.write(f'[database]\nconnection = {url}\n')
            own.flush()
            heat = layout.ETC / regions.ONE.key / 'heat' / 'heat.conf'
            done = subprocess.run(
                [_HEAT_MANAGE, f'--config-file={heat}', f'--config-file={own.name}', 'db_sync'],
                env=service.base_environment(),
                capture_output=True,
                text=True,
                timeout=300,
            )
        assert done.returncode == 0, done.stderr[-2000:]
        words = ('--resources', str(resources), '--servers', str(servers))
        return _figures(_program('bench.lookup', url, *words), resources / 1000)
    finally:
        database.query(f'DROP DATABASE IF EXISTS {DATABASE}')


# --- the report -----------------------------------------------------------------------------

# The figures of each part; those that were not measured are None, and a word says why.
PARTS = {
    'lookup': ('ours_s', 'bare_s', 'peer_s', 'ours_queries', 'ours_queries_for_5', 'servers'),
    'flood': ('sent', 'matter', 'lost', 'read_twice', 'memory_before_mib', 'memory_after_mib'),
    'web': ('web_per_s', 'web_lost', 'web_p99_ms'),
    'false_alarms': ('took_for_dead',),
}


def part(name: str, call: Callable[[], dict[str, Any]], say: Any) -> dict[str, Any]:
    """One part of the benchmark; one that fails costs its own figures only."""
    try:
        return call()
    except Exception as exc:
        why = f'{type(exc).__name__}: {exc}'[:300]
        say(f'{name}: given up: {why}')
        return dict.fromkeys(PARTS[name]) | {f'{name}_why': why}


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def goals(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is promised, and whether it holds; None where it was not measured."""
    growth = _ratio(figures['memory_after_mib'], figures['memory_before_mib'])
    values = {
        'lost': (figures['lost'], 0),
        'read_twice': (figures['read_twice'], 0),
        'web_lost': (figures['web_lost'], 0),
        'took_for_dead': (figures['took_for_dead'], 0),
        'memory_growth': (growth and round(growth, 3), GOAL_GROWTH),
        'lookup_queries': (figures['ours_queries'], figures['ours_queries_for_5']),
    }
    return {
        key: {
            'is': value,
            'at_most': limit,
            'holds': None if value is None or limit is None else value <= limit,
        }
        for key, (value, limit) in values.items()
    }


def table(figures: dict[str, Any]) -> rich.table.Table:
    """The figures as a person reads them."""
    shown = rich.table.Table(title='The agent under load')
    shown.add_column('figure')
    shown.add_column('value', justify='right')
    for key, value in figures.items():
        if not isinstance(value, dict):
            shown.add_row(key, f'{value:.3f}' if isinstance(value, float) else str(value))
    return shown


def verdicts(figures: dict[str, Any]) -> Sequence[str]:
    """One sentence for each goal."""
    return [
        f'{key.replace("_", " ")}: {goal["is"]}; the goal, at most {goal["at_most"]}, '
        + {True: 'holds.', False: 'is missed.', None: 'was not measured.'}[goal['holds']]
        for key, goal in figures['goals'].items()
    ]


# --- for bench.run --------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--rate',
        type=float,
        default=float(os.environ.get('RATE', '5000')),
        help='agent: notifications offered a second (RATE, default 5000)',
    )
    parser.add_argument(
        '--flood-seconds',
        type=float,
        default=float(os.environ.get('FLOOD_SECONDS', '60')),
        help='agent: for how long (FLOOD_SECONDS, default 60)',
    )
    parser.add_argument(
        '--resources',
        type=int,
        default=int(os.environ.get('RESOURCES', '100000')),
        help="agent: resources in Heat's database (RESOURCES, default 100000)",
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the table, and return the figures."""
    say = rich.console.Console(stderr=True, highlight=False).print
    load = os.getloadavg()[0]
    found = part('lookup', lambda: lookup(options.resources, 500, say), say)
    found |= _loads(options, say)
    figures: dict[str, Any] = {
        'ours_over_bare': _ratio(found['ours_s'], found['bare_s']),
        'ours_over_peer': _ratio(found['ours_s'], found['peer_s']),
        **found,
        'load': load,
    }
    figures = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    figures['goals'] = goals(found)
    figures['ran'] = (
        f'{found["sent"]} notifications in {options.flood_seconds:.0f} s, one look-up of '
        f'{found["servers"]} servers among {options.resources} resources'
    )
    console.print(table(figures))
    for sentence in verdicts(figures):
        console.print(sentence, highlight=False)
    return figures


def _loads(options: argparse.Namespace, say: Any) -> dict[str, Any]:
    """The parts with an agent that runs."""
    agents.clear()
    with tempfile.TemporaryDirectory() as name:
        agent = agents.Agent(
            pathlib.Path(name),
            'agent-1',
            {'sources': f'services_api,{SOURCE},webhook', 'confirm': 'services_api+webhook'},
        )
        seconds = options.flood_seconds

        def flood() -> dict[str, Any]:
            agent.start()
            return notifications(agent, options.rate, seconds, say)

        try:
            found = part('flood', flood, say)
            found |= part('web', lambda: webhook(agent, min(seconds, 20.0), say), say)
            found |= part('false_alarms', lambda: {'took_for_dead': len(agents.incidents())}, say)
        finally:
            agent.stop()
    return found
