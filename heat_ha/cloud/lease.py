# SPDX-License-Identifier: Apache-2.0
"""Heat's engines and locks, as the policies need them.

A policy that is signalled runs in a thread of whichever engine took the signal. To let one
engine at a time work on a group (S3), and another take up what a dead one left, it uses what
Heat itself uses for that: the row in ``stack_lock`` and the engines' answer to ``listening``.
"""

import contextlib
import functools
import gc
from collections.abc import Iterator
from typing import Any

from heat.common import exception as heat_exception
from heat.common import service_utils
from heat.engine import service as heat_service
from heat.engine import stack_lock
from heat.objects import stack_lock as stack_lock_object
from oslo_log import log as logging

from heat_ha import exceptions

LOG = logging.getLogger(__name__)


@functools.cache
def _fallback_engine_id() -> str:
    return str(service_utils.generate_engine_id())


@functools.cache
def _engine_service() -> Any:
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
    service = _engine_service()
    engine_id = getattr(service, 'engine_id', None)
    if engine_id is None:
        # Not cached while the service is still starting.
        _engine_service.cache_clear()
        return _fallback_engine_id()
    return str(engine_id)


def engine_is_alive(context: Any, engine_id: str) -> bool:
    """Ask the engine itself; False after ``engine_life_check_timeout`` seconds of silence."""
    if engine_id == own_engine_id():
        return True
    return bool(service_utils.engine_alive(context, engine_id))


class GroupBusy(exceptions.HaError):
    """Another thread or engine holds the lock; it is alive."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f'engine {holder} is at work')


class Lock:
    """The right to change one policy's nested stack, held by one engine at a time.

    The row of Heat's ``stack_lock`` table for the nested stack. Under convergence Heat itself
    takes this row for no update or delete, so holding it hinders nobody but our own kind.
    """

    def __init__(self, context: Any, stack_id: str) -> None:
        self._context = context
        self._stack_id = stack_id
        self._engine_id = own_engine_id()

    def acquire(self) -> None:
        """Take the lock, from a dead engine too.

        :raises GroupBusy: a living engine, or another thread of this one, holds it.
        """
        lock = stack_lock.StackLock(self._context, self._stack_id, self._engine_id)
        try:
            lock.acquire()
        except heat_exception.ActionInProgress as exc:
            raise GroupBusy(self.holder() or 'unknown') from exc

    def holder(self) -> str | None:
        """Engine id of whoever holds the lock now."""
        found = stack_lock_object.StackLock.get_engine_id(self._context, self._stack_id)
        return None if found is None else str(found)

    def is_held(self) -> bool:
        """Whether this engine still is the holder (a thawed engine may have lost it)."""
        return self.holder() == self._engine_id

    def release(self) -> None:
        """Give the lock back; harmless when it was lost meanwhile."""
        stack_lock_object.StackLock.release(self._context, self._stack_id, self._engine_id)

    @contextlib.contextmanager
    def held(self) -> Iterator['Lock']:
        """Hold the lock for the body. :raises GroupBusy: see :meth:`acquire`."""
        self.acquire()
        try:
            yield self
        finally:
            self.release()


def is_held_by_living(context: Any, stack_id: str) -> bool:
    """Whether some living engine holds the lock of the nested stack."""
    holder = stack_lock_object.StackLock.get_engine_id(context, stack_id)
    return holder is not None and engine_is_alive(context, holder)
