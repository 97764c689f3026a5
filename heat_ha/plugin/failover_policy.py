# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::FailoverPolicy."""

import dataclasses

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource, support
from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, heat_threads, nested_stack
from heat_ha.failover import events, model, policy_work, record, remembered, work_loop
from heat_ha.failover.adapters import handoff_template
from heat_ha.failover.rules import arrival
from heat_ha.groups import naming
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.rules import members
from heat_ha.plugin import (
    failover_attributes,
    failover_lifecycle,
    failover_options,
    failover_schema,
    given,
)

LOG = logging.getLogger(__name__)


class FailoverPolicy(
    given.OwnProperties,
    failover_schema.FailoverSchema,
    failover_attributes.FailoverAttributes,
    failover_lifecycle.FailoverLifecycle,
):
    """A resource that hands volumes and more from a sick active member to a standby.

    One member of an `OS::Heat::AutoScalingGroup` is the active one: the oldest healthy member
    when the stack is created. What the property `resource` names is attached to it. On a
    signal, usually of an alarm, it is handed over to a healthy standby, which then is the
    active one. With an `OS::Heat::ScalingPolicy` of `adjustment_type: replace_oldest` in front,
    the member that was left is replaced afterwards.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Provided by heat-ha, not part of Heat.')
    )

    # A failed check says something of what is handed over. The record of the active member must
    # outlive it.
    always_replace_on_check_failed = False

    # --- validation --------------------------------------------------------------------------

    def validate(self):
        """Refuse a group of another type, and a definition that does not name the active."""
        # First of all: a property that is missing is named as such.
        self.validate_template()
        if self.properties[self.GROUP] is None:
            # It comes from a resource that is not made yet; handle_create looks again.
            return
        group = self._group()
        self._validate_group(group)
        definition = self._wanted_definition()
        if not isinstance(definition.get('type'), str):
            raise exception.StackValidationFailed(
                message=_('%(prop)s of %(name)s needs a "type", as in an AutoScalingGroup')
                % {'prop': self.RESOURCE, 'name': self.name}
            )
        if not handoff_template.mentions_active(definition.get('properties')):
            raise exception.StackValidationFailed(
                message=_('%(prop)s of %(name)s does not say where the active member belongs: '
                          'write %%active%% or {get_attr: [%(group)s, refs, 0]} in its '
                          'properties')
                % {'prop': self.RESOURCE, 'name': self.name, 'group': group.name}
            )  # fmt: skip
        failover_options.check_fencing(self, definition)
        if self.properties[self.HEALTH] is not None and failover_options.health(self) is None:
            raise exception.StackValidationFailed(
                message=_('%(prop)s of %(name)s needs either "http" or "tcp"')
                % {'prop': self.HEALTH, 'name': self.name}
            )
        super().validate()

    def _validate_group(self, group):
        if not group_members.is_group(group):
            found = group.type() if group is not None else self.properties[self.GROUP]
            raise exception.StackValidationFailed(
                message=_('%(prop)s of %(name)s must be an OS::Heat::AutoScalingGroup of the '
                          'same template; it is %(found)s')
                % {'prop': self.GROUP, 'name': self.name, 'found': found}
            )  # fmt: skip

    # --- helpers -----------------------------------------------------------------------------

    def _group(self):
        return nested_stack.sibling(self, self.properties[self.GROUP])

    def group_if_known(self):
        """The group, None where the template does not say yet which one it is."""
        group = self._group()
        return group if group_members.is_group(group) else None

    def _wanted_definition(self):
        return handoff_template.wanted_definition(self, self.RESOURCE, self._group().name)

    def child_template(self):
        definition = record.read_definition(self) if self.id is not None else None
        if definition is None:
            # Validation and preview come before there is a member to name.
            return handoff_template.nested_template(
                self, self._wanted_definition(), handoff_template.ACTIVE
            )
        active = record.read(self).active
        if active is None:
            return handoff_template.nested_template(self, definition, None)
        group, member = self._group(), active.member
        return handoff_template.nested_template(
            self,
            definition,
            active.server,
            lambda path: group_members.member_attribute(group, member, path),
        )

    def child_params(self):
        return handoff_template.child_environment()

    # --- signals -----------------------------------------------------------------------------

    def handle_signal(self, details=None):
        heat_threads.forget_finished(self.stack.id)
        try:
            signal = signals.parse(details, model.Action)
        except exceptions.Refused as exc:
            self._refused(exc)
            raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc
        try:
            return self.fail_over(signal, None)
        except exceptions.HaError as exc:
            # fail_over has made an event of it.
            raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc

    def fail_over(self, signal, chained, *, goes_on=True):
        """Do what the signal asks for; also called by a ScalingPolicy in front of this one.

        :param chained: what that policy wants replaced afterwards, or None.
        :param goes_on: whether to do also what is left on record, which may have to wait for
            the group. Else another engine is asked to, for signals that came meanwhile.
        :returns: what was done in words; Heat makes an event of it.
        :raises HaError: it was refused or stopped; an event says so.
        """
        work = None
        try:
            if self.resource_id is None:
                raise exceptions.Refused('the policy is not created yet')
            with self.frozen_properties():
                if signal.lacks_data:
                    if self.properties[self.INSUFFICIENT_DATA] != signals.NoData.ALARM.value:
                        return signals.ignored(signal)
                    signal = signals.as_alarm(signal)
                wanted = failover_options.read(self)
                work = policy_work.PolicyWork(self, self._group(), wanted)
                requested_by = chained.policy_name if chained else self.name
                return work.handle(self._with_member(signal), chained, requested_by)
        except exceptions.Refused as exc:
            self._refused(exc)
            raise
        except exceptions.StillStopped:
            raise
        except exceptions.HaError as exc:
            LOG.warning('%s stopped: %s', self.name, exc)
            self._add_event(events.FAILOVER, events.FAILED, events.of_error('stopped: ', exc))
            raise
        finally:
            if work is not None and not goes_on:
                work_loop.ask_if_signals_wait(self)
            elif work is not None and not signal.only_looks:
                with self.frozen_properties():
                    work.go_on()

    def note_ok(self, signal):
        """Note with what is kept that an alarm says ok; a ScalingPolicy in front calls it."""
        if self.resource_id is not None:
            remembered.RememberedSignals(self).note_ok(signal.over)

    def _with_member(self, signal):
        """The signal with the member that it means, where Nova alone knows what it names."""
        if signal.is_all_clear or (signal.member is None and signal.host is None):
            return signal
        if signal.member is not None and (
            not members.may_be_server_name(signal.member)
            or arrival.is_known(record.read(self), signal.member)
        ):
            return signal
        try:
            seen = group_members.look(self._group()).members
        except exceptions.CouldNotAsk:
            # The decision under the lock says what follows.
            return signal
        found = naming.find_either(
            seen, signal.member, signal.host, lambda: clients.StackClients(self).nova
        )
        return signal if found is None else dataclasses.replace(signal, member=found.name)

    def _refused(self, exc):
        LOG.info('%s refuses a signal: %s', self.name, exc)
        self._add_event('SIGNAL', 'FAILED', events.of_error('refused: ', exc))
