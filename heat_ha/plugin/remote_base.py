# SPDX-License-Identifier: Apache-2.0
"""What a RemoteStack and a tombstone share: work in other regions, in actions and signals."""

import dataclasses
import sys
import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine import check_resource, resource
from oslo_log import log as logging

from heat_ha.cloud import nested_stack
from heat_ha.plugin import given, remote_exclusion, remote_follower
from heat_ha.regions import reconciler, record
from heat_ha.regions.adapters import sessions

LOG = logging.getLogger(__name__)

# The word under which events appear in `openstack stack event list`.
REGIONS = 'REGIONS'

# The entry in a resource's data that ends the action at work, because a newer one waits for that.
PREEMPTED = 'ha_preempted'

# The entry in a resource's data that names the region to which the same is to be sent again.
FORCED = 'ha_forced'


def failure(status, reason):
    """The end of an action that failed.

    Not Heat's ResourceInError: Heat answers that by deleting what was made and making it again, up
    to ``action_retry_limit`` times, in all regions.
    """
    return exception.Error(_('%(status)s: %(reason)s') % {'status': status, 'reason': reason})


class RemoteBase(given.OwnProperties, remote_exclusion.OneAtATime):
    """A resource that works in other regions, one short step at a time."""

    # Requests to the regions use what the owner of the stack has delegated.
    requires_deferred_auth = True

    # A failed check shows the state of a region; to replace everything would not mend it (S8).
    always_replace_on_check_failed = False

    def needs_replace_failed(self):
        return False

    def _new_reconciler(
        self,
        *,
        is_asked_for=True,
        may_repair=True,
        only=None,
        wanted=True,
        suspend_wanted=None,
        restore=None,
        only_deletes=False,
    ):
        """A reconciler of what is wanted, or with ``wanted`` false of the end of all parts.

        :param is_asked_for: a person waits for it, so a region that is known to be silent is
            tried again.
        :param suspend_wanted: whether the stacks are to be suspended; None leaves that as it is.
        :param restore: the snapshot that the stacks are to go back to.
        :param only_deletes: whether nothing but what tombstones name is worked on.
        """
        store = record.Store(self)
        desired = self._desired_state(store, may_repair=may_repair, wanted=wanted)
        return reconciler.Reconciler(
            store,
            dataclasses.replace(
                desired,
                suspend_wanted=suspend_wanted,
                restore=restore,
                only_deletes=only_deletes,
            ),
            self._region_heats(is_asked_for),
            self._emit,
            None if only is None else frozenset({only}),
        )

    def _region_heats(self, is_asked_for):
        """What gives a region's Heat, by the region's name and its place on record."""
        found = sessions.Sessions(self)
        heats = {}

        def region_heat(region, place):
            key = (region, place)
            if key not in heats:
                target = sessions.RegionTarget.of(region, place)
                heats[key] = found.heat(target, is_asked_for=is_asked_for)
            return heats[key]

        return region_heat

    def _desired_state(self, store, *, may_repair, wanted):
        raise NotImplementedError

    def _emit(self, text, is_failure):
        LOG.info('%s: %s', self.name, text)
        self._add_event(REGIONS, self.FAILED if is_failure else self.COMPLETE, text)

    # --- actions: Heat looks once a second ----------------------------------------------------

    def _begin(self, make, **more):
        """The token of an action that begins; forget what was meant for an earlier one."""
        for key in (PREEMPTED, FORCED):
            if key in self.data():
                self.data_delete(key)
        return {'make': make, **more}

    def handle_preempt(self):
        """Let the action at work end, though it may wait for a region: a newer update is there."""
        self.data_set(PREEMPTED, 'a newer update')

    def handle_create_cancel(self, token):
        work = (token or {}).get('work')
        # Not after a timeout or at the end of the engine: the regions have timeouts of their own.
        is_requested = isinstance(sys.exc_info()[1], check_resource.CancelOperation)
        if work is not None and is_requested:
            work.cancel()

    def handle_update_cancel(self, token):
        self.handle_create_cancel(token)

    def _go_on(self, token):
        """Do a step, unless a signal is at work. :returns: whether all is done."""
        self._data = None
        if PREEMPTED in self.data():
            # The next action sends again what the regions still need.
            raise failure('superseded', 'a newer update goes on')
        if self._is_signal_at_work(token):
            # It looked before this action began, and stops after its step.
            return False
        token.setdefault('since', time.monotonic())
        work = token.get('work')
        if work is None:
            work = token['work'] = token['make']()
        if nested_stack.is_cancelled(self.context, self.stack.id):
            work.cancel()
            raise failure('cancelled', 'the regions at work were asked to stop')
        if self._step(work):
            return True
        waited = time.monotonic() - token['since']
        if waited > 20:
            # A region that works for minutes is not asked each second.
            raise resource.PollDelay(min(5, int(waited / 15) + 1))
        return False

    # --- signals: an engine's thread is not held while a region works -------------------------

    def _start_following(self, only):
        """Go on in a thread of our own until the region is done."""
        remote_follower.start(self, only)

    def _step_for_signal(self, work):
        """One step of a signal, under the lock.

        :returns: whether all is done; None while an action is at work.
        """

        def step():
            self._data = None
            return self._step(work)

        return self._alone(step)

    def _step(self, work):
        """One step, with what a person has asked for meanwhile."""
        forced = self.data().get(FORCED)
        if forced and work.force(forced):
            self.data_delete(FORCED)
        return work.step()
