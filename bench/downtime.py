# SPDX-License-Identifier: Apache-2.0
"""For how long nobody can write to a volume whose writer fails, by what is on the volume.

Two guests, one of which writes numbered records to a volume, ten a second. Its guest crashes, its
host loses its power, or its host is cut off from Nova. What counts is the time from the last record
of the old writer to the first acknowledged one of the new writer, by the guests' clocks, which are
compared before. The same failure is met in turns by bare calls of a script that knows all in
advance, by heat-ha, by Masakari (with the smallest waits that it allows, and as it comes), and by
stock Heat. Whether what is on the volume afterwards is whole is read as well.

It needs ``make lab-real``.
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import rich.console
import rich.table

from bench import downtime_ways, masakari
from bench.downtime_ways import FAILURES, WAYS, Way
from lab.client import access, failures, real_data, real_hosts, waiting
from lab.real.checker import images, report

NEEDS_REAL = True

# Seconds until a way is given up, beside what it is known to wait.
LIMIT = 180.0

# heat-ha, by an alarm of the cloud and a fence of the whole host, and by a monitor of the service
# and a fence of the one guest; and whom it is compared with.
OURS = ('ours', 'ours_one_guest')
PEERS = {'bare': 'the script', 'peer': 'the best peer'}

# At most so many times as long as the script, and as the best of the peers.
GOALS = {'ours_over_bare': 1.3, 'ours_over_peer': 0.5}

WORDS = {
    'bare': 'script that knows all',
    'ours': 'heat-ha',
    'ours_one_guest': 'heat-ha, one guest',
    'peer': 'Masakari, no waits',
    'peer_defaults': 'Masakari, defaults',
    'stock': 'stock Heat',
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What came of one failure that was met in one way.

    :ivar seconds: from the last record of the old writer to the first acknowledged one of the new
        one; None where that did not come.
    :ivar faults: what is wrong on the volume, in sentences.
    """

    failure: str
    way: str
    seconds: float | None
    faults: tuple[str, ...] = ()
    why: str = ''


def interruption(found: report.Report, old: str) -> float | None:
    """Seconds for which nobody could write after the server ``old`` was struck; None: for ever.

    The same server counts as another writer once its guest has booted again.
    """
    for one in found.interruptions:
        if one.old.by == old and one.old == found.runs[0].writer:
            if one.until_acknowledged is None:
                return None
            return one.until_acknowledged / 1000
    return None


def meet(failure: failures.Failure, way: Way) -> Measured:
    """Let a failure happen and meet it in one way; all is mended afterwards."""
    found = Measured(failure.name, way.name, None)
    try:
        way.make()
        with way.ready():
            # A guest that is gone tells no time any more.
            offsets = way.offsets()
            with failure.strike(way.active, way.host):
                way.act()
                found = _measured(found, way, offsets)
                if found.seconds is not None:
                    with contextlib.suppress(AssertionError):
                        way.ends()
    except Exception as exc:
        found = dataclasses.replace(found, why=f'{type(exc).__name__}: {exc}'[:300])
    finally:
        real_hosts.make_whole(way.admin)
        with contextlib.suppress(AssertionError):
            way.stack.delete()
    return found


def _measured(found: Measured, way: Way, offsets: dict[str, int]) -> Measured:
    limit = time.monotonic() + (LIMIT + way.waits) * waiting.PATIENCE
    faults: tuple[str, ...] = ()
    while time.monotonic() < limit:
        time.sleep(1.0)
        with contextlib.suppress(images.Unreadable):
            seen = way.written.report()
            faults = seen.faults
            if len(seen.runs) < 2 or seen.runs[-1].last - seen.runs[-1].first < real_data.ENOUGH:
                continue
            seen = way.written.report(offsets | way.offsets())
            seconds = interruption(seen, way.active)
            return dataclasses.replace(found, seconds=seconds, faults=seen.faults)
    # Two who write at once leave no long run of either: that is not the same as nobody.
    what = 'nobody took over alone' if faults else 'nobody took over'
    why = f'{what} within {LIMIT + way.waits:.0f} s'
    return dataclasses.replace(found, faults=faults, why=why)


def summary(found: Sequence[Measured]) -> dict[str, Any]:
    """The medians per failure and way, the ratios and the goals."""
    cases = {name: _case([m for m in found if m.failure == name]) for name in FAILURES}
    cases = {name: case for name, case in cases.items() if case}
    ratios = {
        key: max((case[key] for case in cases.values() if key in case), default=None)
        for key in (f'{way}_over_{whom}' for way in OURS for whom in PEERS)
    }
    worst = max(cases.values(), key=lambda c: c.get('ours_over_bare') or 0, default={})
    return {
        **{k: worst.get(k) for k in ('ours_s', 'bare_s', 'peer_s')},
        **ratios,
        'cases': cases,
        'ran': f'{len(found)} failures of guests that write',
        'goals': {
            key: {'at_most': limit, 'holds': (value := ratios[key]) is not None and value <= limit}
            for key, limit in GOALS.items()
        },
    }


def _case(found: Sequence[Measured]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for way in WORDS:
        own = [m for m in found if m.way == way]
        if not own:
            continue
        known = [m.seconds for m in own if m.seconds is not None]
        is_whole = len(known) == len(own)
        figures[f'{way}_s'] = round(statistics.median(known), 2) if is_whole else None
        if why := '; '.join(m.why for m in own if m.why):
            figures[f'{way}_why'] = why[:300]
        if faults := [fault for m in own for fault in m.faults]:
            figures[f'{way}_faults'] = faults[:3]
    bare = figures.get('bare_s')
    # A peer that has destroyed the data is none to be compared with.
    peers = [
        figures[f'{way}_s']
        for way in ('peer', 'peer_defaults', 'stock')
        if figures.get(f'{way}_s') is not None and f'{way}_faults' not in figures
    ]
    for way in OURS:
        own = figures.get(f'{way}_s')
        if own is not None and bare:
            figures[f'{way}_over_bare'] = round(own / bare, 3)
        if own is not None and peers:
            figures[f'{way}_over_peer'] = round(own / min(peers), 3)
    return figures


def table(figures: dict[str, Any]) -> rich.table.Table:
    """The medians as a person reads them."""
    shown = rich.table.Table(title='seconds for which nobody could write')
    shown.add_column('failure')
    for word in WORDS.values():
        shown.add_column(word, justify='right')
    for name, case in figures['cases'].items():
        shown.add_row(name, *(_cell(case, way) for way in WORDS))
    return shown


def _cell(case: dict[str, Any], way: str) -> str:
    if f'{way}_s' not in case:
        return ''
    seconds = case[f'{way}_s']
    text = '-' if seconds is None else f'{seconds:.1f}'
    return f'{text}, data destroyed' if f'{way}_faults' in case else text


def verdicts(figures: dict[str, Any]) -> list[str]:
    """What the figures say, in sentences."""
    sentences = []
    for way in OURS:
        for whom, peer in PEERS.items():
            sentences.append(_verdict(figures, WORDS[way], f'{way}_over_{whom}', peer))
    for name, case in figures['cases'].items():
        for way, word in WORDS.items():
            if f'{way}_why' in case:
                sentences.append(f'{name}, {word}: {case[f"{way}_why"]}')
            if f'{way}_faults' in case:
                sentences.append(f'{name}, {word}: {case[f"{way}_faults"][0]}')
    return sentences


def _verdict(figures: dict[str, Any], who: str, key: str, peer: str) -> str:
    value, goal = figures[key], figures['goals'].get(key)
    if value is None:
        return f'Nothing to say of {who} and {peer}.'
    text = f'{who} takes {value:.2f} times as long as {peer} at most'
    if goal is None:
        return f'{text}.'
    return (
        f'{text}; the goal, at most {goal["at_most"]}, {"holds" if goal["holds"] else "is missed"}.'
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--failures',
        default=os.environ.get('FAILURES', ','.join(FAILURES)),
        help='downtime: what happens (FAILURES, default all of them)',
    )
    parser.add_argument(
        '--ways',
        default=os.environ.get('WAYS', ','.join(way.name for way in WAYS)),
        help='downtime: who meets it (WAYS, default all of them)',
    )
    parser.add_argument(
        '--rounds-downtime',
        type=int,
        default=int(os.environ.get('ROUNDS', '1')),
        help='downtime: how often each meets each (ROUNDS, default 1)',
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the table, and return the figures."""
    if 'real' not in access.environment():
        raise AssertionError('the lab has no real guests. Start the one that has: make lab-real')
    progress = rich.console.Console(stderr=True, highlight=False)
    admin, cloud = access.connect('admin'), access.connect('demo')
    wanted = options.ways.split(',')
    ways = [way for way in WAYS if way.name in wanted]
    found = []
    with contextlib.ExitStack() as stack:
        if any(issubclass(way, downtime_ways.Masakari) for way in ways):
            masakari.install(progress.print)
            stack.enter_context(masakari.database_made())
        consoles = stack.enter_context(real_data.Consoles())
        for _ in range(max(options.rounds_downtime, 1)):
            for name in options.failures.split(','):
                for way in ways:
                    one = meet(FAILURES[name], way(admin, cloud, FAILURES[name], consoles))
                    found.append(one)
                    text = '-' if one.seconds is None else f'{one.seconds:.1f} s'
                    progress.print(f'{name}, {WORDS[way.name]}: {text} {one.why}')
                    for fault in one.faults:
                        print(f'  {fault}', file=sys.stderr)
    figures = summary(found) | {
        'virt_type': real_hosts.facts()['virt_type'],
        'load': round(os.getloadavg()[0], 1),
    }
    console.print(table(figures))
    for sentence in verdicts(figures):
        console.print(sentence, highlight=False)
    return figures
