# SPDX-License-Identifier: Apache-2.0
"""One run of one replacement: look, ask ``decide``, have Heat do it, until nothing is left.

``heat_ha.groups.replacing`` holds the claim to the group while a run works, and begins another
run when one came to its end too early.
"""

import collections.abc
import dataclasses
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import lease
from heat_ha.groups import lease as group_lease
from heat_ha.groups import model
from heat_ha.groups.adapters import changes, failure_masks
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.rules import decide

LOG = logging.getLogger(__name__)

# Seconds before a look that got no answer is tried again.
LOOK_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0)

# Signs of another's error message that fit into an event beside what it is about.
MAX_CAUSE_LENGTH = 120

Emit = collections.abc.Callable[[str], None]


class ReplacementRun:
    """One run of one replacement: from what is there to its end, or to where it stops."""

    def __init__(
        self,
        group: Any,
        claim: group_lease.Lease,
        wanted: model.Replacement,
        keep: tuple[str, ...],
        emit: Emit,
    ) -> None:
        self._group = group
        self._claim = claim
        self._keep = keep
        self._emit = emit
        self._rolling = group_members.rolling(group)
        self._requested = decide.Requested()
        self._batches = 0
        self._has_changed = False
        self._is_settled = False
        self.added: tuple[str, ...] = ()
        self._started = time.monotonic()
        self._deadline = self._started + group.stack.timeout_secs()
        self._failures: dict[str, str] = {}
        self._last_change: decide.Change | None = None
        self._changed_at = self._started
        # From here on the work is this engine's.
        self._wanted = dataclasses.replace(wanted, id=claim.mark.id, engine=lease.own_engine_id())

    def carry_out(self) -> model.Outcome:
        """Do all that is left to do.

        :raises exceptions.Refused: nothing could be done.
        :raises exceptions.MayPass: not all of it could be done now; ``what_is_left`` may be later.
        :raises exceptions.Stopped: not all of it could be done.
        """
        self._record()
        self._notify('start', 'Start')
        try:
            seen = self._work()
            self._is_settled = True
            self._end(seen)
            outcome = self._outcome(seen)
        except exceptions.CouldNotAsk as exc:
            self._leave()
            self._notify('error', str(exc))
            raise exceptions.MayPass(
                str(exc), 'Signal again when it answers: the same replacement goes on'
            ) from exc
        except BaseException as exc:
            self._leave()
            self._notify('error', str(exc))
            raise
        self._notify('end', 'End')
        return outcome

    def what_is_left(self) -> model.Replacement:
        """What another run has to do after this one has come to its end too early.

        :raises TakenOver: it is another engine's by now.
        :raises exceptions.CouldNotAsk: Heat did not answer.
        """
        mark = group_store.read_mark(self._group)
        left = group_store.read_replacement(self._group)
        if any(found and found.id != self._wanted.id for found in (mark, left)):
            raise self._taken_over()
        if not self._is_settled:
            return self._wanted
        pairs = decide.still_open(self._look(), self._wanted, changes.new_name, self._keep)
        return dataclasses.replace(self._wanted, pairs=pairs, given_up=())

    def _notify(self, suffix: str, message: str) -> None:
        changes.notify(self._group, suffix, len(self._wanted.pairs), self._wanted.size, message)

    def _work(self) -> model.Group:
        while True:
            self._still_wanted()
            seen = self._look()
            self._report_last_change(seen)
            step = decide.next_step(seen, self._wanted, self._rolling, self._keep, self._requested)
            LOG.debug('Group %s: %s', self._group.name, step)
            if isinstance(step, decide.Finished):
                return seen
            if isinstance(step, decide.Blocked):
                may_pass = decide.is_passing(step.reason)
                kind = exceptions.MayPass if may_pass else exceptions.Stopped
                raise kind(step.reason, step.remedy)
            if isinstance(step, decide.GiveUp):
                self._give_up(step.new, step.reason)
            elif isinstance(step, decide.Wait):
                self._wait(step.reason)
            else:
                self._change(step)

    def _look(self) -> model.Group:
        """Look, and again when there is no answer: one lost reply is no reason to stop."""
        for seconds in LOOK_AGAIN_SECONDS:
            try:
                return group_members.look(self._group)
            except exceptions.CouldNotAsk as exc:
                LOG.info('%s; asking again in %s s', exc, seconds)
                time.sleep(seconds)
        return group_members.look(self._group)

    def _change(self, step: decide.Change) -> None:
        self._batches += step.is_new_batch
        if step.is_new_batch and self._batches > 1 and self._rolling.pause_seconds:
            self._emit(f'pausing for {self._rolling.pause_seconds:.0f} s between two batches')
            self._pause(self._rolling.pause_seconds)
        self._hold_back(step)
        self._requested = self._requested.and_for(step)
        self._changed_at = time.monotonic()
        try:
            changes.change(self._group, step.add, step.remove)
        except exceptions.Refused as exc:
            if not step.add:
                raise exceptions.Stopped(
                    str(exc), 'Mend the cause and signal again: the same replacement goes on'
                ) from exc
            for new in step.add:
                self._give_up(new, exc.reason)
            return
        self._has_changed = True
        self._last_change = step
        self._emit(f'{step.reason}: {_signed(step)}')
        self._wait(step.reason)

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

    def _wait(self, reason: str) -> None:
        if not changes.wait(self._group, self._deadline, self._still_wanted):
            raise exceptions.Stopped(
                f'{reason}: group {self._group.name} was not done within the '
                f"{self._group.stack.timeout_secs()} s of its stack's timeout",
                'Signal again: the same replacement goes on',
            )

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._still_wanted()
            time.sleep(min(changes.POLL_SECONDS, seconds))

    def _still_wanted(self) -> None:
        """Stop when another engine, that took this one for dead, has taken the work up."""
        found = group_store.read_replacement(self._group)
        if found is None or found.id != self._wanted.id:
            raise self._taken_over()

    def _taken_over(self) -> 'TakenOver':
        return TakenOver(
            f"the replacement in group {self._group.name} is another engine's now",
            'Nothing is to be done',
        )

    def _give_up(self, new: str, reason: str) -> None:
        self._failures[new] = reason
        self._wanted = dataclasses.replace(self._wanted, given_up=(*self._wanted.given_up, new))
        self._record()
        self._emit(f'new member {new} is not to be had: {reason}')

    def _hold_back(self, step: decide.Change) -> None:
        known = {(h.stack, h.resource) for h in self._wanted.held_back}
        for held in failure_masks.to_mask(self._group, step.remove, self._wanted.victims):
            if (held.stack, held.resource) in known:
                continue
            self._wanted = dataclasses.replace(
                self._wanted, held_back=(*self._wanted.held_back, held)
            )
            # On record first: a look takes the member for failed all the while.
            self._record()
            failure_masks.mask(self._group, held)

    def _put_back(self, seen: model.Group | None) -> None:
        left = []
        for held in self._wanted.held_back:
            if seen is not None and seen.member(held.member) is None:
                continue
            try:
                failure_masks.unmask(self._group, held)
            except exceptions.CouldNotAsk as exc:
                LOG.warning('Group %s: %s', self._group.name, exc)
                left.append(held)
        self._wanted = dataclasses.replace(self._wanted, held_back=tuple(left))

    def _record(self) -> None:
        group_store.write_replacement(self._group, self._wanted)

    def _leave(self) -> None:
        """Leave the intent on record for the next signal, as nobody's."""
        found = group_store.read_replacement(self._group)
        if found is None or found.id != self._wanted.id:
            return
        self._put_back(None)
        self._wanted = dataclasses.replace(self._wanted, engine='')
        self._record()

    def _end(self, seen: model.Group) -> None:
        self._put_back(seen)
        if self._wanted.held_back or decide.is_short(seen, self._wanted, self._keep):
            # The next signal finds nothing to do but this.
            self._wanted = dataclasses.replace(self._wanted, engine='')
            self._record()
        else:
            group_store.drop_replacement(self._group)

    def _outcome(self, seen: model.Group) -> model.Outcome:
        done, failed, may_pass = [], [], True
        for pair in self._wanted.pairs:
            new = seen.member(pair.new)
            is_lacking = pair.new in self._wanted.given_up and not (new and new.is_in_service)
            if not is_lacking and seen.member(pair.victim) is None:
                done.append((pair.victim, pair.new if new else ''))
                continue
            failed.append(self._why_not(pair, seen))
            why = self._failures.get(pair.new)
            # What another run gave up was for a reason that may be gone by now.
            is_passing = why is None or decide.is_passing(why)
            may_pass &= is_passing and pair.new in self._wanted.given_up
        self.added = tuple(new for _, new in done if new)
        self._claim.has_scaled = self._claim.has_scaled or bool(done)
        if failed:
            if done:
                failed.append(f'replaced: {names_of([victim for victim, _ in done])}')
            kind: type[exceptions.Stopped] | type[exceptions.Refused] = exceptions.Stopped
            if may_pass:
                kind = exceptions.MayPass
            elif not self._has_changed:
                kind = exceptions.Refused
            raise kind('; '.join(failed), 'Mend the cause and signal again')
        return model.Outcome(
            tuple(victim for victim, _ in done if victim),
            self.added,
            time.monotonic() - self._started,
        )

    def _why_not(self, pair: model.Pair, seen: model.Group) -> str:
        # An event holds 255 signs: what matters comes first.
        is_there = seen.member(pair.victim) is not None
        old = f'member {pair.victim} is still there, ' if is_there else ''
        why = self._failures.get(pair.new, 'it had failed before')
        return f'{old}no new member {pair.new}: {signals.shorten(why, MAX_CAUSE_LENGTH)}'


class TakenOver(exceptions.Stopped):
    """Another engine took this one for dead, and its work up."""


def names_of(names: collections.abc.Sequence[str]) -> str:
    """The names that are not empty, in words."""
    return ', '.join(n for n in names if n) or 'none'


def _signed(step: decide.Change) -> str:
    return ' '.join([*(f'+{n}' for n in step.add), *(f'-{n}' for n in step.remove)]) or 'no members'
