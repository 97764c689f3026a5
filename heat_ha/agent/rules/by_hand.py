# SPDX-License-Identifier: Apache-2.0
"""What a person says about a failed host, as a proof that is on record under a name. Pure."""

import dataclasses

from heat_ha import exceptions
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import names
from heat_ha.cloud import model as cloud
from heat_ha.fencing import model as fencing

# By phase, in which one a host is after a person has confirmed that it is off; a phase that is not
# here takes no confirmation. A test walks all phases.
AFTER_CONFIRMATION: dict[Phase, Phase] = {
    Phase.CONFIRMED: Phase.FENCED,
    Phase.FENCED: Phase.FENCED,
    # Its proof may have become doubtful meanwhile. It is marked again, with the time.
    Phase.RESCUING: Phase.FENCED,
}

# Why another phase takes none, and what to do instead.
_INSTEAD = {
    Phase.SUSPECT: 'the sources do not agree yet that it is down. Try again when it is confirmed',
    Phase.DEFERRED: 'the storm guard holds it back. First: heat-ha-agent release HOST',
    Phase.DROPPED: 'it was dropped. It is looked at again when the host has been up',
}


# Phases in which a host may write nothing: it is relied on, or nobody has looked at what is on it.
_KEPT_FENCED = frozenset(
    {Phase.CONFIRMED, Phase.FENCED, Phase.RESCUING, Phase.DONE, Phase.QUARANTINED}
)


def check_unfence(incident: Incident | None, host: str, by: str) -> None:
    """Whether a person may give a host its storage back.

    :raises exceptions.Refused: the name is none, or its servers are being rescued, or may have been
        while it is still gone: the old ones may run on it and would write again.
    """
    names.of_person(by)
    if incident is not None and (incident.phase in _KEPT_FENCED or _is_stopped(incident)):
        raise exceptions.Refused(
            f'host {host} is {incident.phase.value}: servers of its run elsewhere by now, or may '
            'soon, and the old ones on it would write to the same volumes',
            'It is given its storage back once it is back and nothing is left on it. Where the '
            f'agent shall do no more about it, first: heat-ha-agent end {host}',
        )


def _is_stopped(incident: Incident) -> bool:
    """Whether a rescue was held back half-way: some of the servers may have been made anew."""
    was_fenced = incident.proof is not None or incident.fenced_here > 0 or bool(incident.removed)
    return incident.phase is Phase.DEFERRED and was_fenced


def confirmed(
    incident: Incident, service: cloud.ComputeService | None, by: str, now: float
) -> Incident:
    """Take a person's word that the host is switched off, or cannot write for another reason.

    :param service: what Nova shows of the host, None when it does not have it.
    :raises exceptions.Refused: the name is none, the host reports to Nova, or nothing waits for it.
    """
    name = names.of_person(by)
    if service is not None and service.is_up:
        raise exceptions.Refused(
            f'Nova shows host {incident.host} as up: it still reports, or did until a moment ago',
            'Make sure that it is the host which was switched off, and try again once Nova shows '
            'it as down',
        )
    after = AFTER_CONFIRMATION.get(incident.phase)
    if after is None:
        why = _INSTEAD.get(incident.phase, 'nothing waits for it')
        raise exceptions.Refused(
            f'no fence of host {incident.host} is waited for, it is {incident.phase.value}: {why}'
        )
    proof = fencing.Proof(f'{name}{names.BY_HAND}', f'confirmed by {name} as switched off', now)
    return dataclasses.replace(incident.fenced(proof, now, is_renewal=True), phase=after)
