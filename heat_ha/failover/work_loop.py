# SPDX-License-Identifier: Apache-2.0
"""What a policy has left to do, done one after the other by the thread of the last signal.

Signals that could not be decided before, plans that stopped at what may pass, and what failovers
that are over have left to replace. What comes next is decided in ``rules.work``; the policy's
lock is held for a decision and a failover only.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clock, heat_rpc, heat_stalled, lease, nested_stack, resource_data
from heat_ha.failover import (
    events,
    failover_run,
    follow_up_run,
    held_record,
    model,
    moves_under_way,
    record,
    remembered,
    reminding,
    retention,
)
from heat_ha.failover.rules import arrival, instance_failure, later, room, work
from heat_ha.groups import model as groups

LOG = logging.getLogger(__name__)

# By policy, the thread of this engine that waits until there is something to do. One is enough:
# each holds what it has loaded of the stack, and a burst of alarms would leave a dozen.
_WAITERS: dict[str, object] = {}
_GUARD = threading.Lock()

# Seconds after an error that nobody expects until this thread goes on.
AFTER_ERROR = 10.0


class Decide(Protocol):
    """Has a signal decided and carried out, with the lock held; see ``policy_work``."""

    def __call__(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
        is_overtaken: Callable[[model.Record], bool],
        accepted_at: float,
        kept: model.Remembered | None = None,
    ) -> str | later.Remember:
        """Return what was done in words, or that the signal has to wait."""


class WorkLoop:
    """What one thread of an engine has left to do for one policy.

    :param lock: the policy's; nobody in this thread holds it.
    """

    def __init__(
        self,
        policy: Any,
        group: Any,
        lock: lease.Lock,
        emitter: events.EventEmitter,
        kept: remembered.RememberedSignals,
        decide: Decide,
    ) -> None:
        self._policy = policy
        self._group = group
        self._lock = lock
        self._events = emitter
        self._signals = kept
        self._decide = decide
        self._stack_status = nested_stack.status_when_loaded(policy)
        self._not_now: set[object] = set()
        self._scanner: heat_stalled.OrphanScanner | None = None
        # When something was done last, and when what was in other hands was looked at.
        self._busy_at = self._looked_at = time.monotonic()

    def go_on(self, *, waits: bool) -> None:
        """Do what is left on record, until nothing is or nothing can be done for a while.

        What fails stays on record; it is tried again here, by the agent, or with the next signal.
        An error that nobody expects, such as a database that is away, ends no thread that waits.

        :param waits: whether to wait for what is due later.
        """
        self._busy_at = self._looked_at = time.monotonic()
        try:
            while True:
                try:
                    self._go_on(waits)
                    return
                except Exception:
                    # The signal has been answered; what is left is on record.
                    LOG.exception('%s: what was left to do was not done', self._policy.name)
                if time.monotonic() - self._busy_at > work.PATIENCE:
                    return
                if not waits or not self._is_the_waiter():
                    return
                time.sleep(AFTER_ERROR)
        finally:
            self._waits_no_more()
            self._remind()

    def _remind(self) -> None:
        try:
            reminding.remind(self._policy, self._events)
        except Exception:
            # What waits is on record, and the next signal comes by here.
            LOG.exception('%s: nobody was reminded of what waits', self._policy.name)

    def _is_the_waiter(self) -> bool:
        """Whether this thread is the one that waits; the others need not."""
        with _GUARD:
            return _WAITERS.setdefault(self._policy.resource_id, self) is self

    def _waits_no_more(self) -> None:
        with _GUARD:
            if _WAITERS.get(self._policy.resource_id) is self:
                del _WAITERS[self._policy.resource_id]

    def _go_on(self, waits: bool) -> None:
        while True:
            if time.monotonic() > self._looked_at + work.CLAIMED_FOR:
                # What was in other hands may not be any more.
                self._not_now, self._looked_at = set(), time.monotonic()
            data = resource_data.fresh(self._policy)
            if failover_run.DELETING in data:
                return
            known = record.record_of(data)
            step = work.next_work(
                known,
                remembered.among(data),
                clock.now(),
                time.monotonic() - self._busy_at,
                is_locked=lease.is_held_by_living(self._policy.context, self._policy.resource_id),
                not_now=self._not_now,
            )
            match step:
                case work.Nothing():
                    return
                case work.Leave(reason=reason):
                    LOG.info('%s: something is left to do: %s', self._policy.name, reason)
                    return
                case work.Pause(seconds=seconds):
                    if not waits or not self._is_the_waiter():
                        return
                    self._look_for_dead_engines()
                    time.sleep(seconds)
                    continue
            if waits and isinstance(step, work.CarryOut) and self._has_to_make_way(0.0):
                if not self._is_the_waiter():
                    return
                # What is due comes first all the same, so it is looked for in between.
                self._has_to_make_way(moves_under_way.ASK_EVERY)
                continue
            self._waits_no_more()
            if nested_stack.status_of(self._policy) != self._stack_status:
                # What this thread has loaded of the stack is older than that.
                ask_to_go_on(self._policy)
                return
            match step:
                case work.DecideAgain(signal=one):
                    if self._decide_again(one):
                        self._busy_at = time.monotonic()
                case work.CarryOut(follow_up=left):
                    if self._carry_out(left):
                        self._busy_at = time.monotonic()
                case work.Expire(retained=kept):
                    self._expire(kept)
                case work.Retry():
                    self._retry()

    def _has_to_make_way(self, seconds: float) -> bool:
        """Wait for so many seconds while other failovers of this engine have something to move.

        :returns: whether they still have, and have not been waited for long enough.
        """
        is_patient = time.monotonic() < self._busy_at + moves_under_way.REPLACEMENT_WAITS
        return is_patient and moves_under_way.HERE.wait(self._policy.resource_id, seconds)

    def _look_for_dead_engines(self) -> None:
        """Let what an engine was at with the members, when it died, become FAILED.

        What is waited for may be such work, of whomever: Heat itself sees that only when it is to
        change the member again.
        """
        if self._scanner is None and self._group is not None and self._group.resource_id:
            context, stack_id = self._policy.context, self._group.resource_id
            self._scanner = nested_stack.scanner_of(context, stack_id)
        if self._scanner is not None:
            self._scanner.look()

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
            answer = self._decide(
                arrival.signal_in(one),
                one.chained,
                one.requested_by,
                lambda known: arrival.is_of_another(one, known),
                time.monotonic(),
                one,
            )
        except exceptions.Refused as exc:
            intro = f'the signal about {events.names([arrival.subject(one)])} of {one.came}: '
            self._report(events.of_error(intro, exc))
            answer = ''
        except exceptions.Stopped as exc:
            self._report(events.of_error('stopped: ', exc))
            answer = ''
        except exceptions.LostLock as exc:
            LOG.info('%s: %s', self._policy.name, exc)
            return False
        finally:
            self._lock.release()
        if isinstance(answer, later.Remember):
            return self._put_off(one, answer)
        self._signals.forget(one)
        return True

    def _retry(self) -> None:
        """Try a plan again that stopped; what comes of it is on record, and news are events."""
        try:
            self._lock.acquire()
        except lease.Busy:
            return
        try:
            self._decide(
                signals.Signal(model.Action.RETRY),
                None,
                self._policy.name,
                lambda _known: False,
                time.monotonic(),
            )
        except (exceptions.StillStopped, exceptions.LostLock) as exc:
            LOG.info('%s: %s', self._policy.name, exc)
        except exceptions.HaError as exc:
            self._report(events.of_error('stopped: ', exc))
        finally:
            self._lock.release()

    def _put_off(self, one: model.Remembered, answer: later.Remember) -> bool:
        """Keep a signal that still cannot be decided, unless it is too old by now."""
        now = clock.now()
        age = work.age(one.came, now)
        if age > answer.until:
            name, until = events.names([arrival.subject(one)]), f'{answer.until:.0f} s'
            intro = f'the signal about {name} of {one.came} was not decided within {until}: '
            self._report(events.with_remedy(intro, answer.why, 'Send it again if it still holds'))
            self._signals.forget(one)
            return True
        pause = answer.due_in if answer.due_in is not None else later.pause(one.tries)
        changed = dataclasses.replace(
            instance_failure.unnamed(one, one.alarms) if answer.alarms else one,
            tries=one.tries + 1,
            due=work.at(now, pause),
            why=answer.why,
        )
        self._signals.put_off(one, changed)
        if room.bounded(answer.why) != one.why:
            text = f'the signal about {arrival.subject(one)} waits: {answer.why}'
            self._events.progress(text)
        return False

    def _report(self, text: str) -> None:
        LOG.info('%s: %s', self._policy.name, text)
        self._events.emit(events.FAILED, text)

    def _carry_out(self, one: model.FollowUp) -> bool:
        """Try a follow-up once; whether something came of it."""
        run = follow_up_run.FollowUpRun(
            self._policy, self._group, self._lock, self._events, one, failover_run.DELETING
        )
        tried = run.carry_out()
        if tried is follow_up_run.Tried.ELSEWHERE:
            self._not_now.add(one.plan.plan_id)
        return tried is follow_up_run.Tried.ENDED

    def _expire(self, one: model.Retained) -> None:
        changes = held_record.RecordChanges(self._policy, self._lock)
        retained = retention.Retention(self._policy, self._group, changes, self._events)
        retained.expire(one, self._policy.name)


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
            {'action': model.Action.RETRY.value},
        )
    except exceptions.CouldNotAsk as exc:
        LOG.warning('%s: nobody was asked to go on: %s', policy.name, exc)


def ask_if_signals_wait(policy: Any) -> None:
    """Have an engine decide the signals that came while the stack's own action had the lock."""
    if remembered.among(resource_data.fresh(policy)):
        ask_to_go_on(policy)


def ask_if_anything_is_left(policy: Any) -> None:
    """Have an engine go on with all that is on record, after the stack was suspended."""
    data = resource_data.fresh(policy)
    if work.is_anything_left(record.record_of(data), remembered.among(data)):
        ask_to_go_on(policy)


def ask_to_look(policy: Any) -> None:
    """Have an engine see, after an action of the stack, what was repaired."""
    known = record.read(policy)
    if known.suspects or known.left_over:
        ask_to_go_on(policy)
