# SPDX-License-Identifier: Apache-2.0
"""What one action does about a part: decide upon a look, and take the answers to what follows.

The record is ``reconciler``'s: this gives back the part as it is to be on record.
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock
from heat_ha.regions import calls, interfaces, model, progress, record, stall_monitor
from heat_ha.regions.rules import answers, decide, spec, stall, steps, transitions

LOG = logging.getLogger(__name__)


class PartReconciler:
    """The parts of one action.

    :param body: makes the body of a request about a part.
    :param emit: takes an event's text, and whether it is of a failure.
    """

    def __init__(
        self,
        store: interfaces.Store,
        rules: spec.Rules,
        action: progress.Progress,
        body: Callable[[model.Part, steps.Request], Mapping[str, Any]],
        emit: Callable[[str, bool], None],
    ) -> None:
        self._store = store
        self._rules = rules
        self._action = action
        self._body = body
        self._emit = emit
        self._stalls = stall_monitor.StallMonitor()

    def force(self, region: str) -> None:
        """Send a part the same again if it is in progress; a person asks."""
        self._stalls.force(region)

    # --- decide -------------------------------------------------------------------------------

    def decide(
        self, part: model.Part, observed: answers.Observation
    ) -> tuple[model.Part, list[calls.PartCall]]:
        """Decide upon a look. :returns: the part for the record, and the calls after it."""
        now = clock.now()
        self._action.begun.add(part.region)
        found = transitions.after_look(part, observed, clock.now_text())
        evidence = self._stalls.observe(found, observed)
        step = self._next_step(found, observed, evidence, now)
        self._stalls.after_step(found.region, observed, evidence, step)
        # Not what was seen: outputs may be secrets.
        LOG.debug('%s: %s, so %s', part.region, type(observed).__name__, step)
        if isinstance(step, steps.Send):
            write = self._write(found, observed, step)
            return write.part, [write]
        done = transitions.after_step(found, step, observed)
        if isinstance(step, steps.Wait):
            return done, self._while_waiting(done, step, evidence)
        following = self._after_end(done, step, observed)
        self._settle(part, done, step)
        return done, following

    def _next_step(
        self,
        part: model.Part,
        observed: answers.Observation,
        evidence: stall.Evidence | None,
        now: datetime.datetime,
    ) -> steps.Step:
        step = decide.next_step(part, observed, self._rules, self._action.attempt, now)
        if isinstance(step, steps.Wait) and evidence is not None:
            # A repeated request is bounded by the rules of a stall.
            return stall.next_step(evidence, self._rules, now)
        if isinstance(step, steps.Send):
            return self._action.exhausted(part.region) or step
        return step

    def _write(
        self, part: model.Part, observed: answers.Observation, step: steps.Send
    ) -> calls.Write:
        sent = transitions.intended(
            part, step.request, observed, self._action.attempt, clock.now_text()
        )
        write = calls.Write(sent, part, step, self._body(sent, step.request))
        if not write.is_repeat:
            self._action.count_send(part.region)
        return write

    def _while_waiting(
        self, part: model.Part, step: steps.Wait, evidence: stall.Evidence | None
    ) -> list[calls.PartCall]:
        following: list[calls.PartCall] = []
        if evidence is not None and self._stalls.is_due(part.region):
            following.append(calls.ReadFingerprint(part))
        if isinstance(step, steps.Stalled) and self._stalls.is_news(part.region, step):
            self._emit(f'{part.region}: {step.reason}', False)
        return following

    def _after_end(
        self, part: model.Part, step: steps.Step, observed: answers.Observation
    ) -> list[calls.PartCall]:
        """What is still read when the action is through with a part."""
        following: list[calls.PartCall] = []
        is_done = isinstance(step, steps.Done)
        if is_done and isinstance(observed, answers.Present):
            if observed.outputs is None:
                following.append(calls.ReadOutputs(part))
            else:
                self._keep_outputs(part, observed)
        has_failed = (
            isinstance(step, steps.Fail) and step.error_class is model.ErrorClass.REMOTE_FAILED
        )
        if has_failed:
            following.append(calls.ReadCause(part))
        if self._action.has_sent(part.region) and (has_failed or is_done):
            following.append(calls.ReadRecentEvents(part))
        return following

    def _settle(self, before: model.Part, after: model.Part, step: steps.Step) -> None:
        self._action.settle(after)
        if isinstance(step, steps.Fail):
            self._emit(f'{after.region}: {step.error_class.value}: {step.reason}', True)
        elif isinstance(step, steps.Defer):
            self._emit(f'{after.region} is left pending: {step.reason}', False)
        elif before.state is not after.state or before.applied != after.applied:
            self._emit(f'{after.region} has revision {after.applied[:12]}', False)
        elif after.drifted and not before.drifted:
            self._emit(f'{after.region}: {after.reason}', True)

    # --- answers ------------------------------------------------------------------------------

    def take(self, call: calls.PartCall, answer: Any) -> model.Part | None:
        """Take the answer to a call. :returns: the part for the record; None if it stays."""
        match call:
            case calls.Write():
                return self._after_write(call, answer)
            case calls.ReadFingerprint():
                return self._stalls.take(call.part, answer, clock.now_text())
            case calls.ReadCause():
                return call.after(answer) if answer else None
            case calls.ReadOutputs():
                if isinstance(answer, answers.Present):
                    self._keep_outputs(call.part, answer)
            case calls.ReadRecentEvents():
                if answer:
                    has_failed = call.part.state is model.State.FAILED
                    self._emit(f'{call.part.region}: {answer}', has_failed)
        return None

    def _after_write(self, call: calls.Write, reply: answers.Reply) -> model.Part:
        part, end = call.after(reply, clock.now_text())
        if part.resends > call.before.resends:
            text = f'{part.region} is sent the same again: {call.step.reason}'
            self._emit(f'{text}; {reply.answer.value} {reply.reason}'.rstrip(), False)
        LOG.debug('%s answers: %s', part.region, reply)
        self._action.note_reply(part.region, reply)
        if end is not None:
            part = transitions.after_step(part, end, answers.Absent())
            self._settle(call.before, part, end)
        return part

    def _keep_outputs(self, part: model.Part, observed: answers.Present) -> None:
        outputs = record.Outputs(dict(observed.outputs or {}), clock.now_text(), part.applied)
        try:
            self._store.write_outputs(part.region, outputs)
        except exceptions.Refused as exc:
            self._emit(f'{part.region}: {exc}', True)
