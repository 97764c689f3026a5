# SPDX-License-Identifier: Apache-2.0
"""When what was proved about a guest that is shut out counts no longer, and when it does again."""

import concurrent.futures
import threading
import time

import pytest

from heat_ha import exceptions
from heat_ha.agent import empty_answers, guest_fences, guest_work
from heat_ha.fencing import ceph_images
from heat_ha.fencing.rules import guest_steps, guests
from tests.unit.agent.guest_worlds import (
    AGAIN,
    AT,
    ELSEWHERE,
    FENCES,
    H2,
    placed,
    service,
    storage,
    world,
)
from tests.unit.agent.worlds import store

__all__ = ['storage', 'store', 'world']


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


def test_a_guest_that_was_seen_to_move_is_not_proved_again_when_it_is_deleted(world, storage):
    world.ask()
    world.look()
    world.placed = placed('h1', moves='the server is in task rebuilding')
    world.look()
    assert not world.proof()
    # Its evacuated guest runs on h2 and has v1; a user deletes the server.
    storage.watchers['v1'], world.placed = {ELSEWHERE}, None
    for _ in range(3):
        world.look()
    assert not world.proof()


def test_a_doubt_is_not_taken_back_by_a_look_that_asks_nova_nothing(world, storage):
    world.ask()
    world.look()
    storage.watchers['v1'] = {ELSEWHERE}
    world.look()
    assert not world.proof()
    # The policy waits no longer, and may take the same request up again.
    world.now += 301
    world.look()
    assert not world.proof() and world.record().is_watched


def test_a_server_of_many_volumes_is_proved_where_ceph_commits_once_a_second(
    world, storage, monkeypatch
):
    # All times are a twentieth: the limit is 0.5 s.
    names = [f'v{number}' for number in range(1, 13)]
    for number, name in enumerate(names):
        storage.watchers[name], storage.lockers[name] = {f'{AT}:0/{number + 100}'}, set()
    world.placed = placed('h1', *names)
    real, one_at_once = storage.mon_command, threading.Lock()

    def slow(text, data):
        if '"add"' in text:
            time.sleep(0.05)
        with one_at_once:
            return real(text, data)

    monkeypatch.setattr(storage, 'mon_command', slow)
    world.ask(volumes=tuple(names))
    world.look()
    assert world.proof(volumes=tuple(names))


def test_empty_lists_that_are_far_apart_are_not_believed(world, storage):
    world.ask()
    world.look()
    world.asked, world.placed, world.at_host = [], None, None
    new = f'{AT}:0/333'
    world.hosts['h1'] = service(heartbeat_at=300.0)
    for _ in range(3):
        storage.watchers['v1'] = {new}
        world.look()
        world.look()
        storage.watchers['v1'] = set()
        world.now += 3600
        world.look()
    assert new not in storage.listed


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


def test_a_request_that_is_over_proves_nothing(world, storage):
    request = world.ask()
    world.look()
    world.now = request.until + 1
    # The watch goes on, and Nova is not asked where the server is.
    world.look()
    found = guests.proof(world.record(), request, 5.0, world.now)
    assert world.record().is_watched and not found
