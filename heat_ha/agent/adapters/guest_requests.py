# SPDX-License-Identifier: Apache-2.0
"""Which policies ask that a guest be shut out from its volumes, from Heat's database."""

import dataclasses
from typing import Any

import sqlalchemy
from heat.db import models
from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent.adapters import policy_index
from heat_ha.fencing.rules import guests

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request, with the policy that makes it and the project of its stack."""

    request: guests.Request
    policy: str
    stack_name: str
    project: str


def pending() -> list[Asked]:
    """All requests, in one query.

    A tenant writes no data of a resource: an engine does, for a stack of that project. But any
    tenant may name any server, so whose request counts is seen by the project of the server.
    """
    data = models.ResourceData.__table__
    resource, stack = models.Resource.__table__, models.Stack.__table__
    query = (
        sqlalchemy.select(
            resource.c.name, stack.c.name.label('stack_name'), stack.c.tenant, data.c.value
        )
        .select_from(
            data.join(resource, data.c.resource_id == resource.c.id).join(
                stack, stack.c.id == resource.c.stack_id
            )
        )
        .where(data.c.key == guests.REQUEST, stack.c.deleted_at.is_(None))
    )
    with policy_index.engine().connect() as connection:
        rows = connection.execute(query).all()
    return [asked for row in rows if (asked := _asked(row)) is not None]


def _asked(row: Any) -> Asked | None:
    try:
        request = serialization.read(guests.Request, row.value, f'a request of {row.name}')
    except exceptions.Unreadable as exc:
        # The others must not wait for that.
        LOG.info('%s of stack %s: %s', row.name, row.stack_name, exc)
        return None
    return Asked(request, row.name, row.stack_name, row.tenant)
