# SPDX-License-Identifier: Apache-2.0
"""Former members that Heat could not delete, held while a group is changed.

Heat tries to delete them at each update of the nested stack, before all else. When that fails
again, the update is over at once, and the new members in it are never begun with. So a replacement
holds them for as long as it has anything else to do, as an engine does that works on them: Heat
passes over a resource that a living engine has locked. If the engine dies, Heat takes the lock
from it by itself.
"""

from collections.abc import Collection
from typing import Any

from heat.engine import check_resource
from heat.engine import stack as heat_stack
from heat.objects import resource as resource_object
from heat.rpc import worker_client
from oslo_log import log as logging

from heat_ha.cloud import lease
from heat_ha.groups.adapters import work_under_way

LOG = logging.getLogger(__name__)


class DeletionHolds:
    """The former members of one group that one run holds."""

    def __init__(self, group: Any) -> None:
        self._group = group
        # By the id of the resource, the version that it has with the lock.
        self._held: dict[int, int] = {}

    def set(self, names: Collection[str]) -> None:
        """Hold the former members of these names, and no others.

        One run at a time works on a group, and Heat itself locks nothing that has failed: what is
        locked all the same was held by a run that could not release it.
        """
        rows = [r for r in work_under_way.rows_of(self._group) if r.action == 'DELETE']
        kept = {r.id for r in rows if r.name in names and self._held.get(r.id) == r.atomic_key}
        self._release(self._held.keys() - kept)
        is_alive = work_under_way.asker(self._group.context)
        for row in rows:
            is_failed = row.status == 'FAILED'
            is_left = row.engine_id is not None and not is_alive(row.engine_id)
            if row.id in kept or not (is_failed or is_left):
                continue
            if row.name in names:
                self._lock(row, lease.own_engine_id())
            elif is_failed and row.engine_id is not None and row.id not in self._held:
                self._lock(row, None)

    def close(self) -> None:
        """Hold nothing any more, and let Heat try to delete them if it has waited for that."""
        ids = set(self._held)
        self._release(ids)
        for resource_id in sorted(ids):
            try:
                _go_on(self._group, resource_id)
            except Exception:
                # The next change of the group does the same.
                LOG.exception('Heat was not asked to go on with resource %s', resource_id)

    def _lock(self, row: Any, engine: str | None) -> None:
        """Let the row have this engine, as it was seen or not at all."""
        is_ours = resource_object.Resource.select_and_update_by_id(
            self._group.context,
            row.id,
            {'engine_id': engine, 'status': 'FAILED'},
            expected_engine_id=row.engine_id,
            atomic_key=row.atomic_key,
        )
        LOG.debug('former member %s is held by %s: %s', row.name, engine, is_ours)
        if is_ours and engine is not None:
            self._held[row.id] = (row.atomic_key or 0) + 1

    @lease.until_given_back
    def _release(self, ids: Collection[int]) -> None:
        for resource_id in sorted(ids):
            resource_object.Resource.select_and_update_by_id(
                self._group.context,
                resource_id,
                {'engine_id': None},
                expected_engine_id=lease.own_engine_id(),
                atomic_key=self._held[resource_id],
            )
            del self._held[resource_id]


def _go_on(group: Any, resource_id: int) -> None:
    """Do what an engine of Heat's does that comes to the end of work that a change has overtaken.

    The change, or the deletion of the whole stack, waits for the resource otherwise.
    """
    stack = heat_stack.Stack.load(group.context, stack_id=group.resource_id, force_reload=True)
    if stack.status != stack.IN_PROGRESS:
        return
    worker = worker_client.WorkerClient()
    check = check_resource.CheckResource(lease.own_engine_id(), worker, None, None, {})
    check.retrigger_check_resource(group.context, resource_id, stack)
