# SPDX-License-Identifier: Apache-2.0
"""What is to be done next about a host: suspect, confirmed, fenced, rescuing, done. Pure.

``next_step`` is called again after each step, so an agent that died between two of them is
nothing special: the next one starts from what is on record and what is seen.
"""

import dataclasses

from heat_ha.agent.model import Incident, Observation, Phase, Settings, Verdict

# So many signs of life a fenced host must give before it counts as alive again. What somebody
# marks is none, but who marks it and takes that back between two looks is not seen.
HEARTBEATS_TO_RETURN = 4

# Seconds between two looks while something is under way here, and while engines carry it.
MOVING_PAUSE, WATCH_PAUSE = 0.5, 1.0

# Seconds for which a host that is held back is looked at as often: what it waits for, as signs of
# life of the others, comes within some intervals of reports, or not soon.
HURRY = 60.0

# How an incident may go on. A test walks this table; a phase that is not listed ends nowhere else.
TRANSITIONS: dict[Phase | None, frozenset[Phase]] = {
    # Nothing is known of it, or all is over.
    None: frozenset({Phase.SUSPECT}),
    Phase.CLOSED: frozenset({Phase.SUSPECT}),
    # Down for a moment only, or too many at once.
    Phase.SUSPECT: frozenset({Phase.CONFIRMED, Phase.CLOSED, Phase.DEFERRED}),
    # Until it is fenced it may still come back by itself.
    Phase.CONFIRMED: frozenset({Phase.FENCED, Phase.CLOSED, Phase.DEFERRED}),
    # From here on there is no way back: what was fenced is rescued.
    Phase.FENCED: frozenset({Phase.FENCED, Phase.RESCUING}),
    Phase.RESCUING: frozenset({Phase.DONE}),
    Phase.DONE: frozenset({Phase.QUARANTINED, Phase.CLOSED}),
    # A person releases it or drops it, or the host comes back.
    Phase.DEFERRED: frozenset({Phase.CONFIRMED, Phase.DROPPED, Phase.CLOSED}),
    Phase.DROPPED: frozenset({Phase.CLOSED}),
    Phase.QUARANTINED: frozenset({Phase.CLOSED}),
}


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that is to be done, with its reason."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Wait(Step):
    """Nothing now; look again, after ``seconds`` at the latest where only time is missing."""

    seconds: float = float('inf')


@dataclasses.dataclass(frozen=True)
class Enter(Step):
    """Put the incident into another phase; nothing outside changes."""

    phase: Phase


@dataclasses.dataclass(frozen=True)
class Fence(Step):
    """Make sure that the host cannot write, and bring the proof."""


@dataclasses.dataclass(frozen=True)
class MarkDown(Step):
    """Tell Nova that the host is down for certain (``forced_down``)."""


@dataclasses.dataclass(frozen=True)
class Rescue(Step):
    """Signal the policies of the servers that are still on the host."""


@dataclasses.dataclass(frozen=True)
class Reopen(Step):
    """Let a host that is back, and clean, take servers again."""


def next_step(seen: Observation, settings: Settings) -> Step:
    """Choose the one step that brings the host's incident closer to its end.

    Invariants: a host is fenced only when the sources agree that it is down, this agent is not
    cut off and has not been for a while, and the storm guard or a person let it pass. Nova is
    told, and policies are signalled, only with a proof of the fence on record.
    """
    incident = seen.incident
    if incident is None or incident.phase is Phase.CLOSED:
        return _unknown_host(seen)
    if incident.phase is Phase.SUSPECT:
        return _suspect(seen, incident, settings)
    if incident.phase is Phase.CONFIRMED:
        return _confirmed(seen, incident, settings)
    if incident.phase is Phase.FENCED:
        return _fenced(seen, incident, settings)
    if incident.phase is Phase.RESCUING:
        return _rescuing(seen, incident)
    if incident.phase is Phase.DONE:
        return _done(seen)
    if incident.phase is Phase.QUARANTINED:
        return _quarantined(seen)
    return _in_a_persons_hands(seen, incident)


def released(incident: Incident, by: str, now: float) -> Incident:
    """Let a deferred incident pass the storm guard; any other stays as it is."""
    if incident.phase is not Phase.DEFERRED:
        return incident
    return dataclasses.replace(
        incident, phase=Phase.CONFIRMED, released_by=by, changed=now, reason=f'released by {by}'
    )


def with_more_rescues(incident: Incident, by: str, now: float) -> Incident:
    """Let rescues that the storm guard held back go on; the host must be fenced."""
    if incident.phase is not Phase.DONE or incident.proof is None:
        return incident
    return dataclasses.replace(
        incident, phase=Phase.RESCUING, released_by=by, changed=now, reason=f'released by {by}'
    )


def dropped(incident: Incident, by: str, now: float) -> Incident:
    """Let a deferred incident rest until its host is back; any other stays as it is."""
    if incident.phase is not Phase.DEFERRED:
        return incident
    return dataclasses.replace(
        incident, phase=Phase.DROPPED, changed=now, reason=f'dropped by {by}'
    )


def _unknown_host(seen: Observation) -> Step:
    if seen.service is not None and _is_in_maintenance(seen):
        return Wait('its nova-compute is disabled by an operator')
    if seen.judgement.verdict is Verdict.DOWN:
        return Enter(seen.judgement.reason, Phase.SUSPECT)
    return Wait(seen.judgement.reason)


def _is_in_maintenance(seen: Observation) -> bool:
    """Whether an operator took the host out: what happens to it then is the operator's."""
    return seen.service is not None and seen.service.is_disabled and not seen.service.is_forced_down


def _suspect(seen: Observation, incident: Incident, settings: Settings) -> Step:
    if seen.judgement.verdict is Verdict.UP:
        return Enter(f'false alarm: {seen.judgement.reason}', Phase.CLOSED)
    if seen.judgement.verdict is Verdict.UNKNOWN:
        return Wait(seen.judgement.reason)
    left = settings.settle - (seen.now - _down_since(seen, incident))
    if left > 0 and not _is_marked(seen) and not seen.judgement.is_certain:
        return Wait(f'down for less than {settings.settle:.0f} s', left)
    if hold := _hold(seen, incident, settings):
        return hold
    return Enter(seen.judgement.reason, Phase.CONFIRMED)


def pause(phase: Phase | None, step: Step, age: float, longest: float) -> float:
    """After how many seconds a host is looked at again.

    :param age: seconds since the incident came into its phase.
    :param longest: how often hosts are looked at that are well.
    """
    if isinstance(step, Wait):
        is_urgent = phase in (Phase.SUSPECT, Phase.CONFIRMED) and age < HURRY
        return min(longest, step.seconds, MOVING_PAUSE if is_urgent else longest)
    # The engines are at work, and Nova's API has better to do than to tell how far they are.
    return min(longest, WATCH_PAUSE if phase is Phase.RESCUING else MOVING_PAUSE)


def _is_marked(seen: Observation) -> bool:
    """Whether somebody vouches for it that the host is fenced: that does not go by itself."""
    return seen.service is not None and seen.service.is_forced_down


def _down_since(seen: Observation, incident: Incident) -> float:
    """Since when the host has been down without a break.

    Nova takes a host for down that has been silent for long. That long counts where all other
    hosts have reported meanwhile: else it may have been Nova that was late.
    """
    return min(incident.opened, seen.outlived_since)


def _confirmed(seen: Observation, incident: Incident, settings: Settings) -> Step:
    if seen.judgement.verdict is Verdict.UP:
        return Enter(f'it came back before it was fenced: {seen.judgement.reason}', Phase.CLOSED)
    if seen.judgement.verdict is Verdict.UNKNOWN:
        return Wait(seen.judgement.reason)
    if hold := _hold(seen, incident, settings):
        return hold
    return Fence(incident.reason)


def _hold(seen: Observation, incident: Incident, settings: Settings) -> Step | None:
    """What keeps a host that is down from being fenced; None when nothing does."""
    if seen.isolation:
        return Wait(seen.isolation)
    left = settings.settle - (seen.now - seen.trusted_since)
    if left > 0:
        # What was seen while it was cut off may not be over for the hosts yet.
        return Wait(f'this agent was cut off less than {settings.settle:.0f} s ago', left)
    if incident.released_by:
        return None
    if seen.storm:
        return Enter(seen.storm, Phase.DEFERRED)
    return Wait(seen.doubt) if seen.doubt else None


def _fenced(seen: Observation, incident: Incident, settings: Settings) -> Step:
    if incident.proof is None:
        return Fence('its fence is not on record')
    if seen.service is None:
        return Wait('Nova was not to be asked')
    if seen.service.is_forced_down:
        return Enter('Nova shows it as forced down', Phase.RESCUING)
    if seen.isolation:
        return Wait(seen.isolation)
    if seen.now - incident.proof.at > settings.proof_valid:
        # Somebody may have repaired it since; asking again is harmless.
        return Fence('the proof of its fence is too old')
    return MarkDown(f'{incident.proof.who}: {incident.proof.how}')


def _rescuing(seen: Observation, incident: Incident) -> Step:
    if incident.proof is None:
        return Wait('no proof of its fence is on record')
    if seen.rescues_left is None:
        return Rescue('its servers are not known yet')
    if seen.rescues_left:
        return Rescue(f'{seen.rescues_left} rescues are left')
    return Enter('no rescue is left', Phase.DONE)


def _done(seen: Observation) -> Step:
    if seen.service is None:
        return Wait('Nova was not to be asked')
    if not seen.service.is_forced_down:
        return Enter('an operator has let it in again', Phase.CLOSED)
    if seen.heartbeats >= HEARTBEATS_TO_RETURN:
        return Enter('its nova-compute gives signs of life again', Phase.QUARANTINED)
    return Wait('it stays fenced')


def _quarantined(seen: Observation) -> Step:
    if seen.service is None:
        return Wait('Nova was not to be asked')
    if not seen.service.is_forced_down:
        return Enter('Nova uses it again', Phase.CLOSED)
    if seen.leftovers is None:
        return Wait('its leftovers were not to be looked at')
    if seen.leftovers:
        shown = ', '.join(seen.leftovers[:3]) + (', …' if len(seen.leftovers) > 3 else '')
        return Wait(f'{len(seen.leftovers)} leftovers: {shown}')
    return Reopen('nothing is left on it')


def _in_a_persons_hands(seen: Observation, incident: Incident) -> Step:
    if seen.judgement.verdict is Verdict.UP:
        return Enter(f'it is back: {seen.judgement.reason}', Phase.CLOSED)
    return Wait(incident.reason)
