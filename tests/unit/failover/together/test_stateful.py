# SPDX-License-Identifier: Apache-2.0
"""A policy's life as a state machine: signals, deaths and faults in whatever order.

What ``test_decide`` checks for each state by itself is checked here along ways through them: what
one engine left behind is what the next one finds. The whole of the decisions and of their
carrying out takes part; Nova and Cinder are ``heat_ha.testing.clouds``.
"""

import dataclasses
import itertools
import json
from unittest import mock

from hypothesis import settings, stateful
from hypothesis import strategies as st

from heat_ha import exceptions, serialization, signals
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import executor, handoff_steps, model
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import decide, retry
from heat_ha.groups import model as groups
from heat_ha.testing import clouds
from tests.unit.failover import worlds

VOLUMES = ('v1', 'v2')
CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
PAUSES = (model.Action.PAUSE, model.Action.UNPAUSE)
HOOK = model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP)


class Killed(BaseException):
    """The engine dies: nothing after this line runs."""


class PolicyLife(stateful.RuleBasedStateMachine):
    """One policy over a group; ``stored`` is all that an engine leaves behind."""

    def __init__(self):
        super().__init__()
        self.cloud = clouds.FakeCloud(looks=1)
        self.names = (f'm{i}' for i in itertools.count(1))
        self.members = [next(self.names) for _ in range(3)]
        for name in self.members:
            self.cloud.add_server(f'server-{name}')
        for volume in VOLUMES:
            self.cloud.add_volume(volume, 'server-m1')
        self.epochs = [1]
        self.dead = None
        self.saves_left = None
        self.hooks_fail = False
        # An assertion in what the carrier calls would be a failed step to it.
        self.wrong = []
        self.store(model.Record(epoch=1, active=worlds.holder('m1')))

    # --- what carry_out needs ----------------------------------------------------------------

    def store(self, record):
        self.stored = json.dumps(serialization.encode(record))

    @property
    def record(self):
        return serialization.read(model.Record, self.stored, 'the record')

    def change(self, **changes):
        self.store(dataclasses.replace(self.record, **changes))

    def save(self, plan):
        if self.saves_left is not None:
            self.saves_left -= 1
            if self.saves_left < 0:
                raise Killed
        self.change(plan=plan, state=model.State.RUNNING)

    def still_wanted(self):
        pass

    def begun(self, plan):
        pass

    def report(self, step, plan):
        pass

    def add_member(self, plan):
        name = f'ha{plan.plan_id}'
        if name not in self.members:
            self.members.append(name)
            self.cloud.add_server(f'server-{name}')
        return worlds.holder(name)

    def moved(self, plan):
        self.change(plan=plan, active=plan.new, epoch=plan.epoch)
        self.epochs.append(plan.epoch)

    def hand_over(self, plan):
        self.moved(plan)

    def run_hook(self, plan, step):
        if self.hooks_fail:
            raise exceptions.Stopped(f'{step.name} fails', 'Mend it')
        if step.kind is StepKind.ACTIVATE:
            # Whatever is activated has all that the template names, alone.
            holders = {self.cloud.holder(v) for v in VOLUMES}
            if holders != {plan.new.server}:
                self.wrong.append(f'{plan.new} is activated while volumes are at {holders}')
        return 'done'

    def replace(self, plan, step):
        if self.record.active.member == step.target:
            self.wrong.append(f'the active {step.target} is replaced')
        if step.target in self.members:
            self.members.remove(step.target)
            self.members.append(name := next(self.names))
            self.cloud.add_server(f'server-{name}')
        return 'replaced'

    # --- the world ---------------------------------------------------------------------------

    def candidates(self):
        found = []
        for name in self.members:
            server = self.cloud.server(f'server-{name}')
            found.append(
                model.Candidate(worlds.member(name), server, host=self.cloud.state(server))
            )
        return tuple(found)

    def handle(self, signal, chained):
        record = self.record
        seen = worlds.seen(
            self.candidates(),
            record=record,
            volumes=VOLUMES,
            chained=chained,
            quiesce_hook=HOOK,
            activate_hook=HOOK,
            plan_id=f'p{len(self.epochs)}-{len(self.members)}',
        )
        answer = decide.answer(signal, seen)
        unfinished = record.plan is not None and not record.plan.is_done
        if isinstance(answer, decide.Change):
            self.store(answer.record)
        elif isinstance(answer, (decide.Start, decide.GoOn)):
            assert not (unfinished and isinstance(answer, decide.Start)), 'S3'
            self.carry(answer.plan)
        return answer

    def seen_of(self, holder):
        if holder is None:
            return None
        server = self.cloud.server(holder.server)
        return server, self.cloud.state(server)

    def carry(self, plan):
        with (
            mock.patch.object(retry, 'FIRST_LOOK', 0.0001),
            mock.patch.object(retry, 'SLOWEST_LOOK', 0.0002),
            mock.patch.object(handoff_steps, 'POLLED_LOOK', 0.0002),
            mock.patch.object(handoff_steps, 'POLL_PERIOD', 0.0002),
            mock.patch.object(retry, 'AFTER_REFUSAL', 0.0002),
            mock.patch.object(retry, 'STUCK_AFTER', 0.002),
            mock.patch.object(retry, 'STEP_LIMIT', 0.05),
        ):
            carrier = executor.PlanExecutor(plan, self, self.cloud, old=self.seen_of(plan.old))
            try:
                done = carrier.run()
            except Killed:
                return
            except exceptions.Stopped:
                self.change(plan=carrier.plan, state=model.State.STOPPED)
                return
        self.change(plan=done, state=model.State.READY)

    # --- what may happen ---------------------------------------------------------------------

    @stateful.rule(
        action=st.sampled_from([None, None, *(a for a in model.Action if a not in PAUSES)]),
        chained=st.sampled_from([CHAINED, None]),
        engine_dies_at_save=st.none() | st.integers(0, 6),
        hooks_fail=st.sampled_from([False, False, False, True]),
    )
    def a_signal_comes(self, action, chained, engine_dies_at_save, hooks_fail):
        self.saves_left, self.hooks_fail = engine_dies_at_save, hooks_fail
        self.handle(signals.Signal(action=action), chained)
        self.saves_left, self.hooks_fail = None, False

    @stateful.rule(paused=st.booleans())
    def it_is_paused_or_not(self, paused):
        self.handle(signals.Signal(action=PAUSES[0] if paused else PAUSES[1]), None)

    @stateful.rule(place=st.none() | st.integers(0, 2))
    @stateful.precondition(lambda self: self.dead is None)
    def a_host_dies(self, place):
        """Mostly that of the active: there is more to go wrong."""
        name = self.record.active.member if place is None else self.members[place]
        self.dead = f'server-{name}'
        self.cloud.let_die(self.dead)

    @stateful.rule()
    @stateful.precondition(lambda self: self.dead is not None)
    def the_dead_host_is_confirmed(self):
        self.cloud.confirm()

    @stateful.rule()
    @stateful.precondition(lambda self: self.dead is not None)
    def the_dead_host_is_back(self):
        self.cloud.let_die('')
        self.cloud.host = cloud.Host(HostState.UP, 'its host is up')
        self.dead = None

    @stateful.rule(place=st.integers(0, 2), status=st.sampled_from(['ACTIVE', 'SHUTOFF']))
    def somebody_stops_or_starts_a_server(self, place, status):
        server = f'server-{self.members[place % len(self.members)]}'
        if self.cloud.server(server).status is not ServerStatus.GONE:
            self.cloud.add_server(server, ServerStatus(status))

    # --- what holds at every moment ----------------------------------------------------------

    @stateful.invariant()
    def no_volume_was_ever_given_away_while_another_had_it(self):
        assert self.cloud.violations == [] and self.wrong == []

    @stateful.invariant()
    def volumes_are_at_the_active_or_on_the_way_that_is_on_record(self):
        record = self.record
        allowed = {None, record.active.server}
        if record.plan is not None and not record.plan.is_done:
            allowed |= {h.server for h in (record.plan.old, record.plan.new) if h}
        holders = {self.cloud.holder(v) for v in VOLUMES}
        assert holders <= allowed, (holders, allowed)

    @stateful.invariant()
    def the_epoch_only_grows(self):
        assert self.epochs == sorted(self.epochs)
        assert self.record.epoch >= self.epochs[-1]

    @stateful.invariant()
    def the_group_has_its_size(self):
        assert len(self.members) == 3

    def teardown(self):
        """Whatever happened: once all is mended, resume ends it, right."""
        self.handle(signals.Signal(action=model.Action.UNPAUSE), None)
        if self.dead is not None:
            # A dead host that is confirmed and then repaired; its server is as Nova has it.
            self.the_dead_host_is_back()
        plan = self.record.plan
        if plan is None or plan.is_done:
            return
        heir = plan.new and plan.new.server
        if heir and self.cloud.server(heir).status is not ServerStatus.GONE:
            self.cloud.add_server(heir)
        for _ in range(3):
            if not self.record.plan.is_done:
                self.handle(signals.Signal(action=model.Action.RESUME), None)
        assert self.record.plan.is_done, self.record.plan
        if plan.cause is not model.Cause.REPLACE_STANDBY:
            assert {self.cloud.holder(v) for v in VOLUMES} == {self.record.active.server}


TestPolicyLife = PolicyLife.TestCase
TestPolicyLife.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
