# SPDX-License-Identifier: Apache-2.0
"""What is left of dead guests, beside a Ceph and a Nova that answer or do not."""

import concurrent.futures
import dataclasses
import threading
import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.agent import leftovers as agent_leftovers
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import ceph_guests, inventory
from heat_ha.fencing.rules import leftovers
from tests.unit.agent.guest_worlds import AT, ELSEWHERE, FENCES, H1, OLD, placed, storage
from tests.unit.agent.worlds import store

__all__ = ['storage', 'store']

UP = ComputeService('h1', '1', is_up=True, is_forced_down=False, is_disabled=False)


class World:
    """A guest on h1 that has died, and of which Nova has taken v1."""

    def __init__(self, store):
        self.store, self.now, self.problem, self.is_free = store, 1e9, '', True
        self.placed = dataclasses.replace(placed('h1'), volumes=frozenset())
        self.at_host, self.services, self.questions = [frozenset({'v7'})], {'h1': UP}, 0
        self.nova = types.SimpleNamespace(placed=self._placed, volumes_at=self._volumes_at)
        self.clusters = ceph_guests.Connections(inventory.parse(FENCES), 0.5)
        self.agent = agent_leftovers.Leftovers(
            self.nova, store, self.clusters,
            types.SimpleNamespace(get_lock=self._lock), lambda: self.now,
        )  # fmt: skip

    def _placed(self, _server):
        self.questions += 1
        if isinstance(self.placed, Exception):
            raise self.placed
        return self.placed

    def _volumes_at(self, host):
        assert host == 'h1'
        return self.at_host.pop(0) if len(self.at_host) > 1 else self.at_host[0]

    def _lock(self, name):
        assert len(name) <= 64
        return types.SimpleNamespace(acquire=lambda blocking: self.is_free, release=lambda: None)

    def ask(self, name='q1', until=8.0, project='p1', **more):
        question = leftovers.Question(name, project, 's1', H1, 'v1', self.now + until, **more)
        self.store.put(leftovers.KIND, name, serialization.encode(question), 0)

    def look(self):
        concurrent.futures.wait(self.agent.look(self.services, lambda: self.problem), 20)

    def answer(self, name='q1'):
        value = self.store.get(leftovers.KIND, name).value
        return value and serialization.decode(leftovers.Question, value, 'x').answer


@pytest.fixture
def world(store, storage):
    storage.watchers['v7'], storage.lockers['v7'] = {f'{AT}:0/7'}, set()
    made = World(store)
    yield made
    made.agent.close()


def test_a_dead_client_is_refused_and_the_next_one_is_not(world, storage):
    storage.watchers['v1'] = {OLD, ELSEWHERE}
    world.ask()
    world.look()
    assert set(storage.listed) == {OLD} and 'refuses' in world.answer()
    world.look()
    assert storage.added() == [OLD]


def test_who_gets_the_volume_at_that_host_in_the_middle_is_not_refused(world, storage):
    # Nova has it on record before its client comes, so it is seen after the look.
    world.at_host = [frozenset({'v7'}), frozenset({'v1', 'v7'})]
    world.ask()
    world.look()
    assert not storage.listed and 'has the volume' in world.answer()


def test_a_client_of_a_volume_that_comes_in_between_is_left(world, storage):
    # The kernel's: it is mapped at the host between the two questions to Nova.
    storage.watchers['v8'], storage.lockers['v8'] = {OLD}, set()
    world.at_host = [frozenset({'v7'}), frozenset({'v7', 'v8'})]
    world.ask()
    world.look()
    assert world.answer() == '' and not storage.listed
    world.look()
    assert 'others' in world.answer() and not storage.listed


def test_no_cluster_is_left_in_the_middle(world, storage):
    real = world.nova.volumes_at

    def asked(host):
        world.clusters.close_unused()
        return real(host)

    world.nova.volumes_at = asked
    world.ask()
    world.look()
    assert world.answer() and storage.made == 1
    world.clusters.close_unused()
    assert storage.open == 0


def test_a_client_that_others_have_as_well_is_left(world, storage):
    storage.watchers['v7'] = {OLD}
    world.ask()
    world.look()
    assert not storage.listed and 'others' in world.answer()


@pytest.mark.parametrize(
    'change',
    [
        {'problem': 'cut off'},
        {'placed': placed('h1')},
        {'placed': exceptions.CouldNotAsk('nova', 'server s1', '503')},
        {'is_free': False},
        # The cell of the host is left out.
        {'at_host': [None]},
        {'at_host': [frozenset({'v7'}), frozenset()]},
    ],
)
def test_what_may_pass_is_tried_again(world, storage, change):
    before = {key: getattr(world, key) for key in change}
    vars(world).update(change)
    world.ask()
    world.look()
    assert world.answer() == '' and not storage.listed
    vars(world).update(before)
    world.look()
    assert world.answer() and set(storage.listed) == {OLD}


def test_a_storage_that_does_not_answer_leaves_the_question(world, storage):
    storage.hangs.clear()
    world.ask()
    world.look()
    assert world.answer() == ''
    storage.hangs.set()


def test_another_project_gets_nothing_done(world, storage):
    world.ask(project='p2')
    world.look()
    assert not storage.listed and 'another project' in world.answer()


def test_what_nobody_waits_for_costs_nothing_and_is_removed(world, storage):
    world.ask(until=-1.0)
    world.look()
    assert world.questions == 0 and world.answer() == ''
    world.now += leftovers.KEPT_FOR
    world.look()
    assert world.answer() is None and not storage.listed


def test_a_question_that_is_taken_away_in_the_middle_is_no_failure(world, storage):
    world.ask()
    real = world.nova.placed

    def taken(server):
        world.store.remove(leftovers.KIND, 'q1', 1)
        return real(server)

    world.nova.placed = taken
    world.look()
    assert world.answer() is None


def test_a_question_of_a_later_version_is_left_alone(world, storage):
    world.ask()
    value = world.store.get(leftovers.KIND, 'q1').value
    world.store.put(leftovers.KIND, 'q1', value | {'version': 99}, 1)
    world.look()
    assert not storage.listed


def test_a_question_that_nobody_waits_for_is_forgotten_with_its_answer(world, storage):
    world.ask(is_awaited=False)
    world.look()
    assert world.answer() is None and set(storage.listed) == {OLD}


def test_those_that_nobody_waits_for_take_no_room_of_the_others(world, storage):
    ends, real = threading.Event(), world.nova.placed

    def slow(server):
        ends.wait(20)
        return real(server)

    world.nova.placed = slow
    for number in range(9):
        world.ask(f'aside-{number}', is_awaited=False)
    world.agent.look(world.services, lambda: '')
    world.ask('awaited')
    begun = world.agent.look(world.services, lambda: '')
    assert len(begun) == 1 and len(world.agent._running) == 1 + agent_leftovers.ASIDE
    ends.set()
    concurrent.futures.wait(begun, 20)
    # All are about one volume here, of which one question at a time is put to the storage.
    world.look()
    assert world.answer('awaited')
