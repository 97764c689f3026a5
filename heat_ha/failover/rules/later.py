# SPDX-License-Identifier: Apache-2.0
"""Which signals are kept and decided again, because what hinders them may pass. Pure, like
``decide``.

Event alarms post once. So a signal that finds the group in the hands of somebody else, or nobody
who can take over, is not lost as long as there is evidence that it is still needed.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import standbys, suspicion

# Seconds for which a signal waits for what Heat has begun with the members; that ends with the
# timeout of a stack, an hour unless the template says otherwise.
FOR_HEAT = 3600.0

# Seconds for which a signal waits for a standby while the active is seen to be down.
FOR_A_STANDBY = 86_400.0

# Seconds between two decisions: the first few quickly, and then so that a member that is back is
# found well within a minute.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 20.0

# Seconds after which it is decided again at the latest.
LONGEST_WAIT = 900.0

_DOWN = frozenset({cloud.HostState.DOWN, cloud.HostState.CONFIRMED_DOWN})


@dataclasses.dataclass(frozen=True)
class Remember:
    """It cannot be decided now: keep the signal, and decide it again.

    ``why`` is what it waits for; ``until`` is how many seconds old the signal may become: it is
    over then. ``due_in`` is how many seconds later it is decided again, None for soon. ``alarms``
    are those that have sent it, where it matters whether they say ok meanwhile.
    """

    why: str
    until: float
    due_in: float | None = None
    alarms: tuple[str, ...] = ()


def pause(tries: int) -> float:
    """Seconds until a signal is decided again that had to wait so many times."""
    return min(FIRST_PAUSE * 1.5 ** min(tries, 20), LONGEST_PAUSE)


def active_is_unwell(seen: model.Observation) -> bool:
    """Whether there is evidence that the active serves nobody: no answer is none (S2)."""
    active = seen.record.active
    if active is None:
        return True
    for candidate in seen.candidates:
        if not standbys.is_active(candidate.member, active):
            continue
        server, health = candidate.server, candidate.health
        is_down = server is not None and server.status not in (
            ServerStatus.ACTIVE,
            ServerStatus.COULD_NOT_ASK,
        )
        is_sick = health is not None and health.state is model.HealthState.SICK
        has_dead_host = candidate.host is not None and candidate.host.state in _DOWN
        return is_down or is_sick or has_dead_host
    return True


def is_late_copy(seen: model.Observation) -> bool:
    """Whether an alarm that names nobody is taken for one that was answered a moment ago.

    The same alarm is posted again while its failover's replacement goes on for the first time. With
    evidence that the new active is down as well, it is not that.
    """
    active = seen.record.active
    is_of_now = any(
        one.plan.new == active and one.plan.cause is model.Cause.FAILOVER and not one.tries
        for one in seen.record.follow_ups
    )
    return is_of_now and not active_is_unwell(seen)


def is_anything_elsewhere(seen: model.Observation, active: model.MemberServer) -> bool:
    """Whether something that is handed over is known to be at another server, or at none."""
    volumes = (servers for servers in seen.held_by.values() if servers is not None)
    # What Heat has left in the middle has to be brought to its end as well.
    there = frozenset({active.server})
    return any(servers != there for servers in (*volumes, *seen.others_at.values()))


def cooldown_left(
    cooldown: float, past: Sequence[datetime.datetime], now: datetime.datetime
) -> float:
    """Seconds until the cooldown of the last failover is over; 0 without one."""
    # From the nearest: the clock of the engine that wrote it may be ahead, or far off.
    ages = [abs((now - one).total_seconds()) for one in past]
    return max(cooldown - min(ages), 0.0) if ages else 0.0


def after_cooldown(reason: str, seconds: float, seen: model.Observation) -> Remember | None:
    """What becomes of an alarm in the cooldown: it waits for its end if the active is down.

    It is decided again in between, so that no clock that is set back has it wait for longer. What
    is left of the cooldown shrinks meanwhile and the signal ages, so its age is bounded by the
    whole of the cooldown: no signal that came within it is older at its end.
    """
    if not active_is_unwell(seen):
        return None
    until = seen.limits.cooldown + FOR_HEAT
    return Remember(reason, until=until, due_in=min(seconds + 0.1, LONGEST_WAIT))


def without_successor(reason: str, seen: model.Observation) -> Remember | None:
    """What becomes of an alarm when no standby can take over; None to refuse it.

    It waits for what Heat or a replacement is at work on, and for services that did not answer.
    For anything else it waits only while the active is seen to be down: a healthy active stays.
    """
    if active_is_unwell(seen):
        return Remember(reason, until=FOR_A_STANDBY)
    is_passing = _is_passing(seen.candidates, standbys.going(seen.record))
    return Remember(reason, until=FOR_HEAT) if is_passing else None


def outdated(seen: model.Observation, longest: float) -> 'str | Remember | None':
    """Why a kept signal about the active is over because it is older than so many seconds, or None.

    It is kept on where Nova does not say how the active is (S2).

    ``Remember.until`` ends what is decided and has to wait again. While the policy is paused, or a
    failover is open, nothing is decided, so what it says may be long past. An active that is seen
    to be down is left, however late that is.
    """
    one = seen.decided
    if one is None or active_is_unwell(seen):
        return None
    age = (seen.now - datetime.datetime.fromisoformat(one.came)).total_seconds()
    if age <= longest:
        return None
    if _is_not_answered(seen):
        return Remember('Nova does not say how the active is', until=age + FOR_HEAT)
    return (
        f'it has waited for more than {longest:.0f} s, and the active is not seen to be down: send '
        'it again if it still holds'
    )


def _is_not_answered(seen: model.Observation) -> bool:
    """Whether nobody could say just now whether the active runs."""
    active = seen.record.active
    return any(
        c.server is not None and c.server.status is ServerStatus.COULD_NOT_ASK
        for c in seen.candidates
        if standbys.is_active(c.member, active)
    )


def longest_wait(limits: model.Limits) -> float:
    """Seconds for which any signal about the active waits, whatever it waits for."""
    return max(FOR_A_STANDBY, limits.cooldown + FOR_HEAT)


def needs_new_member(seen: model.Observation) -> bool:
    """Whether the active is down, and all others are lost: nobody would come back by waiting.

    Lost is whom Heat counts as failed, or whose server is gone. One that is shut off, sick, suspect
    or on a host that is down may be brought back; one that is being replaced has its successor on
    the way; and what Heat is at work on is about to change. A host that is only silent leaves its
    guests going, and so do states of Nova such as MIGRATING: neither is enough here (S5).
    """
    active = seen.record.active
    others = [c for c in seen.candidates if not standbys.is_active(c.member, active)]
    if not others or heat_is_at_work(seen.candidates):
        return False
    if len(lost_standbys(seen)) < len(others):
        return False
    there = [c for c in seen.candidates if standbys.is_active(c.member, active)]
    return all(_is_down(c) for c in there)


def lost_standbys(seen: model.Observation) -> list[str]:
    """The members beside the active that are lost, and that nobody replaces yet."""
    going, active = standbys.going(seen.record), seen.record.active
    return [
        c.member.name
        for c in seen.candidates
        if is_lost(c) and c.member.name not in going and not standbys.is_active(c.member, active)
    ]


def is_lost(candidate: model.Candidate) -> bool:
    """Whether a member does not come back by itself, as far as anybody has said (S2)."""
    return candidate.member.is_failed or _is_gone(candidate)


def _is_gone(candidate: model.Candidate) -> bool:
    return candidate.server is not None and candidate.server.status is ServerStatus.GONE


def _is_down(candidate: model.Candidate) -> bool:
    health = candidate.health
    is_sick = health is not None and health.state is model.HealthState.SICK
    return is_sick or _is_gone(candidate) or suspicion.is_down(candidate)


def heat_is_at_work(candidates: Iterable[model.Candidate]) -> bool:
    """Whether Heat is working on a member."""
    return any(c.member.is_in_progress for c in candidates)


def _is_passing(candidates: Sequence[model.Candidate], going: frozenset[str]) -> bool:
    could_not_ask = any(
        c.server is not None and c.server.status is ServerStatus.COULD_NOT_ASK for c in candidates
    )
    present = {c.member.name for c in candidates}
    return could_not_ask or heat_is_at_work(candidates) or bool(going & present)
