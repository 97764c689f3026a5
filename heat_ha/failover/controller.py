# SPDX-License-Identifier: Apache-2.0
"""A FailoverPolicy at work: look, ask ``decide``, execute the plan, report.

The plugin module holds the schemas and hands over to this. ``policy`` is always the Heat resource.
Next to it: ``observation_builder`` looks, ``executor`` runs a plan and calls back here,
``heat_steps`` does the steps that are Heat's, ``retention`` keeps members for a look.
"""

import time
import uuid
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, clock, lease, resource_data
from heat_ha.failover import (
    admission as admissions,
)
from heat_ha.failover import (
    events,
    executor,
    fence_wait,
    heat_steps,
    held_record,
    hook_runner,
    model,
    observation,
    observation_builder,
    options,
    record,
    retention,
)
from heat_ha.failover.adapters import hook_stack
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import decide, outcome
from heat_ha.groups import model as groups

LOG = logging.getLogger(__name__)

DELETING = 'ha_deleting'

# Signals that move something to or from the member that they name.
_ABOUT_A_MEMBER = (None, model.Action.FAILOVER, model.Action.SWITCHOVER)


class FailoverController:
    """One policy's failover, from one signal, in one engine.

    It holds the lock and the record, and brings both to the outcome.
    """

    def __init__(self, policy: Any, group: Any, wanted: options.Options) -> None:
        self._policy = policy
        self._group = group
        self._options = wanted
        self._events = events.EventEmitter(policy)
        self._lock = lease.Lock(policy.context, policy.resource_id)
        self._held = held_record.HeldRecord(policy, self._lock)
        self._retention = retention.Retention(policy, group, self._held, self._events)
        self._heat_steps = heat_steps.HeatSteps(
            policy, group, self._held, self._events, self._retention, self.still_wanted
        )
        self._accepted_at = 0.0
        self._handoff_seconds: float | None = None
        self._is_taken_up = False
        self._has_reported_start = False

    def handle(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
    ) -> str:
        """Do what the signal asks for and return what was done, in words.

        :param chained: what the policy in front of this one wants replaced afterwards, or None.
        :param requested_by: the name of the policy that was signalled.
        :raises Refused: nothing was done; the reason is for the sender.
        :raises Stopped: the failover stopped in a safe state.
        """
        self._accepted_at = time.monotonic()
        if signal.is_all_clear:
            return f'nothing to do: the alarm says {signal.alarm_state.value}'
        admission = admissions.Admission(self._policy, self._group, self._lock)
        if signal.member is not None and signal.action in _ABOUT_A_MEMBER:
            admission.refuse_foreign(signal.member)
        with admission.locked(names_member=signal.member is not None):
            try:
                return self._handle_locked(signal, chained, requested_by, admission)
            finally:
                # After a refusal too: nothing of what it refuses is done by this.
                if not signal.only_looks:
                    self._retention.expire(requested_by)

    def _handle_locked(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
        admission: admissions.Admission,
    ) -> str:
        self._held.read()
        is_overtaken = admission.is_overtaken(self._held.value)
        stack_clients = clients.StackClients(self._policy)
        findings = observation_builder.look(
            self._policy, self._group, stack_clients, self._held.value, self._options
        )
        self._held.see(findings.observed.on(self._held.value))
        left = decide.left_at_its_end(self._held.value)
        if left is not None and _ends_left_plan(signal):
            # First of all: a late copy of its alarm is to find the line that the cooldown reads.
            self._finish(left, findings.observed.candidates)
        seen = findings.observation(
            self._held.value,
            self._options,
            past_failovers=record.times(record.read_history(self._policy)),
            now=clock.now(),
            plan_id=uuid.uuid4().hex[:8],
            requested_by=requested_by,
            chained=chained,
            is_overtaken=is_overtaken,
        )
        answer = decide.answer(signal, seen)
        LOG.info(
            '%s: decided after %.2f s%s: %s',
            self._policy.name,
            time.monotonic() - self._accepted_at,
            '' if findings.observed.is_new else ' (its members are as they were)',
            type(answer).__name__,
        )
        return self._execute(answer, stack_clients, findings)

    def _execute(
        self,
        answer: decide.Answer,
        stack_clients: clients.StackClients,
        findings: observation_builder.Findings,
    ) -> str:
        match answer:
            case decide.Nothing(reason=reason):
                return reason
            case decide.Refuse(reason=reason):
                raise exceptions.Refused(reason)
            case decide.Change(record=changed, text=text):
                self._held.put(changed)
                return text
            case decide.Show():
                return self._events.dry_run(answer)
            case decide.GoOn(plan=plan):
                self._is_taken_up = True
                return self._run(plan, stack_clients, findings)
            case decide.Start(plan=plan):
                return self._run(plan, stack_clients, findings)

    # --- a plan and its outcome --------------------------------------------------------------

    def _run(
        self,
        plan: model.Plan,
        stack_clients: clients.StackClients,
        findings: observation_builder.Findings,
    ) -> str:
        deadline = time.monotonic() + self._options.fencing_timeout
        decided: fence_wait.Look | None = None
        while not plan.is_done:
            running = executor.PlanExecutor(
                plan,
                self,
                stack_clients,
                findings.looks,
                findings.server_and_host(plan.old),
            )
            try:
                plan = running.run()
            except exceptions.FencingUnconfirmed as exc:
                plan = running.plan
                self._stop(plan, model.State.WAITING_FOR_FENCE, exc)
                decided = self._wait_for_fence(plan, stack_clients, deadline, decided)
                if decided is None:
                    raise
            except exceptions.Stopped as exc:
                self._stop(running.plan, model.State.STOPPED, exc)
                raise
        self._finish(plan, findings.observed.candidates)
        seconds = time.monotonic() - self._accepted_at
        return f'{events.goal(plan)}: done after {seconds:.1f} s'

    def _stop(self, plan: model.Plan, state: model.State, exc: exceptions.Stopped) -> None:
        self._held.check_ours()
        self._add_to_history(plan, state.value)
        self._held.write(plan=plan, state=state, reason=exc.reason, remedy=exc.remedy)

    def _wait_for_fence(
        self,
        plan: model.Plan,
        stack_clients: clients.StackClients,
        deadline: float,
        before: fence_wait.Look | None,
    ) -> fence_wait.Look | None:
        """Wait until the failover can go on; None when it could not before the deadline."""
        known, server = self._held.value, plan.old.server if plan.old else ''
        self._events.progress(f'waiting for the fence: {known.reason}. {known.remedy}', plan)
        if not server:
            return None
        decided = fence_wait.wait(server, stack_clients, deadline, self.still_wanted, before)
        if decided is not None:
            self._events.progress(f'going on: {decided[1].detail}', plan)
        return decided

    def _finish(self, plan: model.Plan, candidates: tuple[model.Candidate, ...]) -> None:
        ended = outcome.at_end(self._held.value, plan, {c.member.name for c in candidates})
        ended = observation.with_members_now(self._group, ended)
        # Without this, an engine that was frozen here would put its old end over what its
        # successor has begun since.
        self._held.check_ours()
        self._add_to_history(plan, 'done')
        self._held.put(ended)
        for run in hook_runner.names(self._policy, plan):
            # An engine may have died between the end of a run and its removal.
            hook_stack.end(self._policy, run)
        self._events.emit(events.COMPLETE, f'{events.goal(plan)}: done', plan)

    def _add_to_history(self, plan: model.Plan, word: str) -> None:
        line = outcome.past(
            plan,
            word,
            handoff_seconds=self._handoff_seconds,
            seconds=time.monotonic() - self._accepted_at,
        )
        record.add_to_history(self._policy, line)

    # --- what the executor calls (executor.ExecutorCallbacks) --------------------------------

    def save(self, plan: model.Plan) -> None:
        """Make the plan durable. :raises LostLock: this engine no longer holds the group."""
        self.still_wanted()
        self._held.write(plan=plan, state=model.State.RUNNING, reason='', remedy='')

    def still_wanted(self) -> None:
        """Ask whether to go on.

        :raises LostLock: this engine no longer holds the group.
        :raises Stopped: the policy is being deleted.
        """
        self._held.check_ours()
        if DELETING in resource_data.fresh(self._policy):
            raise exceptions.Stopped(
                'the policy is being deleted', 'Nothing to do: the stack deletes what is left'
            )

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
        self._events.progress(
            f'{step.name}{where}: {step.reason}, after {step.seconds:.2f} s',
            plan,
        )

    def moved(self, plan: model.Plan) -> None:
        """Put on record that the new active holds every volume."""
        self._handoff_seconds = time.monotonic() - self._accepted_at
        self._held.write(plan=plan, active=plan.new, epoch=plan.epoch)

    def hand_over(self, plan: model.Plan) -> None:
        """Make the new active the one on record, and bring the nested stack to it."""
        if self._handoff_seconds is None:
            self._handoff_seconds = time.monotonic() - self._accepted_at
        self._held.write(plan=plan, active=plan.new, epoch=plan.epoch)
        self._heat_steps.hand_over()

    def add_member(self, plan: model.Plan) -> model.MemberServer:
        """Make one more member of a group of one; it becomes the successor."""
        return self._heat_steps.add_member(plan)

    def run_hook(self, plan: model.Plan, step: model.Step) -> str:
        """Run the software config on the old active, or on the new one."""
        return self._heat_steps.run_hook(plan, step)

    def replace(self, plan: model.Plan, step: model.Step) -> str:
        """Replace what the step names; the new active is never among it."""
        return self._heat_steps.replace(plan, step)


def _ends_left_plan(signal: signals.Signal[model.Action]) -> bool:
    """Whether a plan that was left after its last step is ended before the signal is answered."""
    takes_up = signal.action is not None and signal.action.takes_up_plan
    return not signal.only_looks and not takes_up
