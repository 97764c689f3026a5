# SPDX-License-Identifier: Apache-2.0
"""One failover in one engine, from its plan to the moment when it is over or cannot go on.

``controller`` decides what the plan is, ``executor`` carries it out and calls back here;
``heat_steps`` does the steps that are Heat's.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import clients, clock, heat_db, lease, resource_data
from heat_ha.failover import (
    events,
    executor,
    fence_wait,
    guest_fence,
    heat_steps,
    held_record,
    hook_runner,
    model,
    moves_under_way,
    observation,
    observation_builder,
    options,
    record,
    remembered,
    retention,
    successor_watch,
)
from heat_ha.failover.adapters import hook_stack
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import outcome, room, suspicion, ways_out, work

DELETING = 'ha_deleting'

# A person's signal that waits for the lock: what is only tried again makes way for it.
MAKE_WAY = 'ha_make_way'

# Seconds for which that holds; whoever waits longer says so again.
WAY_FOR = 60.0

# Bytes by which one step grows on record while it is carried out.
SPARE_A_STEP = 150

# What was seen of the group for a plan that another successor is to take over.
LookAgain = Callable[[model.Plan], tuple[observation_builder.Findings, model.Observation]]


class FailoverRun:
    """One failover of one policy, while its lock is held.

    :param lock: the policy's.
    :param held: the record, which the run brings to the outcome.
    :param accepted_at: when the signal came, on the monotonic clock.
    :param makes_way: whether it ends when a person's signal waits.
    :param decided: the kept signal of which it comes, if it comes of one.
    """

    def __init__(
        self,
        policy: Any,
        group: Any,
        wanted: options.Options,
        lock: lease.Lock,
        held: held_record.HeldRecord,
        emitter: events.EventEmitter,
        accepted_at: float,
        *,
        makes_way: bool = False,
        decided: model.Remembered | None = None,
    ) -> None:
        self._policy = policy
        self._group = group
        self._options = wanted
        self._held = held
        self._events = emitter
        changes = held_record.RecordChanges(policy, lock)
        self._heat_steps = heat_steps.HeatSteps(
            policy,
            group,
            emitter,
            retention.Retention(policy, group, changes, emitter),
            self.still_wanted,
        )
        self._accepted_at = accepted_at
        self._handoff_seconds: float | None = None
        self._makes_way, self._decided = makes_way, decided
        self._watch: successor_watch.SuccessorWatch | None = None
        self._plan: model.Plan | None = None
        self._is_taken_up = False
        self._only_record_is_left = False
        self._has_reported_start = False

    # --- a plan and its outcome --------------------------------------------------------------

    def run(
        self,
        plan: model.Plan,
        stack_clients: clients.StackClients,
        findings: observation_builder.Findings,
        look_again: LookAgain,
        *,
        is_taken_up: bool,
    ) -> str:
        """Carry the plan out until the failover is over; returns what was done in words.

        :param look_again: looks once more at the group, for another successor.
        :param is_taken_up: whether the plan was on record before.
        :raises Stopped: it stopped in a safe state.
        """
        self._is_taken_up = is_taken_up
        self._watch = successor_watch.SuccessorWatch(look_again, self._decided, self._events)
        deadline = time.monotonic() + self._options.fencing_timeout
        guest = guest_fence.of(self._policy, self._options, stack_clients, self._events, deadline)
        decided: fence_wait.Look | None = None
        refused: set[str] = set()
        old = findings.server_and_host(plan.old)
        self._check_room(plan)
        if plan.is_moved:
            # Nothing moves: what it is for is follow-up work, which is on record with its end.
            self.begun(plan)
        while not plan.is_moved:
            self._plan = plan
            guest.use_for(plan)
            self._only_record_is_left = findings.has_all_moved and plan.activate_hook is None
            running = executor.PlanExecutor(plan, self, guest.clients, findings.looks, old)
            try:
                plan = running.run()
            except exceptions.FencingUnconfirmed as exc:
                plan = running.plan
                self._stop(plan, model.State.WAITING_FOR_FENCE, exc)
                server = exc.server or (plan.old.server if plan.old else '')
                wait = fence_wait.FenceWait(self._events, guest, self.still_wanted)
                decided = wait.for_plan(plan, exc, server, deadline, decided)
                if decided is None:
                    raise
                # What was seen before the wait holds no longer.
                is_of_old = plan.old is not None and server == plan.old.server
                old = decided if is_of_old else None
            except exceptions.SuccessorFailed as exc:
                self._stop(running.plan, model.State.STOPPED, exc)
                findings, seen = look_again(running.plan)
                refused.update(one.member for one in (running.plan.new,) if one)
                other = ways_out.after_refusal(running.plan, seen, refused, is_sick=exc.is_dead)
                if other is None:
                    raise
                self._report_other(running.plan, other)
                plan, old = other, findings.server_and_host(other.old)
            except exceptions.Stopped as exc:
                self._stop(running.plan, model.State.STOPPED, exc)
                raise
        self.finish(plan, findings.observed.candidates)
        seconds = time.monotonic() - self._accepted_at
        return f'{events.goal(plan)}: done after {seconds:.1f} s'

    def _check_room(self, plan: model.Plan) -> None:
        """See that a plan of which nothing was done yet fits on record until its end.

        :raises Refused: it does not.
        """
        if ways_out.has_begun(plan) or ways_out.has_begun(self._held.value.plan):
            return
        at_end = outcome.at_end(self._held.value, plan, ())
        record.check_room(at_end, SPARE_A_STEP * len(plan.steps))

    def _report_other(self, plan: model.Plan, other: model.Plan) -> None:
        failed = plan.new.member if plan.new else ''
        self._events.progress(f'{failed} cannot take over, so {events.goal(other)}', other)
        self._has_reported_start = False
        self._handoff_seconds = None

    def _stop(self, plan: model.Plan, state: model.State, exc: exceptions.Stopped) -> None:
        self._held.check_ours()
        self.add_to_history(plan, state.value)
        known = self._held.value
        self._held.write(
            plan=plan,
            state=state,
            reason=room.bounded(exc.reason),
            remedy=room.bounded(exc.remedy),
            retries=known.retries + 1,
            retry_due=work.at(clock.now(), work.retry_pause(known.retries)),
        )

    def finish(self, plan: model.Plan, candidates: tuple[model.Candidate, ...]) -> None:
        """Put on record that the failover is over, and what is left to do of it."""
        ended = outcome.at_end(self._held.value, plan, {c.member.name for c in candidates})
        ended = suspicion.seen(ended, candidates, clock.now_text('milliseconds'))
        ended = observation.with_members_now(self._group, ended)
        # Without this, an engine that was frozen here would put its old end over what its
        # successor has begun since.
        self._held.check_ours()
        with heat_db.writing(self._policy.context):
            if plan.cause is not model.Cause.REPLACE_STANDBY:
                self.add_to_history(plan, 'done')
            self._held.put(ended)
        guest_fence.forget(self._policy)
        for run in hook_runner.names(self._policy, plan):
            # An engine may have died between the end of a run and its removal.
            hook_stack.end(self._policy, run)
        if plan.cause is not model.Cause.REPLACE_STANDBY:
            self._events.emit(events.COMPLETE, f'{events.goal(plan)}: done', plan)

    def add_to_history(self, plan: model.Plan, word: str) -> None:
        """Put the plan's line into the history, under this word."""
        line = outcome.past(
            plan,
            word,
            handoff_seconds=self._handoff_seconds,
            seconds=time.monotonic() - self._accepted_at,
        )
        self._held.add_to_history(line)

    # --- what the executor calls (executor.ExecutorCallbacks) --------------------------------

    def save(self, plan: model.Plan) -> None:
        """Make the plan durable. :raises LostLock: this engine no longer holds the group."""
        self._held.check_ours()
        with heat_db.writing(self._policy.context):
            data = self._check_wanted()
            self._held.write(plan=plan, state=model.State.RUNNING, reason='', remedy='')
        # Apart: it looks at the group.
        self._check_successor(data)

    def still_wanted(self) -> None:
        """Ask whether to go on.

        :raises LostLock: this engine no longer holds the group.
        :raises Stopped: the policy is being deleted.
        """
        self._held.check_ours()
        self._check_successor(self._check_wanted())

    def _check_wanted(self) -> Mapping[str, str]:
        data = resource_data.fresh(self._policy)
        waits_since = data.get(MAKE_WAY, '')
        if self._makes_way and waits_since and work.apart(waits_since, clock.now()) < WAY_FOR:
            raise exceptions.Stopped('a person has sent a signal meanwhile', 'It comes next')
        if DELETING in data:
            raise exceptions.Stopped(
                'the policy is being deleted', 'Nothing to do: the stack deletes what is left'
            )
        return data

    def _check_successor(self, data: Mapping[str, str]) -> None:
        if self._watch is not None and self._plan is not None:
            self._watch.check(self._plan, data)

    def check_ours(self) -> None:
        """Ask for the lock before a request. :raises LostLock: another engine holds it."""
        self._held.check_ours()

    def begun(self, plan: model.Plan) -> None:
        """Report the start, once; the first volumes are on their way by then."""
        if self._has_reported_start:
            return
        self._has_reported_start = True
        if self._is_taken_up:
            self._events.progress(f'the plan is taken up: {events.goal(plan)}', plan)
        else:
            self._events.start(plan)

    def report(self, step: model.Step, plan: model.Plan) -> None:
        """Make an event of a step that ended."""
        if step.state is model.StepState.FAILED:
            self._events.emit(events.FAILED, f'{step.name} stopped: {step.reason}', plan)
            return
        where = f' ({plan.new.member})' if step.kind is StepKind.ATTACH and plan.new else ''
        text = f'{step.name}{where}: {step.reason}, after {step.seconds:.2f} s'
        self._events.progress(text, plan)

    def moved(self, plan: model.Plan) -> None:
        """Put on record that the new active holds every volume."""
        self._handoff_seconds = time.monotonic() - self._accepted_at
        self._held.write(plan=plan, active=plan.new, epoch=plan.epoch)

    def hand_over(self, plan: model.Plan) -> None:
        """Make the new active the one on record, and bring the nested stack to it."""
        if self._handoff_seconds is None:
            self._handoff_seconds = time.monotonic() - self._accepted_at
        known = self._held.value
        if (known.active, known.epoch) != (plan.new, plan.epoch):
            self._held.write(plan=plan, active=plan.new, epoch=plan.epoch)
        if self._only_record_is_left:
            _let_others_move(self._policy, self.still_wanted)
        self._heat_steps.hand_over(plan)

    def add_member(self, plan: model.Plan) -> model.MemberServer:
        """Make one more member in a group in which nobody stands by; it becomes the successor."""
        return self._heat_steps.add_member(plan)

    def run_hook(self, plan: model.Plan, step: model.Step) -> str:
        """Run the software config on the old active, or on the new one."""
        return self._heat_steps.run_hook(plan, step)

    def replace(self, plan: model.Plan, step: model.Step) -> str:
        """Never: it is follow-up work."""
        raise AssertionError(plan, step)


def _let_others_move(policy: Any, still_wanted: Callable[[], None]) -> None:
    """Make way for failovers that have something to move, unless a signal waits for this one."""

    def is_waited_for() -> bool:
        still_wanted()
        data = policy.data()
        return MAKE_WAY in data or bool(remembered.among(data))

    moves_under_way.HERE.end(policy.resource_id)
    moves_under_way.make_way(policy.resource_id, moves_under_way.RECORD_WAITS, is_waited_for)
