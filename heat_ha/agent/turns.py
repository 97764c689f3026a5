# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is among resources that are signalled again and again, until they are done.

What refuses each signal, or does nothing on it, is signalled ever more seldom: it neither takes the
place of others nor fills the events of its stack. Time is an argument, on one monotonic clock.
"""

import dataclasses
from collections.abc import Iterable
from typing import Generic, TypeVar

Key = TypeVar('Key')

# Seconds between two signals to one resource that are in vain, at most.
LONGEST_PAUSE = 300.0


@dataclasses.dataclass(frozen=True)
class _Turn:
    """When one was signalled last, and how many seconds it waits then; ``in_vain`` counts."""

    at: float
    pause: float
    in_vain: int = 0
    is_answered: bool = True


class Turns(Generic[Key]):
    """The turns of resources of one kind.

    :param pause: seconds between two signals to one, doubled after each that was in vain.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._turns: dict[Key, _Turn] = {}
        self._answered_at = float('-inf')

    def due(self, known: Iterable[Key], now: float) -> list[Key]:
        """Those whose turn it is, the longest waiting first; all others are forgotten.

        One that was never signalled is due at once. One that is signalled in vain, or was not
        answered, comes after those that are not: it may cost as long as an answer is waited for.
        """
        known = list(known)
        self._turns = {key: self._turns[key] for key in known if key in self._turns}
        due = [key for key in known if self._next(key) <= now]
        return sorted(due, key=lambda key: self._place(self._turn(key)))

    def is_new(self, key: Key) -> bool:
        """Whether it was not signalled yet."""
        return key not in self._turns

    def signalled(self, key: Key, now: float, *, in_vain: bool) -> float:
        """Put on record that its signal was answered. :returns: seconds until its next turn."""
        self._answered_at = now
        return self._took_turn(key, now, in_vain, is_answered=True)

    def unanswered(self, key: Key, now: float) -> float:
        """Put on record that nobody has answered. :returns: seconds until its next turn.

        Where others were answered since its turn before, it was in vain. Otherwise it says nothing
        about this one.
        """
        in_vain = self._answered_at > self._turn(key).at
        return self._took_turn(key, now, in_vain, is_answered=False)

    def _took_turn(self, key: Key, now: float, in_vain: bool, is_answered: bool) -> float:
        before = self._turn(key)
        turn = _Turn(now, self._pause, is_answered=is_answered)
        if in_vain:
            doubled = before.pause * 2 if before.in_vain else self._pause
            pause = min(doubled, LONGEST_PAUSE)
            turn = _Turn(now, pause, before.in_vain + 1, is_answered)
        self._turns[key] = turn
        return turn.pause

    def moved_on(self, key: Key) -> None:
        """Something has changed for it: what was in vain before may not be any more."""
        if key in self._turns:
            self._turns[key] = _Turn(self._turns[key].at, self._pause)

    @staticmethod
    def _place(turn: _Turn) -> tuple[int, bool, float]:
        return turn.in_vain, not turn.is_answered, turn.at

    def _turn(self, key: Key) -> _Turn:
        return self._turns.get(key, _Turn(float('-inf'), self._pause))

    def _next(self, key: Key) -> float:
        turn = self._turn(key)
        return turn.at + turn.pause
