# SPDX-License-Identifier: Apache-2.0
"""How long many volumes take to their standbys when one host dies that has a third of the actives.

Pairs on three hosts, each with a volume, a third of the actives on one of them. It hangs and is
confirmed down before the clock starts; then all alarms are sent at once, to two engines. Beside it
the bare calls for as many volumes, each in a thread of its own: delete the dead server, which frees
the volume, then attach it. One clock for both, which reads what Cinder has on record. It is done
with more and more pairs, to see how it grows.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import math
import os
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pymysql
import rich.console
import rich.table

from bench import dead_host, handoff
from lab.client import access, hosts, waiting

# At most so many times as long as the bare calls, until the last volume is at its standby.
GOAL = 1.25

# How many stacks are made at once; more make the lab's two engines time out.
MADE_AT_ONCE = 3

# Seconds until a storm is given up, and between two looks at the engines.
LIMIT, ENGINE_LOOK = 600.0, 0.5

# Seconds between two looks at the volumes, and for which the idle lab's queries are counted.
LOOK, IDLE = 0.02, 5.0

Sent = concurrent.futures.Future[None]

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
    ``queries`` counts what the database was asked until the last volume was there, without what
    the idle lab and the clock ask.
    """

    arrivals: tuple[float, ...]
    queries: int
    threads: tuple[int, int] = (0, 0)
    mebibytes: tuple[float, float] = (0.0, 0.0)


class Clock:
    """Looks at the volumes, with one connection to the database.

    :ivar looks: how many statements it has sent.
    """

    def __init__(self) -> None:
        self._connection = pymysql.connect(
            unix_socket=access.environment()['database']['root_socket'],
            user='root',
            autocommit=True,
        )
        self.looks = 0

    def __enter__(self) -> 'Clock':
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def _ask(self, text: str) -> list[tuple[Any, ...]]:
        self.looks += 1
        with self._connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def queries(self) -> int:
        """How many statements the database has had, without those of this clock."""
        ((_name, value),) = self._ask("SHOW GLOBAL STATUS LIKE 'Questions'")
        return int(value) - self.looks

    def arrivals(
        self, expected: Mapping[str, str], begin: float, sent: Sequence[Sent]
    ) -> tuple[float, ...]:
        """Wait until each volume is in use on its server; the seconds since ``begin``, sorted.

        :param sent: what is under way; where it fails, nothing is waited for.
        :raises AssertionError: some were far too late.
        """
        left, found = dict(expected), []
        deadline = begin + LIMIT * waiting.PATIENCE
        while left:
            rows = dict(self._ask(_WHERE))
            now = time.monotonic()
            for volume in [v for v, server in left.items() if rows.get(v) == server]:
                del left[volume]
                found.append(now - begin)
            for one in sent:
                if one.done():
                    one.result()
            assert now < deadline, f'{len(left)} of {len(expected)} volumes did not arrive'
            time.sleep(LOOK)
        return tuple(found)


def measured(
    expected: Mapping[str, str], sends: Sequence[Callable[[], None]]
) -> tuple[tuple[float, ...], int]:
    """Send all at once, each in a thread of its own, until each volume is on its server.

    :returns: the seconds until each was, and the queries that the database has had for them.
    """
    with Clock() as clock, concurrent.futures.ThreadPoolExecutor(len(sends)) as pool:
        before = clock.queries()
        time.sleep(IDLE)
        of_lab = (clock.queries() - before) / IDLE
        before = clock.queries()
        begin = time.monotonic()
        sent = [pool.submit(send) for send in sends]
        found = clock.arrivals(expected, begin, sent)
        asked = clock.queries() - before - of_lab * (time.monotonic() - begin)
        for one in sent:
            one.result()
    return found, max(round(asked), 0)


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


class Ours(dead_host.Ours):
    """A FailoverPolicy behind a policy that replaces; nobody has signalled it before."""

    is_logged_in = False

    def is_ready(self) -> bool:
        """Whether it has nothing left to do. :raises AssertionError: it has stopped."""
        return self._is_ready()


class Bare(dead_host.Bare):
    """The tenant's own calls, one by one."""

    def move(self, old: str, new: str) -> None:
        """Bring the volume from one server to the other."""
        self._move(self.tenant, old, new)

    def delete(self, server: str) -> None:
        """Ask Nova to delete a server."""
        self._deleting.delete(server)


@contextlib.contextmanager
def _made(cloud: Any, pairs: int, bare: int) -> Iterator[tuple[list[Any], list[Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        kinds = [Ours] * pairs + [Bare] * bare
        made = [kind(cloud, pathlib.Path(folder), 1) for kind in kinds]
        with concurrent.futures.ThreadPoolExecutor(MADE_AT_ONCE) as pool:
            try:
                list(pool.map(lambda c: c.create(), made))
                yield made[:pairs], made[pairs:]
            finally:
                for gone in [pool.submit(c.stack.delete, LIMIT) for c in made]:
                    with contextlib.suppress(AssertionError, *access.NO_ANSWER):
                        gone.result()


def _on_host(admin: Any, contenders: Sequence[Any], host: str) -> list[tuple[Any, str, str]]:
    """Those whose volume is at a server on the host, with that server and the other one."""
    found = []
    for one in contenders:
        old, new = one.ends()
        if hosts.host_of(admin, old) == host:
            found.append((one, old, new))
    return found


def _bare_on_host(
    admin: Any, contenders: Sequence[Any], host: str, count: int
) -> list[tuple[Any, str, str]]:
    """So many whose volume is on the host; it is brought there where the other server is there."""
    found: list[tuple[Any, str, str]] = []
    for one in contenders:
        if len(found) == count:
            break
        old, new = one.ends()
        if hosts.host_of(admin, new) == host:
            one.move(old, new)
        found += _on_host(admin, [one], host)
    return found


def _ours_on_host(
    admin: Any, contenders: Sequence[Any], host: str, count: int
) -> list[tuple[Any, str, str]]:
    """Bring the actives of so many pairs to a host, and those of all others to other ones."""
    there = _on_host(admin, contenders, host)
    moves = [one for one, _old, _new in there[count:]]
    if len(there) < count:
        able = [one for one in contenders if hosts.host_of(admin, one.ends()[1]) == host]
        moves = able[: count - len(there)]
    for one in moves:
        epoch = one.stack.attribute('policy', 'epoch')
        one.stack.signal('policy', {'action': 'switchover'})
        waiting.until(
            lambda o=one, e=epoch: o.stack.attribute('policy', 'epoch') > e and o.is_ready(),
            f'{one.stack.name} has its active on another host',
            seconds=handoff.LIMIT,
            every=0.5,
        )
    return _on_host(admin, contenders, host)


def _storm_of_bare(pairs: Sequence[tuple[Any, str, str]]) -> Storm:
    volumes = {one.volumes[0]: new for one, _old, new in pairs}

    def move(one: Any, old: str, new: str) -> None:
        one.delete(old)
        (volume,) = one.volumes
        deadline = time.monotonic() + LIMIT * waiting.PATIENCE
        while one.look()[volume] != handoff.Volume('available', None):
            assert time.monotonic() < deadline, f'volume {volume} does not get free'
            time.sleep(handoff.PERIOD)
        one.tenant.attach(new, volume)

    found, queries = measured(volumes, [functools.partial(move, *pair) for pair in pairs])
    return Storm(found, queries)


def _storm_of_ours(pairs: Sequence[tuple[Any, str, str]]) -> Storm:
    volumes = {one.volumes[0]: new for one, _old, new in pairs}
    sends = [
        functools.partial(one.stack.signal, 'replace', {'member': old}) for one, old, _new in pairs
    ]
    with Engines() as engines:
        found, queries = measured(volumes, sends)
    (threads, mebibytes), (most_threads, most_mebibytes) = engines.before, engines.most
    return Storm(found, queries, (threads, most_threads), (mebibytes, most_mebibytes))


def measure(cloud: Any, admin: Any, pairs: int, say: Any) -> tuple[Storm, Storm]:
    """One storm of the bare calls and one of ours, each of a third of the pairs."""
    count = math.ceil(pairs / 3)
    # Of the bare pairs two thirds have a server on the host that dies.
    spare = 2 * count + 4
    say(f'making {pairs} pairs with policies and {spare} without')
    with _made(cloud, pairs, spare) as (ours, bare):
        places = collections.Counter(hosts.host_of(admin, one.ends()[0]) for one in ours)
        ((host, _count),) = places.most_common(1)
        say(f'actives by host: {dict(places)}; {host} dies')
        of_ours = _ours_on_host(admin, ours, host, count)
        of_bare = _bare_on_host(admin, bare, host, count)
        count = min(len(of_ours), len(of_bare))
        assert count, f'{len(of_ours)} actives and {len(of_bare)} bare volumes are on {host}'
        with hosts.confirmed_dead(admin, host):
            found_bare = _storm_of_bare(of_bare[:count])
        say(f'bare calls: the last of {count} after {found_bare.arrivals[-1]:.1f} s')
        with hosts.confirmed_dead(admin, host):
            found_ours = _storm_of_ours(of_ours[:count])
            say(f'heat-ha: the last of {count} after {found_ours.arrivals[-1]:.1f} s')
            _until_ready([one for one, _old, _new in of_ours[:count]], say)
        say('deleting them')
    return found_bare, found_ours


def _until_ready(contenders: Sequence[Any], say: Any) -> None:
    """Wait until the old actives are replaced; the figures are there, whatever comes of it."""
    for one in contenders:
        try:
            waiting.until(one.is_ready, f'{one.stack.name} is ready', seconds=LIMIT, every=2)
        except AssertionError as exc:
            say(f'{one.stack.name}: {exc}')


def summary(bare: Storm, ours: Storm, pairs: int) -> dict[str, Any]:
    """The figures of both, the ratio and the goal."""
    count = len(ours.arrivals)
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
        'ran': f'{pairs} pairs, {count} of them with their active on the host that died',
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
        default=os.environ.get('PAIRS', '10,20,40'),
        help='storm: how many pairs there are, one storm each (PAIRS, default 10,20,40)',
    )


def verdict(figures: Mapping[str, Any]) -> str:
    """What came of the goal, in a sentence."""
    goal = figures['goals']['ours_over_bare']
    return (
        f'{figures["ran"]}: heat-ha takes {figures["ours_over_bare"]:.2f} times as long as the '
        f'bare calls until the last volume; the goal, at most {goal["at_most"]}, '
        f'{"holds" if goal["holds"] else "is missed"}. A failover that waits takes '
        f'{figures["engine_threads_each"]} threads, {figures["engine_mib_each"]} MiB and '
        f'{figures["ours_queries_each"]} queries.'
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the tables, and return the figures: of the most pairs, the others under it."""
    progress = rich.console.Console(stderr=True, highlight=False)
    cloud, admin = access.connect('demo'), access.connect('admin')
    counts = sorted({max(int(text), 3) for text in options.pairs.split(',')})
    found: dict[int, dict[str, Any]] = {}
    for pairs in counts:
        bare, ours = measure(cloud, admin, pairs, progress.print)
        found[pairs] = summary(bare, ours, pairs)
        console.print(table(found[pairs]))
    for figures in found.values():
        console.print(verdict(figures), highlight=False)
    return found[counts[-1]] | {f'pairs_{pairs}': found[pairs] for pairs in counts[:-1]}
