# SPDX-License-Identifier: Apache-2.0
"""Whether this agent itself is cut off: then it begins nothing, whatever it sees."""

import threading
import time
from collections.abc import Callable, Mapping

from heat_ha import exceptions
from heat_ha.cloud import model as cloud

# Seconds between two looks at the broker, for which an engine must answer, and until an answer
# counts as none.
PING_EVERY, PING_LIMIT = 5.0, 5

# Seconds for which the last answer of a service counts.
VALID = 20.0


def quorum_problem(services: Mapping[str, cloud.ComputeService]) -> str:
    """Say that too few hosts are seen to believe one's own eyes, '' otherwise.

    Hosts that are marked as down, or that an operator disabled, are not expected to be up.
    """
    expected = [m for m in services.values() if not m.is_forced_down and not m.is_disabled]
    up = sum(m.is_up for m in expected)
    if expected and up * 2 < len(expected):
        return f'only {up} of {len(expected)} hosts are seen up: this agent may be cut off'
    return ''


class IsolationMonitor:
    """What of the cloud answered this agent, and when.

    :param ping: raises HaError when no engine answers over the broker.
    """

    def __init__(self, ping: Callable[[int], None]) -> None:
        self._ping = ping
        self._nova_at = self._broker_at = float('-inf')
        self._nova_why = self._broker_why = 'it was not asked yet'
        self._quorum = ''
        self._trusted_since: float | None = None
        self._pinged_at = float('-inf')
        self._pinging = threading.Lock()

    def nova_answered(self) -> None:
        """Nova has just answered."""
        self._nova_at = time.monotonic()

    def nova_failed(self, why: str) -> None:
        """Nova has just not answered: what it said before is not what is true now."""
        self._nova_at, self._nova_why = float('-inf'), why

    def has_nova(self) -> bool:
        """Whether what Nova shows is of now."""
        return time.monotonic() - self._nova_at < VALID

    def update(self, services: Mapping[str, cloud.ComputeService]) -> None:
        """Look at the broker, and count the hosts."""
        self._quorum = quorum_problem(services)
        if time.monotonic() - self._pinged_at >= PING_EVERY and self._pinging.acquire(False):
            self._pinged_at = time.monotonic()
            # The broker's client waits for long when there is none.
            threading.Thread(target=self._look_at_broker, name='ping', daemon=True).start()
        if self.problem():
            self._trusted_since = None
        elif self._trusted_since is None:
            self._trusted_since = time.time()

    def _look_at_broker(self) -> None:
        try:
            self._ping(PING_LIMIT)
            self._broker_at = time.monotonic()
        except exceptions.HaError as exc:
            self._broker_why = str(exc)
        finally:
            self._pinging.release()

    @property
    def trusted_since(self) -> float:
        """Since when nothing was wrong at any look; infinity while something is."""
        return float('inf') if self._trusted_since is None else self._trusted_since

    def problem(self) -> str:
        """Why nothing may be begun, '' when all is well."""
        if not self.has_nova():
            return f'cut off from Nova: {self._nova_why}'
        if time.monotonic() - self._broker_at > VALID:
            return f'cut off from the broker or all engines: {self._broker_why}'
        return self._quorum
