# SPDX-License-Identifier: Apache-2.0
"""Bring the parts of a RemoteStack to what is wanted: look, decide, write down, send.

A ``Reconciler`` is one action or signal at work. Each call of ``step`` looks at every region that
is due once, all side by side, sends at most one request to each, and returns; Heat, or the timer
of a signal, calls it again a second later. What is known is in the record after each call, so
that any engine can go on at any point.

What is done about a part and about a tombstone is in ``part_reconciler`` and
``tombstone_reconciler``, how far the action is in ``progress``, what is sent in ``calls``.
"""

import dataclasses
import functools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from heat_ha.cloud import clock
from heat_ha.regions import (
    calls,
    interfaces,
    model,
    part_reconciler,
    progress,
    tombstone_reconciler,
)
from heat_ha.regions.rules import (
    answers,
    planning,
    restores,
    revision,
    rollouts,
    spec,
    steps,
    tags,
)

AnyCall = TypeVar('AnyCall', bound=calls.Call)


class Reconciler:
    """One action or signal that brings regions to what is wanted of them.

    :param region_heat: makes the way to a region's Heat, from its name and its place.
    :param emit: takes an event's text, and whether it is of a failure.
    :param only: the regions that are looked at; None for all.
    """

    def __init__(
        self,
        store: interfaces.Store,
        desired: interfaces.DesiredState,
        region_heat: Callable[[str, str], interfaces.RegionHeat],
        emit: Callable[[str, bool], None],
        only: frozenset[str] | None = None,
    ) -> None:
        self._store = store
        self._desired = desired
        self._region_heat = region_heat
        self._emit = emit
        self._only = only
        self._action = progress.Progress()
        self._parts = part_reconciler.PartReconciler(
            store, desired.rules, self._action, self._body, emit
        )
        self._tombstones = tombstone_reconciler.TombstoneReconciler(
            desired.rules, self._action.attempt, emit
        )
        self._record = store.read() or model.Record(owner=desired.owner)
        self._bodies: dict[str, Mapping[str, Any]] = {}

    @property
    def record(self) -> model.Record:
        """The record after the last step."""
        return self._record

    @property
    def has_left_stacks(self) -> bool:
        """Whether a stack was left in a region because the template wants that."""
        return self._tombstones.has_left_stacks

    # --- what is wanted -----------------------------------------------------------------------

    def plan(self) -> None:
        """Put on record what is wanted now; no region is asked, and nothing is sent."""
        self._plan()
        self._store.write(self._record)

    def _plan(self) -> None:
        contents = self._desired.contents()
        planned = planning.plan(
            self._record,
            contents,
            self._desired.base_name,
            self._desired.is_single,
            clock.now_text(),
            lambda: uuid.uuid4().hex,
        )
        parts = tuple(self._with_wanted(p) for p in planned.parts)
        self._bodies = {r: c.body for r, c in contents.items() if isinstance(c, spec.Content)}
        manifest = revision.of({p.region: p.desired for p in parts})
        self._record = dataclasses.replace(planned, parts=parts, manifest=manifest)
        if self._desired.restore is not None:
            self._record = restores.ordered(self._record, self._desired.restore)

    def _with_wanted(self, part: model.Part) -> model.Part:
        """The part with where it belongs and whether it is to be suspended."""
        adopts = part.adopts if part.may_exist else self._desired.adopts.get(part.region, '')
        place = self._desired.places.get(part.region, '')
        sleep = (
            part.suspend_wanted
            if self._desired.suspend_wanted is None
            else self._desired.suspend_wanted
        )
        return dataclasses.replace(part, adopts=adopts, place=place, suspend_wanted=sleep)

    def _body(self, part: model.Part, request: steps.Request) -> Mapping[str, Any]:
        if request is steps.Request.RESTORE:
            return {}
        if request is steps.Request.TAG:
            return {'tags': tags.of(part.mark, part.restore_revision, self._record)}
        return {
            **self._desired.options,
            **self._bodies[part.region],
            'tags': tags.of(part.mark, part.desired, self._record),
        }

    # --- steps --------------------------------------------------------------------------------

    def step(self) -> bool:
        """Do the next step in each region that is due. :returns: whether all is done."""
        self._plan()
        self._settle_what_needs_no_look()
        # A part that waits for another part's output is not at work, and keeps no other waiting.
        lacking = {p.region for p in self._record.parts if p.region not in self._bodies}
        due = rollouts.may_work(
            self._record,
            self._desired.rollout,
            {*self._action.settled, *lacking},
            self._action.begun,
        )
        tombstones = self._open_tombstones()
        if due or tombstones:
            self._pass([p for p in self._record.parts if p.region in due], tombstones)
        self._store.write(self._record)
        # The outputs that were just read may be another part's input.
        self._plan()
        return not self._open_tombstones() and all(
            self._action.is_settled(p) for p in self._record.parts if p.region in self._bodies
        )

    def _settle_what_needs_no_look(self) -> None:
        self._action.reopen_changed(self._record.parts)
        for part in self._record.parts:
            if self._is_left_out(part):
                self._action.settle(part)
        reason = rollouts.not_begun(
            self._record, self._desired.rollout, self._action.settled, self._action.begun
        )
        for part in self._record.parts:
            if reason and part.region not in self._action.settled:
                self._action.settle(part)
                self._record = self._record.with_part(dataclasses.replace(part, reason=reason))

    def _is_left_out(self, part: model.Part) -> bool:
        if not self._is_included(part.region) or self._desired.only_deletes:
            return True
        is_refused = part.state is model.State.FAILED and part.attempt == self._action.attempt
        return part.state is model.State.ABANDONED or part.paused or is_refused

    def _is_included(self, region: str) -> bool:
        return self._only is None or region in self._only

    def _open_tombstones(self) -> list[model.Tombstone]:
        included = (t for t in self._record.tombstones if self._is_included(t.region))
        return self._tombstones.open_ones(included)

    # --- one pass: look, decide, write down, send ---------------------------------------------

    def _pass(self, parts: list[model.Part], tombstones: list[model.Tombstone]) -> None:
        begin = time.monotonic()
        part_looks = {p: self._look(p) for p in parts}
        tombstone_looks = {t: calls.Look(t) for t in tombstones}
        observed = self._make([*part_looks.values(), *tombstone_looks.values()])
        took = time.monotonic() - begin
        following: list[calls.PartCall | calls.Delete] = []
        for part, look in part_looks.items():
            decided, after = self._parts.decide(part, observed[look])
            self._record = self._record.with_part(decided)
            following += after
        for tombstone, its_look in tombstone_looks.items():
            left, deletes = self._tombstones.decide(tombstone, observed[its_look], took)
            self._record = self._record.with_tombstone(tombstone, left)
            following += deletes
        # One write for all intents, durable before the first of the requests (S4).
        self._store.write(self._record)
        for call, answer in self._make(following).items():
            self._take(call, answer)

    def _look(self, part: model.Part) -> calls.AnyLook:
        if part.adopts and not part.may_exist:
            overwrites = self._desired.rules.adopt_overwrites
            return calls.LookForAdoption(part, self._bodies[part.region], overwrites)
        return calls.Look(part, with_outputs=part.is_current)

    def _make(self, wanted: Sequence[AnyCall]) -> dict[AnyCall, Any]:
        """Make calls side by side. :returns: the answer to each, in the same order."""
        return interfaces.side_by_side(
            {
                call: functools.partial(
                    call.make, self._region_heat(call.target.region, call.target.place)
                )
                for call in wanted
            }
        )

    def _take(self, call: calls.PartCall | calls.Delete, answer: Any) -> None:
        if isinstance(call, calls.Delete):
            left = self._tombstones.take(call, answer)
            self._record = self._record.with_tombstone(call.target, left)
            return
        part = self._parts.take(call, answer)
        if part is not None:
            self._record = self._record.with_part(part)

    # --- what a person asks for, and the end --------------------------------------------------

    def force(self, region: str) -> bool:
        """Send a part the same again if it is in progress.

        :returns: whether this reconciler looks at the part.
        """
        if self._is_included(region):
            self._parts.force(region)
        return self._is_included(region)

    def cancel(self) -> None:
        """Ask the regions that are at work for us to stop; none is waited for."""
        cancels = [
            calls.Cancel(part)
            for part in self._record.parts
            if part.state is model.State.WORKING
            and part.stack_id
            and self._is_included(part.region)
        ]
        for call, reply in self._make(cancels).items():
            is_accepted = reply.answer is answers.Answer.ACCEPTED
            word = 'is asked to stop' if is_accepted else 'goes on'
            self._emit(f'{call.part.region} {word} {reply.reason}'.rstrip(), False)

    def failures(self) -> list[str]:
        """What has failed, one sentence for each part or tombstone."""
        found = [
            f'{p.region}: {p.error_class.value}: {p.reason}'
            for p in self._record.parts
            if p.state is model.State.FAILED
            and p.error_class
            and self._is_included(p.region)
            and not self._desired.only_deletes
        ]
        return found + [
            f'{t.region}: {t.error_class.value}: {t.reason}'
            for t in self._record.tombstones
            if t.error_class not in (None, model.ErrorClass.UNREACHABLE)
            or (t.error_class and self._desired.rules.on_delete is spec.OnDelete.FAIL)
        ]  # fmt: skip
