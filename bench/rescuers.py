# SPDX-License-Identifier: Apache-2.0
"""Who rescues the servers of a dead host in the benchmark ``rescue``, and the lab they do it on."""

import concurrent.futures
import contextlib
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pymysql
import yaml
from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions

from bench import masakari
from lab.client import access, agents, bmc, hosts, stacks, waiting

# The one the servers are on dies and the other one gets them, in turns. The third host is there to
# be counted; it takes no servers, so that they all are on one host again in the next round.
ENDS, WITNESS = ('c1', 'c2'), 'c3'

# Seconds between two looks of the bare loop, and its threads: as AT_ONCE of
# heat_ha.rescue.executor, which only an engine can import.
BARE_PERIOD = 0.5
THREADS = 16


class World:
    """The lab as a round needs it: the servers, and what Nova has of them."""

    def __init__(self, admin: Any, stack: stacks.Stack) -> None:
        self.admin = admin
        self.stack = stack
        self.servers = sorted(stack.servers())
        self.dead = ''
        socket = access.environment()['database']['root_socket']
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

    def kill(self, host: str) -> None:
        """Let a host die."""
        self.dead = host
        hosts.run_lab('kill', f'nova-compute-{host}')

    def mend(self, host: str) -> None:
        """Let a host that died take servers again, once it has forgotten the ones it lost."""
        hosts.run_lab('start', f'nova-compute-{host}')
        hosts.confirm_down(self.admin, host, False)
        set_enabled(self.admin, host, True)
        hosts.until_up(self.admin, host)
        waiting.until(lambda: not self._leftovers(host), f'{host} is clean', seconds=90, every=0.5)
        self.dead = ''

    def bring_back(self, home: str, other: str) -> None:
        """Evacuate by hand what a contender has left behind, so that the next has its turn."""
        if self.active_on(other) == len(self.servers):
            return
        hosts.confirm_down(self.admin, home, True)
        nova = nova_client.Client('2.60', session=self.admin.session, region_name='RegionOne')
        query = 'SELECT uuid FROM nova_one.instances WHERE uuid IN %s AND host = %s'
        # What the contender has begun may still be under way, and in the way of the first try.
        for _try in range(4):
            for (server,) in self._ask(query, self.servers, home):
                with contextlib.suppress(nova_exceptions.ClientException):
                    nova.servers.reset_state(server, 'active')
                    nova.servers.evacuate(server)
            with contextlib.suppress(AssertionError):
                waiting.until(lambda: self.active_on(other) == len(self.servers), 'all', seconds=60)
                return
        raise AssertionError(f'not all servers could be brought back from {home} to {other}')

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


class Contender:
    """One way of rescuing.

    ``is_reported_early``: it gets the report when the host dies, not when Nova shows it down.
    """

    name: str
    is_reported_early = False
    waits = 0.0

    def __init__(self, world: World) -> None:
        self.world = world

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Everything of it runs, and waits for a host to die."""
        yield

    def report(self, host: str) -> None:
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

    def report(self, host: str) -> None:
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
                log = access.LAB / 'log' / f'bench-{self.name}.log'
                log.write_text(self._agent.log.read_text())

    def report(self, host: str) -> None:
        assert self._agent is not None
        assert self._agent.report({'host': host, 'state': 'down'}) == 202

    def finish(self, host: str) -> None:
        waiting.until(
            lambda: agents.incidents()[host]['phase'] == 'done', 'the agent is done', seconds=60
        )


class OursReportedEarly(Ours):
    """The same with a report at the death; it does not wait until Nova sees it too."""

    name = 'ours_told_early'
    is_reported_early = True
    # The sender of the report has made sure.
    options = {'sources': 'services_api,webhook', 'confirm': 'webhook', 'certain': 'webhook'}


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

    def report(self, host: str) -> None:
        assert self._masakari is not None
        self._report = self._masakari.report(host)

    def finish(self, host: str) -> None:
        made = self._masakari
        assert made is not None
        waiting.until(
            lambda: made.is_over(self._report), 'Masakari is done', seconds=120, every=0.5
        )
        made.take_back(host)


class PeerDefaults(Peer):
    """Masakari as it comes."""

    name = 'peer_defaults'

    def __init__(self, world: World, wait: int) -> None:
        super().__init__(world)
        self.own = {'wait_period_after_service_update': wait}
        self.waits = float(wait)
