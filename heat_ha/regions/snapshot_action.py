# SPDX-License-Identifier: Apache-2.0
"""Take a snapshot in every region, or in none: look, decide, write down, send.

``Taking`` is one action at work, called a step at a time as ``apply.Work`` is. When a region
fails, what the others have taken is deleted again; what cannot be asked for that leaves a
tombstone, and the failure names it.
"""

import dataclasses
import datetime
import time
import uuid
from collections.abc import Callable

from heat_ha.regions import interfaces, model, reconciler
from heat_ha.regions.rules import decide, snapshots

# Seconds that the deletes after a failure are waited for; later they go on as tombstones do.
MAX_CLEANING = 60.0


class SnapshotAction:
    """One snapshot of all parts.

    :param cleaning: makes the work that deletes what tombstones name, and nothing else.
    """

    def __init__(
        self,
        store: interfaces.Store,
        port: Callable[[str, str], interfaces.RegionHeat],
        say: Callable[[str, bool], None],
        patience: float,
        cleaning: Callable[[], reconciler.Reconciler],
    ) -> None:
        self._store = store
        self._port = port
        self._say = say
        self._patience = patience
        self._new_cleaning = cleaning
        self._cleaning: reconciler.Reconciler | None = None
        self._cleaned_since = 0.0
        self._silent_since: dict[str, float] = {}
        self._failures: list[str] = []
        earlier = store.snapshot()
        if earlier is not None and not earlier.is_complete:
            # An engine died over it; nobody will ask for its deletion.
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
            self._say(f'snapshot {self._snapshot.shots[0].snapshot} is taken', False)
        return self._snapshot.is_complete

    def cancel(self) -> None:
        """Leave off: what may have been taken is deleted by whoever tells the regions next."""
        if self._cleaning is None:
            self._give_up(self._snapshot)

    def _give_up(self, snapshot: model.Snapshot) -> None:
        found = self._store.read()
        if found is not None:
            self._store.write(snapshots.with_deletes(found, snapshot, interfaces.now_text()))
        self._store.write_snapshot(model.Snapshot(()))

    def _pass(self) -> None:
        begin = time.monotonic()
        still = [s for s in self._snapshot.shots if not s.is_taken]
        looks = interfaces.side_by_side({s: self._looker(s) for s in still})
        to_send = [s for s in still if self._is_to_be_sent(s, looks[s], begin)]
        if self._failures or any(isinstance(look, model.Silent) for look in looks.values()):
            # While one cannot be asked, no other begins what may have to be undone.
            return
        told = {s: dataclasses.replace(s, told=interfaces.now_text()) for s in to_send}
        for shot in told.values():
            self._snapshot = self._snapshot.with_shot(shot)
        # Durable before the first of the requests (S4).
        self._store.write_snapshot(self._snapshot)
        answers = interfaces.side_by_side({s: self._sender(s) for s in told.values()})
        for shot, answer in answers.items():
            self._take_answer(shot, answer)

    def _looker(self, shot: model.PartSnapshot) -> Callable[[], model.Seen]:
        return lambda: self._port(shot.region, shot.place).look(shot, False)

    def _sender(self, shot: model.PartSnapshot) -> Callable[[], model.Reply]:
        body = {'name': shot.snapshot}
        return lambda: self._port(shot.region, shot.place).send(model.Request.SNAPSHOT, shot, body)

    def _is_to_be_sent(self, shot: model.PartSnapshot, seen: model.Seen, begin: float) -> bool:
        now = datetime.datetime.now(datetime.timezone.utc)
        if isinstance(seen, model.Silent):
            waited = time.monotonic() - self._silent_since.setdefault(shot.region, begin)
        else:
            self._silent_since.pop(shot.region, None)
            waited = 0.0
        is_doubtful = decide.is_recent(shot.told, now)
        step = snapshots.next_step(shot, seen, waited, self._patience, is_doubtful)
        found = shot
        if isinstance(seen, model.Present):
            found = dataclasses.replace(shot, snapshot_id=seen.snapshot_id)
        if isinstance(step, model.Done):
            found = dataclasses.replace(found, is_taken=True)
        self._snapshot = self._snapshot.with_shot(found)
        if isinstance(step, model.Fail):
            self._fail(shot.region, step.error_class, step.reason)
        return isinstance(step, model.Send)

    def _take_answer(self, shot: model.PartSnapshot, answer: model.Reply) -> None:
        if answer.answer in (model.Answer.ACCEPTED, model.Answer.UNKNOWN):
            return
        if answer.answer is model.Answer.REFUSED:
            self._fail(shot.region, answer.error_class or model.ErrorClass.REFUSED, answer.reason)
        elif answer.answer is model.Answer.GONE:
            self._fail(shot.region, model.ErrorClass.CONFLICT, 'the stack is gone there')
        # It was surely not made, so nothing has to be looked for.
        self._snapshot = self._snapshot.with_shot(dataclasses.replace(shot, told=''))

    def _fail(self, region: str, error: model.ErrorClass, reason: str) -> None:
        self._failures.append(f'{region}: {error.value}: {reason}')
        self._say(f'{region}: snapshot: {error.value}: {reason}', True)
