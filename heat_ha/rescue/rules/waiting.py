# SPDX-License-Identifier: Apache-2.0
"""How long a rescue waits for what it cannot hurry, and when it says so. Pure."""

from heat_ha.rescue.model import Observation, Progress, State
from heat_ha.rescue.rules import steps

# Seconds between two events that say that a rescue waits.
REMIND = 900.0

# Seconds after which a person is asked. The largest images take Nova an hour or two; the rescue
# holds a thread of its engine meanwhile.
LONGEST = 6 * 3600.0

# Seconds after which what was refused for a passing reason is asked for again, at first; later a
# quarter of the time that has gone by since the rescue began.
RETRY = 30.0


def wait(progress: Progress, seen: Observation, reason: str) -> steps.Step:
    """Look again: with a reminder now and then, and not for ever.

    Invariant: what comes after the longest wait is a person, never another method.
    """
    since = progress.started or progress.began
    if seen.now - since > LONGEST:
        hours = f'{LONGEST / 3600:.0f} hours'
        return steps.End(f'given up after {hours}: {reason}. Ask the operator, then signal again',
                         State.FAILED)  # fmt: skip
    if seen.now - max(since, progress.reminded) > REMIND:
        return steps.Remind(reason)
    return steps.Look(reason)


def is_due_again(progress: Progress, seen: Observation) -> bool:
    """Whether what was refused for a passing reason may be asked for once more."""
    pause = max(RETRY, (seen.now - progress.began) / 4)
    return seen.now - progress.started >= pause


def is_overdue(progress: Progress, seen: Observation) -> bool:
    """Whether it has been asked for again for so long that a person has to look."""
    return seen.now - progress.began > LONGEST
