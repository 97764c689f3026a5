# SPDX-License-Identifier: Apache-2.0
"""Members that were left as sick and are retained, shut off, until somebody has looked at them."""

import datetime
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock
from heat_ha.failover import events, held_record, model
from heat_ha.failover.rules import decide
from heat_ha.groups import model as groups
from heat_ha.groups import replacing
from heat_ha.groups.adapters import failure_masks

LOG = logging.getLogger(__name__)


class Retention:
    """The retained members of one policy's group."""

    def __init__(
        self,
        policy: Any,
        group: Any,
        held: held_record.HeldRecord,
        emitter: events.EventEmitter,
    ) -> None:
        self._policy = policy
        self._group = group
        self._held = held
        self._events = emitter

    def retain(self, old: model.MemberServer, seconds: float) -> model.Retained:
        """Leave the old active in the group for so many seconds, marked as unhealthy."""
        now = clock.now()
        until = now + datetime.timedelta(seconds=seconds)
        retained = model.Retained(old.member, old.server, until.isoformat(timespec='milliseconds'))
        others = tuple(r for r in self._held.value.retained if r.member != old.member)
        self._held.write(retained=(*others, retained))
        # Heat's own scaling removes failed members first.
        failure_masks.mark_unhealthy(
            self._group, old.member, f'kept for a look until {retained.until}, shut off'
        )
        return retained

    def expire(self, requested_by: str) -> None:
        """Remove members that were retained long enough; what fails waits for the next signal.

        The active, which is there, counts as what has come in their place.

        :param requested_by: the name of the policy whose signal it was.
        """
        known = self._held.value
        now = clock.now()
        expired = decide.expired(known.retained, now)
        if not expired or known.active is None or known.state is not model.State.READY:
            return
        for retained in expired:
            if not self._held.is_ours():
                # The engine that has taken the group over keeps the record now.
                return
            try:
                self._remove(retained, known.active, requested_by)
            except exceptions.HaError as exc:
                LOG.info('%s: %s is still retained: %s', self._policy.name, retained.member, exc)
                continue
            if not self._held.is_ours():
                return
            self._held.write(
                retained=tuple(r for r in self._held.value.retained if r != retained),
                suspects=tuple(s for s in self._held.value.suspects if s != retained.member),
            )
            self._events.progress(f'{retained.member} was kept until {retained.until} and is gone')

    def _remove(
        self, retained: model.Retained, active: model.MemberServer, requested_by: str
    ) -> None:
        replacing.replace(
            self._group,
            requested_by=requested_by,
            order=groups.Order.CREATE_FIRST,
            named=(retained.member,),
            keep=(active.member,),
            new_names=(active.member,),
            respect_cooldown=False,
            cooldown=0.0,
        )
