# SPDX-License-Identifier: Apache-2.0
"""Guests that policies want to be shut out, beside a Ceph that answers, refuses or hangs."""

import concurrent.futures
import threading

import pytest

from heat_ha import exceptions
from heat_ha.agent import guest_work
from heat_ha.cloud import compute_hosts
from heat_ha.fencing import ceph_images, inventory
from heat_ha.fencing.rules import guest_steps, guests
from tests.unit.agent.guest_worlds import (
    AGAIN,
    AT,
    AT_H2,
    ELSEWHERE,
    FENCES,
    H1,
    H2,
    OLD,
    placed,
    service,
    storage,
    world,
)
from tests.unit.agent.worlds import store
from tests.unit.fencing.test_ceph import Monitors

__all__ = ['storage', 'store', 'world']


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
