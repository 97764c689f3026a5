# SPDX-License-Identifier: Apache-2.0
"""From servers to the FailoverPolicies that ask for a signal when a guest ends, in Heat's database.

It takes four queries for any number of servers.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy
from heat.db import models
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent.adapters import policy_index, stack_rows
from heat_ha.failover import instance_failure

LOG = logging.getLogger(__name__)

_RESOURCE = models.Resource.__table__
_DATA = models.ResourceData.__table__


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the signal goes for a FailoverPolicy, by names in its stack.

    ``name`` is the policy that is signalled: the ScalingPolicy in front of ``policy``, where there
    is one. ``project`` is that of the stack, ``root`` the id of its root stack.
    """

    name: str
    policy: str
    stack_id: str
    stack_name: str
    project: str
    root: str


def targets_of(servers: Collection[str]) -> dict[str, tuple[Target, ...]]:
    """For each server that is a member, or in a member, of a policy that asks, that policy.

    Invariant (S7): a resource that only refers to a server, by ``external_id``, counts for nothing.
    The caller compares the project of the server with that of the target: anybody may adopt the id
    of a server into a stack of theirs.

    Of two policies over one group, or over groups of which one is in a member of the other, each
    has what it hands over, so each is signalled.
    """
    if not servers:
        return {}
    with policy_index.engine().connect() as connection:
        rows = stack_rows.of_servers(connection, servers)
        roots = {row.root_stack_id for row in rows}
        if not roots:
            return {}
        stacks = stack_rows.stacks_of(connection, roots)
        targets = _targets(connection, roots, stacks)
        foreign = stack_rows.external_of(connection, rows, stacks) if targets else set()
    found: dict[str, dict[Target, None]] = {}
    for row in rows:
        if row.stack_id not in stacks or (row.stack_id, row.name) in foreign:
            continue
        for name, stack in stack_rows.path_of(row.name, row.stack_id, stacks):
            for target in targets.get((stack, name), ()):
                found.setdefault(row.nova_instance, {})[target] = None
    return {server: tuple(of_server) for server, of_server in found.items()}


def _targets(
    connection: Any, roots: Collection[str], stacks: Mapping[str, stack_rows.StackRow]
) -> dict[tuple[str, str], list[Target]]:
    """The targets below these roots, by stack and name of the group that they are about."""
    rows = connection.execute(
        sqlalchemy.select(
            _RESOURCE.c.name, _RESOURCE.c.stack_id, _RESOURCE.c.root_stack_id, _DATA.c.value
        )
        .select_from(_RESOURCE.join(_DATA, _DATA.c.resource_id == _RESOURCE.c.id))
        .where(
            _RESOURCE.c.root_stack_id.in_(list(roots)),
            _RESOURCE.c.action != 'DELETE',
            _DATA.c.key == instance_failure.INSTANCE_FAILURE,
        )
        .order_by(_RESOURCE.c.id)
    ).all()
    found: dict[tuple[str, str], list[Target]] = {}
    for row in rows:
        stack = stacks.get(row.stack_id)
        if stack is None:
            continue
        try:
            watched = instance_failure.of_text(row.value)
        except exceptions.Unreadable as exc:
            # The others must not wait for that.
            LOG.warning('policy=%s stack=%s %s', row.name, stack.name, exc)
            continue
        target = Target(
            watched.through or row.name, row.name, row.stack_id, stack.name, stack.project,
            row.root_stack_id,
        )  # fmt: skip
        found.setdefault((row.stack_id, watched.group), []).append(target)
    return found
