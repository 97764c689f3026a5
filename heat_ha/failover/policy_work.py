# SPDX-License-Identifier: Apache-2.0
"""One signal to a FailoverPolicy, from its arrival until nothing is left that it has led to.

It is read, refused or kept before it holds anything; then ``controller`` decides it with the
policy's lock held; then ``work_loop`` does what is left on record.
"""

import dataclasses
import enum
import time
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clock, lease, resource_data
from heat_ha.failover import (
    admission as admissions,
)
from heat_ha.failover import (
    controller,
    events,
    failover_run,
    instance_failure,
    model,
    moves_under_way,
    options,
    record,
    remembered,
    work_loop,
)
from heat_ha.failover.rules import arrival, later, room, work
from heat_ha.failover.rules import instance_failure as rules
from heat_ha.groups import model as groups

LOG = logging.getLogger(__name__)

# Signals that move something to or from the member that they name.
_ABOUT_A_MEMBER = (None, model.Action.FAILOVER, model.Action.SWITCHOVER)

# Signals that nobody sends again: those of alarms, and what stands for them.
_KEPT = (None, model.Action.FAILOVER)


# Signals whose sender waits for the answer.
_OF_A_PERSON = (
    model.Action.SWITCHOVER,
    model.Action.FAIL_BACK,
    model.Action.CANCEL,
    model.Action.DROP,
    model.Action.PAUSE,
    model.Action.UNPAUSE,
)


class _Follows(enum.Enum):
    """What the thread of a signal does once that is answered."""

    NOTHING = 'nothing'
    WHAT_IS_DUE = 'what is due'
    ALL = 'all'


class PolicyWork:
    """What one thread of an engine does for one policy."""

    def __init__(self, policy: Any, group: Any, wanted: options.Options) -> None:
        self._policy = policy
        self._group = group
        self._options = wanted
        self._lock = lease.Lock(policy.context, policy.resource_id)
        self._events = events.EventEmitter(policy)
        self._signals = remembered.RememberedSignals(policy)
        self._follows = _Follows.NOTHING
        self._loop = work_loop.WorkLoop(
            policy, group, self._lock, self._events, self._signals, self._decide
        )

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
        self._follows = _Follows.NOTHING
        # Also what has ended beside an alarm that goes on: nobody says that again.
        self._signals.note_ok(signal.over)
        if signal.is_all_clear:
            return f'nothing to do: the alarm says {signal.alarm_state.value}'
        admission = admissions.Admission(self._policy, self._group, self._lock)
        if signal.member is not None and signal.action in _ABOUT_A_MEMBER:
            admission.refuse_foreign(signal.member)
        kept = self._to_keep(signal, chained, requested_by, admission)
        hindrance = self._acquire(signal, admission, is_chained=chained is not None)
        self._follows = _Follows.WHAT_IS_DUE
        if isinstance(hindrance, arrival.Join) and signal.action in _KEPT:
            raise exceptions.Refused(f'{hindrance.reason}, so this signal joins it')
        if hindrance is not None:
            return self._keep(signal, kept, hindrance.reason)
        try:
            answer = self._decide(
                signal, chained, requested_by, admission.is_overtaken, accepted_at
            )
        except (exceptions.CouldNotAsk, exceptions.TryAgain, exceptions.LostLock) as exc:
            if kept is None:
                raise
            # Nobody posts an event alarm twice.
            return self._keep(signal, kept, str(exc))
        except exceptions.Stopped:
            self._follows = _Follows.ALL
            raise
        finally:
            self._lock.release()
        if isinstance(answer, str):
            self._follows = _Follows.ALL
            return answer
        return self._keep(signal, kept, answer.why, answer)

    def _decide(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
        is_overtaken: Callable[[model.Record], bool],
        accepted_at: float,
        kept: model.Remembered | None = None,
    ) -> str | later.Remember:
        """Have a signal decided and carried out, with the lock held.

        :raises StillStopped: it was no person's, and stopped for the same reason as before.
        """
        made = controller.FailoverController(
            self._policy, self._group, self._options, self._lock, self._events
        )
        is_quiet = signal.action is not None and signal.action.is_quiet
        before = record.read(self._policy).reason if is_quiet else ''
        if is_quiet:
            self._events.hold_back()
        is_news = True
        try:
            with moves_under_way.HERE.moving(self._policy.resource_id):
                return made.handle(
                    signal,
                    chained,
                    requested_by,
                    is_overtaken=is_overtaken,
                    accepted_at=accepted_at,
                    kept=kept,
                )
        except exceptions.Stopped as exc:
            is_news = not is_quiet or room.bounded(exc.reason) != before
            if is_news:
                raise
            raise exceptions.StillStopped(exc.reason, exc.remedy) from exc
        finally:
            if is_quiet:
                self._events.let_go(is_news=is_news)

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
        called = signal.member or ''
        about = admission.about(signal.member) or model.MemberServer(called, called)
        return model.Remembered(
            member=about.member,
            server=about.server,
            is_named=signal.member is not None,
            came=clock.now_text('milliseconds'),
            requested_by=requested_by,
            reason=signal.cause,
            chained=chained,
            named=called if called != about.server else '',
        )

    def _keep(
        self,
        signal: signals.Signal[model.Action],
        kept: model.Remembered | None,
        why: str,
        answer: later.Remember | None = None,
    ) -> str:
        if kept is None:
            raise exceptions.Refused(why, 'Send the signal again')
        pause = answer.due_in if answer is not None else None
        due = '' if pause is None else work.at(clock.now(), pause)
        if answer is not None and answer.alarms:
            kept = rules.unnamed(kept, answer.alarms)
        elif instance_failure.INSTANCE_FAILURE in resource_data.fresh(self._policy):
            kept = rules.as_kept(kept, signal)
        self._signals.keep(dataclasses.replace(kept, why=why, due=due))
        self._follows = _Follows.ALL
        return f'the signal about {arrival.subject(kept)} is kept and decided again: {why}'

    def _acquire(
        self,
        signal: signals.Signal[model.Action],
        admission: admissions.Admission,
        *,
        is_chained: bool,
    ) -> arrival.Join | arrival.Keep | None:
        """Take the lock; what is only tried again makes way for who waits for an answer."""
        is_person = signal.action in _OF_A_PERSON
        if is_person and self._lock.owner() is not None:
            self._policy.data_set(failover_run.MAKE_WAY, clock.now_text())
        try:
            return admission.acquire(signal.member, is_person=is_person, is_chained=is_chained)
        finally:
            if is_person:
                self._policy.data_delete(failover_run.MAKE_WAY)

    def go_on(self) -> None:
        """Do what the signal leaves to do: everything on record, or what is due, or nothing.

        A signal that was refused, or is about something else, holds no thread.
        """
        if self._follows is not _Follows.NOTHING:
            self._loop.go_on(waits=self._follows is _Follows.ALL)
