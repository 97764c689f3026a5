# SPDX-License-Identifier: Apache-2.0
"""Choose what is done next for each part of a RemoteStack.

A decision follows from one look; the next one starts from what is there then. So it does not
matter which engine carried out the last step, or whether any did.
"""

import datetime

from heat_ha.regions.model import ErrorClass, Part
from heat_ha.regions.rules import answers, restores, spec
from heat_ha.regions.rules.answers import Absent, Present, Silent
from heat_ha.regions.rules.spec import Drift, OnUnreachable
from heat_ha.regions.rules.steps import Defer, Done, Fail, Request, Send, Step, Wait

# Seconds after a request without an answer before "there is no such stack" is believed: a slow
# service may still be making it.
SETTLE = 8.0

_SUSPENSIONS = ('SUSPEND', 'RESUME')

# Remote actions after whose end the stack holds what its tags say.
_COMPLETING = frozenset({'CREATE', 'UPDATE', 'ADOPT', 'CHECK', 'SUSPEND', 'RESUME', 'SNAPSHOT'})


def next_step(
    part: Part,
    observed: answers.Observation,
    rules: spec.Rules,
    attempt: str,
    now: datetime.datetime,
) -> Step:
    """Choose the one step that brings the part closer to its newest revision.

    Invariant: nothing is sent on "could not ask"; nothing is sent when the region holds what is
    wanted; what this attempt has sent, and has failed there, is not sent again by it.
    """
    if isinstance(observed, Silent):
        return _of_silent(part, observed, rules, now)
    if isinstance(observed, Absent):
        return _of_absent(part, rules, now)
    if observed.action == 'DELETE':
        return _of_deleted(part, observed, rules, attempt, now)
    restoring = restores.step(part, observed, rules, attempt, _is_doubtful(part, now))
    if restoring is not None:
        return restoring
    if observed.status == 'IN_PROGRESS':
        return _of_busy(part, observed, attempt)
    suspension = _of_suspension(part, observed, attempt)
    if suspension is not None:
        return suspension
    adoption = _of_adoption(part, observed, rules)
    if adoption is not None:
        return adoption
    # A snapshot that failed has changed nothing of what the stack holds.
    is_unhurt = observed.action == 'SNAPSHOT' and part.is_current
    if is_unhurt or (observed.status == 'COMPLETE' and observed.action in _COMPLETING):
        step = _of_complete(part, observed, rules, attempt)
        is_asleep = part.suspended or observed.action == 'SUSPEND'
        if isinstance(step, Done) and not step.is_drifted and part.suspend_wanted and not is_asleep:
            return Send(Request.SUSPEND, 'the stack must be suspended')
        return step
    return _of_failed(part, observed, rules, attempt)


def _of_adoption(part: Part, observed: Present, rules: spec.Rules) -> Step | None:
    """What is done about a stack that is to be adopted as it is; None if it is ours already."""
    if not part.adopts or part.sent or observed.mark == part.mark or rules.adopt_overwrites:
        return None
    if observed.is_equal or observed.revision == part.desired:
        return Send(Request.UPDATE, 'the stack is taken over as it is')
    return Fail(
        ErrorClass.CONFLICT,
        f'stack {observed.name} is not what the template wants; set adopt.conflict to overwrite, '
        'or make them equal',
    )


def _of_suspension(part: Part, observed: Present, attempt: str) -> Step | None:
    """What is sent first to a stack that is to be suspended or resumed; None if nothing is.

    A stack that somebody else has suspended is not resumed: nobody asked us to suspend it.
    """
    if part.suspend_wanted == part.suspended or observed.action not in _SUSPENSIONS:
        return None
    # A stack that lacks the newest revision gets it before it is suspended.
    may_suspend = part.suspend_wanted and observed.revision == part.desired
    if observed.status == 'FAILED':
        if part.attempt == attempt:
            return Fail(
                ErrorClass.REMOTE_FAILED, f'{observed.action}_FAILED there: {observed.reason}'
            )
        return Send(Request.SUSPEND if may_suspend else Request.RESUME, 'it failed before')
    if observed.action == 'SUSPEND' and not may_suspend:
        return Send(Request.RESUME, 'the stack must not be suspended now')
    return None


def _of_silent(part: Part, observed: Silent, rules: spec.Rules, now: datetime.datetime) -> Step:
    if observed.error_class is not ErrorClass.UNREACHABLE:
        return Fail(observed.error_class, observed.reason)
    if part.is_settled:
        return Done('the region has what is wanted, and does not answer now')
    if rules.on_unreachable is OnUnreachable.WAIT:
        return Wait(observed.reason)
    if not observed.is_known and _seconds(part.silent_since, now) < rules.patience:
        return Wait(observed.reason)
    if rules.on_unreachable is OnUnreachable.FAIL:
        return Fail(ErrorClass.UNREACHABLE, observed.reason)
    return Defer(observed.reason)


def _of_absent(part: Part, rules: spec.Rules, now: datetime.datetime) -> Step:
    if part.adopts and not part.may_exist:
        return Fail(
            ErrorClass.CONFLICT,
            f'there is no stack {part.adopts} to adopt; correct adopt, or leave it out',
        )
    if _is_doubtful(part, now):
        return Wait('the answer to a request was lost; looking for what it did')
    if part.is_current and rules.drift is not Drift.CORRECT:
        reason = (
            'the stack is gone there, and we did not delete it; an update with a change creates it'
        )
        return Done(reason, is_drifted=rules.drift is Drift.REPORT)
    return Send(Request.CREATE, 'the region has no such stack')


def _of_deleted(
    part: Part, observed: Present, rules: spec.Rules, attempt: str, now: datetime.datetime
) -> Step:
    """What follows when somebody else deletes the stack; Heat shows it by its id for long after.

    Invariant: an action that has sent something to a stack does not create it again.
    """
    if observed.status != 'COMPLETE':
        return Fail(
            ErrorClass.CONFLICT,
            f'somebody else deletes the stack there ({observed.action}_{observed.status})',
        )
    if part.attempt == attempt:
        return Fail(
            ErrorClass.CONFLICT,
            'somebody else has deleted the stack there; an update of the parent creates it again',
        )
    return _of_absent(part, rules, now)


def _of_busy(part: Part, observed: Present, attempt: str) -> Step:
    if part.suspend_wanted != part.suspended and (
        observed.action in _SUSPENSIONS or part.is_current
    ):
        return Wait(f'{observed.action} is in progress there')
    if part.is_current:
        return Done(f'{observed.action} is in progress there, and is not ours')
    if observed.action == 'ROLLBACK' and part.attempt == attempt and part.sent == part.desired:
        # What was sent will not be there in the end, and the rollback may take long.
        return Fail(ErrorClass.REMOTE_FAILED, f'ROLLBACK_IN_PROGRESS there: {observed.reason}')
    if observed.revision == part.desired:
        return Wait(f'{observed.action} is in progress there')
    return Send(Request.UPDATE, 'a newer revision takes over from the one at work')


def _of_complete(part: Part, observed: Present, rules: spec.Rules, attempt: str) -> Step:
    is_foreign = _is_foreign(part, observed)
    if observed.revision == part.desired and not (is_foreign and part.is_current):
        return Done()
    if part.is_current and rules.drift is Drift.REPORT:
        return Done('somebody else has changed the stack there', is_drifted=True)
    if part.is_current and rules.drift is Drift.IGNORE:
        return Done()
    sent = part.attempt == attempt and part.sent == part.desired
    if is_foreign and (sent or rules.drift is Drift.REPORT):
        return Fail(
            ErrorClass.CONFLICT,
            'somebody else has changed the stack there, and the newest revision would undo that; '
            'set drift to correct or ignore to go on',
        )
    return Send(Request.UPDATE, 'the region holds another revision')


def _is_foreign(part: Part, observed: Present) -> bool:
    """Whether somebody else changed the stack since it was last seen as we made it."""
    if not part.applied:
        return False
    if observed.revision not in (part.applied, part.sent, part.desired):
        return True
    is_new = observed.action == 'UPDATE' and bool(part.changed) and observed.changed != part.changed
    # A request of ours whose end was not seen explains the change.
    return is_new and part.sent == part.applied


def _of_failed(part: Part, observed: Present, rules: spec.Rules, attempt: str) -> Step:
    sent = part.attempt == attempt and part.sent == part.desired
    if not sent and (rules.may_repair or part.sent != part.desired):
        return Send(Request.UPDATE, f'{observed.action}_{observed.status} there; it is sent again')
    return Fail(
        ErrorClass.REMOTE_FAILED,
        f'{observed.action}_{observed.status} there: {observed.reason or "no reason given"}',
    )


def _is_doubtful(part: Part, now: datetime.datetime) -> bool:
    return is_recent(part.doubtful_since, now)


def is_recent(since: str, now: datetime.datetime) -> bool:
    """Whether something was sent so lately that a look may not show yet what it did."""
    return bool(since) and _seconds(since, now) < SETTLE


def _seconds(since: str, now: datetime.datetime) -> float:
    if not since:
        return 0.0
    return max(0.0, (now - datetime.datetime.fromisoformat(since)).total_seconds())
