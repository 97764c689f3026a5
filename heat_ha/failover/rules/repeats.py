# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy does about an alarm that only repeats itself. Pure, like ``decide``."""

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import later
from heat_ha.groups.rules import repeats


def refusal(signal: signals.Signal[model.Action], seen: model.Observation) -> str | None:
    """Why the alarm is held back, because the template says nothing of how often; or None.

    Invariants: the first alarm, one that names a member (not only its host, by which a new member
    may be called as well), and one while the active is seen to be
    down are never held back; a repeat is, each time for a bounded time, so that an active that
    hangs without a sign is left in the end.
    """
    names_nobody = signal.member is None or signal.host is not None
    is_repeat = signal.is_repeat and signal.action is None and names_nobody
    if not is_repeat or not seen.limits.holds_repeats or later.active_is_unwell(seen):
        return None
    ages = [abs((seen.now - one).total_seconds()) for one in seen.past_failovers]
    answers = sum(age < repeats.DAY for age in ages)
    if not answers:
        return None
    return repeats.refusal(min(ages), answers, 'the last failover was', 'the active looks')
