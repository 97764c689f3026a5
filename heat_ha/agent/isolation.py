# SPDX-License-Identifier: Apache-2.0
"""Whether this agent itself is cut off: then it begins nothing, whatever it observes."""

import threading
import time
from collections.abc import Callable, Collection, Mapping

from heat_ha import exceptions
from heat_ha.cloud import model as cloud

# Seconds between two questions to the engines over the broker, and until the next answer counts as
# missing.
PING_EVERY, PING_LIMIT = 5.0, 5

# Seconds for which the last answer of a service counts, at least. Of one that is asked more seldom,
# it counts until the next one may have come.
VALID = 20.0


def quorum_problem(
    services: Mapping[str, cloud.ComputeService], left_alone: Collection[str] = ()
) -> str:
    """Why this agent may be cut off, by the number of hosts that are up; '' otherwise.

    Hosts that are marked as down, or that an operator disabled, are not expected to be up.

    :param left_alone: further hosts that are not: they died long ago.
    """
    expected = [
        service
        for host, service in services.items()
        if not (service.is_forced_down or service.is_in_maintenance or host in left_alone)
    ]
    up = sum(s.is_up for s in expected)
    if expected and up * 2 < len(expected):
        return f'only {up} of {len(expected)} hosts are up: this agent may be cut off'
    return ''


class IsolationMonitor:
    """What of the cloud answered this agent, and when.

    :param ping: raises HaError when no engine answers over the broker.
    :param poll_interval: seconds between two looks at the hosts; the engines are not asked more
        often than that, and answer after the look that asks them.
    """

    def __init__(self, ping: Callable[[int], None], poll_interval: float = 0.0) -> None:
        self._ping = ping
        self._nova_valid = max(VALID, poll_interval + PING_LIMIT)
        self._broker_valid = max(VALID, 2 * poll_interval + PING_LIMIT)
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
        """Nova has just not answered: its earlier answers may be true no longer."""
        self._nova_at, self._nova_why = float('-inf'), why

    def has_nova(self) -> bool:
        """Whether Nova has answered lately, so that its answer still counts."""
        return time.monotonic() - self._nova_at < self._nova_valid

    def update(
        self, services: Mapping[str, cloud.ComputeService], left_alone: Collection[str] = ()
    ) -> None:
        """Ask the engines over the broker, and count the hosts; see :func:`quorum_problem`."""
        self._quorum = quorum_problem(services, left_alone)
        if time.monotonic() - self._pinged_at >= PING_EVERY and self._pinging.acquire(False):
            self._pinged_at = time.monotonic()
            # Without a broker its client waits for long.
            try:
                threading.Thread(target=self._ask_engines, name='ping', daemon=True).start()
            except RuntimeError:
                # No thread could be started.
                self._pinging.release()
                raise
        if self.problem():
            self._trusted_since = None
        elif self._trusted_since is None:
            self._trusted_since = time.time()

    def _ask_engines(self) -> None:
        try:
            self._ping(PING_LIMIT)
            self._broker_at = time.monotonic()
        except exceptions.HaError as exc:
            self._broker_why = str(exc)
        finally:
            self._pinging.release()

    @property
    def trusted_since(self) -> float:
        """Since when the agent has not been cut off (Unix time); infinity while it is."""
        return float('inf') if self._trusted_since is None else self._trusted_since

    def problem(self) -> str:
        """Why the agent may begin nothing; '' when it may."""
        if not self.has_nova():
            return f'cut off from Nova: {self._nova_why}'
        if time.monotonic() - self._broker_at > self._broker_valid:
            return f'cut off from the broker or all engines: {self._broker_why}'
        return self._quorum
