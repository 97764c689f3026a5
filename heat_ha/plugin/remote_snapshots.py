# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a RemoteStack: taken in every region, restored in each, deleted in each.

A snapshot of the parent holds a copy of the resource's data, and with it what each region's
snapshot is called there. A restore comes as an update whose definition names them.
"""

import time
import uuid
from typing import Any

from heat.common import exception

from heat_ha import exceptions, serialization
from heat_ha.cloud import clock
from heat_ha.plugin import remote_base
from heat_ha.regions import model, record, snapshot_action
from heat_ha.regions.adapters import sessions
from heat_ha.regions.rules import snapshots

# The key in a definition's metadata that names what an update is to restore.
RESTORE = 'heat_ha_restore'

# Heat keeps the reason of a snapshot's end in 255 characters, with words of its own before ours. A
# longer one would leave the snapshot in progress for ever.
MAX_REASON = 255 - len('Resource SNAPSHOT failed: Error: resources.: : ')

MORE = ' ... (see the events)'

# Seconds to wait for the delete of a snapshot, and for an action that is at work before it.
MAX_DELETING = 60.0


class WithSnapshots(remote_base.RemoteBase):
    """A resource whose parts take snapshots with their parent."""

    # --- taking -------------------------------------------------------------------------------

    def handle_snapshot(self):
        # As for a check, older releases of Heat hold the lock of the stack themselves.
        return self._begin(self._new_snapshot_action, is_check=True)

    def _new_snapshot_action(self):
        return snapshot_action.SnapshotAction(
            record.Store(self),
            self._region_heats(True),
            self._emit,
            sessions.limits().patience,
            lambda: self._new_reconciler(only_deletes=True),
        )

    def check_snapshot_complete(self, token):
        try:
            if not self._go_on(token):
                return False
        except exceptions.Refused as exc:
            raise self._failure('SNAPSHOT refused', str(exc)) from exc
        except exception.Error:
            # Cancelled, or a newer action goes on.
            self.handle_snapshot_cancel(token)
            raise
        failures = token['work'].failures()
        if failures:
            raise self._failure('SNAPSHOT failed', '; '.join(failures))
        return True

    def _failure(self, status, reason):
        room = MAX_REASON - len(self.name) - len(status)
        if len(reason) > room:
            self._emit(f'{status}: {reason}', True)
            reason = reason[: max(0, room - len(MORE))] + MORE
        return remote_base.failure(status, reason)

    def handle_snapshot_cancel(self, token):
        if 'work' in token:
            token['work'].cancel()

    # --- restoring ----------------------------------------------------------------------------

    def handle_restore(self, defn, restore_data):
        """The definition that names the snapshots to go back to.

        Nothing is sent and nothing is put on record here: newer releases of Heat call this for
        the delete of a snapshot too.
        """
        found = record.snapshot_in((restore_data or {}).get('resource_data') or {})
        metadata = {k: v for k, v in (defn._metadata or {}).items() if k != RESTORE}
        if found is not None:
            metadata[RESTORE] = {'wish': uuid.uuid4().hex, **serialization.encode(found)}
        # Not frozen: that would resolve references to resources which are yet to be restored.
        return type(defn)(
            defn.name,
            defn.resource_type,
            properties=defn._properties,
            metadata=metadata or None,
            depends=defn._depends,
            deletion_policy=defn._deletion_policy,
            update_policy=defn._update_policy,
            description=defn.description,
            external_id=defn._external_id,
            condition=defn._condition,
        )

    def _requested_restore(self, definition):
        """What an update is to restore; None unless it is that of ``openstack stack restore``.

        The stored template keeps the request, so a later update has it too.
        """
        found = definition.metadata().get(RESTORE)
        if found is None or self.stack.action != self.stack.RESTORE:
            return None
        what = 'the snapshot of the restore'
        rest = serialization.decode(dict[str, Any], found, what)
        wish = serialization.decode(str, rest.pop('wish', None), what)
        return model.Restore(wish, serialization.decode(model.Snapshot, rest, what))

    # --- deleting -----------------------------------------------------------------------------

    def handle_delete_snapshot(self, data):
        found = record.snapshot_in((data or {}).get('resource_data') or {})
        if found is None or self.stack.action == self.stack.DELETE:
            # The delete of the stacks in the regions deletes their snapshots too.
            return None
        # Newer releases of Heat call this on a resource made of the snapshot, without a record.
        original = self.stack.resources.get(self.name)
        if not isinstance(original, WithSnapshots):
            return None
        return {'snapshot': found, 'original': original, 'since': time.monotonic()}

    def check_delete_snapshot_complete(self, token):
        if token is None:
            return True
        original = token['original']
        original._data = None
        is_late = time.monotonic() - token['since'] > MAX_DELETING
        with original.frozen_properties():
            if 'work' not in token:
                # None or False while somebody else is at work on the record.
                work = original._alone(lambda: original._deleting(token['snapshot']))
                if work:
                    token['work'] = work
                elif is_late:
                    raise self._failure(
                        'DELETE refused',
                        'an action is at work; delete the snapshot again when it has ended',
                    )
                return False
            if not original._alone(token['work'].step):
                # What is left is on record as tombstones; the next action or signal sends it.
                return is_late
        failures = token['work'].failures()
        if failures:
            raise original._failure('DELETE failed', '; '.join(failures))
        return True

    def _deleting(self, snapshot):
        """Put the deletes on record. :returns: the work that carries them out."""
        store = record.Store(self)
        found = store.read()
        if found is not None:
            store.write(snapshots.with_deletes(found, snapshot, clock.now_text()))
            for region in snapshots.given_up(found, snapshot):
                self._emit(f'{region} was given up, and keeps its snapshot', False)
        return self._new_reconciler(only_deletes=True)
