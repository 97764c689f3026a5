# SPDX-License-Identifier: Apache-2.0
"""Looks at many servers and at their hosts, with as few requests to Nova as a rescue can do with.

``executor`` asks for a look at the beginning of each round. A look that is still young serves
again: a request for it would take as long as the request for a rescue.
"""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from heat_ha.cloud.model import Host
from heat_ha.rescue import model
from heat_ha.rescue.rules import migrations

# Seconds for which a look at all hosts serves the rounds after it.
HOSTS_VALID = 2.0

# Seconds for which a look at the migrations of a server counts, and one that has shown none.
MIGRATION_VALID, ABSENCE_VALID = 20.0, 4.0

# Threads that talk to Nova at once for one policy: evacuations are slow requests, and more at
# once made the last of 20 servers no earlier.
AT_ONCE = 16


class Looks(Protocol):
    """Nova to look at, as ``heat_ha.rescue.adapters.nova`` has it."""

    def hosts(self) -> Any:
        """Look at all hosts."""

    def look(self, server_id: str) -> model.Server:
        """Look at one server."""

    def look_at_many(self, servers: Sequence[str]) -> Mapping[str, model.Server]:
        """Look at those that can be looked at together."""

    def migration(self, server_id: str) -> model.Migration:
        """Look at the newest migration of a server."""


@dataclasses.dataclass(frozen=True)
class _MigrationLook:
    """A look at the migrations of a server. Times are of the monotonic clock.

    ``absent_since`` is the time of the first of the looks in a row that have shown none.
    """

    at: float
    migration: model.Migration
    absent_since: float | None = None

    @property
    def valid_until(self) -> float:
        return self.at + (MIGRATION_VALID if self.absent_since is None else ABSENCE_VALID)

    @property
    def absent_for(self) -> float:
        return 0.0 if self.absent_since is None else self.at - self.absent_since


def observation(
    server: model.Server, known: model.Progress, hosts: Callable[[str], Host], now: float
) -> model.Observation:
    """Put a look at a server and the one at the hosts together."""
    old = known.before.host
    here = hosts(server.host) if server.host != old else None
    return model.Observation(server, hosts(old), now, here=here)


class Observer:
    """The looks of one rescue."""

    def __init__(self, nova: Looks) -> None:
        self._nova = nova
        self._retained: dict[str, model.Server] = {}
        self._hosts_seen: tuple[float, Any] | None = None
        self._migrations: dict[str, _MigrationLook] = {}

    def first_look(self, servers: Sequence[str]) -> tuple[dict[str, model.Server], Any]:
        """Look at servers, and meanwhile at all hosts. :returns: both."""
        looked = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            asked = pool.submit(self._nova.hosts)
            looks = self.look_at(servers, pool)
        hosts = asked.result()
        self._hosts_seen = looked, hosts
        return looks, hosts

    def retain(self, server: str, seen: model.Server) -> None:
        """Let an earlier look at a server count once more."""
        self._retained[server] = seen

    def forget(self) -> None:
        """Let no earlier look at a server count any more."""
        self._retained.clear()

    def look_at(
        self, servers: Sequence[str], pool: concurrent.futures.Executor
    ) -> dict[str, model.Server]:
        """Look at servers; a look that was retained counts as the one at its server."""
        looks = {s: seen for s in servers if (seen := self._retained.pop(s, None))}
        looks |= self._nova.look_at_many([s for s in servers if s not in looks])
        rest = [s for s in servers if s not in looks]
        return looks | dict(zip(rest, pool.map(self._nova.look, rest), strict=True))

    def with_migration(
        self, seen: model.Observation, hosts: Callable[[str], Host]
    ) -> model.Observation:
        """Add the newest migration of the server; a look at it that is young counts again."""
        server = seen.server.server
        known, now = self._migrations.get(server), time.monotonic()
        if known is None or now >= known.valid_until:
            found, since = self._nova.migration(server), None
            if found.status == model.Migration.ABSENT:
                since = known.absent_since if known is not None else None
                since = now if since is None else since
            known = self._migrations[server] = _MigrationLook(now, found, since)
        return dataclasses.replace(
            seen,
            migration=known.migration,
            destination=migrations.destination(known.migration, hosts),
            absent_for=known.absent_for,
        )

    def forget_migration(self, server: str) -> None:
        """Let no earlier look at its migrations count: a new one is about to begin."""
        self._migrations.pop(server, None)

    def hosts(self) -> Any:
        """Look at all hosts; a look that is young counts for some rounds."""
        seen, now = self._hosts_seen, time.monotonic()
        if seen is None or now - seen[0] >= HOSTS_VALID:
            seen = self._hosts_seen = now, self._nova.hosts()
        return seen[1]
