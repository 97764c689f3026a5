# SPDX-License-Identifier: Apache-2.0
"""What Heat is still at work on in the nested stack of a group, member by member.

While the deletion of a former member goes on, the nested stack as a whole is in progress. Its rows
show how far Heat is with each of the members, and which of them an engine holds.
"""

import dataclasses
import functools
from collections.abc import Collection, Iterable
from typing import Any

from heat.objects import resource as resource_object
from heat.objects import stack as stack_object

from heat_ha.cloud import heat_db, lease

IN_PROGRESS = 'IN_PROGRESS'


@dataclasses.dataclass(frozen=True)
class Shown:
    """The nested stack of a group and the rows of its members, as Heat has them at one moment.

    ``stack`` is None where it is gone.
    """

    stack: Any
    rows: list[Any]


def read(group: Any) -> Shown:
    """Read both in one request."""
    with heat_db.reading(group.context):
        stack = stack_object.Stack.get_by_id(group.context, group.resource_id, eager_load=False)
        return Shown(stack, rows_of(group))


def names(context: Any, shown: Shown, expected: Collection[str] = ()) -> frozenset[str] | None:
    """The names of the members, former ones too, that Heat is not done with.

    In a change that is under way those are the ones that it has yet to come to, too. Of a change
    that has failed those are left that a living engine still works on.

    :param expected: names of members that the change is to add; Heat may not have them yet.
    :returns: None for a stack without convergence: Heat shows no more of it than that it is in
        progress.
    """
    stack, rows = shown.stack, shown.rows
    if stack is None:
        return frozenset()
    if not stack.convergence:
        return None
    if stack.status != IN_PROGRESS:
        is_alive = asker(context)
        return frozenset(r.name for r in rows if r.engine_id and is_alive(r.engine_id))
    open_rows = (r.name for r in rows if not _is_done(r, stack.raw_template_id))
    return frozenset(expected).difference(r.name for r in rows).union(open_rows)


def being_deleted(context: Any, rows: Iterable[Any]) -> frozenset[str]:
    """The names of the resources that a living engine deletes now."""
    is_alive = asker(context)
    return frozenset(
        r.name
        for r in rows
        if (r.action, r.status) == ('DELETE', IN_PROGRESS) and r.engine_id and is_alive(r.engine_id)
    )


def rows_of(group: Any) -> list[Any]:
    """Heat's rows of the members, without those that it has deleted."""
    found = resource_object.Resource.get_all_active_by_stack(group.context, group.resource_id)
    return list((found or {}).values())


def asker(context: Any) -> Any:
    """Ask each engine once whether it is alive."""
    return functools.cache(functools.partial(lease.engine_is_alive, context))


def _is_done(row: Any, template_id: int) -> bool:
    """Whether the change with this template has come to an end with the resource."""
    is_at_work = row.engine_id or row.status == IN_PROGRESS or row.action == 'INIT'
    return bool(not is_at_work and row.current_template_id == template_id)
