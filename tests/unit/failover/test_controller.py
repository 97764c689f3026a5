# SPDX-License-Identifier: Apache-2.0
"""What a signal leads to before its plan: the end of one that another engine left, and looks."""

import dataclasses
import time
import types
from unittest import mock

import pytest
from oslo_utils import timeutils

from heat_ha import exceptions, signals
from heat_ha.failover import controller, events, model, observation, options, record
from heat_ha.failover import observation_builder as builder
from heat_ha.failover.rules import decide
from heat_ha.groups import replacing
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


def a_plan():
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    return decide.answer(signals.Signal(), world).plan


# --- a plan that another engine left after its last step -------------------------------------


@pytest.fixture
def left(monkeypatch):
    """A failover before a record whose engine died after the last step, and its policy."""
    monkeypatch.setattr(observation, 'with_members_now', lambda _group, known: known)
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')))
    plan = dataclasses.replace(a_plan(), created=timeutils.utcnow(True).isoformat())
    for step in plan.steps:
        plan = plan.with_step(dataclasses.replace(step, state=model.StepState.DONE))
    policy = Data()
    record.write(policy, model.Record(plan=plan, active=plan.new, state=model.State.RUNNING))
    monkeypatch.setattr(record, 'read', lambda p: record.record_of(p.data()))
    monkeypatch.setattr(record, 'read_history', lambda p: record.history_of(p.data()))
    monkeypatch.setattr(controller.clients, 'StackClients', mock.Mock())
    monkeypatch.setattr(builder.handoff_template, 'attachments', lambda *_args: ())
    observed = mock.Mock(candidates=tuple(world.candidates), on=lambda known: known)
    monkeypatch.setattr(observation, 'observe', lambda *_args, **_kwargs: observed)
    monkeypatch.setattr(replacing, 'forget', lambda *_args, **_kwargs: None)
    lock = types.SimpleNamespace(is_held=lambda: True)
    return controller.FailoverController(policy, None, OPTIONS, lock, events.EventEmitter(policy))


def handled(failover, **signal):
    try:
        return failover.handle(
            signals.Signal(**signal),
            None,
            'alarm',
            is_overtaken=lambda _known: False,
            accepted_at=time.monotonic(),
        )
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
    found = builder.look(left._policy, None, mock.Mock(), known, {}, OPTIONS)
    found.observation(
        known, OPTIONS, past_failovers=(), now=worlds.NOW, plan_id='p', requested_by='policy',
        chained=None, is_overtaken=False,
    )  # fmt: skip
    assert left._policy.moments == before


def test_what_an_alarm_is_worth_that_has_waited_shows_itself_by_the_active(left, monkeypatch):
    looked = []

    def look(_self, _clients, *, at_active):
        looked.append(at_active)
        raise exceptions.Refused('enough')

    monkeypatch.setattr(controller.FailoverController, '_look', look)
    one = model.Remembered('b', 'server-b', False, '2026-01-01T00:00:00+00:00', 'policy')
    waited = [dataclasses.replace(one, alarms=('cpu',)), dataclasses.replace(one, over=('cpu',))]
    for kept in (None, one, *waited):
        with pytest.raises(exceptions.Refused):
            left.handle(
                signals.Signal(), None, 'alarm', is_overtaken=lambda _known: False,
                accepted_at=time.monotonic(), kept=kept,
            )  # fmt: skip
    assert looked == [False, False, True, True]
