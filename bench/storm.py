# SPDX-License-Identifier: Apache-2.0
"""How long many volumes take to their standbys when one host dies that has a third of the actives.

Pairs on three hosts, each with a volume. The host with the most actives hangs and is confirmed
down before the clock starts; then all alarms are sent at once, to two engines. Beside it the bare
calls for as many volumes, each in a thread of its own: delete the dead server, which frees the
volume, then attach it. One clock for both, which reads what Cinder has on record.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich.console
import rich.table

from bench import dead_host, handoff
from lab.client import access, database, hosts, waiting

# At most so many times as long as the bare calls, until the last volume is at its standby.
GOAL = 1.25

# How many stacks are made at once; more make the lab's two engines time out.
MADE_AT_ONCE = 3

# Seconds until a storm is given up, and between two looks at the engines.
LIMIT, ENGINE_LOOK = 600.0, 0.5

_WHERE = """
    SELECT v.id, a.instance_uuid FROM cinder_one.volumes v
    JOIN cinder_one.volume_attachment a
      ON a.volume_id = v.id AND a.deleted = 0 AND a.attach_status = 'attached'
    WHERE v.status = 'in-use'
"""


@dataclasses.dataclass(frozen=True)
class Storm:
    """When each volume was at its standby, in seconds since all were sent; and at what cost.

    ``threads`` and ``mebibytes`` are of the engines: before, and the most seen meanwhile;
    ``queries`` counts what the database was asked until the last volume was there.
    """

    arrivals: tuple[float, ...]
    queries: int
    threads: tuple[int, int] = (0, 0)
    mebibytes: tuple[float, float] = (0.0, 0.0)


def arrivals(expected: Mapping[str, str], begin: float) -> tuple[float, ...]:
    """Wait until each volume is in use on its server; the seconds since ``begin``, sorted."""
    left, found = dict(expected), []
    deadline = time.monotonic() + LIMIT * waiting.PATIENCE
    while left:
        rows = dict(database.query(_WHERE))
        now = time.monotonic()
        for volume in [v for v, server in left.items() if rows.get(v) == server]:
            del left[volume]
            found.append(now - begin)
        assert now < deadline, f'{len(left)} of {len(expected)} volumes did not arrive'
        time.sleep(0.02)
    return tuple(found)


def _queries() -> int:
    ((_name, value),) = database.query("SHOW GLOBAL STATUS LIKE 'Questions'")
    return int(value)


class Engines:
    """Watches the threads and the memory of the engines of the first region."""

    def __init__(self) -> None:
        names = access.environment()['regions']['RegionOne']['engines']
        self._groups = {int((access.LAB / 'run' / f'{n}.pid').read_text()) for n in names}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.most = self._look()

    def _look(self) -> tuple[int, float]:
        threads, kibibytes = 0, 0
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            with contextlib.suppress(OSError, ProcessLookupError):
                if os.getpgid(int(path.name)) not in self._groups:
                    continue
                status = dict(
                    line.split(':', 1) for line in (path / 'status').read_text().splitlines()
                )
                threads += int(status['Threads'])
                kibibytes += int(status.get('VmRSS', '0').split()[0])
        return threads, round(kibibytes / 1024, 1)

    def _watch(self) -> None:
        while not self._is_over.wait(ENGINE_LOOK):
            threads, mebibytes = self._look()
            self.most = max(self.most[0], threads), max(self.most[1], mebibytes)

    def __enter__(self) -> 'Engines':
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        self._thread.join()


@contextlib.contextmanager
def _made(cloud: Any, pairs: int, bare: int) -> Iterator[tuple[list[Any], list[Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        kinds = [dead_host.Ours] * pairs + [dead_host.Bare] * bare
        made = [kind(cloud, pathlib.Path(folder), 1) for kind in kinds]
        for one in made[:pairs]:
            # Which engine logs in first is no question here.
            one.is_logged_in = False
        with concurrent.futures.ThreadPoolExecutor(MADE_AT_ONCE) as pool:
            try:
                list(pool.map(lambda c: c.create(), made))
                yield made[:pairs], made[pairs:]
            finally:
                for gone in [pool.submit(c.stack.delete) for c in made]:
                    with contextlib.suppress(AssertionError):
                        gone.result()


def _on_host(admin: Any, contenders: Sequence[Any], host: str) -> list[tuple[Any, str, str]]:
    """Those whose volume is at a server on the host, with that server and the other one."""
    found = []
    for one in contenders:
        old, new = one.ends()
        if hosts.host_of(admin, old) == host:
            found.append((one, old, new))
    return found


def _bare_on_host(admin: Any, contenders: Sequence[Any], host: str) -> list[tuple[Any, str, str]]:
    """As ``_on_host``; the volume is brought there where one of the two servers is."""
    for one in contenders:
        old, new = one.ends()
        if hosts.host_of(admin, new) == host:
            one._move(one.tenant, old, new)
    return _on_host(admin, contenders, host)


def _storm_of_bare(pairs: Sequence[tuple[Any, str, str]]) -> Storm:
    volumes = {one.volumes[0]: new for one, _old, new in pairs}

    def move(one: Any, old: str, new: str) -> None:
        one.tenant.delete(old)
        (volume,) = one.volumes
        while one.look()[volume] != handoff.Volume('available', None):
            time.sleep(handoff.PERIOD)
        one.tenant.attach(new, volume)

    before = _queries()
    with concurrent.futures.ThreadPoolExecutor(len(pairs) + 1) as pool:
        begin = time.monotonic()
        arrived = pool.submit(arrivals, volumes, begin)
        moves = [pool.submit(move, *pair) for pair in pairs]
        for one in moves:
            one.result()
        return Storm(arrived.result(), _queries() - before)


def _storm_of_ours(pairs: Sequence[tuple[Any, str, str]]) -> Storm:
    volumes = {one.volumes[0]: new for one, _old, new in pairs}
    before = _queries()
    with (
        Engines() as engines,
        concurrent.futures.ThreadPoolExecutor(len(pairs) + 1) as pool,
    ):
        begin = time.monotonic()
        arrived = pool.submit(arrivals, volumes, begin)
        sent = [
            pool.submit(one.stack.signal, 'replace', {'member': old}) for one, old, _new in pairs
        ]
        for one in sent:
            one.result()
        found = arrived.result()
        queries = _queries() - before
    return Storm(
        found,
        queries,
        (engines.before[0], engines.most[0]),
        (engines.before[1], engines.most[1]),
    )


def measure(cloud: Any, admin: Any, pairs: int, say: Any) -> tuple[Storm, Storm, int]:
    """One storm of the bare calls and one of ours, and how many volumes each had to move."""
    # Of the bare pairs two thirds have a server on the host that dies.
    spare = max(pairs * 2 // 3, 2)
    say(f'making {pairs} pairs with policies and {spare} without')
    with _made(cloud, pairs, spare) as (ours, bare):
        places = collections.Counter(hosts.host_of(admin, one.ends()[0]) for one in ours)
        ((host, _count),) = places.most_common(1)
        say(f'actives by host: {dict(places)}; {host} dies')
        of_ours, of_bare = _on_host(admin, ours, host), _bare_on_host(admin, bare, host)
        count = min(len(of_ours), len(of_bare))
        with hosts.confirmed_dead(admin, host):
            found_bare = _storm_of_bare(of_bare[:count])
        say(f'bare calls: the last of {count} after {found_bare.arrivals[-1]:.1f} s')
        with hosts.confirmed_dead(admin, host):
            found_ours = _storm_of_ours(of_ours[:count])
            say(f'heat-ha: the last of {count} after {found_ours.arrivals[-1]:.1f} s')
            for one, _old, _new in of_ours[:count]:
                waiting.until(one._is_ready, f'{one.stack.name} is ready', seconds=LIMIT, every=2)
        say('deleting them')
    return found_bare, found_ours, count


def summary(bare: Storm, ours: Storm, pairs: int, count: int) -> dict[str, Any]:
    """The figures of both, the ratio and the goal."""
    ratio = ours.arrivals[-1] / bare.arrivals[-1]
    figures: dict[str, Any] = {'ours_over_bare': round(ratio, 3)}
    for name, storm in (('ours', ours), ('bare', bare)):
        figures |= {
            f'{name}_s': round(storm.arrivals[-1], 3),
            f'{name}_median_s': round(statistics.median(storm.arrivals), 3),
            f'{name}_first_s': round(storm.arrivals[0], 3),
            f'{name}_queries_each': round(storm.queries / count),
        }
    return figures | {
        'peer_s': None,
        'ours_over_peer': None,
        'engine_threads_before': ours.threads[0],
        'engine_threads_each': round((ours.threads[1] - ours.threads[0]) / count, 1),
        'engine_mib_before': ours.mebibytes[0],
        'engine_mib_each': round((ours.mebibytes[1] - ours.mebibytes[0]) / count, 2),
        'pairs': pairs,
        'volumes': count,
        'ran': f'{count} of {pairs} pairs had their active on the host that died',
        'load': os.getloadavg()[0],
        'goals': {'ours_over_bare': {'at_most': GOAL, 'holds': ratio <= GOAL}},
    }


def table(figures: Mapping[str, Any]) -> rich.table.Table:
    """The figures as a person reads them."""
    shown = rich.table.Table(title=f'{figures["volumes"]} volumes off one dead host, seconds')
    for heading in ('', 'first', 'median', 'last', 'queries each'):
        shown.add_column(heading, justify='right' if heading else 'left')
    for name, word in (('bare', 'bare calls'), ('ours', 'heat-ha')):
        keys = (f'{name}_first_s', f'{name}_median_s', f'{name}_s')
        shown.add_row(
            word, *(f'{figures[key]:.2f}' for key in keys), str(figures[f'{name}_queries_each'])
        )
    return shown


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--pairs',
        type=int,
        default=int(os.environ.get('PAIRS', '40')),
        help='storm: how many pairs there are (PAIRS, default 40)',
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the table, and return the figures."""
    progress = rich.console.Console(stderr=True, highlight=False)
    cloud, admin = access.connect('demo'), access.connect('admin')
    bare, ours, count = measure(cloud, admin, max(options.pairs, 3), progress.print)
    figures = summary(bare, ours, max(options.pairs, 3), count)
    console.print(table(figures))
    goal = figures['goals']['ours_over_bare']
    console.print(
        f'heat-ha takes {figures["ours_over_bare"]:.2f} times as long as the bare calls until the '
        f'last volume; the goal, at most {goal["at_most"]}, '
        f'{"holds" if goal["holds"] else "is missed"}.',
        highlight=False,
    )
    return figures
