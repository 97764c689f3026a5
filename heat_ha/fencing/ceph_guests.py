# SPDX-License-Identifier: Apache-2.0
"""The clusters of Ceph in which guests are shut out from their volumes.

One connection a cluster serves all guests. Calls have a limit of their own, and take none of the
room that the fence of a whole host has.
"""

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from heat_ha import exceptions
from heat_ha.fencing import ceph, ceph_images, deadline, inventory
from heat_ha.fencing.rules import blocklist, guests

T = TypeVar('T')

# Seconds until a call is given up. Several of them and a question to Nova must come to their end
# while a record counts (``guests.FRESH``).
LIMIT = 10.0

# Clients of one guest that are refused at once.
AT_ONCE = 16

# Seconds until it is tried again to connect to a cluster that cannot be connected to.
AGAIN_AFTER = 10.0

# Seconds for which the blocklist is not read once more for a guest that nobody was added for.
KNOWN_FOR = 2.0


class _Client:
    """One connection as librados has it, and how many calls are at work with it."""

    def __init__(self, made: Any) -> None:
        self.made, self.calls, self.is_dropped = made, 0, False
        self.made_at = time.monotonic()


class Connection:
    """One cluster. Threads use it; ``whom`` names the guest that a call is for.

    Of each guest one call may be left that does not end: it holds up no other guest. A connection
    that is of no use is dropped, and whoever is the last to use it shuts it down: librados keeps
    the threads and descriptors of one that is only forgotten, and must not be shut down under a
    call.
    """

    def __init__(self, cluster: ceph.Cluster, limit: float = LIMIT) -> None:
        self._settings, self._limit = cluster, limit
        # Ceph itself gives up before that, so that what was given up here comes to its end as well,
        # and what is begun in the first half of the limit is done within it or not at all.
        self._own_limit = limit / 2
        self._guard, self._connecting = threading.Lock(), threading.Lock()
        self._client: _Client | None = None
        self._dropped: set[_Client] = set()
        self._is_left = False
        self._failure, self._failed_at = '', float('-inf')
        self._listed: dict[str, float] = {}
        self._listed_at = float('-inf')

    def opened(self, volumes: Iterable[str], whom: str) -> dict[str, guests.Opened]:
        """Who has the images of volumes open, or their locks; without those that are not there.

        :raises exceptions.CouldNotAsk: Ceph did not answer.
        """
        ceph_images.need_bindings()
        wanted, pool = list(volumes), self._settings.pool
        return self._ask(
            'who has volumes open', whom, lambda made: ceph_images.opened(made, pool, wanted)
        )

    def shut_out(self, clients: Iterable[str], seconds: float, whom: str) -> None:
        """Have Ceph refuse single clients from now on; those of other guests go on.

        :raises exceptions.CouldNotAsk: Ceph did not take it.
        """

        latest = time.monotonic() + self._limit - self._own_limit

        def add(made: Any, client: str) -> None:
            if time.monotonic() > latest:
                # Whoever asked may have given it up, and the host be up by the time it is done.
                raise exceptions.CouldNotAsk('ceph', 'its blocklist', 'it took too long')
            ceph.command(
                made, 'osd blocklist', blocklistop='add', addr=client, expire=float(seconds)
            )

        def add_all(made: Any) -> None:
            # The monitors put what comes at once down together, else one in about a second.
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda client: add(made, client), clients))
            # Each server of the storage has the entry before it serves anybody who knows of it.
            made.wait_for_latest_osdmap()

        self._listed_at = float('-inf')
        self._ask('its blocklist', whom, add_all)
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
            client, self._is_left = self._client, True
        if client is not None:
            self._drop(client)

    def _ask(self, what: str, whom: str, work: Callable[[Any], T]) -> T:
        key = f'guest {whom} {self._settings.conf}'
        used: list[_Client] = []
        try:
            return deadline.call(lambda: self._work(work, used), self._limit, key, 1)
        except ceph.Denied:
            self._drop_old(used)
            raise
        except exceptions.CouldNotAsk:
            # The cluster has answered.
            raise
        except Exception as exc:
            if getattr(exc, 'errno', None) in ceph_images.DENIED:
                self._drop_old(used)
            else:
                for client in used:
                    self._drop(client)
            cause = f'{type(exc).__name__}: {exc}'[:200]
            raise exceptions.CouldNotAsk('ceph', what, cause) from exc

    def _drop_old(self, used: list[_Client]) -> None:
        # What the user may do is known to a connection from its beginning. One that is new knows
        # what the operator has changed.
        for client in used:
            if time.monotonic() - client.made_at > AGAIN_AFTER:
                self._drop(client)

    def _work(self, work: Callable[[Any], T], used: list[_Client]) -> T:
        client = self._enter()
        used.append(client)
        try:
            return work(client.made)
        finally:
            with self._guard:
                client.calls -= 1
            self._shut_down_unused(client)

    def _enter(self) -> _Client:
        """The connection of all guests, with one more call at work.

        :raises exceptions.CouldNotAsk: there is none, and none is made now.
        """
        # One makes it, and the others have it then.
        with self._connecting:
            with self._guard:
                if self._client is not None:
                    self._client.calls += 1
                    return self._client
            client = self._connect()
            with self._guard:
                if not self._is_left:
                    self._client, client.calls = client, 1
                    return client
        # It was made too late: nobody would shut it down.
        self._drop(client)
        raise exceptions.CouldNotAsk('ceph', 'a connection', 'the cluster was left meanwhile')

    def _connect(self) -> _Client:
        if time.monotonic() - self._failed_at < AGAIN_AFTER:
            raise exceptions.CouldNotAsk('ceph', 'a connection', self._failure)
        for one in list(self._dropped):
            # One for which there was no room before.
            self._shut_down_unused(one)
        with self._guard:
            left = len(self._dropped)
            if self._is_left:
                raise exceptions.CouldNotAsk('ceph', 'a connection', 'the cluster was left')
        if left >= deadline.MOST_LEFT:
            raise exceptions.CouldNotAsk(
                'ceph', 'a connection',
                f'{left} of before have not ended; where that stays so, restart heat-ha-agent',
            )  # fmt: skip
        # The servers of the storage may not answer while its monitors do.
        seconds = str(max(1, int(self._own_limit)))
        try:
            return _Client(
                ceph.connect(self._settings, self._own_limit, rados_osd_op_timeout=seconds)
            )
        except Exception as exc:
            self._failure = f'{type(exc).__name__}: {exc}'[:200]
            self._failed_at = time.monotonic()
            raise exceptions.CouldNotAsk('ceph', 'a connection', self._failure) from exc

    def _drop(self, client: _Client) -> None:
        """Use it for nothing new; it is shut down when no call is at work with it any more."""
        with self._guard:
            if self._client is client:
                self._client = None
            if not client.is_dropped:
                client.is_dropped = True
                self._dropped.add(client)
        self._shut_down_unused(client)

    def _shut_down_unused(self, client: _Client) -> None:
        with self._guard:
            if not client.is_dropped or client.calls or client not in self._dropped:
                return
            # One that is being shut down is nobody else's to shut down.
            client.calls = 1

        def end() -> None:
            try:
                client.made.shutdown()
            finally:
                with self._guard:
                    self._dropped.discard(client)

        # What it raises is of no interest: it is over, now or when the call comes to its end.
        with contextlib.suppress(Exception):
            try:
                deadline.call(end, self._limit, f'{self._settings} is left')
            except (deadline.NotBegun, RuntimeError):
                # No room, or no thread. It is tried again before the next one is made.
                with self._guard:
                    client.calls = 0
                raise


class Connections:
    """The connections to all clusters of a fencing file."""

    def __init__(self, fences: inventory.Inventory, limit: float = LIMIT) -> None:
        self._fences, self._limit = fences, limit
        self._guard = threading.Lock()
        self._made: dict[ceph.Cluster, Connection] = {}
        self._users = 0

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

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While this lasts, ``close_unused`` leaves no cluster."""
        with self._guard:
            self._users += 1
        try:
            yield
        finally:
            with self._guard:
                self._users -= 1

    def close_unused(self) -> None:
        """Leave all clusters, unless somebody says that they are in use."""
        with self._guard:
            is_used = self._users > 0
        if not is_used:
            self.close()

    def close(self) -> None:
        """Leave all clusters."""
        with self._guard:
            made, self._made = list(self._made.values()), {}
        for one in made:
            one.close()
