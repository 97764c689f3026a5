# SPDX-License-Identifier: Apache-2.0
"""What is to be done next about a host: suspect, confirmed, fenced, rescuing, done. Pure.

``next_step`` is called again after each step. So an agent may die between any two of them: the
next one starts from what is on record and what it observes.
"""

import dataclasses

from heat_ha.agent.model import Incident, Observation, Phase, Settings, Verdict
from heat_ha.agent.rules import heartbeats, names, storage
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

# So many heartbeats a fenced host must send before it counts as alive again. One is too few: when
# somebody marks the host and unmarks it between two looks, that looks like a heartbeat.
HEARTBEATS_TO_RETURN = 4

# Seconds between two looks while this agent brings an incident forward, and while engines do.
OWN_PAUSE, ENGINES_PAUSE = 0.5, 1.0

# Seconds for which a host that must wait is looked at as often. What it waits for, such as
# heartbeats of the others, comes within some intervals of reports, or not soon.
URGENT_SECONDS = 60.0

# Seconds after which a host that waits for something is named again, with the way out.
REMIND_AFTER = 3600.0

# Which phases may follow each phase. A test walks this table.
TRANSITIONS: dict[Phase | None, frozenset[Phase]] = {
    # The host has had no incident, or that one is over.
    None: frozenset({Phase.SUSPECT}),
    Phase.CLOSED: frozenset({Phase.SUSPECT}),
    # It was down for a moment only, is down once more, an operator disabled it, or too many hosts
    # failed at once.
    Phase.SUSPECT: frozenset({Phase.SUSPECT, Phase.CONFIRMED, Phase.CLOSED, Phase.DEFERRED}),
    # It may come back by itself until it is fenced.
    Phase.CONFIRMED: frozenset({Phase.FENCED, Phase.CLOSED, Phase.DEFERRED}),
    # It is rescued, unless it shows signs of life: then it is fenced again, or held for a person.
    Phase.FENCED: frozenset({Phase.FENCED, Phase.RESCUING, Phase.DEFERRED}),
    # The same, or somebody lets Nova use it again.
    Phase.RESCUING: frozenset({Phase.DONE, Phase.FENCED, Phase.DEFERRED, Phase.CLOSED}),
    Phase.DONE: frozenset({Phase.QUARANTINED, Phase.CLOSED}),
    # An operator releases it or drops it, the host comes back, or nobody has decided for long.
    Phase.DEFERRED: frozenset({Phase.CONFIRMED, Phase.DROPPED, Phase.CLOSED}),
    Phase.DROPPED: frozenset({Phase.CLOSED}),
    Phase.QUARANTINED: frozenset({Phase.CLOSED}),
}

# What the reason of an incident that is done says where a person has yet to decide.
HELD = 'held back for a person'

# Phases in which nothing is waited for: the host is dead, and all that can be done is done.
_AT_REST = frozenset({Phase.DONE, Phase.DROPPED, Phase.CLOSED})


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
    """Make sure that the host cannot write, and put the proof on record.

    ``is_renewal``: the host has not failed once more. Only what it was fenced for has to be proved
    again, so it counts against no limit of fences.
    """

    is_renewal: bool = False


@dataclasses.dataclass(frozen=True)
class MarkDown(Step):
    """Mark the host in Nova as down for certain (``forced_down``)."""


@dataclasses.dataclass(frozen=True)
class Rescue(Step):
    """Signal the policies of the servers that are still on the host."""


@dataclasses.dataclass(frozen=True)
class Reopen(Step):
    """Let a host that is back take servers again.

    ``is_clean``: nothing is left on it, so that it may use its storage again as well.
    """

    is_clean: bool = False


def next_step(observation: Observation, settings: Settings) -> Step:
    """Choose the one step that brings the host's incident closer to its end.

    Invariants: a host is fenced only when the sources agree that it is down, this agent is not
    cut off and has not been for a while, Nova shows the host, and the storm guard or an operator
    let it pass. A host that an operator has disabled is not fenced. The host is marked in Nova, and
    policies are signalled, only with a proof of the fence on record that is young, and after which
    the host has shown no sign of life.
    """
    step = _of_phase(observation, settings)
    incident = observation.incident
    if incident is None or not isinstance(step, Wait):
        return step
    is_held = incident.phase is Phase.DEFERRED or _has_held(incident)
    if incident.phase in _AT_REST and not is_held:
        return step
    hours = int((observation.now - incident.changed) // REMIND_AFTER)
    if hours < 1:
        return step
    ways = f'release, drop or end {incident.host}'
    if not is_held:
        ways = f'end {incident.host}'
    reason = f'{step.reason} (for {hours} h; a person may decide: heat-ha-agent {ways})'
    return dataclasses.replace(step, reason=reason)


def _of_phase(observation: Observation, settings: Settings) -> Step:
    incident = observation.incident
    if incident is None or incident.phase is Phase.CLOSED:
        return _unknown_host(observation, settings)
    if incident.phase is Phase.SUSPECT:
        return _suspect(observation, incident, settings)
    if incident.phase is Phase.CONFIRMED:
        return _confirmed(observation, incident, settings)
    if incident.phase is Phase.FENCED:
        return _fenced(observation, incident, settings)
    if incident.phase is Phase.RESCUING:
        return _rescuing(observation, incident, settings)
    if incident.phase is Phase.DONE:
        return _done(observation, incident)
    if incident.phase is Phase.QUARANTINED:
        return _quarantined(observation, incident)
    return _held_for_operator(observation, incident, settings)


def released(incident: Incident, by: str, now: float) -> Incident:
    """Let a deferred incident pass the storm guard; any other one stays as it is.

    Whatever proof it had is not used again: the host may have run since.
    """
    if incident.phase is not Phase.DEFERRED:
        return incident
    return _again(incident, by, now)


def with_more_rescues(incident: Incident, by: str, now: float) -> Incident:
    """Let rescues that the storm guard held back go on, once the host was fenced again."""
    if incident.phase is not Phase.DONE:
        return incident
    return _again(incident, by, now)


def _again(incident: Incident, by: str, now: float) -> Incident:
    return dataclasses.replace(
        incident, phase=Phase.CONFIRMED, released_by=by, changed=now, proof=None,
        reason=f'released by {by}',
    )  # fmt: skip


def dropped(incident: Incident, by: str, now: float) -> Incident:
    """Let a deferred incident, or its policies that are held back, rest until its host is back.

    Any other one stays as it is.
    """
    if _has_held(incident):
        return dataclasses.replace(incident, reason=f'no rescue is left: dropped by {by}')
    if incident.phase is not Phase.DEFERRED:
        return incident
    return _at_rest(incident, f'dropped by {by}', now)


def ended(incident: Incident, by: str, now: float) -> Incident:
    """Let any open incident rest until its host is back; the agent does nothing more about it."""
    if incident.phase in (Phase.CLOSED, Phase.DROPPED):
        return incident
    return _at_rest(incident, f'ended by {by}', now)


def _has_held(incident: Incident) -> bool:
    """Whether all is done but what a person has yet to decide about."""
    return incident.phase is Phase.DONE and HELD in incident.reason


def _at_rest(incident: Incident, reason: str, now: float) -> Incident:
    return dataclasses.replace(incident, phase=Phase.DROPPED, changed=now, reason=reason)


def _unknown_host(observation: Observation, settings: Settings) -> Step:
    if _is_in_maintenance(observation):
        return Wait('an operator has disabled its nova-compute')
    if observation.judgement.verdict is not Verdict.DOWN:
        return Wait(observation.judgement.reason)
    # The agent's own clock may be ahead of Nova's.
    now = min(observation.now, observation.newest)
    if heartbeats.is_old_silence(observation.service, settings.old_silence, now):
        # It was dead before anybody watched it. Who wants it fenced all the same marks it.
        return Wait(
            'it has been silent for too long to have failed just now, or has never reported; '
            'forced_down, set again, makes it a failure'
        )
    return Enter(observation.judgement.reason, Phase.SUSPECT)


def _is_in_maintenance(observation: Observation) -> bool:
    """Whether an operator took the host out of service, and decides what happens to it."""
    return observation.service is not None and observation.service.is_in_maintenance


def _suspect(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if observation.judgement.verdict is Verdict.UP:
        return Enter(f'false alarm: {observation.judgement.reason}', Phase.CLOSED)
    if _is_in_maintenance(observation):
        return Enter('an operator has disabled its nova-compute meanwhile', Phase.CLOSED)
    if observation.judgement.verdict is Verdict.UNKNOWN:
        return _break(observation, incident)
    if observation.judgement.agreed and not incident.agreed:
        return Enter(f'down again: {observation.judgement.reason}', Phase.SUSPECT)
    left = settings.settle - (observation.now - _down_since(observation, incident))
    if left > 0 and not _is_marked(observation) and not observation.judgement.is_certain:
        return Wait(f'down for less than {settings.settle:.0f} s', left)
    if hold := _hold(observation, incident, settings):
        return hold
    return Enter(observation.judgement.reason, Phase.CONFIRMED)


def _break(observation: Observation, incident: Incident) -> Step:
    """Choose what becomes of a suspect that is not down any more, without being up for certain."""
    reason = observation.judgement.reason
    if _is_back(observation, incident):
        return Enter(f'it lives: {reason}', Phase.CLOSED)
    if incident.agreed and observation.judgement.is_denied:
        # On record, so that the time in which it must be down begins again, whoever looks next. A
        # word is taken back also while Nova does not answer, or does not show the host.
        return Enter(reason, Phase.SUSPECT)
    return Wait(reason)


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
    """Since when the host has been down without a break: each break enters the phase again.

    Nova shows a host as down after a long silence. That silence counts where all other hosts have
    reported meanwhile. Otherwise Nova itself may have been late.
    """
    return min(incident.changed, observation.outlived_since)


def _confirmed(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if observation.judgement.verdict is Verdict.UP:
        return Enter(
            f'it came back before it was fenced: {observation.judgement.reason}', Phase.CLOSED
        )
    if _is_in_maintenance(observation):
        if incident.released_by:
            return Wait(
                f'{incident.reason}, but an operator has disabled its nova-compute: enable it, or '
                'set forced_down'
            )
        return Enter('an operator has disabled its nova-compute meanwhile', Phase.CLOSED)
    if observation.judgement.verdict is Verdict.UNKNOWN:
        reason = observation.judgement.reason
        is_back = _is_back(observation, incident)
        return Enter(f'it lives: {reason}', Phase.CLOSED) if is_back else Wait(reason)
    if hold := _hold(observation, incident, settings):
        return hold
    if observation.turn:
        return Wait(observation.turn)
    # Who was fenced in this incident already was released since, by a person.
    return Fence(incident.reason, is_renewal=incident.fenced_here > 0)


def _hold(observation: Observation, incident: Incident, settings: Settings) -> Step | None:
    """What keeps a host that is down from being fenced; None when nothing does."""
    if observation.isolation:
        return Wait(observation.isolation)
    if observation.service is None:
        # Its cell may not answer, or an operator has removed it: then nothing is left to rescue.
        return Wait('Nova does not show the host now')
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
    if observation.isolation:
        return Wait(observation.isolation)
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if stop := _not_proved(observation, incident, settings):
        return stop
    assert incident.proof is not None
    if _is_marked_since(observation.service, incident.proof.at):
        return Enter('Nova shows it as forced down', Phase.RESCUING)
    if fencing.BY_MARK in incident.proof.who and not _is_marked(observation):
        return _renew(observation, 'the mark that was taken for its fence is gone')
    return MarkDown(f'{incident.proof.who}: {incident.proof.how}')


def _is_marked_since(service: cloud.ComputeService, proof_at: float) -> bool:
    """Whether Nova shows the host as down, and what says so is no older than the proof.

    Who has disabled the host for another reason keeps it so.
    """
    if not service.is_forced_down or not service.is_disabled:
        return False
    return service.marked_at is None or service.marked_at >= proof_at - cloud.CLOCKS_APART


def _not_proved(observation: Observation, incident: Incident, settings: Settings) -> Step | None:
    """What is to be done where no proof allows anything; None where one does (S1)."""
    if observation.life or observation.judgement.verdict is Verdict.UP:
        life = observation.life or observation.judgement.reason
        return _contradicted(observation, incident, settings, life)
    if incident.proof is None:
        return _renew(observation, 'no proof of its fence is on record')
    age = observation.now - incident.proof.at
    if age < -cloud.CLOCKS_APART and not _is_word(observation):
        # How old it is cannot be known, nor what came after it.
        return _renew(observation, 'the proof of its fence is of a time to come: a clock was set')
    if age > settings.proof_valid and not _is_word(observation):
        # Somebody may have repaired it since. Fencing it again is harmless.
        return _renew(observation, 'the proof of its fence is too old')
    return Wait(observation.unclear) if observation.unclear else None


def _is_word(observation: Observation) -> bool:
    """Whether the proof is the word of somebody, which stands for as long as the host is marked.

    Nobody but who has given it could be asked again.
    """
    incident = observation.incident
    assert incident is not None and incident.proof is not None
    is_by_hand = incident.proof.who.endswith(names.BY_HAND)
    is_word = is_by_hand or observation.is_word or not observation.can_fence
    return is_word and _is_marked(observation)


def _renew(observation: Observation, why: str) -> Step:
    """Fence a host once more for the same failure."""
    return _fence_again(observation, why, is_renewal=True)


def _fence_again(observation: Observation, why: str, *, is_renewal: bool = False) -> Step:
    if observation.judgement.verdict is not Verdict.DOWN:
        return Wait(f'{why}, and {observation.judgement.reason}')
    return Fence(why, is_renewal=is_renewal)


def _contradicted(
    observation: Observation, incident: Incident, settings: Settings, life: str
) -> Step:
    """Choose what follows a sign of life after the fence: another fence, or a person's decision.

    Where the sources do not agree that the host is down, it is not switched off. Where the agent
    does not fence it itself, only a person knows whether it is down.
    """
    why = f'a sign of life after its fence: {life}'
    if observation.judgement.verdict is Verdict.UP:
        return Enter(f'{why}; nothing more is done before a person has decided', Phase.DEFERRED)
    if not observation.can_fence:
        return Enter(f'{why}; fence it, then release it and confirm that it is off', Phase.DEFERRED)
    if incident.fenced_here >= settings.fences:
        return Enter(
            f'{why}; it was fenced {incident.fenced_here} times: {storage.why_it_lives(incident)}',
            Phase.DEFERRED,
        )
    return _fence_again(observation, why)


def _rescuing(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if not observation.service.is_forced_down:
        return _let_in_again(observation, incident, 'an operator has unset forced_down')
    if observation.rescues_left == 0:
        held = observation.rescues_held
        return Enter(f'no rescue is left{f"; policies {HELD}: {held}" if held else ""}', Phase.DONE)
    if observation.isolation:
        return Wait(observation.isolation)
    if stop := _not_proved(observation, incident, settings):
        return stop
    if observation.rescues_left is None:
        return Rescue('its servers are unknown yet')
    return Rescue(f'{observation.rescues_left} rescues are left')


def _let_in_again(observation: Observation, incident: Incident, reason: str) -> Step:
    """Close an incident whose host Nova uses again; its next failure is a new one."""
    if observation.looked_at <= incident.changed:
        return Wait('Nova has not been asked since it was marked')
    return _enable(observation, reason) or Enter(reason, Phase.CLOSED)


def _enable(observation: Observation, reason: str) -> Step | None:
    """Take back that heat-ha has disabled a host which somebody lets in again."""
    service = observation.service
    if service is None or not service.is_disabled or service.is_forced_down:
        return None
    is_ours = service.disabled_reason.startswith(cloud.OUR_REASON)
    return Reopen(f'{reason}, and it is still disabled by heat-ha') if is_ours else None


def _done(observation: Observation, incident: Incident) -> Step:
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if not observation.service.is_forced_down:
        return _let_in_again(observation, incident, 'an operator has unset forced_down')
    if observation.heartbeats >= HEARTBEATS_TO_RETURN:
        return Enter('its nova-compute sends heartbeats again', Phase.QUARANTINED)
    return Wait(f'it stays fenced: {incident.reason}' if _has_held(incident) else 'it stays fenced')


def _quarantined(observation: Observation, incident: Incident) -> Step:
    if observation.service is None:
        return Wait('Nova does not show the host now')
    if not observation.service.is_forced_down:
        return _let_in_again(observation, incident, 'Nova uses it again')
    if why := storage.why_not_let_in(incident):
        return Wait(why)
    if not observation.is_audited:
        return Wait(f'reopen_when_clean is off: {storage.way_in(incident)} to let it in')
    if observation.leftovers is None:
        return Wait('it is not certain yet that nothing is left on it')
    if observation.leftovers:
        more = ', …' if len(observation.leftovers) > 3 else ''
        shown = ', '.join(observation.leftovers[:3]) + more
        return Wait(f'{len(observation.leftovers)} leftovers: {shown}')
    return Reopen('nothing is left on it', is_clean=True)


def _held_for_operator(observation: Observation, incident: Incident, settings: Settings) -> Step:
    if _is_back(observation, incident):
        reason = f'it is back: {observation.judgement.reason}'
        return _enable(observation, reason) or Enter(reason, Phase.CLOSED)
    is_deferred = incident.phase is Phase.DEFERRED
    if is_deferred and observation.now - incident.changed > settings.deferred_valid:
        hours = settings.deferred_valid / 3600
        return Enter(f'nobody has decided within {hours:.0f} h: {incident.reason}', Phase.DROPPED)
    if _is_marked(observation) and observation.heartbeats >= HEARTBEATS_TO_RETURN:
        return Wait(
            f'{incident.reason}; its nova-compute sends heartbeats again: '
            f'{storage.way_in(incident)} to let it in'
        )
    return Wait(incident.reason)


def _is_back(observation: Observation, incident: Incident) -> bool:
    """Whether a host that is suspected, or that a person was to decide about, lives in use by Nova.

    One that was fenced must be seen to live. Where no source says anything, its heartbeats do.
    """
    if _is_marked(observation) or observation.judgement.verdict is Verdict.DOWN:
        return False
    is_alive = observation.heartbeats >= HEARTBEATS_TO_RETURN
    if observation.judgement.verdict is Verdict.UP:
        return incident.proof is None or is_alive
    return is_alive and observation.service is not None and observation.service.is_up
