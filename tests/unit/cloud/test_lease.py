# SPDX-License-Identifier: Apache-2.0
"""The lease in a resource's metadata; what the row of Heat's table does, Heat's own tests say."""

import threading
import types

import pytest
from heat.common import exception as heat_exception
from oslo_db import exception as db_exception

from heat_ha import exceptions
from heat_ha.cloud import lease, resource_data

KEY = 'ha_rescuing'


class Resource:
    """A resource with metadata; ``before_write`` is what another engine does in between."""

    context = None
    name = 'resource'

    def __init__(self, mark=None):
        self.metadata = {'other': 1} | ({KEY: mark} if mark else {})
        self.before_write = lambda: None

    def metadata_get(self, refresh=False):
        assert refresh
        return self.metadata

    def metadata_set(self, metadata, merge_metadata):
        self.before_write()
        self.metadata = merge_metadata(metadata, self.metadata)


@pytest.fixture(autouse=True)
def unlocked(monkeypatch):
    """Heat is at work on none of them."""
    monkeypatch.setattr(resource_data, 'refuse_if_locked', lambda _resource: None)


@pytest.fixture(autouse=True)
def living(monkeypatch):
    """Ids of the engines that live; this one is 'own'."""
    found = {'own'}
    monkeypatch.setattr(lease, 'own_engine_id', lambda: 'own')
    monkeypatch.setattr(
        lease, 'service_utils', types.SimpleNamespace(engine_alive=lambda _context, e: e in found)
    )
    return found


def test_it_is_held_for_the_body_and_leaves_nothing_but_an_empty_mark():
    resource = Resource()
    with lease.MetadataLease(resource, KEY) as held:
        assert held.is_held() and resource.metadata[KEY]['engine'] == 'own'
        assert lease.is_owner_alive(None, 'own', resource.metadata[KEY]['id'])
        mark = resource.metadata[KEY]
    assert resource.metadata == {'other': 1, KEY: None} and not held.is_held()
    assert not lease.is_owner_alive(None, 'own', mark['id'])


def test_two_threads_of_one_engine_do_not_have_it_at_once():
    resource = Resource()
    with (
        lease.MetadataLease(resource, KEY) as held,
        pytest.raises(lease.Busy, match='engine own is at work'),
    ):
        lease.MetadataLease(resource, KEY).acquire()
    assert not held.is_held()


def test_the_mark_of_a_living_engine_is_left_alone(living):
    living.add('theirs')
    mark = {'engine': 'theirs', 'id': '1'}
    resource = Resource(mark)
    with pytest.raises(lease.Busy, match='engine theirs is at work'):
        lease.MetadataLease(resource, KEY).acquire()
    assert resource.metadata[KEY] == mark


@pytest.mark.parametrize('engine', ['own', 'dead'])
def test_what_a_dead_thread_or_engine_left_is_taken_over(engine):
    with lease.MetadataLease(Resource({'engine': engine, 'id': '1'}), KEY) as held:
        assert held.is_held()


def test_of_two_that_take_it_over_at_once_one_is_refused(living):
    resource = Resource({'engine': 'dead', 'id': '1'})
    theirs = {'engine': 'theirs', 'id': '2'}
    resource.before_write = lambda: resource.metadata.update({KEY: theirs})
    known = set(lease._OWNED_HERE)
    with pytest.raises(lease.Busy, match='engine theirs was faster'):
        lease.MetadataLease(resource, KEY).acquire()
    assert resource.metadata[KEY] == theirs and known == lease._OWNED_HERE


def test_the_mark_of_an_engine_that_took_over_is_not_taken_back():
    resource = Resource()
    theirs = {'engine': 'theirs', 'id': '2'}
    with lease.MetadataLease(resource, KEY) as held:
        resource.metadata[KEY] = theirs
        assert not held.is_held()
    assert resource.metadata[KEY] == theirs


# --- the row of Heat's table ------------------------------------------------------------------


def test_a_mark_is_given_back_once_heat_has_unlocked_the_row_and_nobody_waits_for_it(monkeypatch):
    monkeypatch.setattr(lease, 'LATER_EVERY', 0.01)
    is_locked, written = threading.Event(), threading.Event()
    is_locked.set()

    def write():
        if is_locked.is_set():
            raise exceptions.TryAgain('Heat is at work')
        written.set()

    lease.give_back(write, 'group g')
    assert not written.wait(0.1)
    is_locked.clear()
    assert written.wait(10)


def test_what_cannot_be_given_back_for_long_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(lease, 'LATER_EVERY', 0.01)
    monkeypatch.setattr(lease, 'LATER_FOR', 0.0)

    def write():
        raise exceptions.TryAgain('Heat is at work')

    lease._give_back_later(write, 'group g')
    assert 'group g: the mark of this engine stays' in caplog.text


@pytest.fixture
def rows(monkeypatch):
    """The rows of ``stack_lock``, by stack; ``failures`` says how often a release fails."""
    found = types.SimpleNamespace(owners={}, failures=0, tries=0)

    class Row:
        def __init__(self, _context, stack, engine):
            self._stack, self._engine = stack, engine

        def acquire(self):
            if self._stack in found.owners:
                raise heat_exception.ActionInProgress(stack_name='s', action='a')
            found.owners[self._stack] = self._engine

    def release(_context, stack, engine):
        found.tries += 1
        if found.failures:
            found.failures -= 1
            raise db_exception.DBConnectionError
        if found.owners.get(stack) == engine:
            del found.owners[stack]

    table = types.SimpleNamespace(
        release=release, get_engine_id=lambda _context, stack: found.owners.get(stack)
    )
    monkeypatch.setattr(lease.stack_lock, 'StackLock', Row)
    monkeypatch.setattr(lease.stack_lock_object, 'StackLock', table)
    monkeypatch.setattr('tenacity.nap.time', types.SimpleNamespace(sleep=lambda _seconds: None))
    return found


def test_a_lock_is_given_back_although_the_database_is_away_for_a_while(rows):
    rows.failures = 5
    with lease.Lock(None, 'nested'):
        assert rows.owners == {'nested': 'own'}
    assert not rows.owners and rows.tries == 6


def test_who_never_had_the_lock_gives_nothing_back(rows):
    with lease.Lock(None, 'nested') as held:
        other = lease.Lock(None, 'nested')
        with pytest.raises(lease.Busy):
            other.acquire()
        other.release()
        assert held.is_held() and not rows.tries


def test_a_late_release_does_not_take_the_lock_from_another_thread_of_the_engine(rows):
    late = lease.Lock(None, 'nested')
    late.acquire()
    # Another engine took this one for dead, and has ended; then a second thread got the lock.
    rows.owners.clear()
    with lease.Lock(None, 'nested') as held:
        late.release()
        assert held.is_held() and not late.is_held()
    assert not rows.owners


def test_the_next_owner_can_give_back_a_lock_that_it_took_at_once(rows, monkeypatch):
    first, second = lease.Lock(None, 'nested'), lease.Lock(None, 'nested')
    table = lease.stack_lock_object.StackLock
    release = table.release

    def release_and_lose(*args):
        release(*args)
        # The next one is there before the release has returned.
        rows.owners['nested'] = 'own'
        lease._TAKEN_HERE['nested'] = second

    first.acquire()
    with monkeypatch.context() as patched:
        patched.setattr(table, 'release', release_and_lose)
        first.release()
    assert second.is_held() and not first.is_held()
    second.release()
    assert not rows.owners
