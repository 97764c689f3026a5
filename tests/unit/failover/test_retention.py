# SPDX-License-Identifier: Apache-2.0
import types

import pytest

from heat_ha import exceptions
from heat_ha.failover import events, held_record, model, record, retention
from heat_ha.groups import replacing
from heat_ha.groups.adapters import failure_masks
from tests.unit.failover import worlds

OLD = model.Retained('a', 'server-a', '2020-01-01T00:00:00.000+00:00')


@pytest.fixture
def retained(monkeypatch):
    """A group whose record is kept by the test; what was done is in its lists."""

    def make(known, fails=None):
        policy = types.SimpleNamespace(name='policy', _add_event=lambda *_args: None)
        lock = types.SimpleNamespace(acquire=lambda: None, release=lambda: None)
        changes = held_record.RecordChanges(policy, lock)
        made = retention.Retention(policy, None, changes, events.EventEmitter(policy))
        made.replaced, made.written = [], [known]
        monkeypatch.setattr(record, 'read', lambda _policy: made.written[-1])
        monkeypatch.setattr(record, 'write', lambda _policy, new: made.written.append(new))

        def replace(_group, **asked):
            if fails:
                raise fails
            made.replaced.append((asked['named'], asked['keep']))

        monkeypatch.setattr(replacing, 'replace', replace)
        monkeypatch.setattr(failure_masks, 'mark_unhealthy', lambda *_args: None)
        return made

    return make


def test_a_member_that_was_retained_long_enough_goes_and_the_active_stays(retained):
    known = model.Record(active=worlds.holder('b'), retained=(OLD,), suspects=('a', 'z'))
    made = retained(known)
    made.expire(OLD, 'policy')
    assert made.replaced == [(('a',), ('b',))]
    assert (made.written[-1].retained, made.written[-1].suspects) == ((), ('z',))


def test_a_member_that_cannot_be_removed_is_still_retained(retained):
    known = model.Record(active=worlds.holder('b'), retained=(OLD,))
    made = retained(known, exceptions.Stopped('busy', 'Wait'))
    with pytest.raises(exceptions.Stopped):
        made.expire(OLD, 'policy')
    assert made.written == [known]


def test_what_another_engine_has_removed_or_made_the_active_is_left_alone(retained):
    gone = retained(model.Record(active=worlds.holder('b')))
    gone.expire(OLD, 'policy')
    assert gone.replaced == []
    active = retained(model.Record(active=worlds.holder('a'), retained=(OLD,)))
    with pytest.raises(exceptions.Refused, match='is the active now'):
        active.expire(OLD, 'policy')
    assert active.replaced == []


def test_retaining_changes_the_record_as_it_is_then(retained):
    made = retained(model.Record(active=worlds.holder('b'), retained=(OLD,)))
    new = made.retain(model.MemberServer('c', 'server-c'), 60.0)
    assert made.written[-1].retained == (OLD, new)
    again = made.retain(model.MemberServer('c', 'server-c'), 90.0)
    assert made.written[-1].retained == (OLD, again)
