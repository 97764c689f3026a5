# SPDX-License-Identifier: Apache-2.0
"""Fences in a storage that never knew its host, so that their OFF proves nothing. Pure.

Of a program that removes the key of a host from devices, OFF means that the key is not there. So it
is with a key that was never there: of a host that was never let in, or with a wrong entry.
"""

import collections
from collections.abc import Sequence

from heat_ha.fencing.model import Answer, Look, Power
from heat_ha.fencing.rules import findings

# By host, and its number among the fences of the host.
Fence = tuple[str, int]

# Looks that are retained of a fence.
RETAINED = 16


class Absences:
    """What fences have shown of their hosts since this agent began to ask them.

    Invariant: a fence that has shown its host once as let in is never found here after it.
    """

    def __init__(self) -> None:
        self._looks: dict[Fence, collections.deque[Look]] = {}
        self._let_in: set[Fence] = set()
        self.found: dict[Fence, findings.Finding] = {}

    def note(self, fence: Fence, answer: Answer, heartbeats: Sequence[tuple[float, float]]) -> None:
        """Note an answer.

        :param heartbeats: of the host, see :func:`findings.reported_while_off`.
        """
        if answer.power is Power.ON or answer.is_partial:
            self._let_in.add(fence)
            self.found.pop(fence, None)
        if fence in self._let_in:
            return
        looks = self._looks.setdefault(fence, collections.deque(maxlen=RETAINED))
        looks.append(Look(answer.at, answer.power, answer.detail))
        if findings.reported_while_off(list(looks), heartbeats):
            self.found[fence] = findings.Finding(
                answer.host, findings.Kind.NEVER_LET_IN, f'{answer.driver}: {answer.detail}'
            )
