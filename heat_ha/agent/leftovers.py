# SPDX-License-Identifier: Apache-2.0
"""What is left of dead guests at volumes that Nova has taken from them, as policies ask about it.

``heat_ha.fencing.rules.leftovers`` decides. Nobody relies on the answer, and a policy waits for it
for a moment only, so what cannot be done now is left.
"""

import concurrent.futures
import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import ceph_guests
from heat_ha.fencing.rules import guests, leftovers

LOG = logging.getLogger(__name__)

# Questions that are dealt with at once, and of these such that nobody waits for; steps in a row for
# one: look, shut out, look again, put down, and what came in between once more.
AT_ONCE, ASIDE, STEPS = 8, 2, 6


class Leftovers:
    """Answers what policies ask.

    :param clusters: shared with what shuts guests out.
    :param locks: gives a lock by name, as tooz's coordinator does.
    """

    def __init__(
        self,
        nova: nova_admin.NovaAdmin,
        store: agent_store.Store,
        clusters: ceph_guests.Connections,
        locks: Any,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._nova, self._store, self._clusters = nova, store, clusters
        self._locks, self._now = locks, now
        self._pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE + 1, 'leftovers')
        self._running: dict[str, concurrent.futures.Future[None]] = {}
        self._aside: set[str] = set()
        self._look: concurrent.futures.Future[Any] | None = None

    def start(self, services: Mapping[str, ComputeService], problem: Callable[[], str]) -> None:
        """Look in a thread whether something is asked, unless one does."""
        if self._look is not None and not self._look.done():
            return
        try:
            self._look = self._pool.submit(self._begin, services, problem)
        except RuntimeError as exc:
            # No thread can be started, or the agent ends.
            LOG.warning('what is left of dead guests was not looked at: %s', exc)

    def close(self) -> None:
        """Leave the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(
        self, services: Mapping[str, ComputeService], problem: Callable[[], str]
    ) -> list[concurrent.futures.Future[None]]:
        try:
            return self.look(services, problem)
        except Exception as exc:
            LOG.warning('what is left of dead guests was not looked at: %s', exc)
            return []

    def look(
        self, services: Mapping[str, ComputeService], problem: Callable[[], str]
    ) -> list[concurrent.futures.Future[None]]:
        """Begin to deal with every question that nobody is at; what was begun."""
        self._running = {name: one for name, one in self._running.items() if not one.done()}
        self._aside &= set(self._running)
        begun = []
        asked = [one for one in map(_question_of, self._store.all(leftovers.KIND).values()) if one]
        # A failover waits for the first of these.
        for question in sorted(asked, key=lambda one: not one.is_awaited):
            name = question.name
            if name in self._running or not leftovers.is_due(question, self._now()):
                continue
            if not question.is_awaited:
                if len(self._aside) >= ASIDE:
                    continue
                self._aside.add(name)
            one = self._pool.submit(self._deal_with, name, services, problem)
            self._running[name] = one
            begun.append(one)
        return begun

    def _deal_with(
        self, name: str, services: Mapping[str, ComputeService], problem: Callable[[], str]
    ) -> None:
        try:
            key = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
            lock = self._locks.get_lock(f'heat-ha-left-{key}'.encode())
            if not lock.acquire(blocking=False):
                return
            try:
                with self._clusters.in_use():
                    self._deal(name, services, problem)
            finally:
                lock.release()
        except agent_store.Changed:
            # Somebody has taken it away.
            return
        except Exception as exc:
            LOG.info('question %s is not answered now: %s', name, exc)

    def _deal(
        self, name: str, services: Mapping[str, ComputeService], problem: Callable[[], str]
    ) -> None:
        entry = self._store.get(leftovers.KIND, name)
        if entry.value is None:
            return
        question = serialization.decode(leftovers.Question, entry.value, f'question {name}')
        seen = leftovers.Seen(self._now(), question, problem=problem())
        is_placed = False
        for _ in range(STEPS):
            step = leftovers.next_step(seen)
            match step:
                case leftovers.Answer() | leftovers.Look() if not is_placed:
                    # Nova is asked only about what is to be answered now.
                    seen, is_placed = self._placed(seen, services), True
                case leftovers.Look():
                    seen = self._looked(seen)
                case leftovers.ShutOut(clients):
                    LOG.info('server=%s volume=%s is refused what is left of it: %s',
                             question.server, question.volume, ', '.join(clients))  # fmt: skip
                    self._connection(seen).shut_out(clients, seen.storage.duration, _whom(question))
                    seen = self._looked(dataclasses.replace(seen, shut_out=clients))
                case leftovers.Answer(text, detail):
                    LOG.info('server=%s volume=%s %s (%s)',
                             question.server, question.volume, text, detail)  # fmt: skip
                    if question.is_awaited:
                        done = serialization.encode(dataclasses.replace(question, answer=text))
                        self._store.put(leftovers.KIND, name, done, entry.version)
                    else:
                        self._store.remove(leftovers.KIND, name, entry.version)
                    return
                case leftovers.Forget():
                    self._store.remove(leftovers.KIND, name, entry.version)
                    return
                case leftovers.Wait():
                    return

    def _placed(
        self, seen: leftovers.Seen, services: Mapping[str, ComputeService]
    ) -> leftovers.Seen:
        placed = self._nova.placed(seen.question.server)
        host = placed.host if placed is not None else ''
        return dataclasses.replace(
            seen,
            placed=placed,
            service=services.get(host),
            storage=self._clusters.of(host)[0] if host else guests.Storage(),
        )

    def _looked(self, seen: leftovers.Seen) -> leftovers.Seen:
        """Look at the images of all that is at the host, and then what Nova shows there."""
        assert seen.placed is not None
        question, host, connection = seen.question, seen.placed.host, self._connection(seen)
        if seen.opened is None:
            there = self._at(host) | {question.volume}
            opened = connection.opened(sorted(there), _whom(question))
            seen = dataclasses.replace(seen, looked_at=there, opened=opened, at_host=self._at(host))
        else:
            # Who has others open is known by now, and whoever comes after that is none of the dead.
            again = connection.opened([question.volume], _whom(question))
            seen = dataclasses.replace(seen, opened={**seen.opened, **again})
        return dataclasses.replace(seen, now=self._now(), listed=connection.listed(_whom(question)))

    def _at(self, host: str) -> frozenset[str]:
        found = self._nova.volumes_at(host)
        if found is None:
            # The server itself is there, so the cell of the host has not answered.
            raise exceptions.CouldNotAsk('nova', f'the servers on {host}', 'it leaves servers out')
        return found

    def _connection(self, seen: leftovers.Seen) -> ceph_guests.Connection:
        assert seen.placed is not None
        _storage, connection = self._clusters.of(seen.placed.host)
        assert connection is not None
        return connection


def _question_of(entry: agent_store.Entry) -> leftovers.Question | None:
    """None where a later version asks: its agents answer."""
    try:
        return serialization.decode(leftovers.Question, entry.value, 'a question')
    except exceptions.Unreadable:
        return None


def _whom(question: leftovers.Question) -> str:
    # Several volumes of one guest are asked about at once.
    return f'{question.server} {question.volume}'
