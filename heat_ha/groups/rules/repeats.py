# SPDX-License-Identifier: Apache-2.0
"""How long an alarm that only repeats itself says nothing new of a group. No clock, no client.

An alarm of Aodh posts again at each evaluation, once a minute, for as long as it lasts: Heat makes
it so unless the template says otherwise. The samples of a member that is gone count in it for
some minutes more, and no number of new members ends an alarm that they are not the cause of.
"""

import datetime

from heat_ha.groups import model

# Seconds: two of the periods of 300 s over which Gnocchi keeps its samples by default.
HOLD = 600.0

# Seconds: so that an alarm that lasts a day has some ten answers, and not none.
LONGEST_HOLD = 14_400.0

DAY = 86_400.0


def hold(answers: int) -> float:
    """Seconds for which repeats are held back after the last of so many answers within a day."""
    return min(HOLD * 2.0 ** (min(answers, 10) - 1), LONGEST_HOLD)


def refusal(seconds: float, answers: int, subject: str, healthy: str) -> str | None:
    """Why a repeat is held back; None when it counts as any other alarm.

    :param seconds: since the last answer to an alarm, of which there were ``answers`` in a day.
    :param subject: what that answer was, and ``healthy`` what looks well now, in words.
    """
    limit = hold(answers) if answers else 0.0
    if seconds >= limit:
        return None
    return (
        f'the alarm repeats itself, {subject} {seconds:.0f} s ago and {healthy} well: it is held '
        f'back for {limit:.0f} s. Give the policy a cooldown to choose another time'
    )


def of_group(seen: model.Group, now: datetime.datetime) -> str | None:
    """Why a repeat replaces no member of the group; None when it does.

    Invariant: a member that has failed is replaced, whatever the alarm is.
    """
    if len(seen.in_service) < len(seen.members):
        return None
    came = [datetime.datetime.fromisoformat(m.created_at.replace('Z', '+00:00'))
            for m in seen.members if m.created_at]  # fmt: skip
    if not came:
        return None
    age = abs((now - max(came)).total_seconds())
    return refusal(age, 1, 'the newest member came', 'all members look')
