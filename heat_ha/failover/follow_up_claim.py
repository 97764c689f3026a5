# SPDX-License-Identifier: Apache-2.0
"""The claim of one engine to one follow-up, on record, for as long as its thread is at work.

Whoever works puts the end of the claim off again and again. So a claim says by its time whether
somebody is at it, also where the thread of an engine that lives could not write how it ended.
"""

import dataclasses
import time
from typing import Any

from oslo_log import log as logging

from heat_ha.cloud import clock, lease
from heat_ha.failover import held_record, model, record
from heat_ha.failover.rules import work

LOG = logging.getLogger(__name__)

# Seconds between two times that a claim is put off: several may fail before it has run out.
RENEW_EVERY = 15.0


class FollowUpClaim:
    """One engine's claim to what one failover has left.

    :param lock: the policy's; this thread does not hold it.
    """

    def __init__(self, policy: Any, lock: lease.Lock, plan_id: str) -> None:
        self._policy = policy
        self._name = policy.name
        self._changes = held_record.RecordChanges(policy, lock)
        self._plan_id = plan_id
        self._engine = lease.own_engine_id()
        self._renew_at = 0.0

    def take(self) -> model.FollowUp | None:
        """Put on record that this engine is at it.

        :returns: the follow-up as it is on record now, None where it is not on record any more.
            Its ``engine`` is another one where that one is at it.
        """
        judged = work.follow_up_of(record.read(self._policy), self._plan_id)
        if judged is None or self._is_anothers(judged):
            return judged

        def claim(known: model.Record) -> model.Record:
            if work.follow_up_of(known, self._plan_id) != judged:
                # Somebody was faster.
                return known
            return work.with_follow_up(known, self._put_off(judged))

        self._renew_at = time.monotonic() + RENEW_EVERY
        return work.follow_up_of(self._changes.make(claim), self._plan_id)

    def _is_anothers(self, one: model.FollowUp) -> bool:
        def is_alive(engine: str) -> bool:
            return bool(lease.engine_is_alive(self._policy.context, engine))

        # What threads of this engine are at is known better than by a record.
        return one.engine != self._engine and work.is_claimed(
            one.engine, one.due, clock.now(), is_alive
        )

    def _put_off(self, one: model.FollowUp) -> model.FollowUp:
        due = work.at(clock.now(), work.CLAIMED_FOR)
        return dataclasses.replace(one, engine=self._engine, due=due)

    def renew(self) -> None:
        """Put the end of the claim off, where that is due; what hinders it hinders no work."""
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + RENEW_EVERY

        def renewed(known: model.Record) -> model.Record:
            one = work.follow_up_of(known, self._plan_id)
            if one is None or one.engine != self._engine:
                return known
            return work.with_follow_up(known, self._put_off(one))

        try:
            # A failover that runs now is not waited for: that has the lock of who would ask.
            self._changes.make(renewed, patience=0.0)
        except Exception as exc:
            LOG.info('%s: the claim to plan %s is as it was: %s', self._name, self._plan_id, exc)

    def give_up(self, changed: model.FollowUp) -> bool:
        """Put on record how a try ended.

        :returns: False where it was dropped, or another engine has taken it over since.
        """
        changed = dataclasses.replace(changed, engine='')

        def end(known: model.Record) -> model.Record:
            one = work.follow_up_of(known, self._plan_id)
            if one is None or one.engine != self._engine:
                return known
            return work.with_follow_up(known, changed)

        return work.follow_up_of(self._changes.make(end), self._plan_id) == changed
