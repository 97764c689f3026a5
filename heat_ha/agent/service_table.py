# SPDX-License-Identifier: Apache-2.0
"""What is known of the hosts: Nova's record of each, and when it gave its last heartbeats."""

import collections
import itertools
import threading
import time
from collections.abc import Mapping

from heat_ha import exceptions
from heat_ha.agent import isolation
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.rules import heartbeats
from heat_ha.cloud import model as cloud

# Seconds for which a host that Nova shows no more is still one of Nova's hosts: its cell's database
# may not answer, and what was sent about it may be on the way.
REMEMBERED = 86400.0


class ServiceTable:
    """The nova-compute service of each host. Threads write and read it.

    Times are by the agent's own clock, which need not be Nova's.
    """

    def __init__(self, nova: nova_admin.NovaAdmin, monitor: isolation.IsolationMonitor) -> None:
        self._nova = nova
        self._monitor = monitor
        self._guard = threading.Lock()
        self._looks = itertools.count(1)
        self._last_look = 0
        self._services: dict[str, cloud.ComputeService] = {}
        self._heartbeats: dict[str, collections.deque[heartbeats.Heartbeat]] = {}
        self._written: dict[str, heartbeats.Heartbeat] = {}
        self._shown_since: dict[str, float] = {}
        self._shown_at: dict[str, float] = {}
        self._looked_at = float('-inf')

    def refresh(self) -> None:
        """Ask Nova for all hosts. Without an answer the table stays, and the monitor knows."""
        number, began = next(self._looks), time.time()
        try:
            found = self._nova.compute_services()
            self.note_all(number, found, began)
            self._monitor.nova_answered()
        except exceptions.HaError as exc:
            self._monitor.nova_failed(str(exc))

    def note_all(
        self, number: int, found: Mapping[str, cloud.ComputeService], began: float = float('-inf')
    ) -> None:
        """Take what Nova answered to the look of this number, which began at that time."""
        with self._guard:
            if number < self._last_look:
                # Another thread looked later, and was answered before. What this look saw would be
                # taken for a change, and the same heartbeat would count again after it.
                return
            is_first = not self._written
            self._last_look = number
            # No look that was answered in between has shown it: it may be as old as that.
            seen = heartbeats.Heartbeat(self._looked_at, time.time())
            self._looked_at = began
            for host, service in found.items():
                before = self._services.get(host)
                if before is None:
                    self._written[host] = seen._replace(after=float('-inf'))
                    self._shown_since[host] = float('-inf') if is_first else seen.seen
                elif before.heartbeat_at != service.heartbeat_at:
                    self._written[host] = seen
                if before is not None and heartbeats.is_heartbeat(before, service):
                    own = collections.deque[heartbeats.Heartbeat](maxlen=heartbeats.RETAINED)
                    self._heartbeats.setdefault(host, own).append(seen)
            self._shown_at |= dict.fromkeys(found, seen.seen)
            self._services = dict(found)

    def note_one(self, service: cloud.ComputeService) -> None:
        """Take what Nova answered when it changed a host; looks that began before are older."""
        with self._guard:
            self._last_look = next(self._looks)
            self._services = {**self._services, service.host: service}

    @property
    def services(self) -> Mapping[str, cloud.ComputeService]:
        """All hosts as Nova last showed them; never changed in place."""
        return self._services

    def remembered(self) -> frozenset[str]:
        """The names of all hosts that Nova shows, or has shown within the last day."""
        now = time.time()
        with self._guard:
            self._shown_at = {
                host: at
                for host, at in self._shown_at.items()
                if host in self._services or now - at <= REMEMBERED
            }
            return frozenset(self._shown_at)

    def heartbeat_times(self) -> dict[str, tuple[float, ...]]:
        """When the last heartbeats of each host were seen, the oldest first."""
        with self._guard:
            return {host: tuple(b.seen for b in own) for host, own in self._heartbeats.items()}

    def heartbeats_of(self, host: str) -> tuple[heartbeats.Heartbeat, ...]:
        """The last heartbeats of one host, the oldest first."""
        with self._guard:
            return tuple(self._heartbeats.get(host, ()))

    def heartbeats_since(self, host: str, since: float) -> int:
        """How many heartbeats a host has surely sent after a time, of those that are retained."""
        return sum(one.after > since for one in self.heartbeats_of(host))

    def last_heartbeat(self, host: str) -> float:
        """After which time a host has surely sent one heartbeat at least; -infinity for none."""
        return max((one.after for one in self.heartbeats_of(host)), default=float('-inf'))

    def shown_since(self, host: str) -> float:
        """Since when each look has shown a host; -infinity where the first one did.

        Nova leaves the hosts of a cell out of its answer, without a word, while the cell's database
        does not answer. They cannot report then either.
        """
        return self._shown_since.get(host, float('-inf'))

    @property
    def looked_at(self) -> float:
        """When the last look at all hosts began."""
        return self._looked_at

    def written(self, host: str) -> heartbeats.Heartbeat | None:
        """When the record of a host was written as it is now, by whomever."""
        return self._written.get(host)

    def written_at(self, host: str) -> float | None:
        """When the record of a host was first seen as it is now."""
        found = self.written(host)
        return None if found is None else found.seen
