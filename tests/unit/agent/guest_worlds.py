# SPDX-License-Identifier: Apache-2.0
"""A region in which policies want guests to be shut out, beside a Ceph and a Nova."""

import concurrent.futures
import types

import pytest

from heat_ha import serialization
from heat_ha.agent import guest_fences, guest_work
from heat_ha.agent.adapters import guest_requests
from heat_ha.cloud import compute_hosts
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import ceph, ceph_guests, ceph_images, inventory
from heat_ha.fencing.rules import guests
from tests.unit.agent.worlds import store
from tests.unit.fencing.test_ceph import Monitors

__all__ = ['store']

AT, AT_H2 = '192.0.2.11', '192.0.2.12'
OLD, AGAIN, ELSEWHERE = f'{AT}:0/1', f'{AT}:0/2', f'{AT_H2}:0/3'
FENCES = (
    f'hosts: {{h1: {{driver: ceph, addresses: ["{AT}"], timeout: 1}}, '
    f'h2: {{driver: ceph, addresses: ["{AT_H2}"], timeout: 1}}}}'
)
H1, H2 = compute_hosts.host_id('p1', 'h1'), compute_hosts.host_id('p1', 'h2')


class Storage(Monitors):
    """Ceph: a client that is refused has no image open any more.

    :ivar watchers: who has the image of each volume open, ``lockers`` who has its lock.
    """

    def __init__(self):
        super().__init__()
        self.watchers, self.lockers, self.features = {'v1': {OLD}}, {'v1': {OLD}}, True

    def mon_command(self, text, data):
        found = super().mon_command(text, data)
        for one in self.watchers.values():
            one -= set(self.listed)
        return found

    def opened(self, _cluster, pool, volumes):
        assert pool == 'volumes'
        return {
            v: guests.Opened(frozenset(self.watchers[v]), frozenset(self.lockers[v]), self.features)
            for v in volumes
            if v in self.watchers
        }


class World:
    """One region: what policies ask for, what Nova shows, and the agent that deals with it."""

    def __init__(self, store):
        self.store, self.now, self.asked = store, 1e9, []
        self.placed, self.others = placed('h1'), {}
        self.held, self.problem, self.is_free = '', '', True
        self.at_host, self.questions, self.locked = frozenset(), 0, []
        self.hosts = {h: service(h) for h in ('h1', 'h2')}
        # What Nova shows when it is asked right before something is done.
        self.fresh = None
        self.use(FENCES)

    def use(self, fences):
        nova = types.SimpleNamespace(
            placed=self._placed,
            volumes_at=lambda _host: self.at_host,
            compute_services=lambda: self.fresh or self.hosts,
        )
        self.agent = guest_fences.GuestFences(
            'agent-1', nova, self.store, inventory.parse(fences),
            types.SimpleNamespace(get_lock=self._lock),
            pending=lambda: list(self.asked), now=lambda: self.now,
        )  # fmt: skip
        self.agent._clusters._limit = 0.5

    def _placed(self, server):
        self.questions += 1
        found = self.others.get(server, self.placed)
        if isinstance(found, Exception):
            raise found
        return found

    def _lock(self, name):
        self.locked.append(name)
        return types.SimpleNamespace(acquire=lambda blocking: self.is_free, release=lambda: None)

    def ask(self, server='s1', volumes=('v1',), project='p1', number='r1', host=H1):
        request = guests.Request(number, 'plan', server, host, volumes, self.now + 300)
        self.asked.append(guest_requests.Asked(request, 'failover', 'pair', project))
        return request

    def begin(self):
        return self.agent.look(
            guest_work.Region(self.hosts, lambda: self.problem, lambda _h: self.held)
        )

    def look(self):
        concurrent.futures.wait(self.begin(), 20)

    def record(self, server='s1', host=H1):
        entry = self.store.get(guests.KIND, guests.record_name(server, host))
        return entry.value and serialization.decode(guests.GuestFence, entry.value, 'x')

    def proof(self, number='r1', server='s1', volumes=('v1',), host=H1):
        request = guests.Request(number, 'plan', server, host, volumes, self.now + 1)
        return guests.proof(self.record(server, host), request, 5.0, self.now)


def placed(host, *volumes, project='p1', moves=''):
    volumes = frozenset(volumes or ('v1',))
    return guests.Placed(host, compute_hosts.host_id(project, host), project, volumes, moves)


def service(host='h1', **more):
    found = {'is_up': False, 'is_forced_down': False, 'is_disabled': False, 'heartbeat_at': 5.0}
    return ComputeService(host, '1', **(found | more))


@pytest.fixture
def storage(monkeypatch):
    made = Storage()
    monkeypatch.setattr(ceph, 'rados', made)
    monkeypatch.setattr(ceph_images, 'rbd', made)
    monkeypatch.setattr(ceph_images, '_opened', made.opened)
    monkeypatch.setattr(ceph_guests, 'KNOWN_FOR', 0.0)
    yield made
    made.hangs.set()


@pytest.fixture
def world(store, storage):
    made = World(store)
    yield made
    made.agent.close()
