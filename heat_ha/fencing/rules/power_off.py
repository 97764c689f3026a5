# SPDX-License-Identifier: Apache-2.0
"""When a host counts as switched off, by what was seen of its power since OFF was sent. Pure."""

import dataclasses
from collections.abc import Sequence

from heat_ha.fencing.model import Look, Power

# Seconds between two looks at the power of a host that is being switched off.
POLL_SECONDS = 0.5

# Seconds between the two looks that must both see the power off. A host that somebody else lets
# off and on again (IPMI's power cycle, a reset by a BMC) is off for a few seconds as well.
APART_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class SeenOff:
    """The host is off."""


@dataclasses.dataclass(frozen=True)
class LookAgain:
    """Look again after some seconds. ``is_off_due``: send OFF again before."""

    seconds: float
    is_off_due: bool = False


@dataclasses.dataclass(frozen=True)
class GiveUp:
    """The power was not seen off in time; the host may still write."""

    reason: str


Next = SeenOff | LookAgain | GiveUp


def next_look(looks: Sequence[Look], deadline: float, apart: float = APART_SECONDS) -> Next:
    """Choose what follows the last look.

    Invariant: a host is off only after two looks, at least ``apart`` seconds from each other, that
    saw it off, without one between them that saw anything else; both after OFF was sent.

    :param looks: since OFF was first sent, the last one at the end; at least one. Their times are
        of a clock that nobody sets: else a look could seem to be later than it is.
    :param deadline: the time, by the same clock, by which the power must first be seen off.
    """
    last = looks[-1]
    if last.power is Power.OFF:
        run = _last_run_of_off(looks)
        span = last.at - run[0].at
        if len(run) > 1 and span >= apart:
            return SeenOff()
        # Also after the deadline.
        return LookAgain(max(apart - span, 0.0))
    if last.at >= deadline:
        return GiveUp(last.detail)
    was_off = any(look.power is Power.OFF for look in looks)
    return LookAgain(POLL_SECONDS, is_off_due=last.power is Power.ON and was_off)


def _last_run_of_off(looks: Sequence[Look]) -> Sequence[Look]:
    count = 0
    for look in reversed(looks):
        if look.power is not Power.OFF:
            break
        count += 1
    return looks[len(looks) - count :]
