# SPDX-License-Identifier: Apache-2.0
"""A guest that ended, told by the agent, and the alarm about it that comes later. Pure.

The agent reads Nova's notifications itself, so its signal usually comes before the alarm about the
same failure. An alarm that names the member joins by its name. One that names nobody is about the
active of the moment, which is another one by then.
"""

import datetime

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import later

# With it begins the reason of each signal that the agent sends because a guest ended. It is in the
# history, where the reason of an alarm begins with "alarm" and its name.
SENDER = 'heat-ha-agent: '

# Seconds after the agent's failover in which an alarm that names nobody is about the same failure:
# an event alarm comes after some seconds, a threshold is evaluated once in one to four minutes.
SAME_FAILURE = 300.0


def reason(host: str) -> str:
    """What the agent's signal says of a guest that ended on this host."""
    return f'{SENDER}the guest ended on {host}, and nobody had asked Nova for that'


def refusal(signal: signals.Signal[model.Action], seen: model.Observation) -> str | None:
    """Why the alarm joins the failover that the agent's signal has led to, or None.

    Invariant (S3): one that names a member, one while the active is seen to be down, and one after
    SAME_FAILURE seconds are never held back; a ``cooldown`` in the template holds instead.
    """
    plan = seen.record.plan
    # By its host alone, such as a service address, a new member may be called as well.
    names_nobody = signal.member is None or signal.host is not None
    if signal.action is not None or not names_nobody or plan is None:
        return None
    is_agents = plan.cause is model.Cause.FAILOVER and plan.reason.startswith(SENDER)
    if not is_agents or not seen.limits.holds_repeats or later.active_is_unwell(seen):
        return None
    began = datetime.datetime.fromisoformat(plan.created)
    # The clock of the engine that wrote it may be ahead.
    age = abs((seen.now - began).total_seconds())
    if age >= SAME_FAILURE:
        return None
    return (
        f'the agent has reported a failure {age:.0f} s ago, the failover of which is over, and the '
        'active looks well: this signal joins it. Name the member that is sick to have it '
        'replaced all the same'
    )
