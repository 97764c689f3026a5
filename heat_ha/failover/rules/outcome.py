# SPDX-License-Identifier: Apache-2.0
"""What is on record after a plan: the record at its end, and its line in the history."""

import dataclasses
from collections.abc import Collection

from heat_ha.failover import model
from heat_ha.failover.model import StepKind


def at_end(record: model.Record, plan: model.Plan, present: Collection[str]) -> model.Record:
    """The record once every step of the plan is done.

    :param present: the names of the group's members when the plan was begun or taken up.
    """
    is_moved = plan.cause is not model.Cause.REPLACE_STANDBY
    return dataclasses.replace(
        record,
        plan=plan,
        previous=plan.old if is_moved else record.previous,
        state=model.State.READY,
        reason='',
        remedy='',
        suspects=_suspects(record, plan, present),
    )


def _suspects(record: model.Record, plan: model.Plan, present: Collection[str]) -> tuple[str, ...]:
    """Members that may not take over until they are replaced; a retained one is not replaced."""
    suspects = set(record.suspects) & set(present)
    if plan.cause is model.Cause.FAILOVER and plan.old is not None:
        suspects.add(plan.old.member)
    if plan.new is not None:
        suspects.discard(plan.new.member)
    replaced = {
        name
        for step in plan.steps
        if step.kind is StepKind.REPLACE
        for name in step.target.split(',')
    }
    replaced -= {retained.member for retained in record.retained}
    return tuple(sorted(suspects - replaced))


def past(
    plan: model.Plan, outcome: str, *, handoff_seconds: float | None, seconds: float
) -> model.Past:
    """The plan's line in the history.

    :param outcome: the word under which the history shows it.
    :param handoff_seconds: from the signal until the new active held every volume, None if it
        never did.
    :param seconds: from the signal until now.
    """
    return model.Past(
        plan_id=plan.plan_id,
        time=plan.created,
        cause=plan.cause.value,
        reason=plan.reason,
        requested_by=plan.requested_by,
        old_member=plan.old.member if plan.old else '',
        old_server=plan.old.server if plan.old else '',
        new_member=plan.new.member if plan.new else '',
        new_server=plan.new.server if plan.new else '',
        outcome=outcome,
        handoff_seconds=round(handoff_seconds or 0.0, 3),
        seconds=round(seconds, 3),
        steps={s.name: s.seconds for s in plan.steps if s.seconds is not None},
    )
