# SPDX-License-Identifier: Apache-2.0
"""How often and how long one step is tried: every limit, and when its server is examined.

A driver of ``handoff`` and ``server_rules`` say what one look leads to; this says what follows from
it after the looks and requests before. ``heat_ha.failover.handoff_steps`` carries out each action
and hands back the event that it led to.
"""

import dataclasses

from heat_ha.cloud.model import Reply
from heat_ha.failover.rules import moves

# Seconds between two looks at a volume or server. A volume changes hands in about a second on
# a quick cloud, so looks come often for some seconds and then thin out to spare the services.
FIRST_LOOK, SLOWEST_LOOK, THINNING, OFTEN_FOR = 0.05, 2.0, 1.15, 3.0

# Seconds between two looks at the most while several failovers of an engine are on their way.
LOOK_AMONG_MANY = 1.0

# Seconds that one step may take. Nova's own limit for a detach that the guest does not answer
# is 8 attempts of 20 s; beyond that it gives the volume back as in-use.
STEP_LIMIT = 180.0

# Seconds at the least until a request that Nova did not accept is sent again.
AFTER_REFUSAL = 0.25

# Seconds until a request that Nova accepted counts as stuck, and between two looks at why: a
# living host detaches in a second or two.
STUCK_AFTER = 5.0

# Seconds for which a request that was refused is sent again. Cinder shows a volume free a moment
# before Nova has forgotten its attachment, and until then Nova answers 400, "already attached".
REFUSED_FOR = 5.0

# Seconds for which the same holds of a conflict, where no server is in the way that could be
# examined: what Nova itself is doing with a server passes in that time, a lock of its owner's not.
CONFLICT_FOR = 20.0

# How often a request is sent again after the services let it fail (in-use again after a
# detach, available again after an attach).
MAX_REQUESTS = 5


@dataclasses.dataclass(frozen=True)
class Attempt:
    """How far one engine has come with one step; all times in seconds on one monotonic clock.

    ``pause`` is the time between two looks now, ``next_examination`` the time at which the step
    counts as stuck, ``accepted`` how many requests Nova accepted, ``refused_since`` the time of
    the first that it refused. ``seen`` says what came of it last, ``freed_by`` what was deleted
    for it; ``service`` is who answers requests, ``is_blind`` whether
    the last look got no answer. With ``is_in_vain`` the next request would go to a
    host that is known to be down.
    """

    step: str
    started: float
    pause: float
    next_examination: float
    has_server: bool
    is_in_vain: bool = False
    is_stuck: bool = False
    accepted: int = 0
    refused_since: float | None = None
    seen: str = 'nothing was seen yet'
    freed_by: str = ''
    service: str = 'Nova'
    is_blind: bool = False


# --- what happened --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Looked:
    """The thing was looked at. ``is_abandoned``: another step of the plan has stopped."""

    move: moves.Move
    is_abandoned: bool = False


@dataclasses.dataclass(frozen=True)
class Answered:
    """The service answered the request, or nothing is known of what came of it."""

    reply: Reply
    text: str


@dataclasses.dataclass(frozen=True)
class Examined:
    """The server that stands in the way, and its host, were looked at."""

    finding: moves.Finding


@dataclasses.dataclass(frozen=True)
class Deleted:
    """The request to delete the server was sent; whether it helped is seen by a look."""


@dataclasses.dataclass(frozen=True)
class Paused:
    """The pause is over."""


Event = Looked | Answered | Examined | Deleted | Paused


# --- what is done next ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Look:
    """Look at the thing; leads to Looked."""


@dataclasses.dataclass(frozen=True)
class Examine:
    """Look why nothing moves: at the server and its host; leads to Examined."""


@dataclasses.dataclass(frozen=True)
class Pause:
    """Wait for so many seconds, give or take a jitter; leads to Paused."""

    seconds: float


# A Request leads to Answered and a Delete to Deleted; the other moves end the step.
Action = (
    Look
    | Examine
    | Pause
    | moves.Request
    | moves.Delete
    | moves.Done
    | moves.Stop
    | moves.WaitForFence
)


def begin(
    step: str,
    now: float,
    *,
    has_server: bool,
    is_known_dead: bool = False,
    service: str = 'Nova',
) -> tuple[Attempt, Action]:
    """Start with a step, whatever an engine before has done of it: by a look (S4).

    :param has_server: whether a server can be in the way, which is examined then.
    :param is_known_dead: whether that server's host was just seen to be confirmed down.
    :param service: the service that requests are sent to, for people.
    """
    attempt = Attempt(
        step,
        started=now,
        pause=FIRST_LOOK,
        next_examination=now + STUCK_AFTER,
        has_server=has_server,
        is_in_vain=has_server and is_known_dead,
        service=service,
    )
    return attempt, Look()


def after(attempt: Attempt, event: Event, now: float) -> tuple[Attempt, Action]:
    """What is done next after an event, and how far the attempt is then.

    Invariant (S1, S8): a Request follows only a look that asks for it, at once, with no pause
    between; a Delete follows only a finding that says Delete; the step is Done only when a look
    or a finding says so. No limit, no count and no age leads to any of the three: they lead to
    an examination, a pause or the end of the attempt.
    Bounds: at most MAX_REQUESTS + 1 requests are accepted, and no attempt waits once it is older
    than STEP_LIMIT.
    """
    match event:
        case Looked(move, is_abandoned):
            return _after_look(attempt, move, is_abandoned, now)
        case Answered(reply, text):
            return _after_answer(attempt, reply, text, now)
        case Examined(finding):
            return _after_examination(attempt, finding, now)
        case Deleted():
            return _wait(attempt, now)
        case Paused():
            return _after_pause(attempt, now), Look()


def among(attempt: Attempt, seconds: float, many: int) -> float:
    """The pause of a step that has nothing left to do but to see its end, among so many failovers.

    Many that look often would keep the services from what they were asked for. A step that has
    something to send, or to send again, is not among those.
    """
    if attempt.accepted == 0 or attempt.refused_since is not None:
        return seconds
    return max(seconds, min(seconds * many, LOOK_AMONG_MANY))


def _after_look(
    attempt: Attempt, move: moves.Move, is_abandoned: bool, now: float
) -> tuple[Attempt, Action]:
    if isinstance(move, moves.Done):
        return attempt, moves.Done(attempt.freed_by + move.reason)
    if is_abandoned:
        return attempt, moves.Stop(
            f'{attempt.step} was left because another step stopped', 'Send the signal resume'
        )
    is_stuck = now > attempt.next_examination
    match move:
        case moves.Wait(reason, is_blind):
            attempt = dataclasses.replace(
                attempt, seen=reason, is_stuck=is_stuck, is_blind=is_blind
            )
            return _examine_or_wait(attempt, now)
        case moves.Request() if attempt.is_in_vain:
            attempt = dataclasses.replace(
                attempt, seen='its host is confirmed down', is_in_vain=False, is_stuck=True
            )
            return _examine_or_wait(attempt, now)
        case moves.Request():
            return dataclasses.replace(attempt, is_stuck=is_stuck, is_blind=False), move
        case moves.Stop():
            return attempt, move
        case moves.WaitForFence():
            return attempt, _of_step(attempt, move)


def _of_step(attempt: Attempt, found: moves.WaitForFence) -> moves.WaitForFence:
    return dataclasses.replace(found, reason=f'{attempt.step}: {found.reason}')


def _after_answer(attempt: Attempt, reply: Reply, text: str, now: float) -> tuple[Attempt, Action]:
    if reply is Reply.ACCEPTED:
        accepted = attempt.accepted + 1
        if accepted > MAX_REQUESTS:
            return attempt, _undone(attempt)
        attempt = dataclasses.replace(
            attempt,
            accepted=accepted,
            seen=f'{attempt.service} accepted the request {accepted} times',
        )
        return _examine_or_wait(attempt, now)
    is_stuck, refused_since = attempt.is_stuck, attempt.refused_since
    if reply is Reply.REFUSED:
        refused_since = now if refused_since is None else refused_since
        if now >= refused_since + REFUSED_FOR:
            return attempt, _refused(attempt, text)
    elif reply is Reply.CONFLICT and not attempt.has_server:
        refused_since = now if refused_since is None else refused_since
        if now >= refused_since + CONFLICT_FOR:
            return attempt, _refused(attempt, text)
    elif reply is Reply.CONFLICT and attempt.accepted == 0:
        # Nova says at once that a host does not answer.
        is_stuck = is_stuck or attempt.pause == FIRST_LOOK
    attempt = dataclasses.replace(
        attempt,
        seen=f'{attempt.service} says {reply.value} ({text})',
        is_stuck=is_stuck,
        refused_since=refused_since,
        pause=max(attempt.pause, AFTER_REFUSAL),
    )
    return _examine_or_wait(attempt, now)


def _after_examination(
    attempt: Attempt, finding: moves.Finding, now: float
) -> tuple[Attempt, Action]:
    match finding:
        case moves.Wait(reason):
            return _wait(dataclasses.replace(attempt, seen=f'{attempt.seen}; {reason}'), now)
        case moves.Delete(reason):
            freed_by = f'{reason}, so its server was deleted; '
            return dataclasses.replace(attempt, freed_by=freed_by, pause=FIRST_LOOK), finding
        case moves.WaitForFence():
            return attempt, _of_step(attempt, finding)
        case moves.Done() | moves.Stop():
            return attempt, finding


def _after_pause(attempt: Attempt, now: float) -> Attempt:
    if now <= attempt.started + OFTEN_FOR:
        return attempt
    return dataclasses.replace(attempt, pause=min(attempt.pause * THINNING, SLOWEST_LOOK))


def _examine_or_wait(attempt: Attempt, now: float) -> tuple[Attempt, Action]:
    if not attempt.is_stuck or not attempt.has_server:
        return _wait(attempt, now)
    later = now + STUCK_AFTER
    return dataclasses.replace(attempt, next_examination=later, is_stuck=False), Examine()


def _wait(attempt: Attempt, now: float) -> tuple[Attempt, Action]:
    if now <= attempt.started + STEP_LIMIT:
        return attempt, Pause(attempt.pause)
    return attempt, moves.Stop(
        f'{attempt.step} was not done within {STEP_LIMIT:.0f} s: {attempt.seen}',
        'Mend what was seen, then send the signal resume',
        is_of_server=not attempt.is_blind,
    )


def _undone(attempt: Attempt) -> moves.Stop:
    return moves.Stop(
        f'{attempt.step} was accepted {MAX_REQUESTS} times by {attempt.service} and undone each '
        'time',
        "Look at the server's host and at its actions, then send the signal resume",
        is_of_server=True,
    )


def _refused(attempt: Attempt, text: str) -> moves.Stop:
    return moves.Stop(
        f'{attempt.step} is refused by {attempt.service} ({text})',
        f'Mend what {attempt.service} names, then send the signal resume',
        is_of_server=True,
    )
