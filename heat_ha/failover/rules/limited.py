# SPDX-License-Identifier: Apache-2.0
"""How often a group may fail over. Pure, like ``decide``."""

import dataclasses
import datetime
from collections.abc import Sequence

from heat_ha.failover import model
from heat_ha.failover.rules import later


def refusal(
    limits: model.Limits, past: Sequence[datetime.datetime], now: datetime.datetime
) -> str | None:
    """Why cooldown or the flapping guard forbid a failover now, or None."""
    left = later.cooldown_left(limits.cooldown, past, now)
    if left:
        return (
            f'the last failover was {limits.cooldown - left:.0f} s ago and the cooldown is '
            f'{limits.cooldown:.0f} s'
        )
    if limits.max_failovers and limits.period:
        recent = [p for p in past if abs((now - p).total_seconds()) < limits.period]
        if len(recent) >= limits.max_failovers:
            return (
                f'{len(recent)} failovers within {limits.period:.0f} s reach max_failovers '
                f'({limits.max_failovers}): the group is flapping and a person should look'
            )
    return None


def of_active(seen: model.Observation) -> str | later.Remember | None:
    """What the limits make of an alarm about the active: why it is refused, or kept; or None."""
    without_cooldown = dataclasses.replace(seen.limits, cooldown=0.0)
    flapping = refusal(without_cooldown, seen.past_failovers, seen.now)
    if flapping is not None:
        return flapping
    limited = refusal(seen.limits, seen.past_failovers, seen.now)
    if limited is None:
        return None
    left = later.cooldown_left(seen.limits.cooldown, seen.past_failovers, seen.now)
    return later.after_cooldown(limited, left, seen) or limited
