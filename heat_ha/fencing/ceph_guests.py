# SPDX-License-Identifier: Apache-2.0
"""The clusters of Ceph in which guests are shut out from their volumes.

One connection a cluster serves all guests. Calls have a limit of their own, and take none of the
room that the fence of a whole host has.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from heat_ha import exceptions
from heat_ha.fencing import ceph, ceph_images, deadline, inventory
from heat_ha.fencing.rules import blocklist, guests

T = TypeVar('T')

# Seconds until a call is given up. Several of them and a question to Nova must come to their end
# while a record counts (``guests.FRESH``).
LIMIT = 10.0

# Seconds for which the blocklist is not read once more for a guest that nobody was added for.
KNOWN_FOR = 2.0


class Connection:
    """One cluster. Threads use it; ``whom`` names the guest that a call is for.

    Of each guest one call may be left that does not end: it holds up no other guest.
    """

    def __init__(self, cluster: ceph.Cluster, limit: float = LIMIT) -> None:
        self._settings, self._limit = cluster, limit
        self._guard = threading.Lock()
        self._made: Any = None
        self._listed: dict[str, float] = {}
        self._listed_at = float('-inf')

    def opened(self, volumes: Iterable[str], whom: str) -> dict[str, guests.Opened]:
        """Who has the images of volumes open, or their locks; without those that are not there.

        :raises exceptions.CouldNotAsk: Ceph did not answer.
        """
        wanted, pool = list(volumes), self._settings.pool
        return self._ask(
            'who has volumes open', whom, lambda made: ceph_images.opened(made, pool, wanted)
        )

    def shut_out(self, clients: Iterable[str], seconds: float, whom: str) -> None:
        """Have Ceph refuse single clients from now on; those of other guests go on.

        :raises exceptions.CouldNotAsk: Ceph did not take it.
        """

        def add(made: Any) -> None:
            for client in clients:
                ceph.command(
                    made, 'osd blocklist', blocklistop='add', addr=client, expire=float(seconds)
                )
            # Each server of the storage has the entry before it serves anybody who knows of it.
            made.wait_for_latest_osdmap()

        self._listed_at = float('-inf')
        self._ask('its blocklist', whom, add)
        self._listed_at = float('-inf')

    def listed(self, whom: str) -> dict[str, float]:
        """Which clients Ceph refuses, and until when (Unix time).

        :raises exceptions.CouldNotAsk: Ceph did not answer.
        """
        with self._guard:
            if time.monotonic() - self._listed_at < KNOWN_FOR:
                return self._listed
        began = time.monotonic()
        text = self._ask(
            'its blocklist',
            whom,
            lambda made: ceph.command(made, 'osd blocklist ls', format='json'),
        )
        found = {one.client: one.until for one in blocklist.parse(text)}
        with self._guard:
            self._listed, self._listed_at = found, began
        return found

    def close(self) -> None:
        """Leave the cluster."""
        with self._guard:
            made, self._made = self._made, None
        if made is not None:
            with contextlib.suppress(Exception):
                deadline.call(made.shutdown, self._limit, f'{self._settings} is left', 1)

    def _ask(self, what: str, whom: str, work: Callable[[Any], T]) -> T:
        key = f'guest {whom} {self._settings.conf}'
        try:
            return deadline.call(lambda: work(self._connected()), self._limit, key, 1)
        except exceptions.CouldNotAsk:
            raise
        except Exception as exc:
            # The next call connects again. The library may still be at work in a thread, which
            # does not survive that its connection is shut down, so that is left to its end.
            self._made = None
            cause = f'{type(exc).__name__}: {exc}'[:200]
            raise exceptions.CouldNotAsk('ceph', what, cause) from exc

    def _connected(self) -> Any:
        made = self._made
        if made is None:
            # The servers of the storage may not answer while its monitors do.
            seconds = str(max(1, int(self._limit)))
            made = ceph.connect(self._settings, self._limit, rados_osd_op_timeout=seconds)
            with self._guard:
                self._made = made
        return made


class Connections:
    """The connections to all clusters of a fencing file."""

    def __init__(self, fences: inventory.Inventory, limit: float = LIMIT) -> None:
        self._fences, self._limit = fences, limit
        self._guard = threading.Lock()
        self._made: dict[ceph.Cluster, Connection] = {}

    def of(self, host: str) -> tuple[guests.Storage, Connection | None]:
        """Where the images of a host's guests are: all of its entries with the driver count."""
        if not host:
            return guests.Storage(trouble='its host is not known'), None
        try:
            levels = self._fences.levels(host)
        except exceptions.Refused as exc:
            return guests.Storage(trouble=str(exc)), None
        found = [one for level in levels for one in level if isinstance(one, ceph.Ceph)]
        if not found:
            trouble = f'host {host} has no entry with the driver ceph in the fencing file'
            return guests.Storage(trouble=trouble), None
        clusters = {one.cluster for one in found}
        if len(clusters) > 1:
            trouble = f'the entries of host {host} with the driver ceph are of several clusters'
            return guests.Storage(trouble=trouble), None
        storage = guests.Storage(
            tuple(sorted({address for one in found for address in one.addresses})),
            min(one.duration for one in found),
        )
        (cluster,) = clusters
        with self._guard:
            return storage, self._made.setdefault(cluster, Connection(cluster, self._limit))

    def close(self) -> None:
        """Leave all clusters."""
        with self._guard:
            made, self._made = list(self._made.values()), {}
        for one in made:
            one.close()
