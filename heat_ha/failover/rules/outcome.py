# SPDX-License-Identifier: Apache-2.0
"""What is on record after a plan, or another change of the active: the record and the history."""

import dataclasses
from collections.abc import Collection

from heat_ha.failover import model
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import suspicion


def with_active(record: model.Record, active: model.MemberServer | None) -> model.Record:
    """The record after another member, or none, became the active one without a failover.

    Invariant: who was it may have what is handed over until an update or a failover is done (S1).
    """
    ends = (*record.left_with, record.active)
    left = tuple(dict.fromkeys(one for one in ends if one and one != active))
    return dataclasses.replace(record, active=active, epoch=record.epoch + 1, left_with=left)


def at_end(record: model.Record, plan: model.Plan, present: Collection[str]) -> model.Record:
    """The record once the failover is over; what is left to do of the plan is on it.

    :param present: the names of the group's members when the plan was begun or taken up.
    """
    is_moved = plan.cause is not model.Cause.REPLACE_STANDBY
    new = plan.new.member if plan.new is not None else ''
    failed = set[str]()
    if plan.cause is model.Cause.FAILOVER and plan.old is not None:
        failed.add(plan.old.member)
    if not is_moved:
        failed.update(plan.replaces)
    suspects = (set(record.suspects) & set(present) | failed) - {new}
    return dataclasses.replace(
        suspicion.with_suspects(record, suspects, failed, plan.created),
        plan=plan,
        # What a dropped plan has left may have come back to the active itself.
        previous=plan.old if is_moved and plan.old != plan.new else record.previous,
        state=model.State.READY,
        reason='',
        remedy='',
        follow_ups=_with_follow_up(record.follow_ups, plan),
        retained=tuple(r for r in record.retained if r.member != new),
        retries=0,
        retry_due='',
        left_with=() if is_moved else record.left_with,
        left_over=() if is_moved else record.left_over,
    )


def _with_follow_up(
    known: tuple[model.FollowUp, ...], plan: model.Plan
) -> tuple[model.FollowUp, ...]:
    """What is left to do of failovers that are over, this one included.

    A member that becomes the active is not replaced any more: a person wanted it to be that.
    """
    new = plan.new.member if plan.new is not None else ''
    is_move = plan.cause is not model.Cause.REPLACE_STANDBY
    kept = tuple(
        one
        for one in known
        if one.plan.plan_id != plan.plan_id and not (is_move and one.plan.replaces == (new,))
    )
    if plan.is_done:
        return kept
    # Events and the graph have been made of the rest.
    brief = dataclasses.replace(
        plan,
        considered={},
        quiesce_hook=None,
        activate_hook=None,
        # ``add_member`` says that what has come in the old active's place is there already.
        steps=tuple(
            dataclasses.replace(s, after=(), detail='', reason='')
            for s in plan.steps
            if s.is_follow_up or s.kind is StepKind.ADD_MEMBER
        ),
    )
    return (*kept, model.FollowUp(brief))


def after_follow_up(
    record: model.Record, done: model.Plan, present: Collection[str]
) -> model.Record:
    """The record once the follow-up work of a failover is done.

    :param done: its plan as the follow-up has left it.
    :param present: the names of the group's members now.
    """
    gone = set(done.replaces) - {retained.member for retained in record.retained}
    plan = record.plan
    if plan is not None and plan.plan_id == done.plan_id:
        for step in done.steps:
            if step.is_follow_up:
                plan = plan.with_step(step)
    gone.update(s for s in record.suspects if s not in present)
    return dataclasses.replace(
        suspicion.without(record, gone),
        plan=plan,
        follow_ups=tuple(o for o in record.follow_ups if o.plan.plan_id != done.plan_id),
    )


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
