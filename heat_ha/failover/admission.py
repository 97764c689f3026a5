# SPDX-License-Identifier: Apache-2.0
"""The way of one signal to the lock of its policy: what does not concern the group never gets it.

An alarm without a query hears of every server of the project, so most signals may be about others.
They cost a look at the record, and hold nothing that an alarm of the group's own needs.
"""

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import lease
from heat_ha.failover import model, record
from heat_ha.failover.rules import arrival
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.rules import members


class Admission:
    """One signal before the lock.

    :param lock: the policy's.
    :raises Unreadable: another version wrote the record.
    """

    def __init__(self, policy: Any, group: Any, lock: lease.Lock) -> None:
        self._policy = policy
        self._group = group
        self._lock = lock
        self._at_arrival = record.read(policy)

    def refuse_foreign(self, named: str) -> None:
        """:raises Refused: nothing in the group has this name, reference or server (S7)."""
        if arrival.is_known(self._at_arrival, named):
            return
        try:
            found = group_members.look(self._group).members
        except exceptions.CouldNotAsk:
            # Not "there is none" (S2): the decision under the lock says what follows.
            return
        if members.find(found, named) is None:
            raise exceptions.Refused(arrival.foreign(named, [m.name for m in found]))

    def is_overtaken(self, now: model.Record) -> bool:
        """Whether a failover began between the signal and its turn."""
        return arrival.began_since(self._at_arrival, now)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for the body; wait for those that only look at the group.

        :raises Refused: a failover is under way, which the signal joins, or the lock was not to be
            had within ``arrival.PATIENCE`` seconds.
        """
        self._acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        began = time.monotonic()
        while True:
            try:
                self._lock.acquire()
                return
            except lease.Busy as exc:
                step = arrival.when_busy(
                    self._at_arrival,
                    record.read(self._policy),
                    time.monotonic() - began,
                    str(exc),
                )
            match step:
                case arrival.TryAgain():
                    time.sleep(arrival.TRY_EVERY * random.uniform(0.7, 1.3))
                case arrival.Join(reason=reason):
                    raise exceptions.Refused(f'{reason}, so this signal joins it')
                case arrival.GiveUp(reason=reason, remedy=remedy):
                    raise exceptions.Refused(reason, remedy)
