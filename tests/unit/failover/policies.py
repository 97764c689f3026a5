# SPDX-License-Identifier: Apache-2.0
"""A policy at work without Heat: its data, its lock, and a clock that goes on while it waits."""

import dataclasses
import datetime

from heat_ha import exceptions, signals
from heat_ha.cloud import lease
from heat_ha.failover import (
    controller,
    model,
    policy_work,
    record,
    remembered,
    work_loop,
)
from heat_ha.failover.rules import decide, work
from heat_ha.groups import model as groups
from tests.unit.failover import worlds
from tests.unit.failover.test_controller import OPTIONS
from tests.unit.failover.test_remembered import Policy as Rows

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


class Policy(Rows):
    """A policy with a group of a, the active, and b."""

    def __init__(self):
        super().__init__()
        self.name, self.context, self.resource_id = 'policy', None, 'nested'
        self.events = []

    def _add_event(self, *args):
        self.events.append(args)


class Lock:
    """The policy's lock; ``busy`` is by whom it is held elsewhere."""

    def __init__(self):
        self.busy, self.is_ours, self.released = None, False, 0

    def acquire(self):
        if self.busy:
            raise lease.Busy(f'engine {self.busy} is at work')
        assert not self.is_ours
        self.is_ours = True

    def release(self):
        self.is_ours = False
        self.released += 1

    def owner(self):
        return self.busy

    def is_held(self):
        return self.is_ours


def at_work(monkeypatch):
    """A policy's work with a clock of its own, whose decisions are what ``answers`` says."""
    policy, lock = Policy(), Lock()
    clock = [0.0]
    monkeypatch.setattr(work_loop.time, 'monotonic', lambda: clock[0])

    def sleep(seconds):
        clock[0] += seconds
        for action in list(made.while_asleep):
            action(clock[0])

    def now():
        return worlds.NOW + datetime.timedelta(seconds=clock[0])

    monkeypatch.setattr(work_loop.time, 'sleep', sleep)
    monkeypatch.setattr(work_loop.clock, 'now', now)
    monkeypatch.setattr(
        work_loop.clock, 'now_text', lambda spec='seconds': now().isoformat(timespec=spec)
    )
    monkeypatch.setattr(policy_work.lease, 'Lock', lambda *_args: lock)
    monkeypatch.setattr(
        policy_work.lease, 'is_held_by_living', lambda *_args: lock.busy is not None
    )
    statuses = ['UPDATE_COMPLETE']
    for name in ('status_of', 'status_when_loaded'):
        monkeypatch.setattr(work_loop.nested_stack, name, lambda _p: statuses[0])
    monkeypatch.setattr(record, 'read', lambda p: record.record_of(p.data()))
    monkeypatch.setattr(work_loop.resource_data, 'fresh', lambda p: p.data())
    monkeypatch.setattr(remembered.resource_data, 'fresh', lambda p: p.data())
    asked = []
    monkeypatch.setattr(work_loop, 'ask_to_go_on', lambda p: asked.append(p))

    def handle(self, signal, chained, requested_by, *, is_overtaken, accepted_at, kept=None):
        assert lock.is_ours
        self._events.progress('tried')
        made.decided.append((signal.member, chained, is_overtaken(record.read(policy))))
        answer = made.answers.pop(0)
        if isinstance(answer, exceptions.Stopped):
            known = record.record_of(policy.data())
            due = work.at(now(), work.retry_pause(known.retries))
            change(made, reason=answer.reason, retries=known.retries + 1, retry_due=due)
        if isinstance(answer, exceptions.HaError):
            raise answer
        return answer

    monkeypatch.setattr(controller.FailoverController, 'handle', handle)
    monkeypatch.setattr(
        work_loop.follow_up_run.FollowUpRun, 'carry_out', lambda self: made.carried.append(self)
    )
    record.write(
        policy,
        model.Record(
            epoch=1, active=worlds.holder('a'), seen=(worlds.holder('a'), worlds.holder('b'))
        ),
    )
    made = policy_work.PolicyWork(policy, None, OPTIONS)
    made.policy, made.lock, made.clock, made.statuses = policy, lock, clock, statuses
    made.answers, made.decided, made.carried, made.while_asleep = [], [], [], []
    made.asked = asked
    return made


def kept(made):
    return remembered.among(made.policy.data())


def change(made, **changes):
    known = record.record_of(made.policy.data())
    record.write(made.policy, dataclasses.replace(known, **changes))


RUNNING = decide.answer(
    signals.Signal(), worlds.seen((worlds.candidate('a'), worlds.candidate('b')), chained=CHAINED)
).plan
