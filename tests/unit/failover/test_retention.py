# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import types

import pytest

from heat_ha import exceptions, signals
from heat_ha.failover import attributes, events, held_record, model, record, retention
from heat_ha.failover.rules import decide, work
from heat_ha.groups import replacing
from heat_ha.groups.adapters import failure_masks
from tests.unit.failover import worlds
from tests.unit.failover.test_controller import Data

OLD = model.Retained('a', 'server-a', '2020-01-01T00:00:00.000+00:00')


class Policy(Data):
    """A policy whose events and records are kept."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    def _add_event(self, *args):
        self.told.append(args)

    @property
    def written(self):
        return [record.record_of(one) for one in self.moments[1:]]


@pytest.fixture
def retained(monkeypatch):
    """A group whose record is kept by the test; what was done is in its lists."""

    def make(known, fails=None):
        told = []
        policy = Policy(told)
        record.write(policy, known)
        lock = types.SimpleNamespace(
            acquire=lambda: None, release=lambda: None, is_held=lambda: True
        )
        changes = held_record.RecordChanges(policy, lock)
        made = retention.Retention(policy, None, changes, events.EventEmitter(policy))
        made.policy, made.replaced, made.events = policy, [], told

        def replace(_group, **asked):
            if fails:
                raise fails
            made.replaced.append((asked['named'], asked['keep']()))
            made.keep = asked['keep']

        monkeypatch.setattr(replacing, 'replace', replace)
        monkeypatch.setattr(failure_masks, 'mark_unhealthy', lambda *_args: None)
        return made

    return make


def test_a_member_that_was_retained_long_enough_goes_and_the_active_stays(retained):
    known = model.Record(active=worlds.holder('b'), retained=(OLD,), suspects=('a', 'z'))
    made = retained(known)
    made.expire(OLD, 'policy')
    assert made.replaced == [(('a',), ('b', 'b'))]
    assert (made.policy.written[-1].retained, made.policy.written[-1].suspects) == ((), ('z',))


def test_a_member_that_cannot_be_removed_is_asked_for_again_and_says_so(retained):
    known = model.Record(active=worlds.holder('b'), retained=(OLD,), suspects=('a',))
    made = retained(known, exceptions.Stopped('its volume has a snapshot', 'Delete it'))
    for tries in range(1, 100):
        before = len(made.events)
        [one] = made.policy.written[-1].retained
        made.expire(one, 'policy')
        [one] = made.policy.written[-1].retained
        assert (one.member, one.until, one.tries) == ('a', OLD.until, tries)
        assert one.reason == 'its volume has a snapshot'
        assert made.policy.written[-1].suspects == ('a',)
        due = datetime.datetime.fromisoformat(one.due) - datetime.datetime.now(
            datetime.timezone.utc
        )
        assert 0 < due.total_seconds() <= work.again_after(tries)
        failures = [args[2] for args in made.events[before:] if args[1] == events.FAILED]
        assert bool(failures) is work.is_reported(tries, tries == 1)
        for text in failures:
            assert all(word in text for word in ('a was kept', 'resume', 'drop', 'snapshot'))
            assert len(text) < 255
    found = attributes.pending(made.policy.written[-1], ())['retained']
    assert [(one['member'], one['tries']) for one in found] == [('a', 99)]
    assert 'snapshot' in attributes.reason(made.policy.written[-1], ())


def test_a_group_that_somebody_else_changes_is_no_failure(retained):
    known = model.Record(active=worlds.holder('b'), retained=(OLD,))
    made = retained(known, exceptions.TryAgain('the group is being scaled'))
    made.expire(OLD, 'policy')
    [one] = made.policy.written[-1].retained
    assert one.tries == 0 and one.due and 'scaled' in one.reason and made.events == []


def test_what_another_engine_has_removed_is_left_alone(retained):
    gone = retained(model.Record(active=worlds.holder('b')))
    gone.expire(OLD, 'policy')
    assert gone.replaced == []


def test_who_has_become_the_active_is_retained_no_more(retained):
    known = model.Record(active=worlds.holder('a'), retained=(OLD,))
    active = retained(known)
    active.expire(OLD, 'policy')
    assert active.replaced == [] and active.policy.written[-1].retained == ()


def test_a_person_has_the_removal_tried_at_once_or_gives_it_up():
    hindered = dataclasses.replace(OLD, tries=3, due='2999-01-01T00:00:00+00:00', reason='no')
    kept = dataclasses.replace(OLD, member='d')
    known = model.Record(active=worlds.holder('b'), retained=(hindered, kept), suspects=('a',))
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')), record=known)
    resumed = decide.answer(signals.Signal(model.Action.RESUME), world)
    assert resumed == decide.FollowUp('going on with the removal of a', at_once=True)
    dropped = decide.answer(signals.Signal(model.Action.DROP), world)
    assert dropped.record.retained == (kept,) and 'a is not removed' in dropped.text
    # It was sick, and nobody has said that it is well.
    assert dropped.record.suspects == ('a',)
    quiet = dataclasses.replace(world, record=dataclasses.replace(known, retained=(kept,)))
    assert isinstance(decide.answer(signals.Signal(model.Action.DROP), quiet), decide.Refuse)


def test_retaining_changes_the_record_as_it_is_then(retained):
    made = retained(model.Record(active=worlds.holder('b'), retained=(OLD,)))
    new = made.retain(model.MemberServer('c', 'server-c'), 60.0)
    assert made.policy.written[-1].retained == (OLD, new)
    again = made.retain(model.MemberServer('c', 'server-c'), 90.0)
    assert made.policy.written[-1].retained == (OLD, again)
