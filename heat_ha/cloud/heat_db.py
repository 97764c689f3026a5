# SPDX-License-Identifier: Apache-2.0
"""What Heat's database has of a nested stack, and of all that is nested in it."""

import contextlib
import datetime
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from heat.db import api as db_api
from heat.objects import event as event_object
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from heat.rpc import api as rpc_api

from heat_ha.cloud import clock

# How many events of a stack are looked at: more than a check of one member makes.
LATEST_EVENTS = 100


def reading(context: Any) -> contextlib.AbstractContextManager[Any]:
    """Have all that the body reads of Heat's database come from one transaction.

    It is then of one moment, and costs the database and the engine the begin and the end of one
    transaction instead of one for each read. The body asks no other service, because a connection
    is held for as long.
    """
    found: contextlib.AbstractContextManager[Any] = db_api.context_manager.reader.using(context)
    return found


def writing(context: Any) -> contextlib.AbstractContextManager[Any]:
    """The same for a body that reads and writes; all of it is durable after the body, or none."""
    found: contextlib.AbstractContextManager[Any] = db_api.context_manager.writer.using(context)
    return found


def below(context: Any, stack_id: str) -> Iterator[Any]:
    """Every resource that Heat has not deleted yet, the stack's own first."""
    yield from (resource_object.Resource.get_all_active_by_stack(context, stack_id) or {}).values()
    for child in stack_object.Stack.get_all_by_owner_id(context, stack_id):
        yield from below(context, child.id)


def last_check(
    context: Any, stack_id: str, member: str, nested: str | None, not_for: str
) -> datetime.datetime | None:
    """When Heat last completed a check of a member, or of a part of it, or its mark was taken back.

    Rows of resources do not tell it: they change also when nothing was checked.

    :param stack_id: the nested stack of the group.
    :param nested: the id of the member's own nested stack, if it has one.
    :param not_for: the reason of what does not count.
    """
    wanted = {'resource_action': 'CHECK', 'resource_status': 'COMPLETE'}
    found = _events(context, stack_id, {**wanted, 'resource_name': member})
    if nested:
        for inner in _stacks_from(context, nested):
            found += _events(context, inner, wanted)
    times = [event.created_at for event in found if event.resource_status_reason != not_for]
    newest = max(times, default=None)
    return None if newest is None else clock.utc(newest.isoformat())


def _events(context: Any, stack_id: str, wanted: dict[str, str]) -> list[Any]:
    """The newest events of this kind: a check that is made each minute leaves many."""
    found: list[Any] = event_object.Event.get_all_by_stack(
        context,
        stack_id,
        limit=LATEST_EVENTS,
        sort_keys=[rpc_api.EVENT_TIMESTAMP],
        sort_dir='desc',
        filters=wanted,
    )
    return found


def _stacks_from(context: Any, stack_id: str) -> Iterator[str]:
    yield stack_id
    for child in stack_object.Stack.get_all_by_owner_id(context, stack_id):
        yield from _stacks_from(context, child.id)


def digest(rows: Iterable[Any]) -> str:
    """SHA-256 over what changes whenever Heat does anything to one of the resources."""
    lines = sorted(
        (row.id, row.action, row.status, row.physical_resource_id or '', row.atomic_key or 0)
        for row in rows
    )
    return hashlib.sha256(repr(lines).encode()).hexdigest()
