# SPDX-License-Identifier: Apache-2.0
"""The way of one signal to the lock of its policy: what does not concern the group never gets it.

An alarm without a query hears of every server of the project, so most signals may be about others.
They cost a look at the record, and hold nothing that an alarm of the group's own needs.
"""

import random
import time
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import lease, nested_stack
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
            known = self._at_arrival
            servers = {one.member: one.server for one in known.seen}
            found = group_members.look(self._group, servers, known.seen_rows).members
        except exceptions.CouldNotAsk:
            # Not "there is none" (S2): the decision under the lock says what follows.
            return
        if members.find(found, named) is None:
            raise exceptions.Refused(arrival.foreign(named, [m.name for m in found]))

    def is_overtaken(self, now: model.Record) -> bool:
        """Whether a failover changed the active between the signal and its turn."""
        return arrival.is_overtaken(self._at_arrival, now)

    def about(self, named: str | None) -> model.MemberServer | None:
        """The member that the signal means, as far as the record of its arrival tells."""
        return arrival.about(self._at_arrival, named)

    def acquire(
        self, named: str | None, *, is_person: bool = False, is_chained: bool = False
    ) -> arrival.Join | arrival.Keep | None:
        """Take the lock; wait for those that only look at the group.

        :param named: what the signal calls the member that it means, None where it names none.
        :param is_person: see :func:`arrival.when_busy`; so is ``is_chained``.
        :returns: None with the lock, else why the signal does not get it.
        """
        began = time.monotonic()
        try:
            self._lock.acquire()
            return None
        except lease.Busy as exc:
            busy = exc
        owner, status = self._lock.owner(), self._status()
        while True:
            waited = time.monotonic() - began
            step = arrival.when_busy(
                self._at_arrival,
                record.read(self._policy),
                waited,
                str(busy),
                named,
                is_person=is_person,
                is_chained=is_chained,
            )
            match step:
                case arrival.Join():
                    return step
                case arrival.TryAgain():
                    time.sleep(arrival.TRY_EVERY * random.uniform(0.7, 1.3))
                    # Not by taking it: that asks whether the owner lives, and of a hundred such
                    # questions a busy engine may miss one.
                    if self._lock.owner() == owner:
                        continue
                case arrival.Keep():
                    # Its owner may have died meanwhile.
                    pass
            try:
                self._lock.acquire()
            except lease.Busy as exc:
                if isinstance(step, arrival.Keep):
                    return step
                busy, owner = exc, self._lock.owner()
                continue
            if self._status() != status:
                # What this signal has loaded of the stack is older than that.
                self._lock.release()
                return arrival.Keep('the stack was changed while this signal waited')
            return None

    def _status(self) -> object:
        return nested_stack.status_of(self._policy)
