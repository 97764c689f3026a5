# SPDX-License-Identifier: Apache-2.0
"""What a failover does around its plan: the end of it, and of one that another engine left."""

import dataclasses
import time
import types
from unittest import mock

import pytest
from oslo_utils import timeutils

from heat_ha import exceptions, signals
from heat_ha.failover import (
    admission,
    controller,
    executor,
    held_record,
    model,
    observation,
    options,
    record,
)
from heat_ha.failover import observation_builder as builder
from heat_ha.failover.rules import decide
from tests.unit.failover import worlds

OPTIONS = options.Options(
    limits=model.Limits(cooldown=60, max_failovers=0, period=0),
    quiesce=model.Quiesce.NONE,
    on_dead_host=model.OnDeadHost.DELETE_SERVER,
    fencing_timeout=1,
    fail_back=model.FailBack.NEVER,
)


class Data:
    """A resource's data: what is in it after each write."""

    def __init__(self):
        self.name, self.moments = 'policy', [{}]
        self.context, self.resource_id = None, 'nested'

    def data(self):
        return self.moments[-1]

    def data_set(self, key, value):
        self.moments.append({**self.moments[-1], key: value})

    def _add_event(self, *_args):
        pass

    def nested(self):
        return None


@pytest.fixture
def ending(monkeypatch):
    """Return a function that makes an engine which has carried a plan to its end."""
    monkeypatch.setattr(observation, 'with_members_now', lambda _group, known: known)

    def make(policy, plan, *, is_held=True):
        made = controller.FailoverController(policy, None, OPTIONS)
        made._held = held_record.HeldRecord(policy, types.SimpleNamespace(is_held=lambda: is_held))
        made._held.see(model.Record(plan=plan, state=model.State.RUNNING))
        made._accepted_at, made._handoff_seconds = time.monotonic(), 2.5
        return made

    return make


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
def test_who_finds_the_end_finds_its_line_in_the_history(ending, outcome):
    end, state = ENDS[outcome]
    policy, plan = Data(), a_plan()
    end(ending(policy, plan), plan)
    ended = [m for m in policy.moments if record.record_of(m).state is state and record.RECORD in m]
    assert ended, 'the end was not written'
    for moment in ended:
        assert [line['outcome'] for line in record.history_of(moment)] == [outcome]


def test_an_end_that_is_reported_again_keeps_the_figures_of_the_first(ending):
    policy, plan = Data(), a_plan()
    ending(policy, plan)._finish(plan, ())
    again = ending(policy, plan)
    again._handoff_seconds = None
    again._finish(plan, ())
    [line] = record.history_of(policy.data())
    assert line['handoff_seconds'] == 2.5


@pytest.mark.parametrize('outcome', ENDS)
def test_an_engine_that_lost_the_group_ends_nothing(ending, outcome):
    end, _state = ENDS[outcome]
    policy, plan = Data(), a_plan()
    with pytest.raises(executor.LostLock):
        end(ending(policy, plan, is_held=False), plan)
    assert policy.moments == [{}]


# --- a plan that another engine left after its last step -------------------------------------


@pytest.fixture
def left(monkeypatch, ending):
    """A failover before a record whose engine died after the last step, and its policy."""
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    plan = dataclasses.replace(a_plan(), created=timeutils.utcnow(True).isoformat())
    for step in plan.steps:
        plan = plan.with_step(dataclasses.replace(step, state=model.StepState.DONE))
    policy = Data()
    record.write(policy, model.Record(plan=plan, active=plan.new, state=model.State.RUNNING))
    monkeypatch.setattr(record, 'read', lambda p: record.record_of(p.data()))
    monkeypatch.setattr(record, 'read_history', lambda p: record.history_of(p.data()))
    monkeypatch.setattr(record, 'read_definition', lambda _policy: {})
    monkeypatch.setattr(controller.clients, 'StackClients', mock.Mock())
    monkeypatch.setattr(builder.handoff_template, 'attachments', lambda *_args: ())
    observed = mock.Mock(candidates=tuple(world.candidates), on=lambda known: known)
    monkeypatch.setattr(observation, 'observe', lambda *_args, **_kwargs: observed)
    return ending(policy, plan)


def handled(failover, **signal):
    try:
        way = admission.Admission(failover._policy, None, None)
        return failover._handle_locked(signals.Signal(**signal), None, 'alarm', way)
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


def test_looking_changes_nothing(left):
    before = left._policy.moments[:]
    known = record.read(left._policy)
    found = builder.look(left._policy, None, mock.Mock(), known, OPTIONS)
    found.observation(
        known, OPTIONS, past_failovers=(), now=worlds.NOW, plan_id='p', requested_by='policy',
        chained=None, is_overtaken=False,
    )  # fmt: skip
    assert left._policy.moments == before


# --- what is removed with a signal, and with which -------------------------------------------


@pytest.mark.parametrize('action', [None, *model.Action])
def test_retained_members_expire_with_every_signal_that_does_not_only_look(ending, action):
    made = ending(Data(), a_plan())
    made._lock = mock.MagicMock()
    expired = []
    made._retention = types.SimpleNamespace(expire=expired.append)
    for answer in ('done', exceptions.Refused('no')):
        made._handle_locked = mock.Mock(side_effect=[answer])
        try:
            made.handle(signals.Signal(action), None, 'policy')
        except exceptions.Refused:
            assert answer != 'done'
    assert expired == ([] if action is model.Action.PLAN else ['policy'] * 2)
