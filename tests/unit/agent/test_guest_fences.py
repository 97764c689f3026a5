# SPDX-License-Identifier: Apache-2.0
"""Guests that policies want to be shut out, beside a Ceph that answers, refuses or hangs."""

import concurrent.futures
import threading
import time
import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.agent import empty_answers, guest_fences, guest_work
from heat_ha.agent.adapters import guest_requests
from heat_ha.cloud import compute_hosts
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import ceph, ceph_guests, ceph_images, inventory
from heat_ha.fencing.rules import guest_steps, guests
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
        request = guests.Request(number, 'plan', server, host, volumes, 0.0)
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


def test_a_guest_is_shut_out_and_that_is_on_record(world, storage):
    world.ask()
    world.look()
    found = world.record()
    assert storage.added() == [OLD] and storage.waited == 1 and world.proof()
    assert (found.host, found.who, found.clients) == ('h1', 'agent-1', (OLD,))
    assert set(storage.listed) == {OLD} and storage.made == 1
    # Also the servers of the storage may hang.
    assert storage.settings['conf']['rados_osd_op_timeout']


def test_while_a_policy_waits_the_record_stays_fresh(world, storage):
    world.ask()
    world.look()
    world.now += 40
    world.look()
    assert world.record().seen_at == world.now and len(storage.added()) == 1 == storage.made


def test_a_guest_that_starts_again_is_shut_out_at_once_while_its_host_is_silent(world, storage):
    world.ask()
    world.look()
    world.asked, world.placed = [], None
    storage.watchers['v1'] = {AGAIN, ELSEWHERE}
    world.look()
    assert world.record().clients == (OLD, AGAIN) and ELSEWHERE not in storage.listed
    world.hosts['h1'] = service(is_up=True)
    storage.watchers['v1'] = {f'{AT}:0/9'}
    world.look()
    assert world.record().is_void and world.record().up_since
    world.now += guest_steps.WATCHED_UP + 1
    world.look()
    assert world.record().is_over and f'{AT}:0/9' not in storage.listed
    world.now += guest_steps.DAY + 1
    world.look()
    assert not world.store.all(guests.KIND)
    world.look()
    assert storage.open == 0


def test_a_record_of_one_host_is_no_proof_for_another(world, storage):
    world.ask()
    world.look()
    # It is evacuated to a host that falls silent as well, and is the active there.
    world.asked, world.placed = [], placed('h2')
    storage.watchers['v1'] = storage.lockers['v1'] = {ELSEWHERE}
    world.ask(number='r2', host=H2)
    world.look()
    assert world.proof('r2', host=H2) and ELSEWHERE in storage.listed
    assert not world.proof('r2') and world.record().is_watched


def test_a_server_that_nova_shows_elsewhere_is_refused(world, storage):
    world.placed = placed('h2')
    world.ask()
    world.look()
    assert 'another host' in world.record().refused and not storage.sent
    assert not world.record().host


@pytest.mark.parametrize('left', [f'{AT_H2}:0/77', '192.0.2.99:0/5'])
def test_a_living_client_elsewhere_is_no_proof(world, storage, left):
    storage.watchers['v1'] = {OLD, left}
    world.ask()
    world.look()
    assert not world.proof() and not storage.added()
    assert 'open elsewhere' in world.record().refused and '192.0.2' not in world.record().refused


def test_a_server_that_moves_is_refused(world, storage):
    world.placed = placed('h1', moves='a migration of the server is running')
    world.ask()
    world.look()
    assert 'migration' in world.record().refused and not storage.sent


def test_a_server_that_begins_to_move_loses_its_proof(world, storage):
    world.ask()
    world.look()
    world.placed = placed('h1', moves='a migration of the server is accepted')
    world.look()
    assert not world.proof() and world.record().is_watched


def test_all_volumes_of_the_server_are_shut_out(world, storage):
    world.placed = placed('h1', 'v1', 'root')
    world.ask()
    world.look()
    assert 'volume root' in world.record().refused and not storage.added()
    storage.watchers['root'] = {AGAIN}
    storage.lockers['root'] = set()
    world.look()
    assert set(storage.listed) == {OLD, AGAIN} and world.record().volumes == ('root', 'v1')


def test_another_request_is_dealt_with_as_new(world, storage):
    world.ask()
    world.look()
    world.asked.clear()
    world.placed = placed('h1', 'v1', 'v2')
    storage.watchers['v2'] = storage.lockers['v2'] = {f'{AT}:0/8'}
    world.ask(volumes=('v1', 'v2'), number='r2')
    world.look()
    assert world.proof('r2', volumes=('v1', 'v2')) and world.record().clients == (OLD, f'{AT}:0/8')


def test_two_policies_about_one_server_are_answered_together(world, storage):
    world.placed = placed('h1', 'v1', 'v2')
    storage.watchers['v2'] = storage.lockers['v2'] = {f'{AT}:0/8'}
    world.ask(volumes=('v1',))
    world.ask(volumes=('v2',), number='r2')
    world.look()
    assert world.proof() and world.proof('r2', volumes=('v2',))


def test_a_request_of_another_project_is_ignored(world, storage):
    world.ask(number='r2', volumes=('vx',), project='p2')
    world.look()
    assert world.record() is None and not storage.sent
    world.ask()
    world.look()
    assert world.proof() and not world.proof('r2')


def test_why_not_is_on_record_once_and_is_tried_again(world, storage):
    storage.features = False
    world.ask()
    world.look()
    name = guests.record_name('s1', H1)
    version = world.store.get(guests.KIND, name).version
    world.look()
    assert 'exclusive-lock' in world.record().refused and not storage.added()
    assert world.record().answers == ('r1',)
    assert world.store.get(guests.KIND, name).version == version
    storage.features = True
    world.look()
    assert world.proof() and not world.record().refused
    storage.features = False
    world.asked = []
    world.now += guest_steps.DAY * 31
    world.look()
    assert world.record().is_over


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        ({'held': 'storm guard of h7'}, 'holds back'),
        ({'problem': 'cut off from 192.0.2.5'}, 'cut off'),
        ({'hosts': {'h1': service(is_up=True)}}, 'is up'),
    ],
)
def test_nothing_is_done_while_something_speaks_against_it(world, storage, change, word):
    world.ask()
    vars(world).update(change)
    world.look()
    found = world.record()
    assert not found.clients and not storage.sent
    assert word in found.waits and 'h7' not in found.waits and '192.0.2' not in found.waits


@pytest.mark.parametrize(
    'fresh', [service(is_up=True), service(heartbeat_at=6.0), service(is_forced_down=True)]
)
def test_the_host_is_looked_at_once_more_before_anything_is_done(world, storage, fresh):
    world.ask()
    world.fresh = {'h1': fresh}
    world.look()
    assert not storage.added() and world.record() is None


def test_a_request_that_has_gone_meanwhile_is_not_carried_out(world, storage, monkeypatch):
    world.ask()
    answers = iter([list(world.asked), []])
    world.agent._pending = lambda: next(answers)
    world.agent._shell = world.agent._shell._replace(pending=lambda: next(answers))
    world.look()
    assert not storage.added()


def test_a_new_client_is_not_shut_out_of_a_host_that_may_be_up(world, storage):
    world.ask()
    world.look()
    world.asked, world.problem = [], 'cut off from the broker'
    world.hosts['h1'] = service(is_up=True)
    storage.watchers['v1'] = {AGAIN}
    world.look()
    assert AGAIN not in storage.listed
    # The host came and went meanwhile, and the server is Nova's.
    world.problem, world.hosts['h1'] = '', service(heartbeat_at=50.0)
    world.look()
    assert AGAIN not in storage.listed and world.record().is_over and not world.proof()


def test_a_storage_that_refuses_proves_nothing_and_the_policy_shows_it(world, storage):
    storage.code = 13
    world.ask()
    world.look()
    assert not world.proof() and 'did not answer' in world.record().waits
    storage.code = 0
    world.look()
    assert world.proof() and not world.record().waits


def test_one_storage_that_hangs_holds_up_no_other_guest(world, storage, monkeypatch):
    ends, real = threading.Event(), storage.opened

    def hangs(cluster, pool, volumes):
        if 'v9' in volumes:
            ends.wait()
        return real(cluster, pool, volumes)

    monkeypatch.setattr(ceph_images, '_opened', hangs)
    world.ask()
    world.look()
    world.others['s9'] = placed('h1', 'v9')
    world.ask('s9', ('v9',), number='r9')
    for _ in range(5):
        world.now += 40
        world.look()
    # The whole host can still be fenced, by the same cluster.
    inventory.parse(FENCES).levels('h1')[0][0].switch_off()
    assert f'{AT}:0/0' in storage.listed
    assert world.record().seen_at == world.now
    left = [t for t in threading.enumerate() if t.name == 'deadline']
    ends.set()
    assert len(left) <= 1


def test_an_agent_that_dies_after_the_command_leaves_it_to_the_next(world, storage):
    storage.lockers['v1'] = set()
    world.ask()
    real, count = world.store.put, []

    def dies(*args):
        count.append(args)
        if len(count) > 1:
            raise exceptions.HaError('killed')
        return real(*args)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(world.store, 'put', dies)
        world.look()
    assert OLD in storage.listed and world.record().clients == (OLD,) and not world.proof()
    # By then nothing of the image names the client.
    assert not storage.watchers['v1']
    world.look()
    assert world.proof()


def test_without_a_record_nothing_is_done(world, storage, monkeypatch):
    def dies(*_args):
        raise exceptions.HaError('the database')

    monkeypatch.setattr(world.store, 'put', dies)
    world.ask()
    world.look()
    assert not storage.added()


def test_a_watch_that_is_slow_to_go_is_waited_for(world, storage):
    storage.lockers['v1'] = set()
    world.ask()
    real = storage.mon_command
    storage.mon_command = lambda text, data: Monitors.mon_command(storage, text, data)
    world.look()
    assert not world.proof() and 'still has a volume open' in world.record().waits
    storage.mon_command = real
    storage.watchers['v1'] = set()
    world.look()
    assert world.proof()


def test_a_record_of_a_later_version_is_left_alone(world, storage):
    name = guests.record_name('s1', H1)
    world.store.put(guests.KIND, name, {'version': 99, 'new': 1}, 0)
    world.ask()
    world.look()
    assert not storage.sent and world.store.get(guests.KIND, name).version == 1


def test_one_agent_of_a_region_does_it(world, storage):
    world.ask()
    world.is_free = False
    world.look()
    assert not storage.sent


def test_a_host_without_an_entry_is_named_in_the_log_alone(world, storage):
    world.placed = placed('h3')
    world.ask(host=compute_hosts.host_id('p1', 'h3'))
    world.look()
    found = world.record(host=compute_hosts.host_id('p1', 'h3'))
    assert 'operators' in found.refused and 'h3' not in found.refused


def test_an_entry_that_is_taken_from_the_file_ends_the_watch(world, storage):
    world.ask()
    world.look()
    world.asked = []
    world.use('')
    said = []
    world.agent._shell = world.agent._shell._replace(say=lambda _s, text: said.append(text))
    world.look()
    assert world.record().is_over and 'no entry' in said[0]


def test_all_entries_of_a_host_count_and_not_those_of_two_clusters(world, storage):
    one, other = f'{{driver: ceph, addresses: ["{AT}"]}}', '{driver: ceph, addresses: ["192.0.2.9"]'
    world.use(f'hosts: {{h1: {{levels: [[{other}}}], [{one}]]}}}}')
    storage.watchers['v1'] = {'192.0.2.9:0/4'}
    world.ask()
    world.look()
    assert world.proof() and world.record().clients == (OLD, '192.0.2.9:0/4')
    world.use(f'hosts: {{h1: {{levels: [[{other}, pool: more}}], [{one}]]}}}}')
    world.asked.clear()
    world.ask(number='r2')
    world.look()
    assert 'operators' in world.record().refused and not world.proof('r2')


def test_looks_come_no_more_often_than_wanted(world):
    looks = []
    world.agent.look = lambda found: looks.append(found)
    for _ in range(5):
        world.agent.start(guest_work.Region({}, lambda: '', lambda _h: ''))
        concurrent.futures.wait([world.agent._look])
    assert len(looks) == 1
    world.agent.stop()
    world.agent._looked_at = 0.0
    world.agent.start(guest_work.Region({}, lambda: '', lambda _h: ''))


@pytest.mark.parametrize('is_gone', [False, True])
def test_a_held_agent_that_sees_a_new_writer_leaves_no_proof(world, storage, is_gone):
    world.ask()
    world.look()
    assert world.proof()
    if is_gone:
        # The plan has deleted the server by then, and another volume is left to take.
        world.placed = None
    storage.watchers['v1'] = {AGAIN}
    world.held = 'storm guard'
    world.look()
    assert not world.proof() and world.record().waits
    world.held = ''
    world.look()
    assert world.proof() and world.record().clients == (OLD, AGAIN)


def test_a_held_agent_that_sees_no_entry_leaves_no_proof(world, storage):
    world.ask()
    world.look()
    storage.listed.clear()
    storage.watchers['v1'] = {OLD}
    world.held = 'storm guard'
    world.look()
    assert not world.proof()


def test_a_host_that_changes_right_before_a_new_client_is_shut_out_leaves_no_proof(world, storage):
    world.ask()
    world.look()
    storage.watchers['v1'] = {AGAIN}
    world.fresh = {'h1': service(heartbeat_at=6.0)}
    world.look()
    assert not world.proof() and AGAIN not in storage.listed


def cannot_ask(*_args):
    raise exceptions.CouldNotAsk('nova', 'its hosts', '503')


def hide_services(world, _storage):
    world.agent._shell.nova.compute_services = cannot_ask


def hide_blocklist(_world, storage):
    storage.code = 110


@pytest.mark.parametrize('hide', [hide_services, hide_blocklist])
def test_a_new_writer_that_was_seen_ends_the_proof_whatever_cannot_be_asked_then(
    world, storage, hide
):
    world.ask()
    world.look()
    storage.watchers['v1'] = {AGAIN}
    hide(world, storage)
    world.look()
    assert AGAIN not in storage.listed and not world.proof()


def test_a_volume_that_is_open_elsewhere_ends_the_proof_also_where_nova_does_not_answer(
    world, storage
):
    world.ask()
    world.look()
    storage.watchers['v1'] = {ELSEWHERE}
    answers = [placed('h1'), exceptions.CouldNotAsk('nova', 'server s1', '503')]
    real = world._placed

    def ask(server):
        world.placed = answers.pop(0)
        return real(server)

    world.agent._shell.nova.placed = ask
    world.look()
    assert not answers and not world.proof()


def test_a_server_that_nova_deletes_volume_by_volume_is_proved_again(world, storage):
    world.placed = placed('h1', 'v1', 'v2')
    storage.watchers['v2'] = storage.lockers['v2'] = {f'{AT}:0/8'}
    both = ('v1', 'v2')
    world.ask(volumes=both)
    world.look()
    assert world.proof(volumes=both)
    # The new active has v1 by now, and the server is still in task deleting.
    storage.watchers['v1'], world.placed = {ELSEWHERE}, placed('h1', 'v2')
    world.look()
    assert not world.proof(volumes=both)
    world.placed = None
    world.look()
    assert world.proof(volumes=both) and not world.record().waits


def test_two_records_of_a_server_do_not_wait_for_each_other(world, storage, monkeypatch):
    world.ask()
    world.look()
    world.asked, world.placed = [], placed('h2')
    storage.watchers['v1'] = storage.lockers['v1'] = {ELSEWHERE}
    world.ask(number='r2', host=H2)
    real, said = storage.opened, []

    def slow(*args):
        time.sleep(0.1)
        return real(*args)

    monkeypatch.setattr(ceph_images, '_opened', slow)
    shell = world.agent._shell
    world.agent._shell = shell._replace(say=lambda name, text: said.append(text))
    world.look()
    assert not [text for text in said if 'have not ended' in text]


def test_a_look_that_outlives_its_request_leaves_no_connection(world, storage, monkeypatch):
    has_begun, ends, real = threading.Event(), threading.Event(), storage.opened

    def slow(*args):
        has_begun.set()
        ends.wait(10)
        return real(*args)

    monkeypatch.setattr(ceph_images, '_opened', slow)
    world.agent._clusters._limit, storage.features = 20, False
    world.ask()
    begun = world.begin()
    assert has_begun.wait(10)
    world.asked = []
    world.begin()
    world.begin()
    ends.set()
    concurrent.futures.wait(begun, 20)
    world.now += 2 * guest_steps.DAY
    for _ in range(3):
        world.look()
    assert storage.open == 0


@pytest.mark.parametrize('is_believed', [False, True])
def test_an_empty_list_of_a_host_is_believed_only_after_a_while(world, storage, is_believed):
    world.ask()
    world.look()
    world.asked, world.placed, world.at_host = [], None, None
    new = f'{AT}:0/333'
    storage.watchers['v1'] = {new}
    world.hosts['h1'] = service(heartbeat_at=300.0)
    for _ in range(2):
        world.look()
    assert new not in storage.listed
    world.now += empty_answers.BELIEVED_AFTER + 1 if is_believed else 1
    world.at_host = None if is_believed else frozenset({'v1'})
    world.look()
    assert (new in storage.listed) is is_believed


@pytest.mark.parametrize('is_seen_up', [True, False])
def test_who_got_the_volume_at_that_host_by_right_is_not_shut_out(world, storage, is_seen_up):
    world.ask()
    world.look()
    world.asked, world.placed = [], None
    storage.watchers['v1'] = {ELSEWHERE}
    world.look()
    if is_seen_up:
        world.hosts['h1'] = service(is_up=True, heartbeat_at=100.0)
        world.look()
        world.now += 200
    # The replacement is on h1, and is the active by a switchover, when h1 falls silent once more.
    new = f'{AT}:0/333'
    storage.watchers['v1'] = storage.lockers['v1'] = {new}
    world.hosts['h1'], world.at_host = service(heartbeat_at=300.0), frozenset({'v1', 'v7'})
    for _ in range(3):
        world.look()
    assert new not in storage.listed and world.record().is_over


def test_a_guest_that_starts_again_after_its_host_was_up_is_shut_out(world, storage):
    world.ask()
    world.look()
    world.asked, world.placed, world.at_host = [], None, frozenset({'v7'})
    world.hosts['h1'] = service(heartbeat_at=300.0)
    storage.watchers['v1'] = {AGAIN, ELSEWHERE}
    for _ in range(2):
        world.look()
    assert AGAIN in storage.listed and ELSEWHERE not in storage.listed


def test_a_server_that_is_deleted_during_the_look_keeps_its_proof(world, storage):
    world.ask()
    world.look()
    # The plan has deleted it and the new active has the volume: Nova's answer is of before.
    storage.watchers['v1'] = {ELSEWHERE}
    answers = [placed('h1'), None]
    world._placed = lambda _server: answers.pop(0)
    world.use(FENCES)
    world.look()
    assert not answers and world.proof()


def test_a_request_that_is_over_costs_nova_no_question(world):
    world.ask()
    world.now += 10_000
    world.look()
    assert world.questions == 0 and world.record() is None


def test_nova_that_does_not_answer_is_an_answer(world):
    world.ask()
    world.placed = exceptions.CouldNotAsk('nova', 'server s1', '503')
    world.look()
    assert 'did not answer' in world.record().waits and world.record().answers == ('r1',)


def test_each_record_of_a_server_has_a_lock_of_its_own(world, storage):
    world.ask()
    world.look()
    world.ask(number='r2', host=H2)
    world.look()
    assert len(set(world.locked)) == 2 and all(len(name) <= 64 for name in world.locked)


def test_a_stop_waits_for_nothing_and_begins_nothing(world):
    with world.agent._pool._shutdown_lock:
        world.agent.stop()
    world.ask()
    world.agent.start(guest_work.Region(world.hosts, lambda: '', lambda _h: ''))
    assert world.record() is None and world.agent._look is None
    world.agent.close()


def test_where_no_thread_can_be_started_the_round_goes_on(world, monkeypatch):
    def full(*_args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(world.agent._pool, 'submit', full)
    world.agent.start(guest_work.Region(world.hosts, lambda: '', lambda _h: ''))


@pytest.mark.parametrize(
    ('change', 'looks'),
    [
        ({}, True),
        ({'is_up': True}, False),
        ({'is_forced_down': True}, False),
        ({'is_disabled': True, 'disabled_reason': 'disks'}, False),
    ],
)
def test_requests_are_searched_for_often_only_while_a_host_is_silent(world, change, looks):
    region = guest_work.Region({'h1': service(**change)}, lambda: '', lambda _h: '')
    world.agent._looked_at = time.monotonic() - guest_fences.EVERY - 0.1
    world.agent.start(region)
    assert (world.agent._look is not None) == looks
    world.agent._looked_at = time.monotonic() - guest_fences.EVERY_QUIET - 0.1
    world.agent.start(region)
    assert world.agent._look is not None
