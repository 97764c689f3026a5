# SPDX-License-Identifier: Apache-2.0
"""Carrying an intent out in one run or several, and what an earlier engine has left before that.

``heat_ha.groups.replacing`` puts the intents together and holds the lease of the group.
"""

import collections.abc
import itertools
import random
import time
from typing import Any

from heat_ha import exceptions
from heat_ha.groups import lease as group_lease
from heat_ha.groups import model
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.intent import TakenOver
from heat_ha.groups.replacement_run import (
    AtWork,
    Emit,
    IsNeeded,
    Keep,
    ReplacementRun,
    always,
    never,
    nothing,
)
from heat_ha.groups.rules import decide, pairs
from heat_ha.groups.rules.result import names_of

# The longest waits, in seconds, before what may pass is tried again: time for a service to be
# restarted, and not so long that nobody sees why nothing happens.
PAUSES = (2.0, 8.0, 20.0)


# Names of members, or what is asked for them before each step.
KeepArgument = collections.abc.Collection[str] | Keep


def as_asked(keep: KeepArgument) -> Keep:
    """What gives the names of the members that stay, as they are now."""
    return keep if callable(keep) else lambda: keep


def is_only_removing(group: Any, left: model.Replacement, keep: Keep) -> bool:
    """Whether only the deletion of former members is left of what is on record."""
    seen = group_members.look(group)
    return decide.is_only_removing(seen, left, group_members.rolling(group), keep())


def within_max_size(group: Any, left: model.Replacement) -> model.Replacement:
    """What is on record, as far as the group may still have so many members."""
    max_size = group.properties[group.MAX_SIZE]
    if left.size <= max_size:
        return left
    return pairs.within(left, max_size, pairs.kept_beside(group_members.look(group), left))


class RunSeries:
    """Carries intents out under the lease of a group, each in one run or several."""

    def __init__(
        self,
        group: Any,
        held: group_lease.Lease,
        emit: Emit,
        is_needed: IsNeeded = never,
        at_work: AtWork = nothing,
    ) -> None:
        self.group = group
        self.held = held
        self.emit = emit
        self.is_needed = is_needed
        self.at_work = at_work

    def take_up(self, left: model.Replacement, keep: Keep, is_needed: IsNeeded) -> model.Outcome:
        """Carry out what an earlier run left. :raises exceptions.HaError: see ``in_runs``."""
        self.emit(
            f'resuming the replacement of {names_of(left.victims)} that {left.requested_by} began '
            f'at {left.since}'
        )
        left = within_max_size(self.group, pairs.resumed(left, keep()))
        return self.in_runs(left, keep, is_needed)

    def settle(self, left: model.Replacement, keep: Keep) -> model.Outcome | None:
        """Carry out what an earlier run left, so that another replacement can go on record.

        What it has removed is not waited for: that may stay on record beside another one.

        :returns: None where it was not completed.
        :raises exceptions.HaError: it could not be completed, and may not be forgotten.
        """
        try:
            return self.take_up(left, keep, always)
        except TakenOver:
            # The group is not ours any more, even if the other engine has ended its work already.
            raise
        except exceptions.HaError as exc:
            now = group_store.read_replacement(self.group)
            if now is not None and not is_only_removing(self.group, now, keep):
                raise
            self.emit(f'what {left.requested_by} began at {left.since} was not completed: {exc}')
        return None

    def in_runs(
        self, wanted: model.Replacement, keep: Keep, is_needed: IsNeeded | None = None
    ) -> model.Outcome:
        """Carry a replacement out, and what is left of it again where it may succeed later.

        :raises exceptions.Refused: nothing could be done.
        :raises exceptions.Stopped: not all of it could be done.
        """
        begin = time.monotonic()
        added: list[str] = []
        pauses: collections.abc.Iterator[float] = iter(PAUSES)
        if wanted.given_up:
            # What an earlier run gave up is tried again at once: this request asks for that.
            pauses = itertools.chain([0.0], pauses)
        gone = tuple(p.victim for p in wanted.pairs if p.victim and not p.is_overtaken)
        while True:
            run = ReplacementRun(
                self.group,
                self.held,
                wanted,
                keep,
                self.emit,
                is_needed or self.is_needed,
                self.at_work,
            )
            try:
                outcome = run.carry_out()
            except exceptions.MayPass as exc:
                pause = next(pauses, None)
                if pause is None:
                    raise
                added += run.added
                pause *= random.uniform(0.5, 1.0)
                self.emit(f'{exc.reason}; trying again in {pause:.1f} s')
                time.sleep(pause)
                try:
                    wanted = run.what_is_left()
                except exceptions.CouldNotAsk:
                    raise exc from None
                continue
            seconds, new = time.monotonic() - begin, (*added, *outcome.new)
            return model.Outcome(gone, new, seconds, outcome.left_over)
