# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::RemoteStack."""

import dataclasses

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource, support
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock, heat_threads
from heat_ha.plugin import (
    remote_base,
    remote_desired,
    remote_schema,
    remote_snapshots,
    remote_tombstone,
)
from heat_ha.regions import attributes, model, record
from heat_ha.regions.adapters import trust
from heat_ha.regions.rules import command, planning

LOG = logging.getLogger(__name__)


class RemoteStack(
    remote_schema.RemoteProperties,
    remote_schema.RemoteAttributes,
    remote_snapshots.WithSnapshots,
):
    """A resource that keeps a stack in each of several regions, also through cuts between them.

    It has all properties of `OS::Heat::Stack`. A region that does not answer does not hold up the
    others: what could not be sent is pending, is shown as such, and is sent when the region is
    back, by the next update or check of the stack or by the signal `sync`. Nothing is sent to a
    region that already has what is wanted.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Provided by heat-ha, not part of Heat.')
    )

    # --- validation --------------------------------------------------------------------------

    def validate(self):
        """Refuse what is wrong in itself. No region is asked, so a cut refuses nothing."""
        super().validate()
        try:
            found = remote_desired.targets(self, self.properties)
            remote_desired.rollout(self, self.properties, found)
            remote_desired.check_template(self, self.properties, found)
        except exceptions.Refused as exc:
            raise exception.StackValidationFailed(
                message=_('%(name)s: %(why)s') % {'name': self.name, 'why': exc}
            ) from exc

    # --- create and update -------------------------------------------------------------------

    def _desired_state(self, store, *, may_repair, wanted):
        found = remote_desired.desired_state(self, self.properties, store, may_repair=may_repair)
        return found if wanted else dataclasses.replace(found, contents=dict)

    def handle_create(self):
        # First of all: without an id Heat would begin from the start after a failure.
        self.resource_id_set(self.physical_resource_name())
        trust.delegate(self)
        self._new_reconciler().plan()
        return self._begin(self._new_reconciler)

    def check_create_complete(self, token):
        return self._finish(token, self.CREATE)

    def _needs_update(self, *args, **kwargs):
        # Each region is updated where it needs it; nothing is ever replaced as a whole.
        if self.resource_id is None:
            return super()._needs_update(*args, **kwargs)
        return True

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self.properties = json_snippet.properties(self.properties_schema, self.context)
        trust.delegate(self)
        # What is wanted is on record before anything else, whichever engine carries it out.
        self._new_reconciler(restore=self._requested_restore(json_snippet)).plan()
        return self._begin(self._new_reconciler)

    def check_update_complete(self, token):
        return self._finish(token, self.UPDATE)

    def _finish(self, token, action):
        try:
            if not self._go_on(token):
                return False
        except exceptions.Refused as exc:
            raise remote_base.failure(f'{action} refused', str(exc)) from exc
        self._show_id(token['work'].record)
        failures = token['work'].failures()
        if failures:
            raise remote_base.failure(f'{action} failed', '; '.join(failures))
        return True

    def _show_id(self, found):
        """Show the stack's id as the physical id where there is one stack, as OS::Heat::Stack."""
        if self.properties[self.REGIONS] is None and len(found.parts) == 1:
            stack_id = found.parts[0].stack_id
            if stack_id and stack_id != self.resource_id:
                self.resource_id_set(stack_id)

    # --- the other actions -------------------------------------------------------------------

    def handle_check(self):
        return self._begin(lambda: self._new_reconciler(may_repair=False), is_check=True)

    def check_check_complete(self, token):
        return self._finish(token, self.CHECK)

    def handle_suspend(self):
        return self._begin_suspension(True)

    def check_suspend_complete(self, token):
        return self._finish(token, self.SUSPEND)

    def handle_resume(self):
        return self._begin_suspension(False)

    def check_resume_complete(self, token):
        return self._finish(token, self.RESUME)

    def _begin_suspension(self, suspend_wanted):
        # On record first: a region that is cut off gets it later, as everything else.
        self._new_reconciler(suspend_wanted=suspend_wanted).plan()
        return self._begin(self._new_reconciler)

    def handle_delete(self):
        found = record.Store(self).read()
        if found is None:
            return None
        # Whether a stack is left somewhere that may need what was delegated.
        leaves = any(p.state is model.State.ABANDONED for p in found.parts)
        self._new_reconciler(wanted=False).plan()
        return self._begin(lambda: self._new_reconciler(wanted=False), leaves_stacks=leaves)

    def check_delete_complete(self, token):
        if token is None:
            trust.revoke(self)
            return True
        if not self._go_on(token):
            return False
        work = token['work']
        failures = work.failures()
        if failures:
            raise remote_base.failure('DELETE failed', '; '.join(failures))
        if work.record.tombstones:
            # Deletes that were not sent outlive this stack, in a stack of their own.
            remote_tombstone.hand_over(self, work.record)
        if not token['leaves_stacks'] and not work.has_left_stacks:
            trust.revoke(self)
        return True

    # --- signals -----------------------------------------------------------------------------

    def handle_signal(self, details=None):
        heat_threads.forget_finished(self.stack.id)
        store = record.Store(self)
        found = store.read()
        try:
            if found is None:
                raise exceptions.Refused('the stack is not created yet')
            regions = {p.region for p in found.parts} | {t.region for t in found.tombstones}
            asked = command.parse(details, regions)
            if asked.revision and asked.revision != found.manifest:
                raise exceptions.Refused(
                    f'the signal is for revision {asked.revision[:12]}, and {found.manifest[:12]} '
                    'is wanted now',
                    'Look at the attribute revision and signal again',
                )
            return self._execute(asked, store)
        except exceptions.Refused as exc:
            self._add_event('SIGNAL', self.FAILED, f'refused: {exc}')
            raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc

    def _execute(self, asked, store):
        """Carry out a command. :returns: what was done, for the event of the signal."""
        match asked.action:
            case command.Action.SYNC | command.Action.PEER_CHANGED:
                if asked.is_forced:
                    # An action or this signal, whichever works on the region, does it.
                    self.data_set(remote_base.FORCED, asked.region)
                return self._sync(asked.region)
            case command.Action.ABANDON:
                self._change(store, lambda r: planning.abandoned(r, asked.region))
            case command.Action.PAUSE:
                self._change(store, lambda r: planning.paused(r, asked.region, True))
            case command.Action.RESUME:
                self._change(store, lambda r: planning.paused(r, asked.region, False))
        done = f'{asked.action.value} {asked.region or "all regions"}'
        if asked.action is command.Action.RESUME:
            return f'{done}; {self._sync(asked.region)}'
        return done

    def _change(self, store, change):
        """Change the record at a person's command. :raises Refused: an action is at work."""
        if self._is_in_action():
            raise exceptions.Refused('an action is at work', 'Signal again when it has ended')
        store.write(change(store.read()))

    def _sync(self, region):
        with self.frozen_properties():
            work = self._new_reconciler(only=region)
            done = self._step_for_signal(work)
            if done is None:
                return 'an action is at work, and updates the regions itself'
            if not done:
                self._start_following(region)
            return 'sync: ' + ', '.join(
                f'{p.region} {p.state.value}'
                for p in work.record.parts
                if region in (None, p.region)
            )

    def _after_signal(self, work):
        """Nothing is left to do: the events have reported it."""

    # --- attributes: the local record only ----------------------------------------------------

    def get_reference_id(self):
        return self.resource_id

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        store = record.Store(self)
        found = store.read()
        if found is None:
            return None
        is_single = self.properties[self.REGIONS] is None
        if name in (self.OUTPUTS, self.OUTPUT_DETAILS):
            by_region = {p.region: store.outputs(p.region) for p in found.parts}
            details = attributes.output_details(found, by_region, clock.now_text())
            if name == self.OUTPUT_DETAILS:
                return details
            if (self.properties[self.PARTITION] or {}).get(self.ON_STALE_OUTPUTS) == 'fail':
                stale = [r for r, d in details.items() if d['stale']]
                if stale:
                    raise exception.Error(
                        _('outputs of %(regions)s may be out of date (partition.outputs is fail)')
                        % {'regions': ', '.join(stale)}
                    )
            values = {r: dict(o.values) if o else {} for r, o in by_region.items()}
            return next(iter(values.values()), {}) if is_single else values
        if name == self.NAME_ATTR:
            names = {p.region: p.name for p in found.parts}
            return next(iter(names.values()), None) if is_single else names
        return attributes.attribute(found, name)
