# SPDX-License-Identifier: Apache-2.0
"""One signal to a FailoverPolicy, from its arrival until nothing is left that it has led to.

It is read, refused or kept before it holds anything; then ``controller`` decides it with the
policy's lock held; then the thread does what is left on record, without the lock: signals that
could not be decided before, and what failovers that are over have left to replace.
"""

import dataclasses
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clock, heat_rpc, lease, nested_stack, resource_data
from heat_ha.failover import (
    admission as admissions,
)
from heat_ha.failover import (
    controller,
    events,
    failover_run,
    follow_up_run,
    held_record,
    model,
    options,
    record,
    remembered,
    retention,
)
from heat_ha.failover.rules import arrival, later, work
from heat_ha.groups import model as groups

LOG = logging.getLogger(__name__)

# Signals that move something to or from the member that they name.
_ABOUT_A_MEMBER = (None, model.Action.FAILOVER, model.Action.SWITCHOVER)

# Signals that nobody sends again: those of alarms, and what stands for them.
_KEPT = (None, model.Action.FAILOVER)


class PolicyWork:
    """What one thread of an engine does for one policy."""

    def __init__(self, policy: Any, group: Any, wanted: options.Options) -> None:
        self._policy = policy
        self._group = group
        self._options = wanted
        self._lock = lease.Lock(policy.context, policy.resource_id)
        self._events = events.EventEmitter(policy)
        self._signals = remembered.RememberedSignals(policy)
        self._stack_status = nested_stack.status_of(policy)
        self._not_now: set[model.Retained] = set()

    # --- one signal --------------------------------------------------------------------------

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
        accepted_at = time.monotonic()
        if signal.is_all_clear:
            return f'nothing to do: the alarm says {signal.alarm_state.value}'
        admission = admissions.Admission(self._policy, self._group, self._lock)
        if signal.member is not None and signal.action in _ABOUT_A_MEMBER:
            admission.refuse_foreign(signal.member)
        kept = self._to_keep(signal, chained, requested_by, admission)
        hindrance = admission.acquire(signal.member)
        if isinstance(hindrance, arrival.Join) and signal.action in _KEPT:
            raise exceptions.Refused(f'{hindrance.reason}, so this signal joins it')
        if hindrance is not None:
            return self._keep(kept, hindrance.reason)
        try:
            answer = self._new_controller().handle(
                signal,
                chained,
                requested_by,
                is_overtaken=admission.is_overtaken,
                accepted_at=accepted_at,
            )
        finally:
            self._lock.release()
        if isinstance(answer, str):
            return answer
        return self._keep(kept, answer.why, answer)

    def _new_controller(self) -> controller.FailoverController:
        return controller.FailoverController(self._policy, self._group, self._options, self._lock)

    def _to_keep(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
        admission: admissions.Admission,
    ) -> model.Remembered | None:
        """The signal as it would be kept; None for one that its sender can send again."""
        if signal.action not in _KEPT:
            return None
        about = admission.about(signal.member) or model.MemberServer(
            signal.member or '', signal.member or ''
        )
        return model.Remembered(
            member=about.member,
            server=about.server,
            is_named=signal.member is not None,
            came=clock.now_text('milliseconds'),
            requested_by=requested_by,
            reason=signal.reason,
            chained=chained,
        )

    def _keep(
        self, kept: model.Remembered | None, why: str, answer: later.Remember | None = None
    ) -> str:
        if kept is None:
            raise exceptions.Refused(why, 'Send the signal again')
        pause = answer.due_in if answer is not None else None
        due = '' if pause is None else work.at(clock.now(), pause)
        self._signals.keep(dataclasses.replace(kept, why=why, due=due))
        return f'the signal about {kept.member} is kept and decided again: {why}'

    # --- what is left ------------------------------------------------------------------------

    def go_on(self) -> None:
        """Do what is left on record, until nothing is or nothing can be done for a while.

        What fails stays on record; it is tried again here, by the agent, or with the next signal.
        """
        try:
            self._go_on()
        except Exception:
            # The signal has been answered; what is left is on record.
            LOG.exception('%s: what was left to do was not done', self._policy.name)

    def _go_on(self) -> None:
        busy_at = time.monotonic()
        while True:
            data = resource_data.fresh(self._policy)
            if failover_run.DELETING in data:
                return
            known = record.record_of(data)
            step = work.next_work(
                known,
                remembered.among(data),
                clock.now(),
                time.monotonic() - busy_at,
                is_locked=self._lock.owner() is not None,
                not_now=self._not_now,
            )
            match step:
                case work.Nothing():
                    return
                case work.Leave(reason=reason):
                    LOG.info('%s: something is left to do: %s', self._policy.name, reason)
                    return
                case work.Pause(seconds=seconds):
                    time.sleep(seconds)
                    continue
            if nested_stack.status_of(self._policy) != self._stack_status:
                # What this thread has loaded of the stack is older than that.
                ask_to_go_on(self._policy)
                return
            match step:
                case work.DecideAgain(signal=one):
                    if self._decide_again(one):
                        busy_at = time.monotonic()
                case work.CarryOut(follow_up=left):
                    self._carry_out(left)
                    busy_at = time.monotonic()
                case work.Expire(retained=kept):
                    self._expire(kept)

    def _decide_again(self, one: model.Remembered) -> bool:
        """Decide a remembered signal; whether it is decided."""
        try:
            self._lock.acquire()
        except lease.Busy:
            # Who has it looks for work afterwards.
            time.sleep(arrival.TRY_EVERY)
            return False
        try:
            if one not in self._signals.read():
                # Another thread was faster.
                return True
            signal = signals.Signal[model.Action](
                member=one.server if one.is_named else None, reason=one.reason
            )
            answer = self._new_controller().handle(
                signal,
                one.chained,
                one.requested_by,
                is_overtaken=lambda known: arrival.is_of_another(one, known),
                accepted_at=time.monotonic(),
            )
        except exceptions.Refused as exc:
            self._report(f'the signal about {one.member} of {one.came}: {exc}')
            answer = ''
        except exceptions.Stopped as exc:
            self._report(f'stopped: {exc}')
            answer = ''
        finally:
            self._lock.release()
        if isinstance(answer, later.Remember):
            return self._put_off(one, answer)
        self._signals.forget(one)
        return True

    def _put_off(self, one: model.Remembered, answer: later.Remember) -> bool:
        """Keep a signal that still cannot be decided, unless it is too old by now."""
        now = clock.now()
        age = work.age(one.came, now)
        if age > answer.until:
            self._report(
                f'the signal about {one.member} of {one.came} was not decided within '
                f'{answer.until:.0f} s: {answer.why}. Send it again if it still holds'
            )
            self._signals.forget(one)
            return True
        pause = answer.due_in if answer.due_in is not None else later.pause(one.tries)
        changed = dataclasses.replace(
            one, tries=one.tries + 1, due=work.at(now, pause), why=answer.why
        )
        self._signals.keep(changed)
        if answer.why != one.why:
            self._events.progress(f'the signal about {one.member} waits: {answer.why}')
        return False

    def _report(self, text: str) -> None:
        LOG.info('%s: %s', self._policy.name, text)
        self._events.emit(events.FAILED, text)

    def _carry_out(self, one: model.FollowUp) -> None:
        run = follow_up_run.FollowUpRun(
            self._policy, self._group, self._lock, self._events, one, failover_run.DELETING
        )
        run.carry_out()

    def _expire(self, one: model.Retained) -> None:
        changes = held_record.RecordChanges(self._policy, self._lock)
        retained = retention.Retention(self._policy, self._group, changes, self._events)
        try:
            retained.expire(one, self._policy.name)
        except exceptions.HaError as exc:
            LOG.info('%s: %s is still retained: %s', self._policy.name, one.member, exc)
            self._not_now.add(one)


def ask_to_go_on(policy: Any) -> None:
    """Have an engine go on with what is left on record, which loads the stack as it is now.

    When nobody can be asked, the agent or the next signal takes it up.
    """
    identity = policy.stack.identifier()
    try:
        heat_rpc.signal(
            identity.tenant,
            identity.stack_name,
            identity.stack_id,
            policy.name,
            {'action': model.Action.RESUME.value},
        )
    except exceptions.CouldNotAsk as exc:
        LOG.warning('%s: nobody was asked to go on: %s', policy.name, exc)


def ask_if_signals_wait(policy: Any) -> None:
    """Have an engine decide the signals that came while the stack's own action had the lock."""
    if remembered.among(resource_data.fresh(policy)):
        ask_to_go_on(policy)
