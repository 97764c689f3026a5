# SPDX-License-Identifier: Apache-2.0
"""An engine that is frozen, loses its lock, and wakes up: between any two of its steps.

Frozen at a point, which is before or after a look, a question or a write, the first engine does
nothing while a second one takes the lock, ends the failover and goes back to the old active. Then
the first one goes on with what it knew. Left out is one point: between the answer that it has the
lock and the request that follows at once. Nova and Cinder know of no lock, so nothing else could
tell; their own looks, and the driver's next one, bound what comes of that.
"""

import itertools
import threading
import time
import types
from unittest import mock

import pytest

from heat_ha import exceptions, signals
from heat_ha.cloud import compare_and_set
from heat_ha.failover import (
    events,
    executor,
    failover_run,
    heat_steps,
    held_record,
    hook_runner,
    model,
    observation,
    record,
)
from heat_ha.failover.rules import decide
from heat_ha.groups import model as groups
from heat_ha.testing import clouds
from tests.unit.failover import worlds
from tests.unit.failover.test_controller import OPTIONS, Data

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)

# Looks, questions and writes of the first engine until its end, in none of the ways more.
MANY = 400


class Freezer:
    """Calls ``meanwhile`` at the given point of the thread of the first engine."""

    def __init__(self):
        self.left, self.meanwhile, self.guard = None, None, threading.RLock()
        self.points = 0

    def point(self):
        with self.guard:
            if self.left is None:
                return
            self.points += 1
            self.left -= 1
            if self.left < 0:
                self.left = None
                self.meanwhile()


class Seen:
    """The cloud as the first engine asks it: each look is between two points."""

    LOOKS = ('volume', 'server', 'state', 'attached', 'deleted_server', 'all')

    def __init__(self, cloud, freezer, sent):
        self._cloud, self._freezer, self._sent = cloud, freezer, sent
        self.nova = self.cinder = self.hosts = self

    def __getattr__(self, name):
        found = getattr(self._cloud, name)

        def look(*args):
            self._freezer.point()
            answer = found(*args)
            self._freezer.point()
            return answer

        def request(*args):
            self._sent.append((name, *args))
            answer = found(*args)
            self._freezer.point()
            return answer

        return look if name in self.LOOKS else request


class Lock:
    """A lock that another takes away by ``owner``."""

    def __init__(self, owner, freezer=None):
        self._owner, self._freezer = owner, freezer

    def is_held(self):
        if self._freezer is not None:
            self._freezer.point()
        return self._owner[0] is self


HOOK = model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP)


class Life:
    """A failover from a to b that is frozen at a point.

    :ivar left: the data, the holder and the number of requests when the second engine was done,
        None where the first came to its end before the point; ``now`` is the same at the end.
    """

    def __init__(self, *, is_host_dead, stops):
        self.stops, self.sent, self.freezer = stops, [], Freezer()
        self.world = clouds.FakeCloud(looks=1)
        for name in 'abc':
            self.world.add_server(f'server-{name}')
        self.world.add_volume('v1', 'server-a')
        if is_host_dead:
            self.world.let_die('server-a')
            self.world.confirm()
        self.policy, self.owner = Data(), [None]
        self.first, self.second = Lock(self.owner, self.freezer), Lock(self.owner)
        self.owner[0] = self.first
        self.left = self.ended = None
        record.write(self.policy, model.Record(epoch=1, active=worlds.holder('a')))

    def now(self):
        return self.policy.data(), self.world.holder('v1'), len(self.sent)

    def plan(self, signal, plan_id):
        servers = {n: self.world.server(f'server-{n}') for n in 'abc'}
        seen = worlds.seen(
            [
                model.Candidate(worlds.member(n), server, host=self.world.state(server))
                for n, server in servers.items()
            ],
            record=record.record_of(self.policy.data()),
            plan_id=plan_id,
            chained=CHAINED,
            quiesce=model.Quiesce.STOP if self.stops else model.Quiesce.NONE,
            quiesce_hook=HOOK,
            activate_hook=HOOK,
            held_by={'v1': frozenset({self.world.holder('v1')} - {None})},
        )
        return decide.answer(signal, seen).plan

    def carry(self, plan, lock, services, at_heat=lambda _name: 'done'):
        held = held_record.HeldRecord(self.policy, lock)
        held.read()
        emitter = events.EventEmitter(self.policy)
        run = failover_run.FailoverRun(
            self.policy, None, OPTIONS, lock, held, emitter, time.monotonic()
        )
        run._heat_steps = mock.create_autospec(heat_steps.HeatSteps, instance=True)
        run._heat_steps.hand_over.side_effect = lambda plan: at_heat('hand_over')
        run._heat_steps.run_hook.side_effect = lambda plan, step: at_heat(step.name)
        found = types.SimpleNamespace(
            looks={},
            has_all_moved=False,
            server_and_host=lambda _one: None,
            observed=types.SimpleNamespace(candidates=()),
        )
        return run.run(plan, services, found, lambda _plan: None, is_taken_up=False)

    def meanwhile(self):
        """Another engine ends it, and then a person goes to c."""
        self.owner[0] = self.second
        known = record.record_of(self.policy.data())
        if known.plan is None or known.state is not model.State.READY:
            plan = known.plan or self.plan(signals.Signal(), 'p2')
            self.carry(plan, self.second, self.world)
        to_c = self.plan(signals.Signal(model.Action.SWITCHOVER, member='c'), 'p3')
        self.carry(to_c, self.second, self.world)
        self.left = self.now()

    def at_heat(self, _name):
        """What Heat is asked for: ``hook_runner`` and ``nested_stack`` ask before that."""
        self.freezer.point()
        if self.owner[0] is not self.first:
            raise exceptions.LostLock
        self.sent.append(_name)
        self.freezer.point()
        return 'done'

    def run(self, at):
        """Freeze the first engine at this point; whether it came there."""
        plan = self.plan(signals.Signal(), 'p1')
        self.freezer.meanwhile, self.freezer.left = self.meanwhile, at
        try:
            seen = Seen(self.world, self.freezer, self.sent)
            self.carry(plan, self.first, seen, self.at_heat)
            self.ended = 'done'
        except exceptions.LostLock:
            self.ended = 'lost'
        return self.left is not None


@pytest.fixture
def life(monkeypatch):
    """Make the life of a policy that ``compare_and_set`` writes to, each write at a point."""
    retry = executor.handoff_steps.retry
    for name in ('FIRST_LOOK', 'SLOWEST_LOOK', 'AFTER_REFUSAL', 'STUCK_AFTER', 'REFUSED_FOR'):
        monkeypatch.setattr(retry, name, 0.001)
    monkeypatch.setattr(observation, 'with_members_now', lambda _group, known: known)
    monkeypatch.setattr(hook_runner, 'names', lambda *_args: [])
    swap, made = compare_and_set.swap, []

    def between_points(*args):
        made[-1].freezer.point()
        return swap(*args)

    monkeypatch.setattr(compare_and_set, 'swap', between_points)

    def make(**kind):
        made.append(Life(**kind))
        return made[-1]

    return make


@pytest.mark.parametrize('stops', [False, True], ids=['runs', 'stopped'])
@pytest.mark.parametrize('is_host_dead', [False, True], ids=['up', 'dead'])
def test_an_engine_that_wakes_up_between_any_two_steps_touches_nothing(life, is_host_dead, stops):
    came = set()
    for at in itertools.count():
        assert at < MANY, 'the failover does not come to its end'
        one = life(is_host_dead=is_host_dead, stops=stops)
        if not one.run(at):
            assert one.ended == 'done' and one.world.holder('v1') == 'server-b'
            break
        assert one.now() == one.left, f'what the first engine did after point {at}'
        assert one.world.violations == []
        assert one.world.holder('v1') == 'server-c'
        data = one.policy.data()
        known = record.record_of(data)
        assert (known.active, known.state) == (worlds.holder('c'), model.State.READY)
        assert [line['outcome'] for line in record.history_of(data)] == ['done', 'done']
        came.add(one.ended)
    assert at > 20 and 'lost' in came
