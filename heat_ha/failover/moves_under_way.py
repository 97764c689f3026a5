# SPDX-License-Identifier: Apache-2.0
"""What can wait makes way, within one engine, for failovers that still have something to move.

When a host dies, many groups fail over at once. The first of them would update their nested stacks
and make new servers while others still wait for their volumes, and that takes the engine, and the
services, much longer than to move a volume. So whatever nobody waits for begins when the failovers
of this engine have moved what they have to move, or after a time at the latest. Nothing of this is
on record: an engine that dies in the meantime has left a record like any other.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

# Seconds for which one failover is made way for at most: of one that takes longer, something is
# stuck, and nobody is helped by waiting for it.
COUNTS_FOR = 60.0

# Seconds for which Heat's own record of volumes that have moved makes way, and a replacement.
RECORD_WAITS, REPLACEMENT_WAITS = 30.0, 60.0

# Where several had something to move, as a share of the time that they took: the other engines,
# which share the work that is begun then, got as many of the same signals; and its seconds at most.
GRACE, LONGEST_GRACE = 0.25, 5.0

# Seconds between two questions whether what makes way is needed meanwhile.
ASK_EVERY = 3.0


class MovesUnderWay:
    """The failovers of one process that have something to move; used by several threads.

    :param now: the monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._change = threading.Condition()
        self._begun: dict[str, float] = {}
        self._first = self._last_end = float('-inf')
        self._most = 0

    def begin(self, key: str) -> None:
        """A failover has something to move. :param key: the id of its policy's nested stack."""
        with self._change:
            if not self._begun:
                self._first, self._most = self._now(), 0
            self._begun[key] = self._now()
            self._most = max(self._most, len(self._begun))

    def end(self, key: str) -> None:
        """It has moved everything, or stopped; nothing where that is known already."""
        with self._change:
            if self._begun.pop(key, None) is not None:
                self._last_end = self._now()
                self._change.notify_all()

    @contextlib.contextmanager
    def moving(self, key: str) -> Iterator[None]:
        """Count a failover during the body, or until ``end`` is called in it."""
        self.begin(key)
        try:
            yield
        finally:
            self.end(key)

    def count(self) -> int:
        """How many have something to move now."""
        with self._change:
            return len(self._begun)

    def wait(self, key: str, seconds: float) -> bool:
        """Wait until all others have moved everything, at most so many seconds.

        :returns: whether some still have not.
        """
        end = self._now() + seconds
        with self._change:
            while True:
                now = self._now()
                left = self._clear_at(key, now) - now
                if left <= 0 or now >= end:
                    return left > 0
                self._change.wait(min(left, end - now))

    def _clear_at(self, key: str, now: float) -> float:
        """When nobody has to be made way for any more, as far as it is known now."""
        ends = [begun + COUNTS_FOR for other, begun in self._begun.items() if other != key]
        if any(end > now for end in ends):
            return max(ends)
        if self._most < 2:
            return now
        return self._last_end + min(GRACE * (self._last_end - self._first), LONGEST_GRACE)


# Of this engine.
HERE = MovesUnderWay()


def make_way(
    key: str, seconds: float, is_needed: Callable[[], bool], moves: MovesUnderWay = HERE
) -> None:
    """Wait until the other failovers of this engine have moved everything.

    :param seconds: the longest that this takes.
    :param is_needed: asked now and then; when it is true, nothing is waited for any more.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not moves.wait(key, min(left, ASK_EVERY)) or is_needed():
            return
