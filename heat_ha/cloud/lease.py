# SPDX-License-Identifier: Apache-2.0
"""Leases: which engine is at work, and whether it is alive.

A policy that is signalled runs in a thread of whichever engine took the signal. To let one
engine at a time work on a group (S3), and another take up what a dead one left, it uses what
Heat itself uses for that: the row in ``stack_lock`` and the engines' answer to ``listening``.
Where Heat takes that row itself, a mark in a resource's metadata stands for it.
"""

import abc
import functools
import gc
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity
from heat.common import exception as heat_exception
from heat.common import service_utils
from heat.engine import service as heat_service
from heat.engine import stack_lock
from heat.objects import stack_lock as stack_lock_object
from oslo_db import exception as db_exception
from oslo_log import log as logging
from sqlalchemy import exc as sqlalchemy_exc

from heat_ha import exceptions
from heat_ha.cloud import resource_data

LOG = logging.getLogger(__name__)

T = TypeVar('T', bound='Lease')


@functools.cache
def _fallback_engine_id() -> str:
    return str(service_utils.generate_engine_id())


@functools.cache
def engine_service() -> Any:
    """The EngineService of this process, or None outside of an engine.

    Heat tells a resource its engine's id during stack actions only, not during a signal, and
    keeps the service in no global. Looking through the collector's objects costs about 0.1 s,
    once per process.
    """
    for found in gc.get_objects():
        # Not isinstance: it would follow __class__ of lazy proxies.
        if type(found) is heat_service.EngineService:
            return found
    return None


def own_engine_id() -> str:
    """The id under which the other engines can ask whether this one is alive."""
    service = engine_service()
    engine_id = getattr(service, 'engine_id', None)
    if engine_id is None:
        # Not cached while the service is still starting.
        engine_service.cache_clear()
        return _fallback_engine_id()
    return str(engine_id)


def engine_is_alive(context: Any, engine_id: str) -> bool:
    """Ask the engine itself; False after ``engine_life_check_timeout`` seconds of silence."""
    if engine_id == own_engine_id():
        return True
    return bool(service_utils.engine_alive(context, engine_id))


# Nobody takes a lease from an engine that lives, so one that is not given back is lost until its
# engine is started again. A failover of the database, or of the proxy before it, takes a minute.
until_given_back = tenacity.retry(
    retry=tenacity.retry_if_exception_type((db_exception.DBError, sqlalchemy_exc.SQLAlchemyError)),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=15),
    stop=tenacity.stop_after_delay(180),
    before_sleep=lambda state: LOG.warning(
        'A lease could not be given back, trying again: %s',
        state.outcome.exception() if state.outcome else '',
    ),
    reraise=True,
)


# Seconds between two tries to give back what Heat lets nobody write to, and for which it is tried.
LATER_EVERY, LATER_FOR = 1.0, 4 * 3600.0


def give_back(write: Callable[[], None], subject: str) -> None:
    """Give a mark back, at once or, where Heat has locked the row, in a thread once it has not.

    The one that had the mark goes on meanwhile: what has locked the row may wait for it.

    :param write: :raises exceptions.TryAgain: the row is locked.
    """
    try:
        until_given_back(write)()
    except exceptions.TryAgain as exc:
        LOG.info('%s: the mark is given back later: %s', subject, exc)
        threading.Thread(
            target=_give_back_later, args=(write, subject), name=f'heat-ha {subject}', daemon=True
        ).start()


def _give_back_later(write: Callable[[], None], subject: str) -> None:
    end = time.monotonic() + LATER_FOR
    while True:
        time.sleep(LATER_EVERY)
        try:
            until_given_back(write)()
            return
        except exceptions.TryAgain as exc:
            if time.monotonic() > end:
                LOG.warning('%s: the mark of this engine stays: %s', subject, exc)
                return
        except Exception:
            # An engine that is started again is not the one of the mark any more.
            LOG.exception('%s: the mark of this engine stays', subject)
            return


class Busy(exceptions.HaError):
    """Another thread or engine has the lease; it is alive."""


class Lease(abc.ABC):
    """A right that one thread of one engine has at a time. A ``with`` has it for its body."""

    @abc.abstractmethod
    def acquire(self) -> None:
        """Take the right, from a dead engine too.

        :raises exceptions.HaError: somebody living has it; nothing was changed.
        """

    @abc.abstractmethod
    def release(self) -> None:
        """Give the right back; what another engine has taken over meanwhile stays its own."""

    def __enter__(self: T) -> T:
        self.acquire()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()


# By nested stack, who of this process took its lock last: the row names the engine only, so it does
# not tell the threads of one engine apart.
_TAKEN_HERE: 'weakref.WeakValueDictionary[str, Lock]' = weakref.WeakValueDictionary()


@functools.lru_cache(4096)
def _mutex_of(_stack_id: str) -> threading.Lock:
    return threading.Lock()


class Lock(Lease):
    """The right to change one policy's nested stack, held by one engine at a time.

    The row of Heat's ``stack_lock`` table for the nested stack. Under convergence Heat itself
    takes this row for no update or delete, so holding it hinders nobody but our own kind.
    """

    def __init__(self, context: Any, stack_id: str) -> None:
        self._context = context
        self._stack_id = stack_id
        self._engine_id = own_engine_id()
        self._mutex = _mutex_of(stack_id)

    def acquire(self) -> None:
        """Take the lock, from a dead engine too.

        :raises Busy: a living engine, or another thread of this one, holds it.
        """
        lock = stack_lock.StackLock(self._context, self._stack_id, self._engine_id)
        with self._mutex:
            try:
                lock.acquire()
            except heat_exception.ActionInProgress as exc:
                raise Busy(f'engine {self.owner() or "unknown"} is at work') from exc
            _TAKEN_HERE[self._stack_id] = self

    def owner(self) -> str | None:
        """Id of the engine that holds the lock now; None where nobody does."""
        found = stack_lock_object.StackLock.get_engine_id(self._context, self._stack_id)
        return None if found is None else str(found)

    @property
    def row(self) -> tuple[str, str]:
        """The stack that is locked and the engine that has it, as Heat's table has both."""
        return self._stack_id, self._engine_id

    def is_of_this_object(self) -> bool:
        """Whether no other thread of this engine has taken the lock since."""
        return _TAKEN_HERE.get(self._stack_id) is self

    def is_held(self) -> bool:
        """Whether it is still ours: a thawed engine may have lost it, even to its own thread."""
        return self.is_of_this_object() and self.owner() == self._engine_id

    def release(self) -> None:
        """Give the lock back, if this object has it; tried for minutes without the database."""
        until_given_back(self._release)()

    def _release(self) -> None:
        # Else a late release could delete the row that another thread has just written.
        with self._mutex:
            if _TAKEN_HERE.get(self._stack_id) is self:
                stack_lock_object.StackLock.release(self._context, self._stack_id, self._engine_id)


def is_held_by_living(context: Any, stack_id: str) -> bool:
    """Whether some living engine holds the lock of the nested stack."""
    owner = stack_lock_object.StackLock.get_engine_id(context, stack_id)
    return owner is not None and engine_is_alive(context, owner)


# Ids of the marks that threads of this process stand behind: a mark of this engine that is not
# among them was left by a thread that died.
_OWNED_HERE: set[str] = set()


def own_new_mark() -> str:
    """Make the id of a mark that a thread of this process stands behind until ``disown``."""
    mark_id = uuid.uuid4().hex
    _OWNED_HERE.add(mark_id)
    return mark_id


def disown(mark_id: str) -> None:
    """Stand behind a mark no more."""
    _OWNED_HERE.discard(mark_id)


def is_owner_alive(context: Any, engine_id: str, mark_id: str) -> bool:
    """Whether the thread that set a mark is alive; of another engine's, whether the engine is."""
    if engine_id == own_engine_id():
        return mark_id in _OWNED_HERE
    return engine_is_alive(context, engine_id)


class MetadataLease(Lease):
    """A mark in a resource's metadata, set by compare-and-set on the resource's row.

    :param resource: Heat's.
    :param key: in the metadata; under it are the engine and the id of the mark, None without one.
    """

    def __init__(self, resource: Any, key: str) -> None:
        self._resource = resource
        self._key = key
        self._mark: dict[str, str] = {}

    def acquire(self) -> None:
        """Set the mark, over that of a dead engine too. :raises Busy: somebody living set one."""
        found = self._found()
        if found and is_owner_alive(self._resource.context, found['engine'], found['id']):
            raise Busy(f'engine {found["engine"]} is at work')
        self._mark = {'engine': own_engine_id(), 'id': own_new_mark()}

        def set_mark(current: dict[str, Any]) -> dict[str, Any]:
            other = current.get(self._key)
            if other and other != found:
                raise Busy(f'engine {other["engine"]} was faster')
            return {**current, self._key: self._mark}

        try:
            resource_data.change_metadata(self._resource, set_mark)
        except BaseException:
            disown(self._mark['id'])
            raise

    def is_held(self) -> bool:
        """Whether the mark is still ours (another engine may have taken this one for dead)."""
        return bool(self._found() == self._mark)

    def release(self) -> None:
        """Take the mark back, unless it is another engine's by now."""

        def unset_mark(current: dict[str, Any]) -> dict[str, Any]:
            return current | {self._key: None} if current.get(self._key) == self._mark else current

        # Nobody here stands behind it any more; of other engines it keeps what this one has.
        disown(self._mark['id'])
        give_back(
            functools.partial(resource_data.change_metadata, self._resource, unset_mark),
            self._resource.name,
        )

    def _found(self) -> Any:
        return resource_data.metadata(self._resource).get(self._key)
