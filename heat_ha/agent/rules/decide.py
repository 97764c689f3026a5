# SPDX-License-Identifier: Apache-2.0
"""What is to be done next about a host: suspect, confirmed, fenced, rescuing, done. Pure.

``next_step`` is called again after each step. So an agent may die between any two of them: the
next one starts from what is on record and what it observes.
"""

import dataclasses

from heat_ha.agent.model import Incident, Observation, Phase, Settings, Verdict

# So many heartbeats a fenced host must send before it counts as alive again. One is too few: when
# somebody marks the host and unmarks it between two looks, that looks like a heartbeat.
HEARTBEATS_TO_RETURN = 4

# Seconds between two looks while this agent brings an incident forward, and while engines do.
OWN_PAUSE, ENGINES_PAUSE = 0.5, 1.0

# Seconds for which a host that must wait is looked at as often. What it waits for, such as
# heartbeats of the others, comes within some intervals of reports, or not soon.
URGENT_SECONDS = 60.0

# Which phases may follow each phase. A test walks this table.
TRANSITIONS: dict[Phase | None, frozenset[Phase]] = {
    # The host has had no incident, or that one is over.
    None: frozenset({Phase.SUSPECT}),
    Phase.CLOSED: frozenset({Phase.SUSPECT}),
    # It was down for a moment only, or too many hosts failed at once.
    Phase.SUSPECT: frozenset({Phase.CONFIRMED, Phase.CLOSED, Phase.DEFERRED}),
    # It may come back by itself until it is fenced.
    Phase.CONFIRMED: frozenset({Phase.FENCED, Phase.CLOSED, Phase.DEFERRED}),
    # A host that was fenced is always rescued.
    Phase.FENCED: frozenset({Phase.FENCED, Phase.RESCUING}),
    Phase.RESCUING: frozenset({Phase.DONE}),
    Phase.DONE: frozenset({Phase.QUARANTINED, Phase.CLOSED}),
    # An operator releases it or drops it, or the host comes back.
    Phase.DEFERRED: frozenset({Phase.CONFIRMED, Phase.DROPPED, Phase.CLOSED}),
    Phase.DROPPED: frozenset({Phase.CLOSED}),
    Phase.QUARANTINED: frozenset({Phase.CLOSED}),
}


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do, with its reason."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Wait(Step):
    """Do nothing; look again, after ``seconds`` at the latest where only time is missing."""

    seconds: float = float('inf')


@dataclasses.dataclass(frozen=True)
class Enter(Step):
    """Put the incident into another phase; nothing but the record changes."""

    phase: Phase


@dataclasses.dataclass(frozen=True)
class Fence(Step):
    """Make sure that the host cannot write, and put the proof on record."""


@dataclasses.dataclass(frozen=True)
class MarkDown(Step):
    """Mark the host in Nova as down for certain (``forced_down``)."""


@dataclasses.dataclass(frozen=True)
class Rescue(Step):
    """Signal the policies of the servers that are still on the host."""


@dataclasses.dataclass(frozen=True)
class Reopen(Step):
    """Let a host that is back, and clean, take servers again."""


def next_step(observation: Observation, settings: Settings) -> Step:
    """Choose the one step that brings the host's incident closer to its end.

    Invariants: a host is fenced only when the sources agree that it is down, this agent is not
    cut off and has not been for a while, and the storm guard or an operator let it pass. The host
    is marked in Nova, and policies are signalled, only with a proof of the fence on record.
    """
    incident = observation.incident
    if incident is None or incident.phase is Phase.CLOSED:
        return _unknown_host(observation)
    if incident.phase is Phase.SUSPECT:
        return _suspect(observation, incident, settings)
    if incident.phase is Phase.CONFIRMED:
        return _confirmed(observation, incident, settings)
    if incident.phase is Phase.FENCED:
        return _fenced(observation, incident, settings)
    if incident.phase is Phase.RESCUING:
        return _rescuing(observation, incident)
    if incident.phase is Phase.DONE:
        return _done(observation)
    if incident.phase is Phase.QUARANTINED:
        return _quarantined(observation)
    return _held_for_operator(observation, incident)


def released(incident: Incident, by: str, now: float) -> Incident:
    """Let a deferred incident pass the storm guard; any other one stays as it is."""
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
    """Let a deferred incident rest until its host is back; any other one stays as it is."""
    if incident.phase is not Phase.DEFERRED:
        return incident
    return dataclasses.replace(
        incident, phase=Phase.DROPPED, changed=now, reason=f'dropped by {by}'
    )


def _unknown_host(observation: Observation) -> Step:
    if observation.service is not None and _is_in_maintenance(observation):
        return Wait('an operator has disabled its nova-compute')
    if observation.judgement.verdict is Verdict.DOWN:
        return Enter(observation.judgement.reason, Phase.SUSPECT)
    return Wait(observation.judgement.reason)


def _is_in_maintenance(observation: Observation) -> bool:
    """Whether an operator took the host out of service, and decides what happens to it."""
    return (
        observation.service is not None
        and observation.service.is_disabled
        and not observation.service.is_forced_down
    )


def _suspect(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if observation.judgement.verdict is Verdict.UP:
        return Enter(f'false alarm: {observation.judgement.reason}', Phase.CLOSED)
    if observation.judgement.verdict is Verdict.UNKNOWN:
        return Wait(observation.judgement.reason)
    left = settings.settle - (observation.now - _down_since(observation, incident))
    if left > 0 and not _is_marked(observation) and not observation.judgement.is_certain:
        return Wait(f'down for less than {settings.settle:.0f} s', left)
    if hold := _hold(observation, incident, settings):
        return hold
    return Enter(observation.judgement.reason, Phase.CONFIRMED)


def pause(phase: Phase | None, step: Step, age: float, longest: float) -> float:
    """After how many seconds a host is looked at again.

    :param age: seconds since the incident came into its phase.
    :param longest: seconds between two looks at healthy hosts.
    """
    if isinstance(step, Wait):
        is_urgent = phase in (Phase.SUSPECT, Phase.CONFIRMED) and age < URGENT_SECONDS
        return min(longest, step.seconds, OWN_PAUSE if is_urgent else longest)
    # While engines rescue, Nova's API is needed for that more than for looks.
    return min(longest, ENGINES_PAUSE if phase is Phase.RESCUING else OWN_PAUSE)


def _is_marked(observation: Observation) -> bool:
    """Whether somebody marked the host as fenced: a mark does not vanish by itself."""
    return observation.service is not None and observation.service.is_forced_down


def _down_since(observation: Observation, incident: Incident) -> float:
    """Since when the host has been down without a break.

    Nova shows a host as down after a long silence. That silence counts where all other hosts have
    reported meanwhile. Otherwise Nova itself may have been late.
    """
    return min(incident.opened, observation.outlived_since)


def _confirmed(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if observation.judgement.verdict is Verdict.UP:
        return Enter(
            f'it came back before it was fenced: {observation.judgement.reason}', Phase.CLOSED
        )
    if observation.judgement.verdict is Verdict.UNKNOWN:
        return Wait(observation.judgement.reason)
    if hold := _hold(observation, incident, settings):
        return hold
    return Fence(incident.reason)


def _hold(observation: Observation, incident: Incident, settings: Settings) -> Step | None:
    """What keeps a host that is down from being fenced; None when nothing does."""
    if observation.isolation:
        return Wait(observation.isolation)
    left = settings.settle - (observation.now - observation.trusted_since)
    if left > 0:
        # The hosts may still suffer from what cut the agent off.
        return Wait(f'this agent was cut off less than {settings.settle:.0f} s ago', left)
    if incident.released_by:
        return None
    if observation.storm:
        return Enter(observation.storm, Phase.DEFERRED)
    return Wait(observation.doubt) if observation.doubt else None


def _fenced(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if incident.proof is None:
        return Fence('no proof of its fence is on record')
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if observation.service.is_forced_down:
        return Enter('Nova shows it as forced down', Phase.RESCUING)
    if observation.isolation:
        return Wait(observation.isolation)
    if observation.now - incident.proof.at > settings.proof_valid:
        # Somebody may have repaired it since. Fencing it again is harmless.
        return Fence('the proof of its fence is too old')
    return MarkDown(f'{incident.proof.who}: {incident.proof.how}')


def _rescuing(observation: Observation, incident: Incident) -> Step:
    if incident.proof is None:
        return Wait('no proof of its fence is on record')
    if observation.rescues_left is None:
        return Rescue('its servers are unknown yet')
    if observation.rescues_left:
        return Rescue(f'{observation.rescues_left} rescues are left')
    return Enter('no rescue is left', Phase.DONE)


def _done(observation: Observation) -> Step:
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if not observation.service.is_forced_down:
        return Enter('an operator has unset forced_down', Phase.CLOSED)
    if observation.heartbeats >= HEARTBEATS_TO_RETURN:
        return Enter('its nova-compute sends heartbeats again', Phase.QUARANTINED)
    return Wait('it stays fenced')


def _quarantined(observation: Observation) -> Step:
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if not observation.service.is_forced_down:
        return Enter('Nova uses it again', Phase.CLOSED)
    if observation.leftovers is None:
        return Wait('its leftovers were not read')
    if observation.leftovers:
        shown = ', '.join(observation.leftovers[:3]) + (
            ', …' if len(observation.leftovers) > 3 else ''
        )
        return Wait(f'{len(observation.leftovers)} leftovers: {shown}')
    return Reopen('nothing is left on it')


def _held_for_operator(observation: Observation, incident: Incident) -> Step:
    if observation.judgement.verdict is Verdict.UP:
        return Enter(f'it is back: {observation.judgement.reason}', Phase.CLOSED)
    return Wait(incident.reason)
