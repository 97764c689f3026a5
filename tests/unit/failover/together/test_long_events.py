# SPDX-License-Identifier: Apache-2.0
"""Events with a way out, made of names and reasons as long as they may be: the way out stays."""

import dataclasses
import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.failover import (
    events,
    failover_run,
    follow_up_run,
    model,
    record,
    reminding,
    retention,
    work_loop,
)
from heat_ha.failover.rules import later
from tests.unit.failover import worlds
from tests.unit.failover.rules.test_outcome import moved
from tests.unit.failover.test_successor_watch import Policy

LONG = ('x' * 10_000, 'ü' * 10_000, '名' * 10_000, 'a. b; ' * 2000, 'no')
NAMES = ('n' * 255, '名' * 255, 'm1')
REMEDY = 'Mend it, then send the signal resume'


def plan(name):
    group = (worlds.candidate('a'), worlds.candidate('b'))
    found = moved(worlds.plan(worlds.seen(group)))
    step = model.Step('replace', model.StepKind.REPLACE, f'{name},{name}')
    return dataclasses.replace(found, plan_id='12345678', steps=(*found.steps, step))


def of_step(emitter, _policy, name, reason):
    run = types.SimpleNamespace(_events=emitter)
    step = model.Step(f'detach:{"v" * 36}', model.StepKind.DETACH, 'v')
    failed = dataclasses.replace(
        step, state=model.StepState.FAILED, reason=str(exceptions.Stopped(reason, REMEDY))
    )
    failover_run.FailoverRun.report(run, failed, plan(name))
    return REMEDY


def of_stop(emitter, _policy, _name, reason):
    text = events.of_error('stopped: ', exceptions.Stopped(reason, REMEDY))
    emitter.emit(events.FAILED, text)
    return REMEDY


def of_refusal(emitter, _policy, _name, reason):
    text = events.of_error('refused: ', exceptions.Refused(reason, REMEDY))
    emitter.emit(events.FAILED, text)
    return REMEDY


def of_fence(emitter, _policy, name, reason):
    text = events.with_remedy('waiting for the fence: ', reason, REMEDY)
    emitter.progress(text, plan(name))
    return REMEDY


def of_follow_up(emitter, _policy, name, reason):
    run = types.SimpleNamespace(
        _events=emitter,
        _wanted=model.FollowUp(plan(name)),
        _claim=types.SimpleNamespace(give_up=lambda _changed: True),
    )
    follow_up_run.FollowUpRun._failed(run, exceptions.Stopped(reason, 'x'))
    return 'resume has it tried at once, drop gives it up'


def of_retention(emitter, _policy, name, reason):
    run = types.SimpleNamespace(_events=emitter, _change=lambda *_args: None)
    kept = model.Retained(name, 'server', '2026-01-01T00:00:00+00:00')
    retention.Retention._failed(run, kept, reason)
    return retention.REMEDY


def of_signal(emitter, _policy, name, reason):
    loop = types.SimpleNamespace(
        _policy=types.SimpleNamespace(name='policy'),
        _signals=types.SimpleNamespace(forget=lambda _one: None),
        _events=emitter,
    )
    loop._report = lambda text: work_loop.WorkLoop._report(loop, text)
    one = model.Remembered(name, 'server', True, '2020-01-01T00:00:00.000+00:00', 'alarm')
    work_loop.WorkLoop._put_off(loop, one, later.Remember(reason, until=86_400.0))
    return 'Send it again if it still holds'


def of_reminder(emitter, policy, name, reason):
    known = model.Record(
        active=model.MemberServer(name, 's' * 36), left_over=(reason[:5000],), is_paused=True
    )
    policy.data_set(record.RECORD, serialization.compact(serialization.encode(known)))
    policy.data_set(reminding.REMINDED, '2020-01-01T00:00:00+00:00')
    reminding.remind(policy, emitter)
    shown = name if len(name) < 60 else 's' * 36
    return f'switchover with member {shown} to bring it there'


BUILDERS = [
    of_step, of_stop, of_refusal, of_fence, of_follow_up, of_retention, of_signal, of_reminder,
]  # fmt: skip


@pytest.mark.parametrize('build', BUILDERS)
@pytest.mark.parametrize('reason', LONG, ids=['ascii', 'two bytes', 'three bytes', 'parts', 'no'])
@pytest.mark.parametrize('name', NAMES, ids=['long', 'three bytes', 'short'])
def test_the_way_out_is_in_the_event_whatever_is_long(build, reason, name):
    policy = Policy()
    remedy = build(events.EventEmitter(policy), policy, name, reason)
    assert policy.events and all(len(text) <= events.LONGEST for text in policy.events)
    assert any(remedy in text for text in policy.events), policy.events
    assert any(reason[:3] in text for text in policy.events), 'some of the reason'


def test_what_is_left_out_of_a_long_text_is_its_middle():
    text = f'begin {"x" * 1000} end'
    found = events.fitted(text)
    assert len(found) == events.LONGEST and found.startswith('begin') and found.endswith('end')
    assert events.fitted('short') == 'short'
