# SPDX-License-Identifier: Apache-2.0
"""The rows that Heat's database has of a nested stack, and of all that is nested in it."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from heat.objects import resource as resource_object
from heat.objects import stack as stack_object


def below(context: Any, stack_id: str) -> Iterator[Any]:
    """Every resource that Heat has not deleted yet, the stack's own first."""
    yield from (resource_object.Resource.get_all_active_by_stack(context, stack_id) or {}).values()
    for child in stack_object.Stack.get_all_by_owner_id(context, stack_id):
        yield from below(context, child.id)


def digest(rows: Iterable[Any]) -> str:
    """SHA-256 over what changes whenever Heat does anything to one of the resources."""
    lines = sorted(
        (row.id, row.action, row.status, row.physical_resource_id or '', row.atomic_key or 0)
        for row in rows
    )
    return hashlib.sha256(repr(lines).encode()).hexdigest()
