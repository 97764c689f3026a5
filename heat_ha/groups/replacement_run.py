# SPDX-License-Identifier: Apache-2.0
"""One run of one replacement: look, ask ``decide``, have Heat do it, until nothing is left.

``heat_ha.groups.replacing`` holds the lease of the group while a run works, and begins another
run when one came to its end too early.
"""

import collections.abc
import contextlib
import dataclasses
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.groups import intent, model
from heat_ha.groups import lease as group_lease
from heat_ha.groups.adapters import changes, deletion_holds
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.rules import decide, pairs
from heat_ha.groups.rules.result import Result, names_of, result

LOG = logging.getLogger(__name__)

# Seconds before a look that got no answer is tried again.
LOOK_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0)

# Seconds for which the deletion of a replaced member is waited for before another member is
# replaced. Most servers are gone within some seconds; a dead one may never say that it is done.
REMOVAL_SECONDS = 60.0

GOES_ON = 'the same replacement goes on'

Emit = collections.abc.Callable[[str], None]
Keep = collections.abc.Callable[[], collections.abc.Collection[str]]
IsNeeded = collections.abc.Callable[[], bool]
AtWork = collections.abc.Callable[[], None]


def never() -> bool:
    """Nobody else needs the group."""
    return False


def always() -> bool:
    """Somebody else needs the group."""
    return True


def nothing() -> None:
    """Nobody wants to know that the run is at work."""


class StillRemoving(exceptions.Stopped):
    """All but deletions is done. Heat goes on with them, and somebody else needs the group."""


class ReplacementRun:
    """One run of one replacement: from what is there to its end, or to where it stops.

    :param keep: asked before each step for the names of members that stay in any case.
    :param is_needed: asked while nothing but deletions is under way: whether somebody else needs
        the group. Then the run leaves them to Heat, which goes on with them.
    :param at_work: called at each look.
    :ivar added: names of the new members that are in service, once the run has ended.
    """

    def __init__(
        self,
        group: Any,
        held: group_lease.Lease,
        wanted: model.Replacement,
        keep: Keep,
        emit: Emit,
        is_needed: IsNeeded = never,
        at_work: AtWork = nothing,
    ) -> None:
        self._group = group
        self._held = held
        self._keep = keep
        self._emit = emit
        self._is_needed = is_needed
        self._at_work = at_work
        self._holds = deletion_holds.DeletionHolds(group)
        self._rolling = group_members.rolling(group)
        self._intent = intent.Intent(group, held, wanted)
        self._requested = decide.Requested()
        self._batches = 0
        self._has_changed = False
        self._is_settled = False
        self._ended = wanted
        self.added: tuple[str, ...] = ()
        self._started = time.monotonic()
        self._deadline = self._started + group.stack.timeout_secs()
        self._causes: dict[str, str] = {}
        self._last_change: decide.Change | None = None
        self._changed_at = self._started

    def carry_out(self) -> model.Outcome:
        """Do all that is left to do.

        :raises exceptions.Refused: nothing could be done.
        :raises exceptions.MayPass: not all of it could be done now; ``what_is_left`` may be later.
        :raises StillRemoving: what is left are deletions, and somebody else needs the group.
        :raises exceptions.Stopped: not all of it could be done.
        """
        self._intent.take()
        self._notify('start', 'Start')
        try:
            with contextlib.closing(self._holds):
                seen, blocked = self._work()
            self._ended = self._intent.wanted
            found = result(seen, self._ended, self._causes)
            if blocked is not None:
                self._stop_where_blocked(blocked)
            self._is_settled = True
            self._intent.settle(seen, self._keep())
            outcome = self._outcome(found, blocked)
        except exceptions.CouldNotAsk as exc:
            self._intent.release()
            self._notify('error', str(exc))
            raise exceptions.MayPass(str(exc), f'Signal again when it answers: {GOES_ON}') from exc
        except BaseException as exc:
            self._intent.release()
            self._notify('error', str(exc))
            raise
        self._notify('end', 'End')
        return outcome

    def what_is_left(self) -> model.Replacement:
        """What another run has to do after this one has come to its end too early.

        :raises TakenOver: it is another engine's by now.
        :raises exceptions.CouldNotAsk: Heat did not answer.
        """
        self._intent.check_between_runs()
        if not self._is_settled:
            return self._intent.wanted
        seen = self._look()
        masked = self._intent.wanted.masked
        left = pairs.tried_again(seen, self._ended, changes.new_name, self._keep())
        return dataclasses.replace(left, masked=masked)

    def _notify(self, suffix: str, message: str) -> None:
        wanted = self._intent.wanted
        changes.notify(self._group, suffix, len(wanted.pairs), wanted.size, message)

    def _work(self) -> tuple[model.Group, decide.Blocked | None]:
        """Take step after step; what the group is at the end, and what is left if anything is."""
        while True:
            self._check()
            seen = self._look()
            self._report_last_change(seen)
            wanted, requested = self._intent.wanted, self._requested
            step = decide.next_step(seen, wanted, self._rolling, self._keep(), requested)
            LOG.debug('Group %s: %s', self._group.name, step)
            match step:
                case decide.Finished():
                    return seen, None
                case decide.Blocked():
                    return seen, step
                case decide.GiveUp(reason, new):
                    self._give_up(new, reason)
                case decide.Wait(reason):
                    self._wait(reason, seen)
                case decide.WaitForRemoval(_, names):
                    if not self._wait_for_removal(names):
                        return seen, decide.still_removing(names[0], names)
                case decide.Change():
                    self._change(step, seen)

    def _stop_where_blocked(self, blocked: decide.Blocked) -> None:
        """:raises exceptions.Stopped: what is left is of the request that the run is for."""
        if decide.own(self._ended).isdisjoint(blocked.names):
            return
        kind = exceptions.MayPass if decide.is_passing(blocked.reason) else exceptions.Stopped
        if blocked.is_removing and time.monotonic() < self._deadline:
            kind = StillRemoving
        raise kind(blocked.reason, blocked.remedy)

    def _look(self) -> model.Group:
        """Look, and again when there is no answer: one lost reply is not a reason to stop."""
        for seconds in LOOK_AGAIN_SECONDS:
            try:
                return group_members.look(self._group)
            except exceptions.CouldNotAsk as exc:
                LOG.info('%s; asking again in %s s', exc, seconds)
                time.sleep(seconds)
        return group_members.look(self._group)

    def _change(self, step: decide.Change, seen: model.Group) -> None:
        self._batches += step.is_new_batch
        if step.is_new_batch and self._batches > 1 and self._rolling.pause_seconds:
            self._emit(f'pausing for {self._rolling.pause_seconds:.0f} s between two batches')
            _pause(self._rolling.pause_seconds, self._check)
        self._intent.mask_failures(step)
        self._holds.set(step.hold)
        self._requested = self._requested.and_for(step)
        self._changed_at = time.monotonic()
        try:
            changes.change(self._group, step.add, step.remove, self._check)
        except exceptions.Refused as exc:
            if not step.add:
                raise exceptions.Stopped(
                    str(exc), f'Mend the cause and signal again: {GOES_ON}'
                ) from exc
            for new in step.add:
                self._give_up(new, exc.reason)
            return
        self._has_changed = True
        self._last_change = step
        self._emit(f'{step.reason}: {_signed(step)}')
        self._wait(step.reason, seen, step)

    def _report_last_change(self, seen: model.Group) -> None:
        change, self._last_change = self._last_change, None
        if change is None:
            return
        seconds = time.monotonic() - self._changed_at
        for name in change.add:
            new = seen.member(name)
            if new is not None and new.is_in_service:
                self._emit(f'new member {name} is complete after {seconds:.1f} s')
        left = {m.name for m in (*seen.members, *seen.being_deleted)}
        for name in change.remove:
            if name not in left:
                self._emit(f'member {name} is gone after {seconds:.1f} s')

    def _wait(self, reason: str, seen: model.Group, change: decide.Change | None = None) -> None:
        """Wait for the end of a change, but not for long where only deletions are left of it."""
        wanted = self._intent.wanted
        passed_over = decide.passed_over(seen, wanted, self._requested)
        removed = {m.name for m in pairs.former(seen, wanted)}.union(
            change.remove if change else ()
        )
        deadline = self._changed_at + REMOVAL_SECONDS

        def is_enough(at_work: frozenset[str]) -> bool:
            left = at_work - passed_over
            if left <= removed and (time.monotonic() >= deadline or self._is_needed_elsewhere()):
                overdue = self._requested.overdue.union(left)
                self._requested = dataclasses.replace(self._requested, overdue=overdue)
                return True
            return not left

        expected = change.add if change else ()
        if not self._waited(self._deadline, is_enough, expected):
            raise exceptions.Stopped(
                f'{reason}: group {self._group.name} was not done within the '
                f"{self._group.stack.timeout_secs()} s of its stack's timeout",
                f'Signal again: {GOES_ON}',
            )

    def _wait_for_removal(self, names: tuple[str, ...]) -> bool:
        """Wait until a deletion has ended; False where it is to be left to Heat."""
        is_left = []

        def is_enough(at_work: frozenset[str]) -> bool:
            if self._is_needed_elsewhere():
                is_left.append(True)
            return bool(is_left) or not at_work.issuperset(names)

        return self._waited(self._deadline, is_enough) and not is_left

    def _is_needed_elsewhere(self) -> bool:
        return self._is_needed() or group_store.is_asked_for(self._group)

    def _waited(
        self,
        deadline: float,
        is_enough: collections.abc.Callable[[frozenset[str]], bool],
        expected: tuple[str, ...] = (),
    ) -> bool:
        return changes.wait(self._group, deadline, self._check, is_enough, expected)

    def _check(self) -> None:
        """:raises intent.TakenOver: another engine has the work."""
        self._intent.check()
        self._at_work()

    def _give_up(self, new: str, reason: str) -> None:
        self._causes[new] = reason
        self._intent.give_up(new)
        self._emit(f'new member {new} cannot be had: {reason}')

    def _outcome(self, found: Result, blocked: decide.Blocked | None) -> model.Outcome:
        """The outcome of the run. :raises exceptions.HaError: not all pairs are done."""
        self.added = found.added
        self._held.has_scaled = self._held.has_scaled or bool(found.done)
        if blocked is not None:
            self._emit(f'{blocked.reason}; the next replacement tries it again')
        if not found.failures:
            seconds = time.monotonic() - self._started
            return model.Outcome(found.replaced, found.added, seconds, found.left_over)
        reasons = list(found.failures)
        if found.done:
            reasons.append(f'replaced: {names_of(found.replaced)}')
        kind: type[exceptions.Stopped] | type[exceptions.Refused] = exceptions.Stopped
        if found.may_pass:
            kind = exceptions.MayPass
        elif not self._has_changed:
            kind = exceptions.Refused
        raise kind('; '.join(reasons), 'Mend the cause and signal again')


def _pause(seconds: float, still_wanted: collections.abc.Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        still_wanted()
        time.sleep(min(changes.POLL_SECONDS, seconds))


def _signed(step: decide.Change) -> str:
    return ' '.join([*(f'+{n}' for n in step.add), *(f'-{n}' for n in step.remove)]) or 'no members'
