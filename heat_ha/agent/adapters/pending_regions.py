# SPDX-License-Identifier: Apache-2.0
"""RemoteStacks with something pending for a region, from Heat's database."""

import dataclasses
from typing import Any

import sqlalchemy
from heat.db import models
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent.adapters import policy_index
from heat_ha.regions import model, record

LOG = logging.getLogger(__name__)

# States of parts that an engine must still act on: not sent yet, or sent and not seen to be done.
_OPEN = frozenset({model.State.PENDING, model.State.WAITING, model.State.WORKING})


@dataclasses.dataclass(frozen=True)
class Pending:
    """A RemoteStack, or what keeps its tombstones, with the regions for which it has work."""

    name: str
    stack_id: str
    stack_name: str
    project: str
    regions: tuple[str, ...]


def regions_of(found: model.Record) -> tuple[str, ...]:
    """The regions with something pending, except those that a user paused or gave up."""
    parts = [
        p.region for p in found.parts if p.state in _OPEN and not p.paused and not p.is_current
    ]
    return tuple(sorted({*parts, *(t.region for t in found.tombstones)}))


def pending() -> list[Pending]:
    """All RemoteStacks with something pending whose stack has no action at work, in one query."""
    data = models.ResourceData.__table__
    resource, stack = models.Resource.__table__, models.Stack.__table__
    query = (
        sqlalchemy.select(
            resource.c.name, resource.c.stack_id, stack.c.name.label('stack_name'),
            stack.c.tenant, data.c.value,
        )
        .select_from(
            data.join(resource, data.c.resource_id == resource.c.id).join(
                stack, stack.c.id == resource.c.stack_id
            )
        )
        .where(
            data.c.key == record.RECORD,
            stack.c.deleted_at.is_(None),
            stack.c.status != 'IN_PROGRESS',
        )
    )  # fmt: skip
    with policy_index.engine().connect() as connection:
        rows = connection.execute(query).all()
    return [
        Pending(row.name, row.stack_id, row.stack_name, row.tenant, regions)
        for row in rows
        if (regions := _regions_in(row))
    ]


def _regions_in(row: Any) -> tuple[str, ...]:
    try:
        return regions_of(record.record_of(row.value))
    except exceptions.Unreadable as exc:
        # An agent of the version that wrote it reads it. The other stacks must not wait for that.
        LOG.info('%s of stack %s: %s', row.name, row.stack_name, exc)
        return ()
