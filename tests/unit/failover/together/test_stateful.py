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
from heat_ha.failover.rules import decide, outcome, retry, ways_out
from heat_ha.groups import model as groups
from heat_ha.testing import clouds
from tests.unit.failover import worlds

VOLUMES = ('v1', 'v2')
CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
PAUSES = (model.Action.PAUSE, model.Action.UNPAUSE)
HOOK = model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP)


class Killed(BaseException):
    """The engine dies: nothing after this line runs."""


class PolicyWorld(stateful.RuleBasedStateMachine):
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
        self.undeletable = set()
        # Servers that their owner has deleted.
        self.deleted = set()
        # Where a plan that was dropped has left volumes.
        self.left_over = set()
        self.numbers = itertools.count(1)
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
        if all(s.is_follow_up for s in plan.steps) or plan.is_moved:
            # Follow-up work is on record before, and has no other.
            return
        if self.saves_left is not None:
            self.saves_left -= 1
            if self.saves_left < 0:
                raise Killed
        self.change(plan=plan, state=model.State.RUNNING)

    def still_wanted(self):
        pass

    def check_ours(self):
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
        is_fenced = any(s.kind is StepKind.FENCE for s in plan.steps)
        for one in (plan.old, *plan.tried) if is_fenced else ():
            server = self.cloud.server(one.server)
            is_left = server.status is not ServerStatus.GONE and one != plan.new
            if is_left and self.cloud.state(server).state is not HostState.UP:
                self.wrong.append(f'Heat takes something from {one}, whose host is down')

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
        for target in step.target.split(','):
            if self.record.active.member == target:
                self.wrong.append(f'the active {target} is replaced')
            if target in self.undeletable:
                raise exceptions.Stopped(f'{target} cannot be deleted', 'Mend it')
            if target in self.members:
                self.members.remove(target)
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

    def observe(self, chained):
        held = {v: frozenset({self.cloud.holder(v)} - {None}) for v in VOLUMES}
        return worlds.seen(
            self.candidates(),
            record=self.record,
            volumes=VOLUMES,
            chained=chained,
            quiesce_hook=HOOK,
            activate_hook=HOOK,
            plan_id=f'p{(number := next(self.numbers))}',
            # Now and then the template hands over something that Heat takes by the host.
            asks_old_host=number % 3 == 0,
            held_by=held,
        )

    def handle(self, signal, chained):
        answer = decide.answer(signal, self.observe(chained))
        record = self.record
        if isinstance(answer, decide.Change):
            self.store(answer.record)
        elif isinstance(answer, decide.Drop):
            self.left_over = {self.cloud.holder(v) for v in VOLUMES}
            self.epochs.append(answer.record.epoch)
            self.store(answer.record)
        elif isinstance(answer, (decide.Start, decide.GoOn)):
            if ways_out.is_open(record) and isinstance(answer, decide.Start):
                # S3: the new plan takes over whatever the open one may have begun.
                ends = {answer.plan.old, answer.plan.new, *answer.plan.tried}
                assert {record.plan.new, *record.plan.tried} - {None} <= ends
            self.carry(answer.plan)
        return answer

    def follow_up(self):
        """One try of what failovers that are over have left to do."""
        for left in self.record.follow_ups:
            carrier = executor.PlanExecutor(left.plan, self, self.cloud, of_follow_up=True)
            try:
                done = carrier.run()
            except exceptions.Stopped:
                continue
            self.store(outcome.after_follow_up(self.record, done, self.members))

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
            mock.patch.object(retry, 'REFUSED_FOR', 0.002),
        ):
            refused = set()
            while True:
                carrier = executor.PlanExecutor(plan, self, self.cloud, old=self.seen_of(plan.old))
                try:
                    done = carrier.run()
                    break
                except Killed:
                    return
                except exceptions.SuccessorFailed:
                    self.change(plan=carrier.plan, state=model.State.STOPPED)
                    refused.add(carrier.plan.new.member)
                    seen = self.observe(carrier.plan.chained)
                    plan = ways_out.after_refusal(carrier.plan, seen, refused)
                    if plan is None:
                        return
                except exceptions.Stopped:
                    self.change(plan=carrier.plan, state=model.State.STOPPED)
                    return
        if any(s.kind is StepKind.ATTACH for s in done.steps):
            # Who replaces a standby moves nothing, and what a drop has left stays where it is.
            self.left_over = set()
        self.store(outcome.at_end(self.record, done, self.members))


class PolicyLife(PolicyWorld):
    """What may happen to it, and what holds at every moment."""

    # --- what may happen ---------------------------------------------------------------------

    @stateful.rule(
        action=st.sampled_from([None, None, *(a for a in model.Action if a not in PAUSES)]),
        about=st.none() | st.integers(0, 2),
        chained=st.sampled_from([CHAINED, None]),
        engine_dies_at_save=st.none() | st.integers(0, 6),
        hooks_fail=st.sampled_from([False, False, False, True]),
    )
    def a_signal_comes(self, action, about, chained, engine_dies_at_save, hooks_fail):
        self.saves_left, self.hooks_fail = engine_dies_at_save, hooks_fail
        member = None if about is None else self.members[about]
        self.handle(signals.Signal(action=action, member=member), chained)
        self.saves_left, self.hooks_fail = None, False

    @stateful.rule(paused=st.booleans())
    def it_is_paused_or_not(self, paused):
        self.handle(signals.Signal(action=PAUSES[0] if paused else PAUSES[1]), None)

    @stateful.rule()
    @stateful.precondition(lambda self: self.record.follow_ups)
    def what_is_left_is_tried(self):
        self.follow_up()

    @stateful.rule(place=st.integers(0, 2), is_mended=st.booleans())
    def a_member_cannot_be_deleted_or_can_again(self, place, is_mended):
        name = self.members[place]
        if is_mended:
            self.undeletable.clear()
        else:
            self.undeletable.add(name)

    @stateful.rule(place=st.integers(0, 2), is_mended=st.booleans())
    def nova_attaches_nothing_to_a_server_or_does_again(self, place, is_mended):
        if is_mended:
            self.cloud.refused.clear()
        else:
            self.cloud.refused.add(f'server-{self.members[place]}')

    @stateful.rule(place=st.none() | st.integers(0, 2))
    @stateful.precondition(lambda self: self.dead is None)
    def a_host_dies(self, place):
        """Mostly that of the active: there is more to go wrong."""
        name = self.record.active.member if place is None else self.members[place]
        self.dead = f'server-{name}'
        self.cloud.let_die(self.dead)

    @stateful.rule()
    @stateful.precondition(lambda self: self.dead is not None)
    def its_owner_deletes_the_server_on_the_dead_host(self):
        """On a host that nobody has confirmed Nova deletes in its database only."""
        plan = self.record.plan
        if not (ways_out.is_open(self.record) and plan.new and plan.new.server == self.dead):
            self.cloud.owner_deletes(self.dead)
            self.deleted.add(self.dead)

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
        allowed = {record.active.server, *self.left_over}
        if ways_out.is_open(record):
            ends = (record.plan.old, record.plan.new, *record.plan.tried)
            allowed |= {None, *(h.server for h in ends if h)}
        if record.active.server in self.deleted:
            allowed.add(None)
        holders = {self.cloud.holder(v) for v in VOLUMES}
        assert holders <= allowed, (holders, allowed)

    @stateful.invariant()
    def the_epoch_only_grows(self):
        assert self.epochs == sorted(self.epochs)
        assert self.record.epoch >= self.epochs[-1]

    @stateful.invariant()
    def the_group_has_its_size(self):
        assert len(self.members) == 3

    @stateful.invariant()
    def who_was_left_as_sick_is_replaced_or_on_record(self):
        """Nobody who is to be replaced takes over, and nobody is forgotten."""
        record = self.record
        assert record.active.member not in record.suspects or ways_out.is_open(record)
        for one in record.follow_ups:
            for name in one.plan.replaces:
                assert name in record.suspects or one.plan.cause is model.Cause.FAILOVER

    def teardown(self):
        """Whatever happened: once all is mended, resume ends it, right."""
        self.undeletable.clear()
        self.cloud.refused.clear()
        self.handle(signals.Signal(action=model.Action.UNPAUSE), None)
        if self.dead is not None:
            # A dead host that is confirmed and then repaired; its server is as Nova has it.
            self.the_dead_host_is_back()
        if ways_out.is_open(self.record):
            heir = self.record.plan.new
            if heir and self.cloud.server(heir.server).status is not ServerStatus.GONE:
                self.cloud.add_server(heir.server)
            for _ in range(3):
                self.handle(signals.Signal(action=model.Action.RESUME), None)
            assert not ways_out.is_open(self.record), self.record.plan
            assert {self.cloud.holder(v) for v in VOLUMES} == {self.record.active.server}
        self.follow_up()
        assert self.record.follow_ups == ()


TestPolicyLife = PolicyLife.TestCase
TestPolicyLife.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
