# SPDX-License-Identifier: Apache-2.0
"""How long it takes until the servers of a host that died are ACTIVE on another one.

The same servers are rescued in turns by heat-ha-agent and a RescuePolicy, by Masakari (its own API
and engine, with its defaults and with the smallest waits that it allows), and by a bare loop of
novaclient's evacuate with as many threads as our engine uses. All servers are on one host; its
nova-compute is killed, and all contenders get a report of it when Nova shows the host as down:
before it, Nova takes no evacuation of a host that nobody fenced. The clock starts there.

Once, heat-ha gets the report when the host dies, as from a cluster manager; it does not depend on
Nova's patience, because it fences and then marks the host as down. That clock starts at the death.
"""

import argparse
import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import rich.console
import rich.table

from bench import masakari, rescuers
from bench.rescuers import ENDS, WITNESS, Contender, World
from bench.rounds import WORDS, Round, servers, shown, summary, verdicts
from lab.client import access, stacks, waiting

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
      resource_def: {stacks.SERVER}
  rescue:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: servers}}]
      methods: [{{method: evacuate}}]
"""


def rescue(world: World, contender: Contender) -> Round:
    """Let the host of the servers die, and let one contender rescue them.

    Whatever it comes to, all servers are on one host again afterwards, and both hosts work.

    :raises AssertionError: that was not to be had.
    """
    home = world.home()
    other = next(end for end in ENDS if end != home)
    found = Round(contender.name, None, None, len(world.servers), None, os.getloadavg()[0])
    try:
        found = _measured(world, contender, home, other, found)
    except Exception as exc:
        found = dataclasses.replace(found, why=f'{type(exc).__name__}: {exc}'[:300])
    finally:
        # Before the host dies a contender may fail as well: then all is as it was.
        if world.dead == home:
            world.bring_back(home, other)
            world.mend(home)
    return found


def _measured(world: World, contender: Contender, home: str, other: str, found: Round) -> Round:
    all_ = len(world.servers)
    with contender.ready():
        world.kill(home)
        died = time.monotonic()
        if contender.is_reported_early:
            contender.report(home)
        waiting.until(lambda: world.is_down(home) or world.active_on(other), f'{home} is down')
        seen = time.monotonic()
        if not contender.is_reported_early:
            contender.report(home)
        begin = died if contender.is_reported_early else seen
        limit = begin + contender.waits + LIMIT * waiting.PATIENCE
        first = _until(world, other, 1, limit)
        last = first and _until(world, other, all_, limit)
        missing = all_ - world.active_on(other) if last is None else 0
        found = dataclasses.replace(
            found,
            first=first and first - begin,
            last=last and last - begin,
            missing=missing,
            down_after=seen - died,
            why=f'{missing} of {all_} were not back after {limit - begin:.0f} s' if missing else '',
        )
        if missing:
            # What it would still do would be in the way of the others.
            return found
        try:
            contender.finish(home)
        except Exception as exc:
            # They are back, and when that was is known.
            found = dataclasses.replace(found, why=f'it did not end: {exc}'[:300])
        return found


def _until(world: World, host: str, count: int, limit: float) -> float | None:
    """Wait until so many servers are back. :returns: when that was, None when it is too late."""
    while world.active_on(host) < count:
        if time.monotonic() >= limit:
            return None
        time.sleep(PERIOD)
    return time.monotonic()


def contenders(wait: int, has_peer: bool) -> tuple[list[Any], list[Any]]:
    """Who rescues in each round, and who once: each made with the world."""
    each: list[Any] = [rescuers.Bare, rescuers.Peer, rescuers.Ours]
    once: list[Any] = [rescuers.OursReportedEarly]
    if wait:
        once.append(functools.partial(rescuers.PeerDefaults, wait=wait))
    if not has_peer:
        each.remove(rescuers.Peer)
        del once[1:]
    return each, once


def measure(
    cloud: Any,
    admin: Any,
    count: int,
    rounds: int,
    kinds: tuple[list[Any], list[Any]],
    say: Callable[[str], None],
    found: list[Round],
) -> None:
    """Make servers, and let all contenders rescue them in turns.

    :param found: the rounds are appended to it one by one, so that they are there if one fails.
    """
    with contextlib.ExitStack() as left:
        say(f'{servers(count)}: making them')
        for host in (ENDS[1], WITNESS):
            rescuers.set_enabled(admin, host, False)
            left.callback(rescuers.set_enabled, admin, host, True)
        stack = stacks.Stack(
            cloud, f'bench-{os.getpid()}-{count}', STACK.replace('COUNT', str(count))
        )
        left.callback(stack.delete, seconds=600)
        stack.create(wait=False)
        stack.wait('CREATE', seconds=900)
        rescuers.set_enabled(admin, ENDS[1], True)
        world = World(admin, stack)
        made, once = ([kind(world) for kind in part] for part in kinds)
        for number in range(rounds):
            # Each has its turn to be the first.
            turn = number % len(made)
            order = made[turn:] + made[:turn] + (once if not number else [])
            for contender in order:
                one = rescue(world, contender)
                say(
                    f'{servers(count)}, round {number + 1} of {rounds}: {contender.name} '
                    f'{shown(one.first)} s, {shown(one.last)} s; load {one.load:.1f}'
                    + (f'; {one.why}' if one.why else '')
                )
                found.append(one)
        say(f'{servers(count)}: deleting them')


# --- the report -----------------------------------------------------------------------------


def table(found: Sequence[Round], count: int) -> rich.table.Table:
    """The rounds as a person reads them."""
    title = f'{servers(count)} of a dead host, seconds from Nova showing it as down'
    made = rich.table.Table(title=title)
    made.add_column('who')
    for heading in ('first ACTIVE', 'last ACTIVE', 'not back', 'down after', 'load'):
        made.add_column(heading, justify='right')
    for one in found:
        made.add_row(
            WORDS[one.name],
            shown(one.first),
            shown(one.last),
            str(one.missing or ''),
            shown(one.down_after),
            f'{one.load:.1f}',
        )
    return made


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
    """Measure, show the tables, and return the figures.

    What fails is reported, and costs its own figures only.
    """
    progress = rich.console.Console(stderr=True, highlight=False)
    counts = [int(text) for text in options.servers.split(',')]
    by_count: dict[int, dict[str, Any]] = {}
    wait = options.masakari_wait
    planned = [kind for kind in WORDS if wait or kind != 'peer_defaults']
    with contextlib.ExitStack() as left:
        no_peer = ''
        try:
            masakari.install(progress.print)
            left.enter_context(masakari.database_made())
        except Exception as exc:
            no_peer = f'Masakari could not be installed: {exc}'[:300]
            progress.print(no_peer)
        for count in counts:
            found: list[Round] = []
            why = ''
            try:
                measure(
                    access.connect('demo'),
                    access.connect('admin'),
                    count,
                    max(options.rounds_rescue, 1),
                    contenders(wait, not no_peer),
                    progress.print,
                    found,
                )
            except Exception as exc:
                why = f'{type(exc).__name__}: {exc}'[:300]
                progress.print(f'{servers(count)}: given up: {why}')
            by_count[count] = summary(found, planned, count)
            if no_peer:
                by_count[count] |= {f'{name}_why': no_peer for name in planned if 'peer' in name}
            if why:
                by_count[count]['given_up'] = why
            console.print(table(found, count))
    for figures in by_count.values():
        for sentence in verdicts(figures):
            console.print(sentence, highlight=False)
    others = {f'servers_{count}': by_count[count] for count in counts[1:]}
    return by_count[counts[0]] | others
