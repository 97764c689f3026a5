# SPDX-License-Identifier: Apache-2.0
"""How the agent's work grows with the cloud: up to 10,000 hosts and 1,000,000 servers.

A tenth of the servers have a RescuePolicy. Nova, the fences and Heat's engines are simulated. The
agents and the database with Heat's tables are real. It needs no lab, but takes its MariaDB where
one runs.

* What a round of one agent takes when nothing has failed, and when a hundred hosts have; its
  queries, and its memory.
* From a host's servers to their policies.
* ``bare`` are the same questions alone: Nova's list of hosts, read, and one query for the rows of
  a host's servers.
* With three agents on the biggest cloud: seconds from the death of 1, 10 and 100 hosts to the first
  and the last signal.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import rich.console
import rich.table

from bench import scale_database, scale_world

# bench.run starts it without a lab.
NEEDS_LAB = False

# Seconds that one program may take.
LIMIT = 900.0

ROWS = {
    'servers': 'servers',
    'round_s': 'a round, s',
    'round_queries': 'its queries',
    'failed': 'hosts that have failed',
    'round_with_failed_s': 'a round with those, s',
    'step_with_failed_s': 'a step for one of those, s',
    'look_s': 'a look at unfinished plans, s',
    'look_queries': 'its queries',
    'lookup_s': "from a host's servers to policies, s",
    'lookup_queries': 'its queries',
    'fences_s': 'a look at which fences are due, s',
    'bare_list_s': "bare: Nova's list read, s",
    'bare_select_s': "bare: one query for a host's servers, s",
    'peak_mib': 'most memory, MiB',
}


def _program(*words: str) -> dict[str, Any]:
    """What a program of this benchmark has measured. :raises AssertionError: it failed."""
    try:
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', *words],
            cwd=pathlib.Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as exc:
        raise AssertionError(f'{words[0]} took more than {LIMIT:.0f} s') from exc
    assert done.returncode == 0, f'{words}: {done.stderr[-2000:]}'
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def sizes_of(text: str) -> list[int]:
    """Numbers of hosts, the smallest first.

    :raises argparse.ArgumentTypeError: hosts would differ in how many protected servers they have.
    """
    found = sorted({int(one) for one in text.replace(',', ' ').split()})
    if not found or any(one <= 0 or one % scale_world.STEP for one in found):
        raise argparse.ArgumentTypeError(f'numbers of hosts are multiples of {scale_world.STEP}')
    return found


def counts_of(text: str) -> list[int]:
    """Numbers of hosts that die."""
    return [int(one) for one in text.replace(',', ' ').split()]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--sizes',
        type=sizes_of,
        default=sizes_of(os.environ.get('SIZES', '100 1000 10000')),
        help='scale: numbers of hosts (SIZES, default "100 1000 10000")',
    )
    parser.add_argument(
        '--dead',
        type=counts_of,
        default=counts_of(os.environ.get('DEAD', '1 10 100')),
        help='scale: numbers of hosts that die, one after the other (DEAD, default "1 10 100")',
    )
    parser.add_argument(
        '--agents',
        type=int,
        default=int(os.environ.get('AGENTS', '3')),
        help='scale: agents that watch them (AGENTS, default 3)',
    )


def possible(counts: Sequence[int], hosts: int) -> list[int]:
    """Those numbers of dead hosts that are together at most a tenth of all.

    More would be a storm, which the agent leaves to a person.
    """
    found: list[int] = []
    for count in counts:
        if sum(found) + count <= hosts // 10:
            found.append(count)
    return found


def figures_of(sizes: Sequence[dict[str, Any]], dead: dict[str, Any]) -> dict[str, Any]:
    """The figures, of which the ratios are those of the biggest cloud."""
    last, first = sizes[-1], sizes[0]
    ours = last['round_s'] + last['lookup_s']
    bare = last['bare_list_s'] + last['bare_select_s']
    return {
        'ours_s': ours,
        'bare_s': bare,
        'peer_s': None,
        'ours_over_bare': ours / bare,
        'ours_over_peer': None,
        'hosts_times': last['hosts'] / first['hosts'],
        'round_times': last['round_s'] / first['round_s'],
        'sizes': list(sizes),
        **dead,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def table(sizes: Sequence[dict[str, Any]]) -> rich.table.Table:
    """The figures of each size as a person reads them."""
    shown = rich.table.Table('', title='One agent, by the size of the cloud')
    for one in sizes:
        shown.add_column(f'{one["hosts"]} hosts', justify='right')
    for key, title in ROWS.items():
        cells = (one[key] for one in sizes)
        shown.add_row(title, *(f'{c:.3g}' if isinstance(c, float) else str(c) for c in cells))
    return shown


def sentences(dead: dict[str, Any]) -> list[str]:
    """When the signals came, in words."""
    return [
        f'Dead hosts: {one["dead"]}. Nova shows it after {one["nova_shows_after_s"]:.0f} s, the '
        f'first signal came after {_seconds(one["first_s"])}, the last of {one["servers"]} after '
        f'{_seconds(one["last_s"])}'
        + (f'; {one["without_a_signal"]} never came.' if one['without_a_signal'] else '.')
        for one in dead['dead']
    ]


def _seconds(value: float | None) -> str:
    return '- (not in time)' if value is None else f'{value:.1f} s'


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the table, and return the figures."""
    say = rich.console.Console(stderr=True, highlight=False).print
    load = os.getloadavg()[0]
    sizes: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix='heat-ha-') as name,
        scale_database.provided(pathlib.Path(name)) as (url, kind),
    ):
        for hosts in options.sizes:
            servers = hosts * scale_world.SERVERS_OF_A_HOST
            say(f'{kind} with {servers} servers')
            filled = _program('bench.scale_fill', url, '--servers', str(servers))
            say(f'rounds with {hosts} hosts')
            words = ('--hosts', str(hosts), '--dead', str(hosts // 10 if hosts < 1000 else 100))
            sizes.append(filled | _program('bench.scale_agents', 'rounds', url, *words))
        most = options.sizes[-1]
        counts = possible(options.dead, most)
        dead: dict[str, Any] = {'agents': options.agents, 'dead': []}
        if counts:
            say(f'{options.agents} agents, and {", ".join(map(str, counts))} dead hosts')
            words = ('--hosts', str(most), '--agents', str(options.agents))
            numbers = [str(count) for count in counts]
            dead = _program('bench.scale_agents', 'dead', url, *words, '--dead', *numbers)
    figures: dict[str, Any] = _rounded(figures_of(sizes, dead)) | {'load': load}
    figures['ran'] = (
        f'{kind}; hosts: {", ".join(map(str, options.sizes))}, '
        f'{scale_world.SERVERS_OF_A_HOST} servers each, one of {scale_world.PROTECTED_EVERY} '
        'protected; fences that take no time; the limit on hosts that fail together is off'
    )
    console.print(table(sizes))
    for sentence in sentences(dead):
        console.print(sentence, highlight=False)
    return figures
