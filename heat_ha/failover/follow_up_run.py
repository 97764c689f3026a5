# SPDX-License-Identifier: Apache-2.0
"""Do what is left of a failover that is over: shut off or replace what it has left.

It holds no lock of the policy while it works: the next failover does not wait for it. Its
changes of the group exclude one another by the group's own lease, and it may be done again from
its beginning by any engine (S4).
"""

import dataclasses
import enum
import threading
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients, clock, lease, resource_data
from heat_ha.failover import (
    events,
    executor,
    follow_up_claim,
    heat_steps,
    held_record,
    model,
    observation,
    record,
    remembered,
    retention,
)
from heat_ha.failover.rules import outcome, room, ways_out, work

LOG = logging.getLogger(__name__)

# Seconds until another try where somebody else changes the group now, and until another look at a
# deletion that was left to Heat because something else was due.
AFTER_OTHERS, AFTER_REMOVAL = 5.0, 30.0

# Seconds between two questions whether something else is due.
NEEDED_EVERY = 3.0


# What threads of this engine are at, by policy and plan.
_AT_WORK: set[tuple[str, str]] = set()
_GUARD = threading.Lock()


class Tried(enum.Enum):
    """What came of a try. Only the first is work that was done: to wait is no progress."""

    ENDED = 'it was done, or failed'
    PUT_OFF = 'somebody else changes the group, or Heat deletes what was replaced'
    ELSEWHERE = 'another thread or engine is at it'


class NoLongerWanted(exceptions.LeaveOff):
    """It was dropped, done by another engine, or the policy is being deleted."""


class FollowUpRun:
    """One try of one follow-up.

    :param deleting: the key in the policy's data that says that it is being deleted.
    """

    def __init__(
        self,
        policy: Any,
        group: Any,
        lock: lease.Lock,
        emitter: events.EventEmitter,
        wanted: model.FollowUp,
        deleting: str,
    ) -> None:
        self._policy = policy
        self._group = group
        self._changes = held_record.RecordChanges(policy, lock)
        self._events = emitter
        self._wanted = wanted
        self._claim = follow_up_claim.FollowUpClaim(policy, lock, wanted.plan.plan_id)
        self._deleting = deleting
        self._asked_at = float('-inf')
        self._heat_steps = heat_steps.HeatSteps(
            policy,
            group,
            emitter,
            retention.Retention(policy, group, self._changes, emitter),
            self.still_wanted,
        )

    @property
    def _plan_id(self) -> str:
        return self._wanted.plan.plan_id

    def carry_out(self) -> Tried:
        """Try it once, and put on record how it ended, or when it is tried again."""
        key = (self._policy.resource_id, self._plan_id)
        with _GUARD:
            if key in _AT_WORK:
                return Tried.ELSEWHERE
            _AT_WORK.add(key)
        try:
            return self._carry_out()
        finally:
            with _GUARD:
                _AT_WORK.discard(key)

    def _carry_out(self) -> Tried:
        started = time.monotonic()
        try:
            if not self._is_claimed():
                return Tried.ELSEWHERE
            running = executor.PlanExecutor(
                self._wanted.plan, self, clients.StackClients(self._policy), of_follow_up=True
            )
            done = running.run()
            self._end(done, time.monotonic() - started)
        except (NoLongerWanted, exceptions.LostLock) as exc:
            LOG.info('%s: the follow-up of plan %s: %s', self._policy.name, self._plan_id, exc)
        except heat_steps.GroupBusy as exc:
            self._put_off(exc, AFTER_OTHERS)
            return Tried.PUT_OFF
        except heat_steps.StillRemoving as exc:
            self._put_off(exc, AFTER_REMOVAL)
            return Tried.PUT_OFF
        except exceptions.Stopped as exc:
            self._failed(exc)
        return Tried.ENDED

    def _is_claimed(self) -> bool:
        """Whether this engine is at it, and no other.

        :raises NoLongerWanted: it is not on record any more.
        """
        found = self._claim.take()
        if found is None:
            raise NoLongerWanted('it is not on record any more')
        self._wanted = found
        return found.engine == lease.own_engine_id()

    def _end(self, done: model.Plan, seconds: float) -> None:
        listed = observation.with_members_now(self._group, model.Record())
        present = [one.member for one in listed.seen]

        def end(known: model.Record) -> model.Record:
            self._check_in(known)
            ended = outcome.after_follow_up(known, done, present or known.suspects)
            return dataclasses.replace(ended, seen=listed.seen, seen_rows=listed.seen_rows)

        def note(lock: lease.Lock) -> None:
            if done.cause is model.Cause.REPLACE_STANDBY:
                line = outcome.past(done, 'done', handoff_seconds=None, seconds=seconds)
                record.add_to_history(self._policy, line, lock)
            else:
                record.complete_history(self._policy, done, lock)

        self._changes.make(end, note)
        names = ', '.join(done.replaces)
        self._events.emit(events.COMPLETE, f'replacing {names}: done', done)

    def _put_off(self, exc: exceptions.HaError, seconds: float) -> None:
        """Try it later, because it waits for somebody else; that is no failure."""
        due = work.at(clock.now(), seconds)
        self._claim.give_up(
            dataclasses.replace(self._wanted, due=due, reason=room.bounded(str(exc)))
        )

    def _failed(self, exc: exceptions.Stopped) -> None:
        tries = self._wanted.tries + 1
        pause = work.again_after(tries)
        remedy = 'Mend the cause; resume has it tried at once, drop gives it up'
        changed = dataclasses.replace(
            self._wanted,
            tries=tries,
            due=work.at(clock.now(), pause),
            reason=room.bounded(exc.reason),
            remedy=remedy,
        )
        is_ours = self._claim.give_up(changed)
        if is_ours and work.is_reported(tries, changed.reason != self._wanted.reason):
            names = events.names(self._wanted.plan.replaces)
            intro = f'{names} could not be replaced (try {tries}, again in {pause:.0f} s): '
            # The whole reason is in ``pending``.
            text = events.with_remedy(intro, exc.reason, remedy)
            self._events.emit(events.FAILED, text, self._wanted.plan)

    # --- what the executor calls (executor.ExecutorCallbacks) --------------------------------

    def save(self, _plan: model.Plan) -> None:
        """Nothing: what is to be done is on record, and each step is seen from the group."""
        self.still_wanted()

    def still_wanted(self) -> None:
        """Ask whether to go on, and say that this engine is at it.

        :raises NoLongerWanted: see ``check_ours``.
        """
        self._claim.renew()
        self.check_ours()

    def check_ours(self) -> None:
        """Ask before a request whether it may be sent.

        :raises NoLongerWanted: it was dropped, another engine has taken it over while this one
            was frozen, or the policy is being deleted.
        """
        data = resource_data.fresh(self._policy)
        if self._deleting in data:
            raise NoLongerWanted('the policy is being deleted')
        self._check_in(record.record_of(data))

    def _check_in(self, known: model.Record) -> None:
        found = work.follow_up_of(known, self._plan_id)
        if found is None:
            raise NoLongerWanted('it is not on record any more')
        if found.engine != self._wanted.engine:
            raise NoLongerWanted(f'engine {found.engine or "unknown"} has taken it over')

    def begun(self, plan: model.Plan) -> None:
        """Report the start of the first try; one that came too early is none."""
        if not self._wanted.reason:
            self._events.progress(f'replacing {", ".join(plan.replaces)}', plan)

    def report(self, step: model.Step, plan: model.Plan) -> None:
        """Make an event of a step that is done; the end of the try reports one that is not."""
        if step.state is model.StepState.DONE:
            self._events.progress(
                f'{step.name}: {step.reason}, after {step.seconds or 0.0:.2f} s', plan
            )

    def replace(self, plan: model.Plan, step: model.Step) -> str:
        """Replace what the step names; neither the active nor who is to become it."""
        beside = heat_steps.Beside(self._keep, self._claim.renew, self._is_other_due)
        return self._heat_steps.replace(plan, step, beside)

    def _is_other_due(self) -> bool:
        """Whether the policy has something else to do than to wait for a deletion.

        One that is stuck on a dead server may take as long as the stack's timeout.
        """
        if time.monotonic() < self._asked_at + NEEDED_EVERY:
            return False
        self._asked_at = time.monotonic()
        data = resource_data.fresh(self._policy)
        return work.is_other_due(
            record.record_of(data),
            remembered.among(data),
            clock.now(),
            self._plan_id,
            is_locked=lease.is_held_by_living(self._policy.context, self._policy.resource_id),
        )

    def _keep(self) -> tuple[str, ...]:
        """Who stays by now: a failover may go on beside this."""
        known = record.read(self._policy)
        keep = [known.active] if known.active else []
        if ways_out.is_open(known) and known.plan is not None:
            keep += [one for one in (known.plan.old, known.plan.new) if one is not None]
        retained = [one.member for one in known.retained]
        return tuple(dict.fromkeys((*(one.member for one in keep), *retained)))

    def add_member(self, plan: model.Plan) -> model.MemberServer:
        """Never: it is a step of the failover."""
        raise AssertionError(plan)

    def hand_over(self, plan: model.Plan) -> None:
        """Never: it is a step of the failover."""
        raise AssertionError(plan)

    def run_hook(self, plan: model.Plan, step: model.Step) -> str:
        """Never: it is a step of the failover."""
        raise AssertionError(plan, step)

    def moved(self, plan: model.Plan) -> None:
        """Never: it is a step of the failover."""
        raise AssertionError(plan)
