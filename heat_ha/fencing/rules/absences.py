# SPDX-License-Identifier: Apache-2.0
"""When OFF is no proof: of a fence in a storage that may not know its host at all. Pure.

Of a program that removes the key of a host from devices, OFF means that the key is not there. So it
is with a key that was never there, of a host that was never let in or with a wrong entry; and with
keys that the storage has lost, as when its power was cut: then everybody can write. So OFF counts
only of a registration that was seen there, and that a fence of the same failure has removed (S1).
"""

import collections
from collections.abc import Callable, Collection, Sequence

from heat_ha.fencing.model import Answer, Look, Power
from heat_ha.fencing.rules import findings

# By host, and its number among the fences of the host.
Fence = tuple[str, int]

# Looks that are retained of a fence.
RETAINED = 16


class Removals:
    """The registrations that the fences of one failure have removed, as they are on record.

    Invariant: one is here only after it was seen in the storage and the program that removes it
    has ended well.

    :param put: puts all of them on record.
    """

    def __init__(
        self,
        known: Collection[str] = (),
        put: Callable[[tuple[str, ...]], None] = lambda _all: None,
    ) -> None:
        self._known = tuple(known)
        self._put = put

    def has(self, registration: str) -> bool:
        """Whether a fence of this failure has removed it."""
        return registration in self._known

    def add(self, registration: str) -> None:
        """Put on record that a fence has removed it."""
        if registration not in self._known:
            self._change((*self._known, registration))

    def forget(self, registration: str) -> None:
        """Put on record that it is there again."""
        if registration in self._known:
            self._change(tuple(one for one in self._known if one != registration))

    def _change(self, known: tuple[str, ...]) -> None:
        self._put(known)
        self._known = known


def why_off_is_no_proof(power: Power, is_partial: bool, is_removed: bool) -> str:
    """Why OFF would prove nothing after what was seen before the fence; '' where it would.

    :param is_removed: whether a fence of this failure has removed the registration before.
    """
    if is_removed or (power is Power.ON and not is_partial):
        return ''
    if power is Power.UNKNOWN:
        return (
            'whether the storage knows the host is not clear, so OFF after it would prove nothing'
        )
    what = 'a part of the storage' if power is Power.ON else 'the storage'
    return (
        f'{what} does not know the host, and no fence of this failure has removed it there: it may '
        'never have been registered, its key or devices may be wrong, or the storage may have lost '
        'its registrations. Then it can write'
    )


class Absences:
    """Fences that are OFF while their hosts report, and no fence on record has made them so."""

    def __init__(self) -> None:
        self._looks: dict[Fence, collections.deque[Look]] = {}
        self.found: dict[Fence, findings.Finding] = {}

    def note(
        self,
        fence: Fence,
        answer: Answer,
        heartbeats: Sequence[tuple[float, float]],
        removed: Collection[str] | None,
    ) -> None:
        """Note an answer.

        :param heartbeats: of the host, see :func:`findings.reported_while_off`.
        :param removed: the registrations that fences of the open incident of the host have removed;
            None where the record was not read, so that OFF says nothing about them (S2).
        """
        looks = self._looks.setdefault(fence, collections.deque(maxlen=RETAINED))
        if (answer.power is Power.ON and not answer.is_partial) or answer.registration in (
            removed or ()
        ):
            # It is known there, or its fence is on record: nova-compute may report after that.
            looks.clear()
            self.found.pop(fence, None)
            return
        if removed is None:
            looks.clear()
            return
        looks.append(Look(answer.at, answer.power, answer.detail))
        if findings.reported_while_off(list(looks), heartbeats):
            self.found[fence] = findings.Finding(
                answer.host, findings.Kind.NOT_REGISTERED, f'{answer.driver}: {answer.detail}'
            )
