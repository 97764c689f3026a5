# SPDX-License-Identifier: Apache-2.0
"""Heat's engines and locks, as the policies need them.

A policy that is signalled runs in a thread of whichever engine took the signal. To let one
engine at a time work on a group (S3), and another take up what a dead one left, it uses what
Heat itself uses for that: the row in ``stack_lock`` and the engines' answer to ``listening``.
"""

import contextlib
import functools
import gc
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from heat.common import exception as heat_exception
from heat.common import service_utils
from heat.engine import service as heat_service
from heat.engine import stack as heat_stack
from heat.engine import stack_lock
from heat.objects import stack as stack_object
from heat.objects import stack_lock as stack_lock_object
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import dead_workers

LOG = logging.getLogger(__name__)

# Seconds of pause before an update of a nested stack that failed is tried again.
AGAIN_AFTER = (1.0, 3.0, 8.0)


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


def is_cancelled(context: Any, stack_id: str) -> bool:
    """Whether somebody has cancelled what the stack does.

    Heat lets the resources that are at work go on, and tells only stacks of its own.
    """
    _action, status, reason, _updated = stack_object.Stack.get_status(context, stack_id)
    return bool(status == 'FAILED' and str(reason).endswith(' cancelled'))


def is_held_by_living(context: Any, stack_id: str) -> bool:
    """Whether some living engine holds the lock of the nested stack."""
    holder = stack_lock_object.StackLock.get_engine_id(context, stack_id)
    return holder is not None and engine_is_alive(context, holder)


def sibling(resource: Any, refid: str | None) -> Any:
    """The resource of the same stack that ``refid`` refers to, or None.

    While Heat acts on one resource it loads the others without their state, so then they are
    taken from the stack as the database has it. Unlike Heat's ``resource_by_refid`` this finds
    a resource whose last action failed: that is when it is wanted.
    """
    stack = resource.stack
    if getattr(stack, 'in_convergence_check', False) and stack.id is not None:
        stack = heat_stack.Stack.load(resource.context, stack_id=stack.id, force_reload=True)
    for found in stack.values():
        if refid is not None and refid in (found.FnGetRefId(), found.name):
            # A resource holds its stack by a weak reference only.
            found._ha_stack = stack
            return found
    return None


def watch_over(context: Any, stack_id: str) -> dead_workers.Watch:
    """Somebody to look for work on a nested stack that has died with its engine."""
    return dead_workers.Watch(context, stack_id, functools.partial(engine_is_alive, context))


class NestedFailed(exceptions.Stopped):
    """Heat's update of a nested stack has failed; nothing is under way any more."""


def update_nested(
    resource: Any,
    make_template: Callable[[], Any],
    *,
    timeout: float,
    still_wanted: Callable[[], None],
) -> None:
    """Update the nested stack of ``resource``, and again when that fails, and wait for the end.

    An update asks other services for much and repeats nothing, so one answer of theirs that was
    not to be had lets it fail. A second update goes on where the first one failed.

    :param timeout: seconds that each update may take.
    :raises Stopped: it failed each time, or did not end in time.
    """
    for pause in (*AGAIN_AFTER, None):
        still_wanted()
        try:
            resource.update_with_template(make_template())
            wait_for_nested_update(resource, timeout=timeout, still_wanted=still_wanted)
            return
        except (NestedFailed, heat_exception.HeatException) as exc:
            if pause is None:
                raise
            LOG.warning('%s: %s; once more in about %.0f s', resource.name, exc, pause)
        time.sleep(pause * random.uniform(0.75, 1.25))


def wait_for_nested_update(
    resource: Any, *, timeout: float, poll: float = 0.2, still_wanted: Callable[[], None]
) -> None:
    """Wait until the nested stack of ``resource`` has ended its update.

    :param timeout: seconds.
    :param poll: seconds between two looks; Heat's own task runner looks once a second.
    :param still_wanted: called at each look; whatever it raises ends the wait.
    :raises NestedFailed: the update failed. :raises Stopped: it did not end in time.
    """
    deadline = time.monotonic() + timeout
    watch = watch_over(resource.context, resource.resource_id)
    while True:
        still_wanted()
        watch.look()
        status = stack_object.Stack.get_status(resource.context, resource.resource_id)
        action, state, reason, _updated = status
        if action == 'UPDATE' and state == 'COMPLETE':
            # The outputs and the loaded stack are of before the update.
            resource._nested = None
            resource._outputs = None
            return
        if state == 'FAILED':
            raise NestedFailed(
                f'Heat could not hand over the rest: {reason}',
                'Mend what the reason names, then send the signal resume',
            )
        if time.monotonic() > deadline:
            raise exceptions.Stopped(
                f'Heat was not done with handing over after {timeout:.0f} s ({action}_{state})',
                'Look at the events of the nested stack, then send the signal resume',
            )
        time.sleep(poll)
