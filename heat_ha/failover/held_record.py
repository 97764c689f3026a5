# SPDX-License-Identifier: Apache-2.0
"""The record of a FailoverPolicy in the hands of the engine that holds the policy's lock."""

import dataclasses
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import heat_db, lease, resource_data
from heat_ha.failover import model, record

# Seconds that follow-up work waits for the lock to put on record what it has done, and between two
# tries. A failover holds it for a few minutes at most while it waits for nothing but a fence.
LOCK_PATIENCE, LOCK_EVERY = 900.0, 0.5


class HeldRecord:
    """One policy's record as this engine knows it, and the lock under which it may be written.

    :param lock: held for as long as this object is used, unless another engine takes it.
    :ivar entries: all of the policy's data, as they were when they were read last.
    """

    def __init__(self, policy: Any, lock: lease.Lock) -> None:
        self._policy = policy
        self._lock = lock
        self._text: str | None = None
        self.value = model.Record()
        self.entries: Mapping[str, str] = {}

    def read(self) -> None:
        """Take the record from the database. :raises Unreadable: another version wrote it."""
        self.read_entries()
        self._text = self.entries.get(record.RECORD)
        self.value = record.parsed(self._text)

    def read_entries(self) -> None:
        """Take all but the record from the database, after somebody may have changed it."""
        self.entries = resource_data.fresh(self._policy)

    def see(self, seen: model.Record) -> None:
        """Have what was seen in the record; it goes to the database with the next write."""
        self.value = seen

    def write(self, **changes: Any) -> None:
        """Change the record and make it durable.

        :raises LostLock: another engine has written since, or has the lock: that record stays.
        """
        self.put(dataclasses.replace(self.value, **changes))

    def put(self, value: model.Record) -> None:
        """Make another record durable, as ``write`` does."""
        self._text = record.replace(self._policy, self._text, value, self._lock)
        self.value = value

    def add_to_history(self, past: model.Past) -> None:
        """Put one line into the history. :raises LostLock: another engine has the lock."""
        record.add_to_history(self._policy, past, self._lock)

    def is_ours(self) -> bool:
        """Whether this engine holds the lock now: one that was frozen may have lost it."""
        return self._lock.is_held()

    def check_ours(self) -> None:
        """Ask for the lock before a side effect. :raises LostLock: another engine holds it."""
        if not self.is_ours():
            raise exceptions.LostLock


class RecordChanges:
    """Changes of a policy's record by work that does not hold the lock: it takes it for each.

    :param lock: not held by whoever calls ``make``.
    """

    def __init__(self, policy: Any, lock: lease.Lock) -> None:
        self._policy = policy
        self._lock = lock

    def make(
        self,
        change: Callable[[model.Record], model.Record],
        note: Callable[[lease.Lock], None] = lambda _: None,
        patience: float = LOCK_PATIENCE,
    ) -> model.Record:
        """Replace the record by what ``change`` makes of it as it is then.

        :param note: writes what goes with it, under the lock that it is given.
        :param patience: seconds for which the lock is waited for.
        :returns: the new record.
        :raises MayPass: the lock was not to be had.
        :raises LostLock: it was lost in the middle; nothing was changed.
        """
        end = time.monotonic() + patience
        while True:
            try:
                self._lock.acquire()
                break
            except lease.Busy as exc:
                if time.monotonic() >= end:
                    raise exceptions.MayPass(
                        f'what was done could not be put on record: {exc}', 'Send the signal resume'
                    ) from exc
                time.sleep(LOCK_EVERY * random.uniform(0.7, 1.3))
        try:
            with heat_db.writing(self._policy.context):
                text = resource_data.fresh(self._policy).get(record.RECORD)
                known = record.parsed(text)
                changed = change(known)
                if changed != known:
                    record.replace(self._policy, text, changed, self._lock)
                note(self._lock)
            return changed
        finally:
            self._lock.release()
