# SPDX-License-Identifier: Apache-2.0
"""An engine that takes the deletion of some members and does not come to the end of it.

It stands for the worker that waits for a SoftwareDeployment on a dead server. As the tests have one
thread, it only does what Heat's database shows of such a worker: it has locked the resource, which
is in DELETE_IN_PROGRESS, and it lives.
"""

from heat.engine import sync_point
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object


class SilentEngine:
    """Takes what Heat asks its workers about the members in ``names``.

    :ivar names: of members whose deletion it takes from now on.
    """

    ID = 'silent-engine'

    def __init__(self, engine):
        self.names = set()
        self._engine = engine
        self._later = engine.later
        engine.later = self._take

    def _take(self, func, *args, **kwargs):
        if args[1:2] != ('check_resource',) or not self._is_mine(**kwargs):
            self._later(func, *args, **kwargs)

    def _is_mine(self, resource_id, is_update, **_rest):
        context = self._engine.context()
        row = resource_object.Resource.get_obj(context, resource_id)
        if is_update or row.name not in self.names or self._is_wanted(row):
            return False
        # What it has already is left to it, as Heat does with what is locked.
        if row.engine_id is None:
            row.update_and_save({'action': 'DELETE', 'status': 'IN_PROGRESS', 'engine_id': self.ID})
        return True

    def _is_wanted(self, row):
        return row.current_template_id == self._stack_of(row).raw_template_id

    def _write(self, row, **values):
        version = (row.atomic_key or 0) + 1
        context = self._engine.context()
        values = {**values, 'atomic_key': version}
        resource_object.Resource.update_by_id(context, row.id, values)

    def _stack_of(self, row):
        context = self._engine.context()
        return stack_object.Stack.get_by_id(context, row.stack_id)

    def go_on(self, identity):
        """Come to the end with the members of this nested stack, and do what Heat does then."""
        self.names.clear()
        context = self._engine.context()
        rows = resource_object.Resource.get_all_active_by_stack(context, identity['stack_id'])
        for row in rows.values():
            if row.engine_id == self.ID:
                self._write(row, engine_id=None)
                # As after an update that was overtaken: the newest one is asked to see to it.
                self._engine.later(
                    self._engine._dispatch,
                    self._engine._worker,
                    'check_resource',
                    context,
                    resource_id=row.id,
                    current_traversal=self._stack_of(row).current_traversal,
                    data=sync_point.serialize_input_data({}),
                    is_update=False,
                    adopt_stack_data=None,
                )
        self._engine.run()
