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
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pymysql
import rich.console
import rich.table
import yaml
from novaclient import client as nova_client

from bench import masakari
from tests import agents, bmc, hosts
from tests import cloud as lab

# The one the servers are on dies and the other one gets them, in turns. The third host is there to
# be counted; it takes no servers, so that they all are on one host again in the next round.
ENDS, WITNESS = ('c1', 'c2'), 'c3'

# Seconds until a contender is given up, beside what it is known to wait.
LIMIT = 420.0
# Seconds between two looks of the observer, which reads Nova's database: no contender pays for it.
PERIOD = 0.1
BARE_PERIOD = 0.5
# Of the bare loop: as AT_ONCE of heat_ha.rescue.carry_out, which only an engine can import.
THREADS = 16

STACK = """\
heat_template_version: 2016-10-14
resources:
  servers:
    type: OS::Heat::ResourceGroup
    properties:
      count: COUNT
      resource_def:
        type: OS::Nova::Server
        properties:
          image: tiny
          flavor: m1.tiny
          networks: [{network: private}]
  rescue:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: servers}]
      methods: [{method: evacuate}]
"""

Figures = dict[str, float]


class World:
    """The lab as a round needs it: the servers, and what Nova has of them."""

    def __init__(self, admin: Any, stack: lab.Stack) -> None:
        self.admin = admin
        self.stack = stack
        self.servers = sorted(stack.servers())
        socket = lab.environment()['database']['root_socket']
        self._database = pymysql.connect(unix_socket=socket, user='root', autocommit=True)

    def _ask(self, query: str, *values: Any) -> Any:
        with self._database.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()

    def active_on(self, host: str) -> int:
        """How many of the servers are ACTIVE on a host, and Nova is through with them."""
        return int(
            self._ask(
                'SELECT COUNT(*) FROM nova_one.instances WHERE uuid IN %s AND host = %s '
                "AND vm_state = 'active' AND task_state IS NULL AND deleted = 0",
                self.servers,
                host,
            )[0][0]
        )

    def home(self) -> str:
        """The host that all servers are on."""
        found = [end for end in ENDS if self.active_on(end) == len(self.servers)]
        assert found, 'the servers are not all on one host'
        return found[0]

    def is_down(self, host: str) -> bool:
        """Whether Nova shows the host as down."""
        return bool(hosts.service_of(self.admin, host)['state'] == 'down')

    def mend(self, host: str) -> None:
        """Let a host that died take servers again, once it has forgotten the ones it lost."""
        hosts.run_lab('start', f'nova-compute-{host}')
        hosts.confirm_down(self.admin, host, False)
        set_enabled(self.admin, host, True)
        hosts.until_up(self.admin, host)
        lab.until(lambda: not self._leftovers(host), f'{host} is clean', seconds=90, every=0.5)

    def bring_back(self, home: str, other: str) -> None:
        """Evacuate by hand what a contender has left behind, so that the next has its turn."""
        hosts.confirm_down(self.admin, home, True)
        nova = nova_client.Client('2.60', session=self.admin.session, region_name='RegionOne')
        query = 'SELECT uuid FROM nova_one.instances WHERE uuid IN %s AND host = %s'
        for (server,) in self._ask(query, self.servers, home):
            nova.servers.reset_state(server, 'active')
            nova.servers.evacuate(server)
        lab.until(lambda: self.active_on(other) == len(self.servers), 'they are back', seconds=240)

    def _leftovers(self, host: str) -> bool:
        query = (
            "SELECT COUNT(*) FROM nova_one.migrations WHERE migration_type = 'evacuation' "
            "AND source_compute = %s AND status IN ('accepted', 'pre-migrating', 'done')"
        )
        return bool(self._ask(query, host)[0][0])


def set_enabled(admin: Any, host: str, is_enabled: bool) -> None:
    """Let Nova put servers on a host, or not."""
    service = hosts.service_of(admin, host)['id']
    status = 'enabled' if is_enabled else 'disabled'
    answer = admin.compute.put(
        f'/os-services/{service}', json={'status': status}, microversion='2.53'
    )
    assert answer.status_code == 200, answer.text


# --- contenders -----------------------------------------------------------------------------


class Contender:
    """One way of rescuing. ``is_told_early``: when the host dies, not when Nova shows it down."""

    name: str
    is_told_early = False
    waits = 0.0

    def __init__(self, world: World) -> None:
        self.world = world

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Everything of it runs, and waits for a host to die."""
        yield

    def tell(self, host: str) -> None:
        """Say that the host is down, as an operator's monitors say it to this contender."""
        raise NotImplementedError

    def finish(self, host: str) -> None:
        """Wait for what it does when all servers are back, and undo what it left."""


class Bare(Contender):
    """A loop over the servers with novaclient: evacuate all, look until all are ACTIVE."""

    name = 'bare'

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._client = nova_client.Client('2.60', session=world.admin.session,
                                          region_name='RegionOne')  # fmt: skip
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._work: concurrent.futures.Future[None] | None = None

    def tell(self, host: str) -> None:
        self._work = self._pool.submit(self._evacuate, host)

    def _evacuate(self, host: str) -> None:
        left = set(self.world.servers)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._client.servers.evacuate, sorted(left)))
            while left:
                for found in pool.map(self._client.servers.get, sorted(left)):
                    where = getattr(found, 'OS-EXT-SRV-ATTR:host')
                    if found.status == 'ACTIVE' and where != host:
                        left.discard(found.id)
                time.sleep(BARE_PERIOD)

    def finish(self, host: str) -> None:
        assert self._work is not None
        self._work.result(timeout=60)


class Ours(Contender):
    """heat-ha-agent, which fences by a program, and the stack's own RescuePolicy.

    The program cuts the power at once. The others do not fence at all, and how long a power control
    takes is its own affair.
    """

    name = 'ours'
    options = {'sources': 'services_api,webhook', 'confirm': 'services_api+webhook'}

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._agent: agents.Agent | None = None

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        agents.clear()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            path = folder / 'fencing.yaml'
            path.write_text(
                yaml.safe_dump({'hosts': {h: bmc.at_once(folder, h) for h in (*ENDS, WITNESS)}})
            )
            self._agent = agents.Agent(folder, 'agent-1', {'fencing_file': path, **self.options})
            try:
                self._agent.start()
                yield
            finally:
                self._agent.stop()
                log = lab.LAB / 'log' / f'bench-{self.name}.log'
                log.write_text(self._agent.log.read_text())

    def tell(self, host: str) -> None:
        assert self._agent is not None
        assert self._agent.report({'host': host, 'state': 'down'}) == 202

    def finish(self, host: str) -> None:
        lab.until(
            lambda: agents.incidents()[host]['phase'] == 'done', 'the agent is done', seconds=60
        )


class OursToldEarly(Ours):
    """The same, told by who sees the host die; it does not wait until Nova sees it too."""

    name = 'ours_told_early'
    is_told_early = True
    options = {'sources': 'services_api,webhook', 'confirm': 'webhook'}


class Peer(Contender):
    """Masakari with the smallest waits that it allows."""

    name = 'peer'
    own: dict[str, Any] = masakari.NO_WAITS

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._masakari: masakari.Masakari | None = None
        self._report = ''

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        with masakari.running(self.world.admin, self.own) as self._masakari:
            self._masakari.know([*ENDS, WITNESS])
            yield

    def tell(self, host: str) -> None:
        assert self._masakari is not None
        self._report = self._masakari.report(host)

    def finish(self, host: str) -> None:
        made = self._masakari
        assert made is not None
        lab.until(lambda: made.is_over(self._report), 'Masakari is done', seconds=120, every=0.5)
        made.take_back(host)


class PeerDefaults(Peer):
    """Masakari as it comes."""

    name = 'peer_defaults'

    def __init__(self, world: World, wait: int) -> None:
        super().__init__(world)
        self.own = {'wait_period_after_service_update': wait}
        self.waits = float(wait)


# --- rounds ---------------------------------------------------------------------------------


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
            set_enabled(admin, host, False)
            left.callback(set_enabled, admin, host, True)
        stack = lab.Stack(cloud, f'bench-{os.getpid()}', STACK.replace('COUNT', str(count)))
        left.callback(stack.delete)
        stack.create(wait=False)
        stack.wait('CREATE', seconds=600)
        set_enabled(admin, ENDS[1], True)
        world = World(admin, stack)
        made: list[Contender] = [kind(world) for kind in (Bare, Peer, Ours)]
        once: list[Contender] = [OursToldEarly(world)]
        if wait:
            once.append(PeerDefaults(world, wait))
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
