# SPDX-License-Identifier: Apache-2.0
"""A FailoverPolicy at work: look, ask ``decide``, execute the plan, report.

``policy_work`` takes a signal, has the lock, and calls this for the decision and the failover.
``policy`` is always the Heat resource. Next to it: ``observation_builder`` looks, ``executor``
runs a plan and calls back here, ``heat_steps`` does the steps that are Heat's, ``follow_up_run``
what is left afterwards.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, clock, lease
from heat_ha.failover import (
    events,
    failover_run,
    guest_fence,
    held_record,
    model,
    observation_builder,
    options,
    record,
    remembered,
    repaired,
)
from heat_ha.failover.rules import decide, instance_failure, later, ways_out, work
from heat_ha.groups import model as groups
from heat_ha.groups import replacing

LOG = logging.getLogger(__name__)


class FailoverController:
    """One policy's failover, from one signal, in one engine.

    It has the record while ``lock`` is held, and brings it to the outcome.

    :param lock: the policy's, held for as long as ``handle`` runs.
    """

    def __init__(
        self,
        policy: Any,
        group: Any,
        wanted: options.Options,
        lock: lease.Lock,
        emitter: events.EventEmitter,
    ) -> None:
        self._policy = policy
        self._group = group
        self._options = wanted
        self._events = emitter
        self._held = held_record.HeldRecord(policy, lock)
        self._lock = lock
        self._accepted_at = time.monotonic()
        self._makes_way = False
        self._only_looks = False
        self._kept: model.Remembered | None = None

    def handle(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
        *,
        is_overtaken: Callable[[model.Record], bool],
        accepted_at: float,
        kept: model.Remembered | None = None,
    ) -> str | later.Remember:
        """Do what the signal asks for and return what was done, in words; or that it has to wait.

        :param chained: what the policy in front of this one wants replaced afterwards, or None.
        :param requested_by: the name of the policy that was signalled.
        :param is_overtaken: whether a failover began between the signal and its turn.
        :param accepted_at: when the signal came, on the monotonic clock.
        :param kept: the kept signal that it is, None for one that has just come.
        :raises Refused: nothing was done; the reason is for the sender.
        :raises Stopped: the failover stopped in a safe state.
        """
        self._accepted_at, self._kept = accepted_at, kept
        self._makes_way = signal.action is not None and signal.action.is_quiet
        self._only_looks = signal.only_looks
        self._held.read()
        overtaken = is_overtaken(self._held.value)
        stack_clients = clients.StackClients(self._policy)
        if not self._options.shuts_out:
            guest_fence.forget(self._policy)
        # What an alarm is worth that comes now shows itself by the active.
        has_waited = kept is not None and bool(kept.alarms or kept.over)
        at_active = has_waited or bool(self._held.value.follow_ups)
        findings = self._look(stack_clients, at_active=at_active)
        self._see_what_was_left(findings)
        left = decide.left_at_its_end(self._held.value)
        if left is not None and _ends_left_plan(signal):
            # First of all: a late copy of its alarm is to find the line that the cooldown reads.
            self._new_run().finish(left, findings.observed.candidates)
            self._held.read_entries()

        def decided(findings: observation_builder.Findings) -> decide.Answer:
            seen = self._observation(findings, chained, requested_by, overtaken)
            return decide.answer(signal, seen)

        answer = decided(findings)
        is_held = isinstance(answer, decide.Refuse | later.Remember)
        has_to_look = is_held and not signal.only_looks
        if has_to_look and not findings.has_looked_at(self._held.value.active):
            # Whether an alarm is refused or kept depends on how the active is.
            findings = self._look_again(stack_clients)
            answer = decided(findings)
        LOG.info(
            '%s: decided after %.2f s%s: %s',
            self._policy.name,
            time.monotonic() - self._accepted_at,
            '' if findings.observed.is_new else ' (its members are as they were)',
            type(answer).__name__,
        )
        return self._execute(answer, stack_clients, findings)

    def _look(
        self, stack_clients: clients.StackClients, *, at_active: bool
    ) -> observation_builder.Findings:
        findings = observation_builder.look(
            self._policy,
            self._group,
            stack_clients,
            self._held.value,
            record.definition_of(self._held.entries) or {},
            self._options,
            at_active=at_active,
        )
        candidates = findings.observed.candidates
        seen, cleared = repaired.look(
            findings.observed.on(self._held.value), candidates, self._group, stack_clients
        )
        is_news = seen.suspicions != self._held.value.suspicions
        self._held.see(seen)
        # It is news for the next look as well, which may be another engine's.
        if is_news and not self._only_looks and self._held.is_ours():
            self._held.put(seen)
            self._events.cleared(cleared)
        return findings

    def _look_again(self, stack_clients: clients.StackClients) -> observation_builder.Findings:
        self._held.read_entries()
        return self._look(stack_clients, at_active=True)

    def _see_what_was_left(self, findings: observation_builder.Findings) -> None:
        """Have on record where that is by now which a dropped plan has left elsewhere."""
        if not self._held.value.left_over or self._only_looks:
            return
        seen = self._observation(findings, None, self._policy.name, is_overtaken=False)
        known = ways_out.as_left_now(seen)
        if known != self._held.value:
            self._held.put(known)
            if not known.left_over:
                self._events.progress('what a dropped failover had left is at the active')

    def _observation(
        self,
        findings: observation_builder.Findings,
        chained: groups.Chained | None,
        requested_by: str,
        is_overtaken: bool,
    ) -> model.Observation:
        return findings.observation(
            self._held.value,
            self._options,
            past_failovers=record.failover_times(self._held.entries),
            now=clock.now(),
            plan_id=uuid.uuid4().hex[:8],
            requested_by=requested_by,
            chained=chained,
            is_overtaken=is_overtaken,
            kept=remembered.readable(self._held.entries),
            decided=self._kept,
            agents_failover=instance_failure.agents_failover(record.history_of(self._held.entries)),
        )

    def _execute(
        self,
        answer: decide.Answer,
        stack_clients: clients.StackClients,
        findings: observation_builder.Findings,
    ) -> str | later.Remember:
        match answer:
            case decide.Nothing(reason=reason):
                return reason
            case decide.Refuse(reason=reason):
                raise exceptions.Refused(reason)
            case decide.Change(record=changed, text=text):
                self._held.put(changed)
                if not ways_out.is_open(changed):
                    guest_fence.forget(self._policy)
                return text
            case decide.Show():
                return self._events.dry_run(answer)
            case later.Remember():
                # The members as they were seen.
                self._held.put(self._held.value)
                return answer
            case decide.FollowUp(text=text, at_once=at_once):
                if at_once:
                    self._held.put(work.all_due(self._held.value))
                return text
            case decide.Drop(record=changed, text=text):
                return self._drop(changed, text)
            case decide.GoOn(plan=plan) | decide.Start(plan=plan):
                is_taken_up = isinstance(answer, decide.GoOn)

                def look_again(
                    plan: model.Plan,
                ) -> tuple[observation_builder.Findings, model.Observation]:
                    found = self._look_again(stack_clients)
                    return found, self._observation(
                        found, plan.chained, plan.requested_by, is_overtaken=False
                    )

                return self._new_run().run(
                    plan, stack_clients, findings, look_again, is_taken_up=is_taken_up
                )

    def _new_run(self) -> failover_run.FailoverRun:
        return failover_run.FailoverRun(
            self._policy,
            self._group,
            self._options,
            self._lock,
            self._held,
            self._events,
            self._accepted_at,
            makes_way=self._makes_way,
            decided=self._kept,
        )

    def _drop(self, changed: model.Record, text: str) -> str:
        plan = self._held.value.plan
        if plan is not None and ways_out.is_open(self._held.value):
            self._new_run().add_to_history(plan, 'dropped')
        self._held.put(changed)
        if shut_out := guest_fence.forget(self._policy):
            text = f'{text}; {shut_out}'
        try:
            replacing.forget(self._group, requested_by=self._policy.name)
        except exceptions.TryAgain as exc:
            text = f'{text}; what is under way comes to its end: {exc}'
        self._events.emit_in_parts(events.COMPLETE, text)
        return text


def _ends_left_plan(signal: signals.Signal[model.Action]) -> bool:
    """Whether a plan that was left after its last step is ended before the signal is answered."""
    takes_up = signal.action is not None and signal.action.takes_up_plan
    return not signal.only_looks and not takes_up
