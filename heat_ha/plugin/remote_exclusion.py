# SPDX-License-Identifier: Apache-2.0
"""Who may work on the record of a resource: an action of Heat, or one signal, never both."""

from heat.engine import resource

from heat_ha.cloud import lease


class OneAtATime(resource.Resource):
    """A resource whose record an action or a signal changes, under the lock of its stack."""

    def _is_signal_at_work(self, token):
        """Whether a signal holds the lock; an action begins after the signal's step."""
        owner = lease.Lock(self.context, self.stack.id).owner()
        if owner is None:
            return False
        if token.get('is_check') and owner == lease.own_engine_id():
            # Older releases of Heat take the lock themselves for a check of the stack.
            return False
        return lease.engine_is_alive(self.context, owner)

    def _alone(self, do):
        """Call ``do`` while nobody else works on the record.

        :returns: what ``do`` returns; None while an action is at work, False while a signal is.
        """
        try:
            with lease.Lock(self.context, self.stack.id):
                # Heat writes its state before it looks for the lock. We look at the state after we
                # hold the lock. So one of the two always sees the other.
                if self._is_in_action():
                    return None
                return do()
        except lease.Busy:
            return False

    def _is_in_action(self):
        """Whether an action of Heat is at work on the resource, as the database has it now."""
        from heat.objects import resource as resource_object

        row = resource_object.Resource.get_obj(
            self.context, self.id, refresh=True, fields=('status',)
        )
        return row.status == self.IN_PROGRESS
