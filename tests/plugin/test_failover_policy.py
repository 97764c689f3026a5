# SPDX-License-Identifier: Apache-2.0
"""The plugin module of a FailoverPolicy, without an engine."""

import types
from unittest import mock

from heat_ha.cloud import lease, resource_data
from heat_ha.failover import model, record
from heat_ha.plugin import failover_attributes, failover_policy


def entries_with(found):
    """The data of a resource that has this record."""
    entries = {}
    record.write(types.SimpleNamespace(data_set=entries.__setitem__), found)
    return entries


def test_attributes_that_are_shown_together_are_of_one_moment(monkeypatch):
    policy = object.__new__(failover_policy.FailoverPolicy)
    policy.resource_id = 'id'
    active = model.MemberServer('a', 'server-of-a')
    records = [
        model.Record(state=model.State.RUNNING, epoch=1),
        model.Record(epoch=2, active=active),
    ]
    moments = [entries_with(found) for found in records]
    moments[1][record.HISTORY] = '[{"handoff_seconds": 1.5}]'
    monkeypatch.setattr(resource_data, 'fresh', lambda _policy: moments.pop(0))
    names = ('epoch', 'state', 'history', 'last_failover_seconds')
    assert [policy._resolve_attribute(name) for name in names] == [1, 'running', [], None]
    # Not for ever: a resource may live long in an engine.
    policy._shown_at -= failover_attributes.TOGETHER
    assert policy._resolve_attribute('state') == 'ready'
    assert policy._resolve_attribute('last_failover_seconds') == 1.5


def test_a_creation_that_is_cancelled_holds_no_lock(monkeypatch):
    cancelled = []
    monkeypatch.setattr(
        failover_policy.FailoverPolicy, '_handle_cancel', lambda _policy: cancelled.append(1)
    )
    policy = object.__new__(failover_policy.FailoverPolicy)
    policy.handle_create_cancel({'candidates': (), 'is_made': False, 'run': None})
    policy.handle_create_cancel(None)
    assert len(cancelled) == 2


def test_an_update_that_is_cancelled_gives_back_only_a_lock_that_it_has(monkeypatch):
    released = []
    rows = mock.Mock(release=lambda *args: released.append(args))
    monkeypatch.setattr(lease.stack_lock_object, 'StackLock', rows)
    monkeypatch.setattr(lease.stack_lock, 'StackLock', mock.Mock())
    monkeypatch.setattr(lease, 'own_engine_id', lambda: 'own')
    monkeypatch.setattr(failover_policy.FailoverPolicy, '_handle_cancel', lambda _policy: None)
    policy = object.__new__(failover_policy.FailoverPolicy)
    # It waits for the failover of another thread, which has the lock.
    policy.handle_update_cancel({'lock': lease.Lock('context', 'nested')})
    assert not released
    held = lease.Lock('context', 'nested')
    held.acquire()
    policy.handle_update_cancel({'lock': held})
    assert released == [('context', 'nested', 'own')]


def test_an_update_takes_back_the_mark_of_a_deletion_that_failed():
    entries = {'ha_deleting': 'true', 'ha_record': 'kept'}
    policy = mock.Mock(data=lambda: dict(entries), data_delete=entries.pop, resource_id='nested')
    failover_policy.FailoverPolicy.handle_update(policy, mock.MagicMock(), None, None)
    assert entries == {'ha_record': 'kept'}
    failover_policy.FailoverPolicy.handle_update(policy, mock.MagicMock(), None, None)
    assert entries == {'ha_record': 'kept'}
