# SPDX-License-Identifier: Apache-2.0
"""From servers to the FailoverPolicies that ask for a signal when a guest ends, in Heat's database.

It takes one query for servers of stacks without such a policy, and four for any number of others.
"""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import sqlalchemy
from heat.db import models
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent.adapters import policy_index, stack_rows
from heat_ha.failover import instance_failure

LOG = logging.getLogger(__name__)

# Seconds for which the policies that ask are known. One that was made since is not signalled.
CACHED = 5.0

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


class FailoverIndex:
    """Finds the targets of servers; for one thread.

    The guests of everybody in the region end, and few policies ask for a signal. So those are
    looked for first, once in CACHED seconds, and then for the servers only below their root stacks.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_at = float('-inf')
        # The rows of the policies that ask, by the root of their stack.
        self._asking: dict[str, list[Any]] = {}

    def targets_of(self, servers: Collection[str]) -> dict[str, tuple[Target, ...]]:
        """For each server that is a member, or in a member, of a policy that asks, that policy.

        Invariant (S7): a resource that only refers to a server, by ``external_id``, counts for
        nothing. The caller compares the project of the server with that of the target: anybody may
        adopt the id of a server into a stack of theirs.

        Of two policies over one group, or over groups of which one is in a member of the other,
        each has what it hands over, so each is signalled.
        """
        if not servers:
            return {}
        with policy_index.engine().connect() as connection:
            self._refresh(connection)
            if not self._asking:
                return {}
            rows = stack_rows.of_servers(connection, servers, self._asking)
            if not rows:
                return {}
            roots = {row.root_stack_id for row in rows}
            stacks = stack_rows.stacks_of(connection, roots)
            foreign = stack_rows.external_of(connection, rows, stacks)
        targets = _targets([one for root in roots for one in self._asking[root]], stacks)
        found: dict[str, dict[Target, None]] = {}
        for row in rows:
            if row.stack_id not in stacks or (row.stack_id, row.name) in foreign:
                continue
            for name, stack in stack_rows.path_of(row.name, row.stack_id, stacks):
                for target in targets.get((stack, name), ()):
                    found.setdefault(row.nova_instance, {})[target] = None
        return {server: tuple(of_server) for server, of_server in found.items()}

    def _refresh(self, connection: Any) -> None:
        now = self._clock()
        if now - self._asked_at < CACHED:
            return
        found: dict[str, list[Any]] = {}
        for row in _asking(connection):
            found.setdefault(row.root_stack_id, []).append(row)
        self._asking, self._asked_at = found, now


def _asking(connection: Any) -> list[Any]:
    """The rows of all policies that ask for a signal."""
    query = (
        sqlalchemy.select(
            _RESOURCE.c.name, _RESOURCE.c.stack_id, _RESOURCE.c.root_stack_id, _DATA.c.value
        )
        .select_from(_RESOURCE.join(_DATA, _DATA.c.resource_id == _RESOURCE.c.id))
        .where(
            _RESOURCE.c.action != 'DELETE',
            _DATA.c.key == instance_failure.INSTANCE_FAILURE,
        )
        .order_by(_RESOURCE.c.id)
    )
    return list(connection.execute(query).all())


def _targets(
    rows: Iterable[Any], stacks: Mapping[str, stack_rows.StackRow]
) -> dict[tuple[str, str], list[Target]]:
    """The targets among policies that ask, by stack and name of the group that they are about."""
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
