# SPDX-License-Identifier: Apache-2.0
"""Nested stacks of a policy: update one, wait for its end, find a resource beside it."""

import functools
import random
import time
from collections.abc import Callable
from typing import Any

from heat.common import exception as heat_exception
from heat.engine import resource as heat_resource
from heat.engine import stack as heat_stack
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import heat_db, heat_stalled, lease

LOG = logging.getLogger(__name__)

# Seconds of pause before an update or a deletion of a nested stack that failed is tried again.
AGAIN_AFTER = (1.0, 3.0, 8.0)

# Seconds between two looks at an update: at first, at the latest, and as a share of the time that
# it has taken. Heat's own task runner looks once a second.
UPDATE_LOOK, SLOWEST_LOOK, LOOK_SHARE = 0.2, 2.0, 0.1

# Seconds between two questions meanwhile whether it is still wanted.
ASK_EVERY = 1.0

# Seconds until a deletion is sent again that Heat has not begun: the request was lost.
DELETE_AGAIN_AFTER = 5.0


def is_cancelled(context: Any, stack_id: str) -> bool:
    """Whether somebody has cancelled what the stack does.

    Heat lets the resources that are at work go on, and informs only stacks of its own.
    """
    _action, status, reason, _updated = stack_object.Stack.get_status(context, stack_id)
    return bool(status == 'FAILED' and str(reason).endswith(' cancelled'))


def status_of(resource: Any) -> object:
    """What Heat's database has of the resource's stack, to be compared; None where it is gone."""
    try:
        return tuple(stack_object.Stack.get_status(resource.context, resource.stack.id))
    except heat_exception.NotFound:
        return None


def status_when_loaded(resource: Any) -> object:
    """The same as it was when this thread loaded the resource's stack."""
    stack = resource.stack
    return stack.action, stack.status, stack.status_reason, stack.updated_time


def load_again(resource: Any) -> Any:
    """The nested stack of ``resource`` with its resources as they are now; None without one."""
    resource._nested = None
    with heat_db.reading(resource.context):
        found = resource.nested()
        if found is not None:
            # Else Heat reads their rows later, in a transaction of their own.
            found._db_resources_get()
    return found


def as_it_is_now(resource: Any) -> Any:
    """The resource as Heat has it now, its definition too; as it was loaded where it is gone."""
    stack = heat_stack.Stack.load(resource.context, stack_id=resource.stack.id, force_reload=True)
    found = stack.get(resource.name)
    if found is None:
        return resource
    # A resource holds its stack by a weak reference only.
    found._ha_stack = stack
    return found


def sibling(resource: Any, refid: str | None) -> Any:
    """The resource of the same stack that ``refid`` refers to, or None.

    While Heat acts on one resource it loads the others without their state, so then they are
    taken from the stack as the database has it. Unlike Heat's ``resource_by_refid`` this finds
    a resource whose last action failed, which is when it is needed.
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


def sibling_on_record(resource: Any, refid: str | None) -> Any:
    """The resource that ``sibling`` does not find, because the stack is being deleted, or None.

    Then the template of the stack is empty, and Heat has the resource in its database only.
    """
    rows = resource_object.Resource.get_all_active_by_stack(resource.context, resource.stack.id)
    for row in (rows or {}).values():
        try:
            found, *held = heat_resource.Resource.load(
                resource.context, row.id, resource.stack.current_traversal, False, {}
            )
        except heat_exception.HeatException:
            LOG.debug('Resource %s cannot be loaded', row.name, exc_info=True)
            continue
        if refid is not None and refid in (found.FnGetRefId(), found.name):
            # A resource holds its stack and its definition by weak references only.
            found._ha_stack = held
            return found
    return None


def scanner_of(context: Any, stack_id: str) -> heat_stalled.OrphanScanner:
    """A scanner for work on a nested stack that died with its engine."""
    return heat_stalled.OrphanScanner(
        context, stack_id, functools.partial(lease.engine_is_alive, context)
    )


class NestedFailed(exceptions.Stopped):
    """What Heat did with a nested stack has failed; nothing is under way any more."""


def update_nested(
    resource: Any,
    make_template: Callable[[], Any],
    *,
    timeout: float,
    still_wanted: Callable[[], None],
) -> None:
    """Update the nested stack of ``resource``, and again when that fails, and wait for the end.

    An update asks other services for much and repeats nothing, so a single answer that does not
    come lets it fail. A second update goes on where the first one failed.

    :param timeout: seconds that each update may take.
    :raises Stopped: it failed each time, or did not end in time.
    """
    for pause in (*AGAIN_AFTER, None):
        still_wanted()
        try:
            template = make_template()
            # What it was made of may be older than what another engine has put there since.
            still_wanted()
            resource.update_with_template(template)
            wait_for_nested_update(resource, timeout=timeout, still_wanted=still_wanted)
            return
        except (NestedFailed, heat_exception.HeatException) as exc:
            if pause is None:
                raise
            LOG.warning('%s: %s; again in about %.0f s', resource.name, exc, pause)
        time.sleep(pause * random.uniform(0.75, 1.25))


def wait_for_nested_update(
    resource: Any, *, timeout: float, still_wanted: Callable[[], None]
) -> None:
    """Wait until the nested stack of ``resource`` has ended its update.

    :param timeout: seconds.
    :param still_wanted: called now and then; whatever it raises ends the wait.
    :raises NestedFailed: the update failed. :raises Stopped: it did not end in time.
    """
    began = time.monotonic()
    deadline, ask_at = began + timeout, began + ASK_EVERY
    scanner = scanner_of(resource.context, resource.resource_id)
    while True:
        now = time.monotonic()
        if now >= ask_at:
            still_wanted()
            ask_at = now + ASK_EVERY
        scanner.look()
        status = stack_object.Stack.get_status(resource.context, resource.resource_id)
        action, state, reason, _updated = status
        if action == 'UPDATE' and state == 'COMPLETE':
            # The outputs and the loaded stack are those of before the update.
            resource._nested = None
            resource._outputs = None
            return
        if state == 'FAILED':
            raise NestedFailed(
                f'Heat could not hand over the rest: {reason}',
                'Mend what the reason names, then send the signal resume',
            )
        if now > deadline:
            raise exceptions.Stopped(
                f'Heat was not done with handing over after {timeout:.0f} s ({action}_{state})',
                'Look at the events of the nested stack, then send the signal resume',
            )
        time.sleep(max(UPDATE_LOOK, min(LOOK_SHARE * (now - began), SLOWEST_LOOK)))


class Deletion:
    """The deletion of a nested stack, sent again when it died with its engine, or failed.

    :param send: sends the deletion; without harm for a stack that is gone.
    """

    def __init__(self, context: Any, stack_id: str, send: Callable[[], object]) -> None:
        self._context = context
        self._stack_id = stack_id
        self._send = send
        self._scanner = scanner_of(context, stack_id)
        self._pauses = list(AGAIN_AFTER)
        self._next_send = float('-inf')

    def is_gone(self) -> bool:
        """Look once, and do what helps the deletion on; whether the stack is gone.

        :raises NestedFailed: it has failed each time.
        """
        try:
            action, status, reason, _updated = stack_object.Stack.get_status(
                self._context, self._stack_id
            )
        except heat_exception.NotFound:
            return True
        if (action, status) == ('DELETE', 'IN_PROGRESS'):
            self._scanner.look()
            return False
        if (action, status) == ('DELETE', 'COMPLETE'):
            if stack_object.Stack.get_by_id(self._context, self._stack_id) is not None:
                # An engine died before the row was gone; asked again, Heat removes it.
                self._send()
            return True
        now = time.monotonic()
        if now < self._next_send:
            return False
        pause = DELETE_AGAIN_AFTER
        if (action, status) == ('DELETE', 'FAILED'):
            if not self._pauses:
                raise NestedFailed(
                    f'Heat could not delete a nested stack: {reason}',
                    'Mend what the reason names, then delete the stack again',
                )
            pause = self._pauses.pop(0)
        LOG.warning(
            'Stack %s is %s_%s (%s); deleting it again', self._stack_id, action, status, reason
        )
        self._next_send = now + pause
        self._send()
        # It counts the time without a change, which begins anew.
        self._scanner = scanner_of(self._context, self._stack_id)
        return False
