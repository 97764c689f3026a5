# SPDX-License-Identifier: Apache-2.0
"""Giving a host its storage back by a person's word, while agents may work on it."""

import os
import threading
import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.agent import worker
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from heat_ha.cli import agent, unfence
from heat_ha.fencing import inventory, let_in
from heat_ha.fencing import model as fencing
from tests.unit.agent.worlds import Locks, store

__all__ = ['store']

FENCES = inventory.parse('')


@pytest.fixture
def taken_back(monkeypatch):
    """What was taken back, with the proof; each host has one fence in its storage."""
    found = []

    def take_back(host, _fences, proof):
        found.append((host, proof))
        return 1

    monkeypatch.setattr(let_in, 'let_in', take_back)
    monkeypatch.setattr(unfence, 'WAIT', 0.05)
    monkeypatch.setattr(unfence, 'PAUSE', 0.01)
    return found


def put(store, phase, **more):
    proof = fencing.Proof('theirs by a1', 'shut out', 1000.0, in_storage=('theirs',))
    made = serialization.encode(Incident('c1', phase, 1000.0, 'down', 1000.0, proof)) | more
    store.put(agent_store.INCIDENT, 'c1', made, 0)
    return proof


def test_it_has_the_lock_of_the_agents_while_it_reads_and_takes_back(store, monkeypatch):
    locks, seen = Locks(), []
    lock = locks.get_lock(worker.lock_of('c1'))
    put(store, Phase.DROPPED)
    read = store.all

    def look(kind):
        seen.append(lock.locked())
        return read(kind)

    def take_back(_host, _fences, _proof):
        seen.append(lock.locked())
        return 1

    monkeypatch.setattr(store, 'all', look)
    monkeypatch.setattr(let_in, 'let_in', take_back)
    unfence.unfence(store, locks, FENCES, 'c1', 'Ada')
    assert seen == [True, True] and not lock.locked()


def test_nothing_is_taken_back_while_an_agent_works_on_the_host(store, taken_back):
    locks = Locks()
    put(store, Phase.DROPPED)
    with (
        locks.get_lock(worker.lock_of('c1')),
        pytest.raises(exceptions.TryAgain, match='an agent has worked on host c1'),
    ):
        unfence.unfence(store, locks, FENCES, 'c1', 'Ada')
    assert not taken_back


def test_it_waits_for_an_agent_that_is_at_its_end(store, taken_back, monkeypatch):
    monkeypatch.setattr(unfence, 'WAIT', 10.0)
    locks = Locks()
    proof = put(store, Phase.DROPPED)
    lock = locks.get_lock(worker.lock_of('c1'))
    lock.acquire()
    threading.Timer(0.1, lock.release).start()
    unfence.unfence(store, locks, FENCES, 'c1', 'Ada')
    assert taken_back == [('c1', proof)]


def test_a_host_that_an_agent_has_fenced_meanwhile_stays_fenced(store, taken_back):
    class Fencing(Locks):
        """Gives a lock once an agent has put its proof on record."""

        def get_lock(self, name):
            put(store, Phase.FENCED)
            return super().get_lock(name)

    with pytest.raises(exceptions.Refused, match='host c1 is fenced'):
        unfence.unfence(store, Fencing(), FENCES, 'c1', 'Ada')
    assert not taken_back


@pytest.mark.parametrize('error', [ConnectionError('no route'), ValueError()])
def test_without_an_answer_about_the_lock_nothing_is_taken_back(store, taken_back, error):
    def fail(**_more):
        raise error

    locks = types.SimpleNamespace(get_lock=lambda _name: types.SimpleNamespace(acquire=fail))
    with pytest.raises(exceptions.CouldNotAsk, match=r'the lock of host c1: (no route|ValueError)'):
        unfence.unfence(store, locks, FENCES, 'c1', 'Ada')
    assert not taken_back


def test_a_host_without_a_fence_in_its_storage_is_refused_and_the_lock_is_free(store):
    locks = Locks()
    with pytest.raises(exceptions.Refused, match='cuts: storage'):
        unfence.unfence(store, locks, FENCES, 'c1', 'Ada')
    assert not locks.get_lock(worker.lock_of('c1')).locked()


def test_a_record_of_a_newer_version_lets_nobody_in(store, taken_back):
    put(store, Phase.DROPPED, newer=1)
    with pytest.raises(exceptions.Unreadable, match='the incident of host c1'):
        unfence.unfence(store, Locks(), FENCES, 'c1', 'Ada')
    assert not taken_back


def test_a_lock_that_the_agent_could_not_open_is_not_made(tmp_path, monkeypatch):
    url = f'file://{tmp_path}'
    unfence.check_user(url)
    unfence.check_user('etcd3+http://127.0.0.1:9')
    with pytest.raises(exceptions.Refused, match='on the machine of the agent'):
        unfence.check_user(f'{url}/none')
    monkeypatch.setattr(os, 'geteuid', lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(exceptions.Refused, match='Do it as that user: sudo -u '):
        unfence.check_user(url)


def test_the_program_takes_its_lock_beside_the_agents(
    store, taken_back, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(agent, '_store', lambda: store)
    put(store, Phase.DROPPED)
    own = types.SimpleNamespace(fencing_file='', coordination_url=f'file://{tmp_path}')
    beside = agent._started_locks(own.coordination_url, 'agent-1')
    try:
        lock = beside.get_lock(worker.lock_of('c1'))
        assert lock.acquire(blocking=False)
        with pytest.raises(exceptions.TryAgain):
            agent._unfence(own, 'c1', 'Ada')
        lock.release()
        assert agent._unfence(own, 'c1', 'Ada') == 0
        assert lock.acquire(blocking=False), 'it is given back'
        lock.release()
    finally:
        beside.stop()
    assert [host for host, _proof in taken_back] == ['c1'] and 'may use' in capsys.readouterr().out
