# SPDX-License-Identifier: Apache-2.0
"""How a host gets its storage back that was fenced there: its old guests may run on. Pure.

Nobody sees from outside which of them do. Nova's evacuations tell only of servers that were moved
by one, and not of a server that was deleted and made anew.
"""

from heat_ha.agent.model import Incident, Phase


def why_not_let_in(incident: Incident) -> str:
    """Why only a person may give a host its storage back, with the way; '' when that is not so."""
    if incident.proof is None or not incident.proof.leaves_on:
        return ''
    return (
        'it was fenced in its storage alone, so old guests may run on it: reboot it, or restart '
        f'nova-compute and see that none does. Then: {_commands(incident)}'
    )


def way_in(incident: Incident) -> str:
    """What a person does to let a host in that the agent does not let in."""
    if incident.proof is None or not incident.proof.storage_drivers:
        return 'unset forced_down'
    return f'once no old guest runs on it, {_commands(incident)}'


def _commands(incident: Incident) -> str:
    # The end first, because what may be rescued keeps its fence; then what servers need.
    first = '' if incident.phase is Phase.DROPPED else f'heat-ha-agent end {incident.host}; '
    return f'{first}heat-ha-agent unfence {incident.host} --by NAME; unset forced_down'


def why_it_lives(incident: Incident) -> str:
    """What a person looks at where a host shows signs of life after each of its fences.

    With the wrong addresses, key or devices in its entry it would look the same, and write on: so
    the agent does not go on by itself, although nova-compute may well run on while the storage is
    fenced.
    """
    if incident.proof is None or not incident.proof.leaves_on:
        return 'see whether its power control is that of another host'
    return (
        'see whether its entry names all of its ways to its storage (addresses; key and devices), '
        'and stop its nova-compute or switch it off. Then: heat-ha-agent release '
        f'{incident.host}'
    )
