# SPDX-License-Identifier: Apache-2.0
"""Remember which regions do not answer, so that each stack need not find it out by waiting.

There is one memory in each process. A region that has failed to answer is suspect: one call at a
time may try it, the others fail at once. After ``patience`` seconds of that it is known to be
silent, and is tried once every ``pause`` seconds, or when a person asks for it.
"""

import dataclasses
import threading
import time


@dataclasses.dataclass
class _Silence:
    since: float
    tried: float
    reason: str
    is_trying: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a call may be made; if not, why, and whether the region is known to be silent."""

    may_call: bool
    reason: str = ''
    is_known: bool = False


class CircuitBreaker:
    """The regions that the process has not reached, and whether they may be tried."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent: dict[str, _Silence] = {}

    def allow(self, region: str, patience: float, pause: float, is_asked_for: bool) -> Verdict:
        """Ask before a call; ``record`` follows each call that is allowed."""
        now = time.monotonic()
        with self._lock:
            silence = self._silent.get(region)
            if silence is None:
                return Verdict(True)
            is_known = now - silence.since >= patience
            if silence.is_trying:
                return Verdict(False, f'{silence.reason}; it is being tried', is_known)
            if is_known and not is_asked_for and now - silence.tried < pause:
                ago = now - silence.since
                return Verdict(False, f'{silence.reason}; silent for {ago:.0f} s', True)
            silence.is_trying = True
            return Verdict(True)

    def record(self, region: str, began: float, failure: str) -> None:
        """Record how a call has ended.

        :param began: when the silence began, if there was no answer; monotonic.
        :param failure: why there was no answer; empty if there was one.
        """
        now = time.monotonic()
        with self._lock:
            if not failure:
                self._silent.pop(region, None)
                return
            silence = self._silent.setdefault(region, _Silence(began, now, failure))
            silence.tried, silence.reason, silence.is_trying = now, failure, False


BREAKER = CircuitBreaker()
