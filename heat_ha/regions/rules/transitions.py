# SPDX-License-Identifier: Apache-2.0
"""The part on record after a look, a decision, a request and its answer.

These say what is known from then on. What is done next is chosen in ``decide``.
"""

import dataclasses

from heat_ha.regions.model import ErrorClass, Part, State
from heat_ha.regions.rules import answers, restores, stall
from heat_ha.regions.rules.answers import Present, Silent
from heat_ha.regions.rules.steps import Defer, Done, Fail, Request, Step


def intended(
    part: Part, request: Request, observed: answers.Observation, attempt: str, now: str
) -> Part:
    """The part as it is put on record before a request is sent (S4).

    Until there is an answer, a request counts as one that may have been carried out.
    """
    if isinstance(observed, Present) and request in (Request.RESTORE, Request.TAG):
        intent = restores.intended(part, request, observed)
    else:
        intent = dataclasses.replace(restores.without(part), sent=part.desired)
    return dataclasses.replace(
        stall.intended(intent, request),
        attempt=attempt,
        # A second request for the same revision has an end of its own to wait for.
        applied='' if part.is_current and request is Request.UPDATE else part.applied,
        # A stack that is created again after a delete has an id of its own.
        stack_id=observed.stack_id
        if isinstance(observed, Present) and request is not Request.CREATE
        else '',
        name=observed.name if isinstance(observed, Present) else part.name,
        doubtful_since=now,
        state=State.WORKING,
        drifted=False,
    )


def after_reply(
    before: Part, sent: Part, reply: answers.Reply, now: str
) -> tuple[Part, Fail | None]:
    """The part as the answer to a request leaves it; with it the end, if it was refused.

    :param before: the part before the request was put on record.
    :param sent: the part as ``intended`` made it.
    """
    if reply.answer is answers.Answer.NOT_SENT:
        silent = before.silent_since or now
        return dataclasses.replace(
            before, reachable=False, silent_since=silent, reason=reply.reason
        ), None
    if reply.answer is answers.Answer.UNKNOWN:
        return dataclasses.replace(sent, reason=reply.reason), None
    unrepeated = stall.after_reply(before, sent, reply)
    if unrepeated is not None:
        return unrepeated, None
    answered = dataclasses.replace(sent, reachable=True, last_seen=now, silent_since='')
    return _after_answer(before, answered, reply)


def _after_answer(before: Part, sent: Part, reply: answers.Reply) -> tuple[Part, Fail | None]:
    """The part after an answer from the region itself."""
    match reply.answer:
        case answers.Answer.ACCEPTED:
            return dataclasses.replace(
                sent,
                stack_id=reply.stack_id or sent.stack_id,
                doubtful_since='',
                error_class=None,
                reason='the region is at work',
            ), None
        case answers.Answer.REFUSED:
            # The region did nothing; it holds what it held before.
            refused = dataclasses.replace(
                sent,
                sent=before.sent,
                doubtful_since=before.doubtful_since,
                restoring=before.restoring,
            )
            return refused, Fail(reply.error_class or ErrorClass.REFUSED, reply.reason)
        case answers.Answer.TAKEN if before.doubtful_since:
            # A look for our mark has not found it since: the stack with the name is not ours.
            refused = dataclasses.replace(sent, sent=before.sent, doubtful_since='')
            reason = f'another stack has the name {before.name} there; delete or rename it'
            return refused, Fail(ErrorClass.CONFLICT, reason)
    # Taken for the first time, busy or gone: the next look shows which stack is there.
    again = dataclasses.replace(sent, attempt='', reason=reply.reason, restoring=before.restoring)
    if reply.answer is answers.Answer.GONE and sent.restore:
        # The snapshot or the stack is gone: the template of then brings back what it can.
        return restores.without(again), None
    return again, None


def after_look(part: Part, observed: answers.Observation, now: str) -> Part:
    """The part with what a look says of its region and its stack."""
    part = stall.after_look(part, observed)
    if isinstance(observed, Silent):
        if observed.error_class is not ErrorClass.UNREACHABLE:
            return part
        return dataclasses.replace(part, reachable=False, silent_since=part.silent_since or now)
    # Not with each look: the record is written only when it has changed.
    is_fresh = part.reachable and part.last_seen[:15] == now[:15]
    found = dataclasses.replace(
        part,
        reachable=True,
        last_seen=part.last_seen if is_fresh else now,
        silent_since='',
    )
    is_ours = isinstance(observed, Present) and (
        observed.mark == part.mark or observed.stack_id == part.stack_id
    )
    if isinstance(observed, Present) and is_ours:
        # A restore shows only when it has begun.
        is_unseen = part.restoring == restores.RESTORE_SENT and observed.changed == part.changed
        since = part.doubtful_since if is_unseen else ''
        return dataclasses.replace(
            found, stack_id=observed.stack_id, name=observed.name, doubtful_since=since
        )
    # A stack to be adopted is not ours, and so never deleted, before something was sent to it.
    return found


def after_step(part: Part, step: Step, observed: answers.Observation) -> Part:
    """The part with what was decided about it."""
    if isinstance(step, Done):
        return dataclasses.replace(
            restores.without(part),
            state=State.READY,
            applied=part.desired,
            sent=part.desired,
            error_class=ErrorClass.CONFLICT if step.is_drifted else None,
            reason=step.reason,
            drifted=step.is_drifted,
            suspended=part.suspend_wanted and observed.action == 'SUSPEND'
            if isinstance(observed, Present) else part.suspended,
            changed=observed.changed if isinstance(observed, Present) and not step.is_drifted
            else part.changed,
        )  # fmt: skip
    if isinstance(step, Defer):
        return dataclasses.replace(
            part, state=State.PENDING, error_class=ErrorClass.UNREACHABLE, reason=step.reason
        )
    if isinstance(step, Fail):
        return dataclasses.replace(
            part, state=State.FAILED, error_class=step.error_class, reason=step.reason
        )
    return dataclasses.replace(part, reason=step.reason)
