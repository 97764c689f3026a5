# SPDX-License-Identifier: Apache-2.0
"""How long it takes until the servers of a host that died are ACTIVE on another one.

The same servers are rescued in turns by heat-ha-agent and a RescuePolicy, by Masakari (its own API
and engine, with its defaults and with the smallest waits that it allows), and by a bare loop of
novaclient's evacuate with as many threads as our engine uses. All servers are on one host; its
nova-compute is killed, and all contenders are told in the moment in which Nova shows the host as
down: before it, Nova takes no evacuation of a host that nobody fenced. The clock starts there.

Once, heat-ha is told when the host dies, as a cluster manager would; it needs no patience of
Nova's, because it fences and then marks the host as down. That clock starts at the death.
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import rich.console
import rich.table

from bench import masakari, rescuers
from bench.rescuers import ENDS, WITNESS, Contender, World
from tests import cloud as lab
from tests import hosts

# Seconds until a contender is given up, beside what it is known to wait.
LIMIT = 420.0
# Seconds between two looks of the observer, which reads Nova's database: no contender pays for it.
PERIOD = 0.1

STACK = f"""\
heat_template_version: 2016-10-14
resources:
  servers:
    type: OS::Heat::ResourceGroup
    properties:
      count: COUNT
      resource_def: {lab.SERVER}
  rescue:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: servers}}]
      methods: [{{method: evacuate}}]
"""


@dataclasses.dataclass(frozen=True)
class Round:
    """One rescue: seconds until the first and the last server was back, and the load before it.

    ``missing`` servers had not come back when the contender was given up, ``last`` seconds after
    the beginning.
    """

    name: str
    first: float
    last: float
    missing: int
    down_after: float
    load: float


def rescue(world: World, contender: Contender) -> Round:
    """Let the host of the servers die, and let one contender rescue them."""
    home = world.home()
    other = next(end for end in ENDS if end != home)
    load = os.getloadavg()[0]
    try:
        with contender.ready():
            hosts.run_lab('kill', f'nova-compute-{home}')
            died = time.monotonic()
            if contender.is_told_early:
                contender.tell(home)
            lab.until(lambda: world.is_down(home) or world.active_on(other), f'{home} is down')
            seen = time.monotonic()
            if not contender.is_told_early:
                contender.tell(home)
            begin = died if contender.is_told_early else seen
            limit = begin + contender.waits + LIMIT * lab.PATIENCE
            first = _until(world, other, 1, limit) - begin
            last = _until(world, other, len(world.servers), limit) - begin
            missing = len(world.servers) - world.active_on(other)
            contender.finish(home)
        if missing:
            world.bring_back(home, other)
    finally:
        world.mend(home)
    return Round(contender.name, first, last, missing, seen - died, load)


def _until(world: World, host: str, count: int, limit: float) -> float:
    """Wait until so many servers are back, or it is too late, and return when that was."""
    while world.active_on(host) < count and time.monotonic() < limit:
        time.sleep(PERIOD)
    return time.monotonic()


def measure(
    cloud: Any, admin: Any, count: int, rounds: int, wait: int, say: Callable[[str], None]
) -> list[Round]:
    """Make servers, and let all contenders rescue them in turns."""
    found = []
    with contextlib.ExitStack() as left:
        say(f'{_servers(count)}: making them')
        for host in (ENDS[1], WITNESS):
            rescuers.set_enabled(admin, host, False)
            left.callback(rescuers.set_enabled, admin, host, True)
        stack = lab.Stack(cloud, f'bench-{os.getpid()}', STACK.replace('COUNT', str(count)))
        left.callback(stack.delete)
        stack.create(wait=False)
        stack.wait('CREATE', seconds=600)
        rescuers.set_enabled(admin, ENDS[1], True)
        world = World(admin, stack)
        made: list[Contender] = [
            kind(world) for kind in (rescuers.Bare, rescuers.Peer, rescuers.Ours)
        ]
        once: list[Contender] = [rescuers.OursToldEarly(world)]
        if wait:
            once.append(rescuers.PeerDefaults(world, wait))
        for number in range(rounds):
            # Each has its turn to be the first.
            turn = number % len(made)
            order = made[turn:] + made[:turn] + (once if not number else [])
            for contender in order:
                one = rescue(world, contender)
                say(
                    f'{_servers(count)}, round {number + 1} of {rounds}: {contender.name} '
                    f'{one.first:.1f} s, {one.last:.1f} s; load {one.load:.1f}'
                    + (f'; {one.missing} are not back' if one.missing else '')
                )
                found.append(one)
        say(f'{_servers(count)}: deleting them')
    return found


# --- the report -----------------------------------------------------------------------------

# At most so many times as long, until the last server is back.
GOALS = {'ours_over_bare': 1.25, 'ours_over_peer': 1.0, 'ours_over_peer_defaults': 1 / 3}

WORDS = {
    'ours': 'heat-ha',
    'bare': 'bare evacuate loop',
    'peer': 'Masakari without its waits',
    'peer_defaults': 'Masakari with its defaults',
    'ours_told_early': 'heat-ha, told of the death (from then on)',
}


def summary(found: Sequence[Round], count: int) -> dict[str, Any]:
    """The medians of all rounds, the ratios and the goals."""
    told: dict[str, Any] = {}
    names = [name for name in WORDS if any(r.name == name for r in found)]
    for name in names:
        own = [r for r in found if r.name == name]
        told[f'{name}_s'] = statistics.median(r.last for r in own)
        told[f'{name}_first_s'] = statistics.median(r.first for r in own)
        if missing := sum(r.missing for r in own):
            told[f'{name}_not_back'] = missing
    told['down_after_s'] = statistics.median(r.down_after for r in found)
    ratios = {
        f'ours_over_{name}': told['ours_s'] / told[f'{name}_s']
        for name in ('bare', 'peer', 'peer_defaults')
        if name in names
    }
    after = told['down_after_s']
    ratios['ours_over_bare_from_death'] = (told['ours_s'] + after) / (told['bare_s'] + after)
    rounds = sum(r.name == 'ours' for r in found)
    return {
        **{key: round(value, 3) for key, value in (ratios | told).items()},
        'ran': f'{_servers(count)}, {rounds} round{"s" * (rounds > 1)}',
        'load': round(statistics.median(r.load for r in found), 1),
        'goals': {
            key: {'at_most': round(limit, 3), 'holds': ratios[key] <= limit}
            for key, limit in GOALS.items()
            if key in ratios
        },
    }


def table(found: Sequence[Round], count: int) -> rich.table.Table:
    """The rounds as a person reads them."""
    title = f'{_servers(count)} of a dead host, seconds from Nova showing it as down'
    shown = rich.table.Table(title=title)
    shown.add_column('who')
    for heading in ('first ACTIVE', 'last ACTIVE', 'not back', 'down after', 'load'):
        shown.add_column(heading, justify='right')
    for one in found:
        shown.add_row(
            WORDS[one.name],
            f'{one.first:.1f}',
            f'{one.last:.1f}',
            str(one.missing or ''),
            f'{one.down_after:.1f}',
            f'{one.load:.1f}',
        )
    return shown


def verdicts(figures: dict[str, Any]) -> list[str]:
    """One sentence for each goal."""
    told = []
    for key, goal in figures['goals'].items():
        word = 'holds' if goal['holds'] else 'is missed'
        peer = WORDS[key.removeprefix('ours_over_')]
        told.append(
            f'{figures["ran"]}: heat-ha takes {figures[key]:.2f} times as long as {peer}; the '
            f'goal, at most {goal["at_most"]:.2f}, {word}.'
        )
    return told


def _servers(count: int) -> str:
    return '1 server' if count == 1 else f'{count} servers'


# --- for bench.run --------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--servers',
        default=os.environ.get('SERVERS', '20,1'),
        help='rescue: how many servers the host has, one run each (SERVERS, default 20,1)',
    )
    parser.add_argument(
        '--rounds-rescue',
        type=int,
        default=int(os.environ.get('ROUNDS', '2')),
        help='rescue: how often each contender rescues them (ROUNDS, default 2)',
    )
    parser.add_argument(
        '--masakari-wait',
        type=int,
        default=int(os.environ.get('WAIT', '180')),
        help='rescue: seconds that Masakari waits by default, run once for each number of '
        'servers, 0 for not (WAIT, default 180)',
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the tables, and return the figures."""
    progress = rich.console.Console(stderr=True, highlight=False)
    counts = [int(text) for text in options.servers.split(',')]
    told: dict[int, dict[str, Any]] = {}
    masakari.install(progress.print)
    with masakari.database_made():
        for count in counts:
            found = measure(
                lab.connect('demo'),
                lab.connect('admin'),
                count,
                max(options.rounds_rescue, 1),
                options.masakari_wait,
                progress.print,
            )
            told[count] = summary(found, count)
            console.print(table(found, count))
    for figures in told.values():
        for sentence in verdicts(figures):
            console.print(sentence, highlight=False)
    others = {f'servers_{count}': told[count] for count in counts[1:]}
    return told[counts[0]] | others
