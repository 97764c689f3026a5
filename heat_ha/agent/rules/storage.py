# SPDX-License-Identifier: Apache-2.0
"""What is different about a host that was fenced in its storage alone: its guests may run on. Pure.

Nobody sees from outside which of them do. Nova's evacuations tell only of servers that were moved
by one, and not of a server that was deleted and made anew.
"""

from heat_ha.agent.model import Incident


def why_not_let_in(incident: Incident) -> str:
    """Why only a person may give a host its storage back, with the way; '' when that is not so."""
    if incident.proof is None or not incident.proof.leaves_on:
        return ''
    return (
        'it was fenced in its storage alone, so old guests may run on it: reboot it, or restart '
        f'nova-compute and see that none does. Then: heat-ha-agent end {incident.host}; '
        f'heat-ha-agent unfence {incident.host} --by NAME; unset forced_down'
    )
