# SPDX-License-Identifier: Apache-2.0
"""Waiting for a call no longer than it may take, where it cannot be told when to end."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from heat_ha import exceptions

T = TypeVar('T')

# Calls of one power control that have not ended, whether they were given up or not. Each one has a
# thread, so no more are begun until one of them ends.
MOST_LEFT = 4

_guard = threading.Lock()
_left: dict[str, list[threading.Thread]] = {}


class Over(exceptions.HaError):
    """A call was given up. What it does until it ends has no effect on whoever made it."""


class NotBegun(Over):
    """A call was not begun: too many of before have not ended."""


class _Call(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name='deadline', daemon=True)
        self._work = work
        self._returned: T
        self._raised: BaseException | None = None

    def run(self) -> None:
        try:
            self._returned = self._work()
        except BaseException as exc:
            self._raised = exc

    def result(self) -> T:
        if self._raised is not None:
            raise self._raised
        return self._returned


def call(work: Callable[[], T], seconds: float, whom: str, most: int = MOST_LEFT) -> T:
    """Do something and wait for it at most so many seconds.

    :param whom: who is called; for each of them there are only ``most`` calls at once.
    :raises Over: it has not ended, or was not begun because others have not (``NotBegun``).
    """
    made = _Call(work)
    with _guard:
        running = [thread for thread in _left.get(whom, ()) if thread.is_alive()]
        _left[whom] = running
        if len(running) >= most:
            raise NotBegun(f'{len(running)} calls of before have not ended')
        # Counted from its start: callers that come at once must not all find room.
        made.start()
        running.append(made)
    made.join(seconds)
    if not made.is_alive():
        with _guard:
            _left[whom] = [thread for thread in _left.get(whom, ()) if thread is not made]
            if not _left[whom]:
                del _left[whom]
        return made.result()
    raise Over(f'no answer within {seconds:g} s')
