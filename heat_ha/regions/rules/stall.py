# SPDX-License-Identifier: Apache-2.0
"""Choose what is done about a part that has stalled: in progress there, and nothing moves.

Heat's engines hand the resources of a stack to one another by messages. When an engine dies, no
other takes over its resources and messages, and the stack stays IN_PROGRESS for ever: Heat looks at
its timeout only when the next message comes. From outside that looks the same as a resource that
takes long.

A second request for the same revision begins a new traversal of the stack
(``heat.engine.stack``, ``converge_stack``). What that does with a resource in progress is in
``heat.engine.check_resource``, ``_do_check_resource`` and ``_stale_resource_needs_retry``:

* A living engine holds it: it is left alone until that engine is done. If it fails then, the new
  traversal tries it again.
* A dead engine held it: it becomes FAILED and is tried again.
* Nobody holds it, since the message was lost: it goes on.

Heat replaces a resource of most types when it tries it again after it FAILED
(``heat.engine.resource``, ``needs_replace_failed``). Nothing is lost where the resource was just
being created; but a resource that is being changed in place may hold data. So that is left to a
person (S8). A stack inside of the stack is never replaced
(``heat.engine.resources.stack_resource``, ``_needs_update``); what counts is what is inside of it.
"""

import dataclasses
import datetime
from collections.abc import Iterable

from heat_ha.regions import model
from heat_ha.regions.model import Part
from heat_ha.regions.rules import answers, spec
from heat_ha.regions.rules.answers import Present, Unfinished
from heat_ha.regions.rules.steps import Request, Send, Stalled, Wait

# Equal fingerprints in a row before a stack counts as stalled: one may be a short delay.
EQUAL_FINGERPRINTS = 4

# Remote actions that we may send again.
_OURS = ('CREATE', 'UPDATE')

# A resource in one of these holds no data yet, or is to be deleted anyway.
_NEW_OR_GOING = ('INIT', 'CREATE', 'DELETE')

# Types that wait for somebody else by design: there, a stall says nothing about an engine.
_WAITING = frozenset(
    {
        'AWS::CloudFormation::WaitCondition',
        'OS::Heat::RemoteStack',
        'OS::Heat::SoftwareDeployment',
        'OS::Heat::Stack',
        'OS::Heat::StructuredDeployment',
        'OS::Heat::WaitCondition',
    }
)

BY_HAND = 'if nobody works on it, the signal sync with force sends it again'


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A part whose region answers now, with what is known of its resources.

    ``unfinished`` are those that are not at rest, as the newest fingerprint shows them; ``equal``
    is how many fingerprints in a row were the same, the newest among them. ``is_forced`` is whether
    a person asks for the same to be sent again.
    """

    part: Part
    observed: Present
    unfinished: tuple[Unfinished, ...] = ()
    equal: int = 0
    is_forced: bool = False


def next_step(found: Evidence, rules: spec.Rules, now: datetime.datetime) -> Send | Wait:
    """Choose whether to wait for a part in progress or to send it the same again.

    Invariant: only an action that we began, and that nobody has touched since, is sent again.
    Unless a person asks, that happens once for each request, after ``rules.stalled_after`` seconds
    in which nothing moved, and only where it cannot replace anything that was there before.
    """
    part, observed = found.part, found.observed
    busy = f'{observed.action} is in progress there'
    if not is_ours(part, observed):
        return Wait(busy)
    if found.is_forced:
        return Send(Request.REPEAT, 'a person asks for it')
    if found.equal < EQUAL_FINGERPRINTS or _unchanged_for(part, now) < rules.stalled_after:
        return Wait(busy)
    stalled = f'{busy}, and nothing has moved since {part.still_since}'
    if part.resends:
        return Stalled(f'{stalled}, though it was sent again; {BY_HAND}')
    obstacle = _obstacle(found.unfinished)
    if obstacle:
        return Stalled(f'{stalled}: {obstacle}; {BY_HAND}')
    if not rules.may_repair:
        return Stalled(f'{stalled}; an update or the signal sync sends it again')
    return Send(Request.REPEAT, f'nothing has moved since {part.still_since}', part.fingerprint)


def is_ours(part: Part, observed: answers.Observation) -> bool:
    """Whether the stack is in progress for our last request, and nobody has touched it since."""
    return (
        isinstance(observed, Present)
        and observed.status == 'IN_PROGRESS'
        and observed.action in _OURS
        and observed.mark == part.mark
        and observed.revision == part.sent == part.desired
        and bool(part.desired)
        and not part.is_current
        and not part.restore
        and not part.paused
        and part.state is not model.State.ABANDONED
        and part.traversal == traversal(observed)
    )


def traversal(observed: Present) -> str:
    """What distinguishes one action of a remote stack from the next, as far as its Heat shows it.

    An update by somebody else may keep our tags, but not the time.
    """
    return f'{observed.action} {observed.changed}'


def _obstacle(unfinished: Iterable[Unfinished]) -> str:
    """Why a part may not be sent the same again unless a person asks; empty if it may."""
    for one in unfinished:
        if one.is_stack:
            continue
        if one.action not in _NEW_OR_GOING:
            return f'{one.path} is {one.action}_{one.status}, and could be replaced by that'
        if one.kind in _WAITING and one.action != 'DELETE':
            return f'{one.path} waits for somebody'
    return ''


def _unchanged_for(part: Part, now: datetime.datetime) -> float:
    if not part.still_since:
        return 0.0
    return (now - datetime.datetime.fromisoformat(part.still_since)).total_seconds()


# --- the record -----------------------------------------------------------------------------


def after_look(part: Part, observed: answers.Observation) -> Part:
    """The part with what a look says of the action at work there."""
    if not isinstance(observed, Present) or observed.status != 'IN_PROGRESS':
        # A cut hides what moved meanwhile; and where all is at rest, nothing has stalled.
        known = part.traversal if isinstance(observed, answers.Silent) else ''
        return dataclasses.replace(part, traversal=known, fingerprint='', still_since='')
    if not part.traversal and observed.revision == part.sent:
        return dataclasses.replace(part, traversal=traversal(observed))
    if part.traversal != traversal(observed):
        # The action is somebody else's.
        return dataclasses.replace(part, fingerprint='', still_since='')
    return part


def after_fingerprint(part: Part, newest: answers.Fingerprint, now: str) -> Part:
    """The part with the newest fingerprint; an equal one changes nothing."""
    if part.fingerprint == newest.digest:
        return part
    return dataclasses.replace(part, fingerprint=newest.digest, still_since=now)


def intended(part: Part, request: Request) -> Part:
    """The part as it is put on record before any request is sent: a new action begins there."""
    return dataclasses.replace(
        part,
        traversal='',
        fingerprint='',
        still_since='',
        resends=part.resends + 1 if request is Request.REPEAT else 0,
    )


def after_reply(before: Part, sent: Part, reply: answers.Reply) -> Part | None:
    """The part after a repeated request that was not carried out; the wait goes on.

    None if it was not such a request, was or may have been carried out, or did not arrive.
    """
    if sent.resends <= before.resends:
        return None
    if reply.answer is answers.Answer.BUSY:
        return dataclasses.replace(before, reason=reply.reason)
    if reply.answer in (
        answers.Answer.ACCEPTED,
        answers.Answer.UNKNOWN,
        answers.Answer.NOT_SENT,
    ):
        return None
    return dataclasses.replace(before, resends=sent.resends, reason=reply.reason)
