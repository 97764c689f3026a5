# SPDX-License-Identifier: Apache-2.0
"""Heat's work that died with its engine, found while a policy waits for it.

Each resource of a nested stack is worked on by whichever engine took the message. When that
engine dies, the resource and its stacks stay IN_PROGRESS until the stack's timeout, an hour by
default: Heat looks for dead engines only when it is to change the same resource again. An engine
that waits for a nested stack would wait as long. So the one that waits looks as well, and does what
Heat does when it finds a dead engine: the resource and the stack become FAILED. A policy sees that
and can repeat the work.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from heat.engine import stack as heat_stack
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from oslo_log import log as logging

from heat_ha.cloud import heat_orphans

LOG = logging.getLogger(__name__)

# Seconds between two looks. Asking a dead engine takes two more.
EVERY = 3.0

# Seconds without any change in a stack after which nobody is about to go on with a dead engine's
# part: when another update has just begun, Heat itself steals what the dead one held.
DEAD_AFTER = 12.0

# Seconds without any change after which a message counts as lost: an engine may die between
# receiving it and writing its name into the resource. A living engine that is busy is quicker.
LOST_AFTER = 45.0

REASON = 'Worker went down during resource %s'

IN_PROGRESS, FAILED = 'IN_PROGRESS', 'FAILED'


@dataclasses.dataclass(frozen=True)
class Work:
    """One resource in a stack that is in progress. ``engine`` is '' while nobody works on it.

    ``below`` is the resource, one stack further up, that the stack belongs to; 0 for none. A stack
    that has no resource any more, because its deletion is at its end, has one of ``resource`` 0.
    """

    stack: str
    resource: int
    engine: str
    is_in_progress: bool
    version: int = 0
    action: str = ''
    below: int = 0


def left_behind(
    tree: Iterable[Work], is_alive: Callable[[str], bool], unchanged_for: Mapping[str, float]
) -> tuple[frozenset[str], tuple[Work, ...]]:
    """The stacks, and the resources in them, that nobody works on any more.

    :param tree: all resources of a nested stack that is in progress, and of those inside of it,
        each stack after the one that it belongs to.
    :param unchanged_for: for each stack the seconds since anything in it has changed.

    Invariants: nothing that a living engine works on is among them, nothing in a stack that has
    changed within ``DEAD_AFTER``, and without a dead engine nothing before ``LOST_AFTER``. Of what
    lies in one another only the outermost is: the engine that goes on with that one sees to what
    is inside.
    """
    tree = tuple(tree)
    working = {w.engine for w in tree if w.engine}
    dead = {engine for engine in working if not is_alive(engine)}
    # A stack that is in progress has a resource that an engine holds, or a message on its way.
    held = {w.stack for w in tree if w.engine}
    orphaned = {w.stack for w in tree if unchanged_for[w.stack] >= LOST_AFTER} - held
    quiet = {w.stack for w in tree if unchanged_for[w.stack] >= DEAD_AFTER}
    found: dict[int, Work] = {}
    # Resources that are inside of one that is found, and their stacks.
    inside: set[int] = set()
    inner: set[str] = set()
    for work in tree:
        if work.below and (work.below in found or work.below in inside):
            inside.add(work.resource)
            inner.add(work.stack)
        elif work.is_in_progress and (
            work.stack in orphaned or (work.engine in dead and work.stack in quiet)
        ):
            found[work.resource] = work
    orphaned -= inner
    return frozenset({w.stack for w in found.values()} | orphaned), tuple(found.values())


class OrphanScanner:
    """Looks after a nested stack for as long as somebody waits for it."""

    def __init__(self, context: Any, stack_id: str, is_alive: Callable[[str], bool]) -> None:
        self._context = context
        self._is_alive = is_alive
        self._stack_id = stack_id
        self._next_look = time.monotonic() + EVERY
        self._last: dict[str, tuple[Work, ...]] = {}
        self._changed: dict[str, float] = {}
        # The engines that did not answer at the last look.
        self._silent: frozenset[str] = frozenset()

    def look(self) -> None:
        """Let what is left behind become FAILED; does nothing when the last look is recent."""
        now = time.monotonic()
        if now < self._next_look:
            return
        try:
            self._look(now)
        except Exception:
            # The look is an extra: what is waited for may end without it.
            LOG.exception('Could not look for dead engines at work on stack %s', self._stack_id)
        self._next_look = time.monotonic() + EVERY

    def _look(self, now: float) -> None:
        tree = tuple(_waited_for(self._context, self._stack_id))
        for stack in {w.stack for w in tree}:
            seen = tuple(w for w in tree if w.stack == stack)
            if seen != self._last.get(stack):
                self._last[stack], self._changed[stack] = seen, now
        unchanged_for = {stack: now - since for stack, since in self._changed.items()}
        # One answer that is late by some seconds says nothing: a busy engine's work is not taken.
        silent = frozenset({w.engine for w in tree if w.engine and not self._is_alive(w.engine)})
        dead, self._silent = silent & self._silent, silent
        stacks, works = left_behind(tree, lambda engine: engine not in dead, unchanged_for)
        if stacks:
            # Before Heat can see that they have failed: it would replace them, and forget.
            heat_orphans.adopt(self._context, self._stack_id, self._is_alive)
            # A resource that was given what was found has another version now.
            tree = tuple(_waited_for(self._context, self._stack_id))
            _, works = left_behind(tree, lambda engine: engine not in dead, unchanged_for)
        for work in works:
            self._fail_resource(work)
        for stack_id in stacks:
            self._fail_stack(stack_id, works)

    def _fail_resource(self, work: Work) -> None:
        # As it was seen, or not at all: another engine may have gone on with it meanwhile.
        is_ours = resource_object.Resource.select_and_update_by_id(
            self._context,
            work.resource,
            {'engine_id': None, 'status': FAILED, 'status_reason': REASON % work.action},
            expected_engine_id=work.engine or None,
            atomic_key=work.version,
        )
        LOG.warning(
            'Resource %s of stack %s was left by engine %s%s',
            work.resource,
            work.stack,
            work.engine or 'unknown',
            '' if is_ours else ' and another engine has gone on with it',
        )

    def _fail_stack(self, stack_id: str, works: tuple[Work, ...]) -> None:
        if stack_object.Stack.get_status(self._context, stack_id)[1] != IN_PROGRESS:
            return
        stack = heat_stack.Stack.load(self._context, stack_id=stack_id, force_reload=True)
        if stack.convergence:
            action = next((w.action for w in works if w.stack == stack_id), stack.action)
            stack.mark_failed(REASON % action)


def _waited_for(context: Any, stack_id: str) -> Iterator[Work]:
    """What a stack that is in progress waits for; of another one, what engines in it wait for.

    A stack that was let fail has resources that a living engine holds: it waits for the stacks
    inside, and when the message about these has died with another engine, nobody else sees that.
    """
    if stack_object.Stack.get_status(context, stack_id)[1] == IN_PROGRESS:
        yield from _tree(context, stack_id)
        return
    rows = resource_object.Resource.get_all_active_by_stack(context, stack_id) or {}
    held = {row.physical_resource_id for row in rows.values() if row.engine_id}
    for child in stack_object.Stack.get_all_by_owner_id(context, stack_id):
        if child.id in held:
            yield from _tree(context, child.id)


def _tree(context: Any, stack_id: str, below: int = 0) -> Iterator[Work]:
    if stack_object.Stack.get_status(context, stack_id)[1] != IN_PROGRESS:
        return
    rows = resource_object.Resource.get_all_active_by_stack(context, stack_id)
    if not rows:
        yield Work(stack_id, 0, '', False, below=below)
    for row in (rows or {}).values():
        yield Work(
            stack_id,
            row.id,
            row.engine_id or '',
            row.status == IN_PROGRESS,
            row.atomic_key or 0,
            row.action,
            below,
        )
    ids = {row.physical_resource_id: row.id for row in (rows or {}).values()}
    for child in stack_object.Stack.get_all_by_owner_id(context, stack_id):
        yield from _tree(context, child.id, ids.get(child.id, 0))
