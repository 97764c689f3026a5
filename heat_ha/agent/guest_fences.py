# SPDX-License-Identifier: Apache-2.0
"""Shutting single guests out from their volumes, as policies ask for it.

Each guest is dealt with in a thread of its own (``guest_work``), under a lock of its own, so that
one whose storage does not answer holds up no other one.
"""

import concurrent.futures
import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from oslo_log import log as logging

from heat_ha.agent import empty_answers, guest_record, guest_work, moment, observation
from heat_ha.agent.adapters import guest_requests, nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import ceph_guests, inventory
from heat_ha.fencing.rules import guest_steps, guests

LOG = logging.getLogger(__name__)

# Seconds between two looks while a host is silent that nobody has marked, and while none is. Each
# searches Heat's database for requests, and none of them is met before a host is silent.
EVERY, EVERY_QUIET = 2.0, 10.0

# Guests that are dealt with at once. All calls have a limit, so that none has a thread for ever.
AT_ONCE = 32


def region(
    known: moment.Moment,
    problem: Callable[[], str],
    observer: observation.Observer,
    hold: Callable[[], str],
) -> guest_work.Region:
    """What has to be known of all hosts before a guest on one of them is shut out.

    :param problem: why nothing can be concluded from what Nova shows, or ''.
    :param hold: why the agent may act on no host now, or ''.
    """

    def held(host: str) -> str:
        return hold() or observation.against(observer, host, known)

    return guest_work.Region(known.services, problem, held)


def _is_silent(service: ComputeService) -> bool:
    """Whether a guest on the host might be shut out."""
    return not (service.is_up or service.is_forced_down or service.is_in_maintenance)


class GuestFences:
    """Does what policies ask for, and watches what was done.

    :param name: of this agent.
    :param locks: gives a lock by name, as tooz's coordinator does.
    :ivar clusters: for what else asks the storage about guests.
    """

    def __init__(
        self,
        name: str,
        nova: nova_admin.NovaAdmin,
        store: agent_store.Store,
        fences: inventory.Inventory,
        locks: Any,
        *,
        pending: Callable[[], Iterable[guest_requests.Asked]] = guest_requests.pending,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._locks, self._pending, self._now = store, locks, pending, now
        self.clusters = self._clusters = ceph_guests.Connections(fences)
        self._shell = guest_work.Shell(
            name, nova, store, self._clusters, pending, now, self.say, empty_answers.EmptyAnswers()
        )
        self._looked_at, self._is_over = float('-inf'), False
        self._pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE, 'guests')
        self._look: concurrent.futures.Future[Any] | None = None
        self._running: dict[str, concurrent.futures.Future[None]] = {}
        self._guard = threading.Lock()
        self._said: dict[str, str] = {}

    def start(self, found: guest_work.Region) -> None:
        """Look in a thread, unless one does or the last look is of just now."""
        is_running = self._look is not None and not self._look.done()
        is_silent = any(_is_silent(one) for one in found.services.values())
        pause = EVERY if is_silent else EVERY_QUIET
        if self._is_over or is_running or time.monotonic() - self._looked_at < pause:
            return
        self._looked_at = time.monotonic()
        try:
            self._look = self._pool.submit(self._begin, found)
        except RuntimeError as exc:
            # No thread can be started. The round has more to do.
            LOG.warning('the requests to shut guests out were not looked at: %s', exc)

    def stop(self) -> None:
        """Begin nothing more. A signal's handler may call it: it waits for no lock."""
        self._is_over = True

    def close(self) -> None:
        """Leave the threads, once nobody calls ``start`` any more."""
        self._is_over = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._clusters.close()

    def _begin(self, found: guest_work.Region) -> None:
        try:
            self.look(found)
        except Exception as exc:
            LOG.warning('the requests to shut guests out were not looked at: %s', exc)

    def look(self, found: guest_work.Region) -> list[concurrent.futures.Future[None]]:
        """Begin to deal with every guest that is asked for or on record, unless that is under way.

        :returns: what was begun.
        """
        asked: dict[str, list[guest_requests.Asked]] = {}
        for one in self._pending():
            if one.request.until < self._now():
                # Its policy waits no longer; what was done for it is watched all the same.
                continue
            name = guests.record_name(one.request.server, one.request.host)
            asked.setdefault(name, []).append(one)
        known = self._store.all(guests.KIND)
        fences = {name: guest_record.fence_of(entry) for name, entry in known.items()}
        # What no policy waits for any more comes last.
        names = [*asked, *(n for n, f in fences.items() if n not in asked and self._is_due(f))]
        with self._guard:
            self._said = {name: text for name, text in self._said.items() if name in names}
        if not names and all(one.done() for one in self._running.values()):
            self._clusters.close_unused()
        begun = []
        for name in names:
            if (running := self._running.get(name)) is not None and not running.done():
                continue
            task = guest_work.Task(
                name, tuple(asked.get(name, ())), known.get(name, agent_store.ABSENT), found
            )
            self._running[name] = self._pool.submit(self._deal_with, task)
            begun.append(self._running[name])
        self._running = {
            name: one for name, one in self._running.items() if name in names or not one.done()
        }
        return begun

    def _is_due(self, fence: guests.GuestFence | None) -> bool:
        """Whether something is to be done about what nobody asks for."""
        if fence is None:
            return False
        return fence.is_watched or guest_steps.is_old(fence, self._now())

    def _deal_with(self, task: guest_work.Task) -> None:
        try:
            # Some of tooz's drivers take no longer names. That of the server alone would let its
            # record on one host hold up the one on another.
            name = hashlib.sha1(task.name.encode(), usedforsecurity=False).hexdigest()
            lock = self._locks.get_lock(f'heat-ha-guest-{name}'.encode())
            if not lock.acquire(blocking=False):
                return
            try:
                guest_work.GuestWork(self._shell, task).deal()
            finally:
                lock.release()
        except agent_store.Changed:
            return
        except Exception as exc:
            self.say(task.name, f'it is not shut out now: {exc}')

    def say(self, name: str, text: str) -> None:
        """Log what is new about a guest."""
        with self._guard:
            is_news = self._said.get(name) != text
            self._said[name] = text
        if is_news:
            LOG.info('server=%s %s', name.partition(' ')[0], text)
