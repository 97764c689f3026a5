# SPDX-License-Identifier: Apache-2.0
"""Take a snapshot in every region, or in none: look, decide, write down, send.

A ``SnapshotAction`` is one action at work, called a step at a time as a ``Reconciler`` is. When a
region fails, the snapshots of the others are deleted again. Where a region does not answer then, a
tombstone keeps the delete, and the failure names it.
"""

import dataclasses
import time
import uuid
from collections.abc import Callable

from heat_ha.cloud import clock
from heat_ha.regions import interfaces, model, reconciler
from heat_ha.regions.rules import answers, decide, snapshots, steps

# Seconds to wait for the deletes after a failure; after that they go on as all tombstones do.
MAX_CLEANING = 60.0


class SnapshotAction:
    """One snapshot of all parts.

    :param emit: takes an event's text, and whether it is of a failure.
    :param patience: seconds that a region may be silent before the snapshot fails.
    :param cleaning: makes a reconciler that only deletes what tombstones name.
    """

    def __init__(
        self,
        store: interfaces.Store,
        region_heat: Callable[[str, str], interfaces.RegionHeat],
        emit: Callable[[str, bool], None],
        patience: float,
        cleaning: Callable[[], reconciler.Reconciler],
    ) -> None:
        self._store = store
        self._region_heat = region_heat
        self._emit = emit
        self._patience = patience
        self._new_cleaning = cleaning
        self._cleaning: reconciler.Reconciler | None = None
        self._cleaned_since = 0.0
        self._silent_since: dict[str, float] = {}
        self._failures: list[str] = []
        earlier = store.snapshot()
        if earlier is not None and not earlier.is_complete:
            # An engine died before its end; nobody will ask for its deletion.
            self._give_up(earlier)
        found = store.read() or model.Record()
        self._snapshot = snapshots.planned(found, uuid.uuid4().hex)

    def failures(self) -> list[str]:
        """What has failed, one sentence for each region, and what is left of it."""
        if not self._failures or self._cleaning is None:
            return self._failures
        left = [t for t in self._cleaning.record.tombstones if t.snapshot]
        return [
            *self._failures,
            *(
                f'snapshot {t.snapshot} of {t.stack_id} may be left in {t.region}; it is deleted '
                f'when the region answers ({t.reason or "not seen to be gone"})'
                for t in left
            ),
        ]

    def step(self) -> bool:
        """Do the next step in each region. :returns: whether all is done."""
        if self._cleaning is not None:
            is_late = time.monotonic() - self._cleaned_since > MAX_CLEANING
            return self._cleaning.step() or is_late
        self._pass()
        if self._failures:
            self._give_up(self._snapshot)
            self._cleaning = self._new_cleaning()
            self._cleaned_since = time.monotonic()
            return False
        if self._snapshot.is_complete:
            self._emit(f'snapshot {self._snapshot.shots[0].snapshot} is taken', False)
        return self._snapshot.is_complete

    def cancel(self) -> None:
        """Stop: the next action or signal deletes what may have been taken."""
        if self._cleaning is None:
            self._give_up(self._snapshot)

    def _give_up(self, snapshot: model.Snapshot) -> None:
        found = self._store.read()
        if found is not None:
            self._store.write(snapshots.with_deletes(found, snapshot, clock.now_text()))
        self._store.write_snapshot(model.Snapshot(()))

    def _pass(self) -> None:
        begin = time.monotonic()
        waiting = [s for s in self._snapshot.shots if not s.is_taken]
        looks = interfaces.side_by_side({s: self._look(s) for s in waiting})
        to_send = [s for s in waiting if self._is_to_be_sent(s, looks[s], begin)]
        if self._failures or any(isinstance(look, answers.Silent) for look in looks.values()):
            # While one region cannot be asked, no other begins what may have to be undone.
            return
        sent = {s: dataclasses.replace(s, sent_at=clock.now_text()) for s in to_send}
        for part_snapshot in sent.values():
            self._snapshot = self._snapshot.with_part_snapshot(part_snapshot)
        # Durable before the first of the requests (S4).
        self._store.write_snapshot(self._snapshot)
        replies = interfaces.side_by_side({s: self._send(s) for s in sent.values()})
        for part_snapshot, answer in replies.items():
            self._take_answer(part_snapshot, answer)

    def _look(self, part_snapshot: model.PartSnapshot) -> Callable[[], answers.Observation]:
        return lambda: self._region_heat(part_snapshot.region, part_snapshot.place).look(
            part_snapshot, False
        )

    def _send(self, part_snapshot: model.PartSnapshot) -> Callable[[], answers.Reply]:
        body = {'name': part_snapshot.snapshot}
        return lambda: self._region_heat(part_snapshot.region, part_snapshot.place).send(
            steps.Request.SNAPSHOT, part_snapshot, body
        )

    def _is_to_be_sent(
        self, part_snapshot: model.PartSnapshot, observed: answers.Observation, begin: float
    ) -> bool:
        now = clock.now()
        if isinstance(observed, answers.Silent):
            waited = time.monotonic() - self._silent_since.setdefault(part_snapshot.region, begin)
        else:
            self._silent_since.pop(part_snapshot.region, None)
            waited = 0.0
        is_doubtful = decide.is_recent(part_snapshot.sent_at, now)
        step = snapshots.next_step(part_snapshot, observed, waited, self._patience, is_doubtful)
        found = part_snapshot
        if isinstance(observed, answers.Present):
            found = dataclasses.replace(part_snapshot, snapshot_id=observed.snapshot_id)
        if isinstance(step, steps.Done):
            found = dataclasses.replace(found, is_taken=True)
        self._snapshot = self._snapshot.with_part_snapshot(found)
        if isinstance(step, steps.Fail):
            self._fail(part_snapshot.region, step.error_class, step.reason)
        return isinstance(step, steps.Send)

    def _take_answer(self, part_snapshot: model.PartSnapshot, answer: answers.Reply) -> None:
        if answer.answer in (answers.Answer.ACCEPTED, answers.Answer.UNKNOWN):
            return
        if answer.answer is answers.Answer.REFUSED:
            self._fail(
                part_snapshot.region, answer.error_class or model.ErrorClass.REFUSED, answer.reason
            )
        elif answer.answer is answers.Answer.GONE:
            self._fail(part_snapshot.region, model.ErrorClass.CONFLICT, 'the stack is gone there')
        # The snapshot was surely not made, so the next look need not wait for it.
        self._snapshot = self._snapshot.with_part_snapshot(
            dataclasses.replace(part_snapshot, sent_at='')
        )

    def _fail(self, region: str, error: model.ErrorClass, reason: str) -> None:
        self._failures.append(f'{region}: {error.value}: {reason}')
        self._emit(f'{region}: snapshot: {error.value}: {reason}', True)
