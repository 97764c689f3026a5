# SPDX-License-Identifier: Apache-2.0
"""Members that were left as sick and are retained, shut off, until somebody has looked at them."""

import dataclasses
import datetime
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock
from heat_ha.failover import events, held_record, model, record
from heat_ha.failover.rules import suspicion
from heat_ha.groups import model as groups
from heat_ha.groups import replacing
from heat_ha.groups.adapters import failure_masks

LOG = logging.getLogger(__name__)


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
        """Remove a member that was retained long enough.

        The active, which is there, counts as what has come in its place.

        :param requested_by: the name of the policy whose signal it was.
        :raises HaError: it is still there; the next signal tries it again.
        """
        known = record.read(self._policy)
        if known.active is None or retained not in known.retained:
            return
        if retained.member == known.active.member:
            raise exceptions.Refused(f'{retained.member} is the active now')
        replacing.replace(
            self._group,
            requested_by=requested_by,
            order=groups.Order.CREATE_FIRST,
            named=(retained.member,),
            keep=(known.active.member,),
            new_names=(known.active.member,),
            respect_cooldown=False,
            cooldown=0.0,
        )

        def drop(known: model.Record) -> model.Record:
            return dataclasses.replace(
                suspicion.without(known, {retained.member}),
                retained=tuple(r for r in known.retained if r != retained),
            )

        self._changes.make(drop)
        self._events.progress(f'{retained.member} was kept until {retained.until} and is gone')
