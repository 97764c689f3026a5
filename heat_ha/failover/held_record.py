# SPDX-License-Identifier: Apache-2.0
"""The record of a FailoverPolicy in the hands of the engine that holds the policy's lock."""

import dataclasses
from typing import Any

from heat_ha.cloud import lease
from heat_ha.failover import executor, model, record


class HeldRecord:
    """One policy's record as this engine knows it, and the lock under which it may be written.

    :param lock: held for as long as this object is used, unless another engine takes it.
    """

    def __init__(self, policy: Any, lock: lease.Lock) -> None:
        self._policy = policy
        self._lock = lock
        self.value = model.Record()

    def read(self) -> None:
        """Take the record from the database. :raises Unreadable: another version wrote it."""
        self.value = record.read(self._policy)

    def see(self, seen: model.Record) -> None:
        """Have what was seen in the record; it goes to the database with the next write."""
        self.value = seen

    def write(self, **changes: Any) -> None:
        """Change the record and make it durable.

        It does not ask for the lock: a caller that may have lost it calls ``check_ours`` first.
        """
        self.put(dataclasses.replace(self.value, **changes))

    def put(self, value: model.Record) -> None:
        """Make another record durable, as ``write`` does."""
        self.value = value
        record.write(self._policy, value)

    def is_ours(self) -> bool:
        """Whether this engine holds the lock now: one that was frozen may have lost it."""
        return self._lock.is_held()

    def check_ours(self) -> None:
        """Ask for the lock before a write. :raises LostLock: another engine holds it."""
        if not self.is_ours():
            raise executor.LostLock('another engine carries this failover now')
