# SPDX-License-Identifier: Apache-2.0
"""How long volumes take from one server to another: by bare API calls, by stock Heat, by us.

All three work on the same cloud in the same run, in turns, because the absolute times say more
about the machine than about the contender. Each has two servers on two hosts and volumes of its
own, made once for all rounds. One clock stops for all of them, when Cinder has every volume in use
on the other server on record; the bare calls ask Cinder how far it is 50 ms after each answer.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keystoneauth1.identity
import keystoneauth1.session
import rich.console
import rich.table

from bench import handoff_templates as templates
from bench import stopwatch
from lab.client import access, stacks, waiting

# Seconds between an answer of Cinder's and the next question of the bare calls.
PERIOD = 0.05

# How often an attachment is asked for that Nova says is still another server's.
ATTACH_TRIES = 40

# Seconds until a round is given up. Eight volumes take stock Heat half a minute.
LIMIT = 180.0

# With this a policy talks to Nova too, so that both send the same requests.
VERSION = {'OpenStack-API-Version': 'compute 2.60'}

Figures = dict[str, float]


# --- what the tenant may call ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Volume:
    """One volume as Cinder shows it; ``server`` is whom it is attached to, if anybody."""

    status: str
    server: str | None


class Tenant:
    """The tenant's own requests, with addresses that are known before any clock starts."""

    def __init__(self, cloud: Any) -> None:
        self._session = cloud.session
        self._login = cloud.config.get_auth_args()
        self._compute = cloud.compute.get_endpoint()
        self._volumes = cloud.block_storage.get_endpoint()

    def with_new_token(self) -> 'Tenant':
        """The same tenant before it has logged in; the first request fetches the token."""
        fresh = object.__new__(Tenant)
        fresh.__dict__.update(self.__dict__)
        fresh._session = keystoneauth1.session.Session(
            auth=keystoneauth1.identity.v3.Password(**self._login)
        )
        return fresh

    def detach(self, server: str, volume: str) -> None:
        """Ask Nova to take a volume from a server."""
        self._ask(
            'DELETE',
            f'{self._compute}/servers/{server}/os-volume_attachments/{volume}',
            202,
            headers=VERSION,
        )

    def attach(self, server: str, volume: str) -> None:
        """Ask Nova to give a volume to a server.

        Again for as long as Nova has not forgotten that another server had it: Cinder shows a
        volume free a moment earlier.
        """
        for _ in range(ATTACH_TRIES):
            answer = self._session.request(
                f'{self._compute}/servers/{server}/os-volume_attachments',
                'POST',
                raise_exc=False,
                headers=VERSION,
                json={'volumeAttachment': {'volumeId': volume}},
            )
            if answer.status_code != 400 or 'already attached' not in answer.text:
                break
            time.sleep(PERIOD)
        assert answer.status_code == 200, answer.text

    def look(self, volumes: Sequence[str], mark: str) -> dict[str, Volume]:
        """The volumes as they are now, with one request: by id, or by their mark if several."""
        if len(volumes) == 1:
            answer = self._ask('GET', f'{self._volumes}/volumes/{volumes[0]}', 200)
            found = [answer['volume']]
        else:
            found = self._ask(
                'GET',
                f'{self._volumes}/volumes/detail',
                200,
                params={'metadata': f"{{'bench': '{mark}'}}"},
            )['volumes']
        seen = {
            v['id']: Volume(v['status'], next((a['server_id'] for a in v['attachments']), None))
            for v in found
        }
        assert set(seen) == set(volumes), 'Cinder does not show the volumes that were made'
        return seen

    def _ask(self, method: str, url: str, wanted: int, **more: Any) -> Any:
        answer = self._session.request(url, method, raise_exc=False, **more)
        assert answer.status_code == wanted, f'{method} {url}: {answer.text}'
        return answer.json() if answer.content else None


# --- the contenders -------------------------------------------------------------------------


class Contender:
    """One way to move volumes from the server that has them to the other one."""

    name = ''

    def __init__(self, cloud: Any, folder: pathlib.Path, count: int) -> None:
        self.tenant = Tenant(cloud)
        self.mark = f'{self.name}-{count}-{uuid.uuid4().hex[:6]}'
        path = folder / f'{self.mark}.yaml'
        path.write_text(self.template(count))
        self.stack = stacks.Stack(cloud, f'bench-{self.mark}', path)
        self.volumes: list[str] = []
        self.servers: list[str] = []

    def template(self, count: int) -> str:
        """The text of the stack's template."""
        raise NotImplementedError

    def create(self) -> None:
        """Make the servers and the volumes, and bring the volumes to one of the servers."""
        self.stack.create()
        self.servers = self.stack.servers()
        assert len(self.servers) == 2, self.servers
        self.volumes = self.stack.volumes()

    def round(self) -> Figures:
        """Move the volumes once, wait until all is quiet, and return what was measured."""
        raise NotImplementedError

    def look(self) -> dict[str, Volume]:
        """The contender's volumes now."""
        return self.tenant.look(self.volumes, self.mark)

    def ends(self) -> tuple[str, str]:
        """The server that has all volumes, and the other one."""
        seen = set(self.look().values())
        assert len(seen) == 1, f'the volumes are not all on one server: {seen}'
        (found,) = seen
        assert found.status == 'in-use' and found.server is not None, found
        (other,) = set(self.servers) - {found.server}
        return found.server, other

    def arrival(self, server: str) -> float:
        """When every volume was in use on the server. :raises AssertionError: far too late."""
        return stopwatch.until_on(server, self.volumes, LIMIT * waiting.PATIENCE)


class Bare(Contender):
    """The tenant's own calls, each sent as soon as it is possible, the volumes side by side."""

    name = 'bare'

    def template(self, count: int) -> str:
        return templates.bare(count, self.mark)

    def create(self) -> None:
        super().create()
        self._move(self.tenant, None, self.servers[0])

    def round(self) -> Figures:
        figures = {}
        # What handles a signal has to fetch a token for it, which Nova and Cinder then see for
        # the first time; a script that is already logged in does not.
        for key, is_new in (('bare_s', False), ('bare_fresh_token_s', True)):
            old, new = self.ends()
            tenant = self.tenant.with_new_token() if is_new else self.tenant
            begin = time.monotonic()
            figures[key] = self._move(tenant, old, new) - begin
        return figures

    def _move(self, tenant: Tenant, old: str | None, new: str) -> float:
        """Move the volumes and return when they had all arrived."""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            sent = [pool.submit(tenant.detach, old, v) for v in self.volumes if old]
            asked: set[str] = set()

            def attach_what_is_free(seen: dict[str, Volume]) -> None:
                for volume, found in seen.items():
                    if volume not in asked and found == Volume('available', None):
                        asked.add(volume)
                        sent.append(pool.submit(tenant.attach, new, volume))
                for request in sent:
                    if request.done():
                        request.result()

            return self.follow(tenant, new, attach_what_is_free)

    def follow(self, tenant: Tenant, new: str, each: Callable[[dict[str, Volume]], None]) -> float:
        """Ask until every volume is on the server; ``each`` gets each answer. Gives the arrival."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            arrival = pool.submit(self.arrival, new)
            while True:
                seen = tenant.look(self.volumes, self.mark)
                if all(v == Volume('in-use', new) for v in seen.values()):
                    return arrival.result()
                each(seen)
                if arrival.done():
                    # It may have been given up.
                    arrival.result()
                time.sleep(PERIOD)


class Peer(Contender):
    """Stock Heat: a stack update that changes the attachments' ``instance_uuid``."""

    name = 'peer'

    def template(self, count: int) -> str:
        return templates.peer(count, self.mark)

    def create(self) -> None:
        super().create()
        found = {r['resource_name']: r['physical_resource_id'] for r in self.stack.resources()}
        self._letter = {found['server_a']: 'a', found['server_b']: 'b'}

    def round(self) -> Figures:
        _, new = self.ends()
        asked = time.monotonic()
        self.stack.update({'holder': self._letter[new]}, wait=False)
        accepted = time.monotonic()
        moved = self.arrival(new)
        self.stack.wait('UPDATE', every=0.2)
        return {
            'peer_s': moved - accepted,
            'peer_done_s': time.monotonic() - accepted,
            'peer_from_request_s': moved - asked,
        }


class Ours(Contender):
    """A FailoverPolicy that gets the signal to switch over."""

    name = 'ours'
    is_logged_in = True

    def template(self, count: int) -> str:
        return templates.ours(count, self.mark)

    def __init__(self, cloud: Any, folder: pathlib.Path, count: int) -> None:
        super().__init__(cloud, folder, count)
        (folder / templates.PROVIDER).write_text(templates.provider(count))

    def create(self) -> None:
        super().create()
        if self.is_logged_in:
            # As the others are, by the tenant's token: each engine logs in at its first signal,
            # which is measured apart. Which engine gets a signal is the broker's choice.
            for _ in range(SIGNALS_FOR_ALL_ENGINES):
                time.sleep(0.5)
                self.stack.signal('policy', {'action': 'plan'})

    def round(self) -> Figures:
        _, new = self.ends()
        asked = time.monotonic()
        self.stack.signal('policy', {'action': 'switchover'})
        accepted = time.monotonic()
        moved = self.arrival(new)
        waiting.until(self._is_ready, f'{self.stack.name} is ready', seconds=LIMIT)
        done = time.monotonic()
        assert self.stack.attribute('policy', 'active_server') == new
        return {
            'ours_s': moved - accepted,
            'ours_done_s': done - accepted,
            'ours_from_request_s': moved - asked,
            'ours_last_failover_s': float(self.stack.attribute('policy', 'last_failover_seconds')),
        }

    def _is_ready(self) -> bool:
        state = self.stack.attribute('policy', 'state')
        assert state != 'stopped', '\n'.join(self.stack.events('policy'))
        return bool(state == 'ready')


class First(Ours):
    """The first signal to a policy in its engine: it logs in, and each service checks that."""

    name = 'first'
    is_logged_in = False

    def round(self) -> Figures:
        return {'ours_first_s': super().round()['ours_s']}


# So many that with two engines one without any is as good as excluded.
SIGNALS_FOR_ALL_ENGINES = 8

CONTENDERS = (Bare, Peer, Ours)

# How many stacks are made for first signals; each gives one figure.
FIRSTS = 3


@contextlib.contextmanager
def _made(cloud: Any, count: int, firsts: int) -> Iterator[list[Contender]]:
    with tempfile.TemporaryDirectory() as folder:
        contenders: list[Contender] = [
            one(cloud, pathlib.Path(folder), count) for one in (*CONTENDERS, *[First] * firsts)
        ]
        with concurrent.futures.ThreadPoolExecutor(len(contenders)) as pool:
            try:
                list(pool.map(lambda c: c.create(), contenders))
                yield contenders
            finally:
                # All of them, also when one cannot be deleted.
                for gone in [pool.submit(c.stack.delete) for c in contenders]:
                    with contextlib.suppress(AssertionError):
                        gone.result()


# --- rounds ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Round:
    """What one round gave, and the machine's load as each contender began."""

    figures: Figures
    loads: tuple[float, ...]


def measure(cloud: Any, count: int, rounds: int, say: Callable[[str], None]) -> list[Round]:
    """Let each contender move ``count`` volumes ``rounds`` times."""
    found = []
    say(f'{_volumes(count)}: making servers and volumes')
    with _made(cloud, count, min(FIRSTS, rounds) if count == 1 else 0) as made:
        contenders, firsts = made[: len(CONTENDERS)], made[len(CONTENDERS) :]
        for number in range(rounds):
            figures: Figures = {}
            loads = []
            # Each has its turn to be the first, so that none always comes after stock Heat.
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                loads.append(os.getloadavg()[0])
                figures |= contender.round()
            if number < len(firsts):
                figures |= firsts[number].round()
            times = ', '.join(f'{c.name} {figures[f"{c.name}_s"]:.2f} s' for c in contenders)
            say(f'{_volumes(count)}, round {number + 1} of {rounds}: {times}')
            found.append(Round(figures, tuple(loads)))
        say(f'{_volumes(count)}: deleting them')
    return found


def summary(found: Sequence[Round], count: int) -> dict[str, Any]:
    """The medians of all rounds, the ratios, and the goals that hold for so many volumes."""
    middle = {
        k: statistics.median(r.figures[k] for r in found if k in r.figures)
        for k in found[0].figures
    }
    ratios = {
        'ours_over_bare': middle['ours_s'] / middle['bare_s'],
        'ours_over_peer': middle['ours_s'] / middle['peer_s'],
    }
    if 'ours_first_s' in middle:
        ratios['first_over_bare_fresh_token'] = (
            middle['ours_first_s'] / middle['bare_fresh_token_s']
        )
    return {
        **{k: round(v, 3) for k, v in (ratios | middle).items()},
        'ran': f'{_volumes(count)}, {len(found)} round' + ('s' if len(found) > 1 else ''),
        'load': round(statistics.median(x for r in found for x in r.loads), 1),
        'goals': {
            key: {'at_most': limit, 'holds': ratios[key] <= limit}
            for key, limit in GOALS.get(count, {}).items()
        },
    }


# What is promised, by the number of volumes.
GOALS = {1: {'ours_over_bare': 1.2, 'ours_over_peer': 0.5}, 8: {'ours_over_bare': 1.05}}


# --- the report -----------------------------------------------------------------------------

COLUMNS = {
    'bare_s': 'bare',
    'bare_fresh_token_s': 'bare,\nnew token',
    'peer_s': 'stock\nHeat',
    'peer_done_s': 'stock Heat\ndone',
    'ours_s': 'heat-ha',
    'ours_first_s': 'heat-ha,\nfirst signal',
    'ours_last_failover_s': 'heat-ha\nby its clock',
    'ours_done_s': 'heat-ha\ndone',
}


def _shown(seconds: float | None) -> str:
    return '' if seconds is None else f'{seconds:.2f}'


WORDS = {'ours_over_bare': 'bare calls', 'ours_over_peer': 'stock Heat'}


def table(found: Sequence[Round], count: int) -> rich.table.Table:
    """The rounds as a person reads them."""
    shown = rich.table.Table(title=f'{_volumes(count)} to the other server, seconds')
    shown.add_column('round')
    for heading in COLUMNS.values():
        shown.add_column(heading, justify='right')
    shown.add_column('load', justify='right')
    for number, one in enumerate(found, 1):
        shown.add_row(
            str(number),
            *(_shown(one.figures.get(key)) for key in COLUMNS),
            ' '.join(f'{x:.1f}' for x in one.loads),
            end_section=number == len(found),
        )
    middle = summary(found, count)
    shown.add_row('median', *(_shown(middle.get(key)) for key in COLUMNS), f'{middle["load"]:.1f}')
    return shown


def verdicts(figures: dict[str, Any]) -> list[str]:
    """One sentence for each goal."""
    sentences = []
    for key, goal in figures['goals'].items():
        word = 'holds' if goal['holds'] else 'is missed'
        sentences.append(
            f'{figures["ran"]}: heat-ha takes {figures[key]:.2f} times as long as {WORDS[key]}; '
            f'the goal, at most {goal["at_most"]}, {word}.'
        )
    return sentences


def _volumes(count: int) -> str:
    return '1 volume' if count == 1 else f'{count} volumes'


# --- for bench.run --------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--rounds',
        type=int,
        default=int(os.environ.get('ROUNDS', '5')),
        help='handoff: how often one volume is moved (ROUNDS, default 5)',
    )
    parser.add_argument(
        '--rounds-eight',
        type=int,
        default=int(os.environ.get('ROUNDS_EIGHT', '3')),
        help='handoff: how often eight volumes are moved, 0 for never (ROUNDS_EIGHT, default 3)',
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the tables, and return the figures: of one volume, and of eight under it."""
    cloud = access.connect('demo')
    progress = rich.console.Console(stderr=True, highlight=False)
    by_count: dict[int, dict[str, Any]] = {}
    for count, rounds in ((1, options.rounds), (8, options.rounds_eight)):
        if rounds < 1:
            continue
        found = measure(cloud, count, rounds, progress.print)
        by_count[count] = summary(found, count)
        console.print(table(found, count))
    for figures in by_count.values():
        for sentence in verdicts(figures):
            console.print(sentence, highlight=False)
    return by_count.get(1, {}) | ({'eight': by_count[8]} if 8 in by_count else {})
