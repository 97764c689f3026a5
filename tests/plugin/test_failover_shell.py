# SPDX-License-Identifier: Apache-2.0
"""What a failover does around its plan: letting go of what was kept, and telling."""

import dataclasses
import json
import time
import types
from unittest import mock

import pytest
from oslo_utils import timeutils

from heat_ha import exceptions, serialization, signals
from heat_ha.cloud import resource_data
from heat_ha.failover import controller, events, executor, model, record
from heat_ha.failover.rules import decide
from heat_ha.groups import replacing
from heat_ha.plugin import failover_policy
from tests.unit.failover import worlds

LONG_AGO = '2020-01-01T00:00:00.000+00:00'


@pytest.fixture
def failover(monkeypatch):
    """A failover that has nothing but what the tests look at; each lock answer is used once."""

    def make(*is_held, tell=None):
        made = object.__new__(controller.FailoverController)
        answers = list(is_held)
        made._lock = types.SimpleNamespace(is_held=lambda: answers.pop(0))
        made._policy = types.SimpleNamespace(name='policy', _add_event=tell or (lambda *a: None))
        made._teller = events.EventEmitter(made._policy)
        made._group = None
        made._record = model.Record(
            active=worlds.holder('b'), kept=(model.Retained('a', 'server-a', LONG_AGO),)
        )
        made.replaced, made.written = [], []
        monkeypatch.setattr(replacing, 'replace', lambda *a, **k: made.replaced.append(k['named']))
        monkeypatch.setattr(
            controller.record, 'write', lambda policy, new: made.written.append(new)
        )
        return made

    return make


def test_what_was_kept_long_enough_goes(failover):
    made = failover(True, True)
    made._let_go_of_kept('policy')
    assert made.replaced == [('a',)] and made.written[-1].kept == ()


def test_an_engine_that_lost_the_group_removes_nothing_and_writes_nothing(failover):
    made = failover(False)
    made._let_go_of_kept('policy')
    assert made.replaced == [] and made.written == []


def test_an_engine_that_loses_the_group_meanwhile_leaves_the_record_to_its_successor(failover):
    made = failover(True, False)
    made._let_go_of_kept('policy')
    assert made.replaced == [('a',)] and made.written == []


def test_a_failover_goes_on_when_no_event_can_be_made(failover):
    def broken(*_args):
        raise RuntimeError('the database does not answer')

    failover(tell=broken)._teller.progress('detach: done')


@pytest.mark.parametrize(
    ('reason', 'said'), [('', '; steps:'), ('it burns', ' because it burns; ')]
)
def test_a_reason_is_told_where_there_is_one(failover, reason, said):
    told = []
    plan = model.Plan('p', model.Cause.FAILOVER, reason, 'policy', '', 1, '', None, None, ())
    failover(tell=lambda *event: told.append(event))._teller.start(plan)
    assert told[0][2].startswith(f'[p] failover from none to a new member{said}')


def test_attributes_that_are_shown_together_are_of_one_moment(monkeypatch):
    policy = object.__new__(failover_policy.FailoverPolicy)
    policy.resource_id = 'id'
    records = [model.Record(state=model.State.RUNNING, epoch=1), model.Record(epoch=2)]
    moments = [{record.RECORD: json.dumps(serialization.encode(r))} for r in records]
    moments[1][record.HISTORY] = '[{"handoff_seconds": 1.5}]'
    monkeypatch.setattr(resource_data, 'fresh', lambda _policy: moments.pop(0))
    names = ('epoch', 'state', 'history', 'last_failover_seconds')
    assert [policy._resolve_attribute(name) for name in names] == [1, 'running', [], None]
    # Not for ever: a resource may live long in an engine.
    policy._shown_at -= failover_policy.TOGETHER
    assert policy._resolve_attribute('state') == 'ready'
    assert policy._resolve_attribute('last_failover_seconds') == 1.5


class Data:
    """A resource's data: what is in it after each write."""

    def __init__(self):
        self.name, self.moments = 'policy', [{}]

    def data(self):
        return self.moments[-1]

    def data_set(self, key, value):
        self.moments.append({**self.moments[-1], key: value})

    def _add_event(self, *_args):
        pass


def ending(policy, plan, *, is_held=True):
    """An engine that has carried the plan to its end."""
    made = object.__new__(controller.FailoverController)
    made._policy, made._teller = policy, events.EventEmitter(policy)
    made._lock = types.SimpleNamespace(is_held=lambda: is_held)
    made._record = model.Record(plan=plan, state=model.State.RUNNING)
    made._accepted, made._handoff_seconds = time.monotonic(), 2.5
    made._members_now = lambda: {}
    return made


def a_plan():
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    return decide.answer(signals.Signal(), world).plan


ENDS = {
    'done': (lambda made, plan: made._finish(plan, ()), model.State.READY),
    'stopped': (
        lambda made, plan: made._stop(
            plan, model.State.STOPPED, exceptions.Stopped('nothing answers', 'Look why')
        ),
        model.State.STOPPED,
    ),
}


@pytest.mark.parametrize('outcome', ENDS)
def test_who_finds_the_end_finds_its_line_in_the_history(outcome):
    end, state = ENDS[outcome]
    policy, plan = Data(), a_plan()
    end(ending(policy, plan), plan)
    ended = [m for m in policy.moments if record.record_of(m).state is state and record.RECORD in m]
    assert ended, 'the end was not written'
    for moment in ended:
        assert [line['outcome'] for line in record.history_of(moment)] == [outcome]


def test_an_end_that_is_told_again_keeps_the_figures_of_the_first():
    policy, plan = Data(), a_plan()
    ending(policy, plan)._finish(plan, ())
    again = ending(policy, plan)
    again._handoff_seconds = None
    again._finish(plan, ())
    [line] = record.history_of(policy.data())
    assert line['handoff_seconds'] == 2.5


@pytest.mark.parametrize('outcome', ENDS)
def test_an_engine_that_lost_the_group_ends_nothing(outcome):
    end, _state = ENDS[outcome]
    policy, plan = Data(), a_plan()
    with pytest.raises(executor.LostLock):
        end(ending(policy, plan, is_held=False), plan)
    assert policy.moments == [{}]


@pytest.fixture
def left(monkeypatch):
    """A failover before a record whose engine died after the last step, and its policy."""
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    candidates = tuple(world.candidates)
    plan = dataclasses.replace(a_plan(), created=timeutils.utcnow(True).isoformat())
    for step in plan.steps:
        plan = plan.with_step(dataclasses.replace(step, state=model.StepState.DONE))
    policy = Data()
    policy.nested = lambda: None
    record.write(policy, model.Record(plan=plan, active=plan.new, state=model.State.RUNNING))
    monkeypatch.setattr(record, 'read', lambda p: record.record_of(p.data()))
    monkeypatch.setattr(record, 'read_history', lambda p: record.history_of(p.data()))
    monkeypatch.setattr(record, 'read_definition', lambda _policy: {})
    monkeypatch.setattr(controller.clients, 'StackClients', mock.Mock())
    monkeypatch.setattr(controller.handoff_template, 'attachments', lambda *_args: ())
    observed = mock.Mock(candidates=candidates, on=lambda kept: kept)
    monkeypatch.setattr(controller.observation, 'observe', lambda *_args, **_kwargs: observed)
    made = ending(policy, plan)
    made._group, made._is_taken_up = None, False
    made._options = controller.Options(
        limits=model.Limits(cooldown=60, max_failovers=0, period=0),
        quiesce=model.Quiesce.NONE,
        on_dead_host=model.OnDeadHost.DELETE_SERVER,
        fencing_timeout=1,
        fail_back=model.FailBack.NEVER,
    )
    return made


def handled(failover, **signal):
    try:
        return failover._handle_locked(signals.Signal(**signal), None, 'alarm')
    except exceptions.Refused as exc:
        return str(exc)


def test_a_late_alarm_after_a_failover_that_nobody_ended_is_held_by_the_cooldown(left):
    assert 'the cooldown is 60 s' in handled(left)
    now = left._policy.data()
    assert record.record_of(now).state is model.State.READY
    assert [line['outcome'] for line in record.history_of(now)] == ['done']


@pytest.mark.parametrize('action', [a for a in model.Action if not a.only_looks])
def test_every_signal_that_changes_anything_ends_it_first(left, action):
    handled(left, action=action, member='a' if action.takes_up_plan else 'nobody')
    now = left._policy.data()
    assert record.record_of(now).state is model.State.READY
    assert [line['outcome'] for line in record.history_of(now)] == ['done']


def test_a_dry_run_ends_nothing(left):
    before = left._policy.data()
    handled(left, action=model.Action.PLAN)
    assert left._policy.data() is before


def test_a_creation_that_is_cancelled_holds_no_lock(monkeypatch):
    cancelled = []
    monkeypatch.setattr(
        failover_policy.FailoverPolicy, '_handle_cancel', lambda _policy: cancelled.append(1)
    )
    policy = object.__new__(failover_policy.FailoverPolicy)
    policy.handle_create_cancel({'candidates': (), 'is_made': False, 'run': None})
    policy.handle_create_cancel(None)
    lock = mock.Mock()
    policy.handle_update_cancel({'lock': lock})
    assert len(cancelled) == 3 and lock.release.call_count == 1
