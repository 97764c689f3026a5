# SPDX-License-Identifier: Apache-2.0
"""Members that were left as sick and are retained, shut off, until somebody has looked at them."""

import dataclasses
import datetime
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import clock
from heat_ha.failover import events, held_record, model, record
from heat_ha.failover.rules import room, suspicion, work
from heat_ha.groups import model as groups
from heat_ha.groups import replacing
from heat_ha.groups.adapters import failure_masks

# Seconds until another try where somebody else changes the group now.
AFTER_OTHERS = 30.0

REMEDY = 'Mend the cause; resume has it tried at once, drop leaves the member in the group'


class Retention:
    """The retained members of one policy's group.

    :param changes: makes the changes of the record; its lock is not held.
    """

    def __init__(
        self,
        policy: Any,
        group: Any,
        changes: held_record.RecordChanges,
        emitter: events.EventEmitter,
    ) -> None:
        self._policy = policy
        self._group = group
        self._changes = changes
        self._events = emitter

    def retain(self, old: model.MemberServer, seconds: float) -> model.Retained:
        """Leave the old active in the group for so many seconds, marked as unhealthy."""
        until = clock.now() + datetime.timedelta(seconds=seconds)
        retained = model.Retained(old.member, old.server, until.isoformat(timespec='milliseconds'))

        def add(known: model.Record) -> model.Record:
            others = tuple(r for r in known.retained if r.member != old.member)
            return dataclasses.replace(known, retained=(*others, retained))

        self._changes.make(add)
        # Heat's own scaling removes failed members first.
        failure_masks.mark_unhealthy(
            self._group, old.member, f'kept for a look until {retained.until}, shut off'
        )
        return retained

    def expire(self, retained: model.Retained, requested_by: str) -> None:
        """Remove a member that was retained long enough, or put on record why it is still there.

        :param requested_by: the name of the policy whose signal it was.
        """
        known = record.read(self._policy)
        if known.active is None or retained not in known.retained:
            return
        if retained.member == known.active.member:
            # A person has made it that: there is nothing left to look at, and nothing to remove.
            self._take_off(retained, is_gone=False)
            return
        try:
            self._remove(retained, known.active, requested_by)
        except exceptions.TryAgain as exc:
            # Somebody else changes the group, which is no failure.
            due = work.at(clock.now(), AFTER_OTHERS)
            self._change(
                retained, dataclasses.replace(retained, due=due, reason=room.bounded(str(exc)))
            )
        except exceptions.HaError as exc:
            self._failed(retained, getattr(exc, 'reason', str(exc)))
        else:
            self._take_off(retained, is_gone=True)
            text = f'{retained.member} was kept until {retained.until} and is gone'
            self._events.progress(text)

    def _remove(
        self, retained: model.Retained, active: model.MemberServer, requested_by: str
    ) -> None:
        """Remove the member; the active, which is there, counts as what has come in its place."""

        def keep() -> tuple[str, ...]:
            # A failover may begin, and end, while this waits for the group.
            now = record.read(self._policy).active
            return (active.member, *([now.member] if now is not None else []))

        replacing.replace(
            self._group,
            requested_by=requested_by,
            order=groups.Order.CREATE_FIRST,
            named=(retained.member,),
            keep=keep,
            new_names=(active.member,),
            respect_cooldown=False,
            cooldown=0.0,
        )

    def _failed(self, retained: model.Retained, reason: str) -> None:
        tries = retained.tries + 1
        pause = work.again_after(tries)
        changed = dataclasses.replace(
            retained,
            tries=tries,
            due=work.at(clock.now(), pause),
            reason=room.bounded(reason),
            remedy=REMEDY,
        )
        self._change(retained, changed)
        if work.is_reported(tries, changed.reason != retained.reason):
            name = events.names([retained.member])
            intro = (
                f'{name} was kept and could not be removed (try {tries}, again in {pause:.0f} s): '
            )
            # The whole reason is in ``pending``.
            self._events.emit(events.FAILED, events.with_remedy(intro, reason, REMEDY))

    def _change(self, retained: model.Retained, changed: model.Retained) -> None:
        self._changes.make(
            lambda known: dataclasses.replace(
                known, retained=tuple(changed if r == retained else r for r in known.retained)
            )
        )

    def _take_off(self, retained: model.Retained, *, is_gone: bool) -> None:
        def drop(known: model.Record) -> model.Record:
            others = tuple(r for r in known.retained if r.member != retained.member)
            known = dataclasses.replace(known, retained=others)
            return suspicion.without(known, {retained.member}) if is_gone else known

        self._changes.make(drop)
