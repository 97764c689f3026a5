# SPDX-License-Identifier: Apache-2.0
"""Plain lines about what happens and how far it is, for a person who waits."""

import contextlib
import threading
import time
from collections.abc import Iterator


class Progress:
    """Prints the steps of one command and remembers how long each phase took."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._phases: list[tuple[str, float]] = []
        self._lock = threading.Lock()
        self._done = 0
        self._total = 0

    def say(self, text: str) -> None:
        """Print one line at once, whole, from any thread."""
        with self._lock:
            print(text, flush=True)

    @contextlib.contextmanager
    def phase(self, title: str, total: int = 0) -> Iterator[None]:
        """Announce a phase of ``total`` steps and time it."""
        self._done, self._total = 0, total
        self.say(f'== {title}')
        begin = time.monotonic()
        yield
        self._phases.append((title, time.monotonic() - begin))

    def step(self, text: str, seconds: float | None = None) -> None:
        """Tell that one more step of the phase is done."""
        with self._lock:
            self._done += 1
            count = f'[{self._done}/{self._total}] ' if self._total else '  '
            took = '' if seconds is None else f' ({seconds:.1f} s)'
            print(f'{count}{text}{took}', flush=True)

    def summary(self) -> None:
        """Print the time of each phase and of the whole."""
        self.say('')
        for title, seconds in self._phases:
            self.say(f'  {title:<44} {seconds:6.1f} s')
        self.say(f'  {"altogether":<44} {time.monotonic() - self._begin:6.1f} s')
