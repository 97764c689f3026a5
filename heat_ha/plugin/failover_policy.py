# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::FailoverPolicy."""

import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource, support
from heat.engine.resources import signal_responder, stack_resource
from heat.engine.resources.aws.autoscaling import autoscaling_group
from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, lease, nested_stack, resource_data
from heat_ha.failover import (
    attributes,
    controller,
    events,
    hook_runner,
    model,
    observation,
    options,
    record,
)
from heat_ha.failover.adapters import handoff_template, hook_stack
from heat_ha.failover.rules import decide, standbys
from heat_ha.groups.adapters import members as group_members
from heat_ha.plugin import failover_schema

LOG = logging.getLogger(__name__)

# Seconds for which attributes show the same record. Heat resolves them one after another, and that
# of one whose members have to be listed takes a moment.
TOGETHER = 3.0


class FailoverPolicy(
    failover_schema.FailoverSchema, signal_responder.SignalResponder, stack_resource.StackResource
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

    # A failed check says something of what is handed over, never that the record of who is
    # active may be thrown away.
    always_replace_on_check_failed = False

    _shown_data, _shown_at = None, float('-inf')

    # --- validation --------------------------------------------------------------------------

    def validate(self):
        """Refuse a group that is none, and a definition that does not name the active."""
        group = self._group()
        if group is None or not isinstance(group, autoscaling_group.AutoScalingGroup):
            found = group.type() if group is not None else self.properties[self.GROUP]
            raise exception.StackValidationFailed(
                message=_('%(prop)s of %(name)s must be an OS::Heat::AutoScalingGroup of the '
                          'same template; it is %(found)s')
                % {'prop': self.GROUP, 'name': self.name, 'found': found}
            )  # fmt: skip
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
        if self.properties[self.HEALTH] is not None and self._health() is None:
            raise exception.StackValidationFailed(
                message=_('%(prop)s of %(name)s needs either "http" or "tcp"')
                % {'prop': self.HEALTH, 'name': self.name}
            )
        super().validate()

    # --- helpers -----------------------------------------------------------------------------

    def _group(self):
        return nested_stack.sibling(self, self.properties[self.GROUP])

    def _wanted_definition(self):
        return handoff_template.wanted_definition(self, self.RESOURCE, self._group().name)

    def _options(self):
        quiesce = model.Quiesce((self.properties[self.QUIESCE] or {}).get(self.SERVER_ACTION))
        fencing = model.Fencing(self.properties[self.FENCING])
        if fencing is model.Fencing.REQUIRED:
            quiesce = model.Quiesce.STOP
        timeout = float(self.properties[self.FENCING_TIMEOUT])
        return options.Options(
            model.Limits(
                cooldown=float(self.properties[self.COOLDOWN]),
                max_failovers=self.properties[self.MAX_FAILOVERS],
                period=float(self.properties[self.PERIOD]),
            ),
            quiesce,
            model.OnDeadHost(self.properties[self.ON_DEAD_HOST]),
            0.0 if fencing is model.Fencing.NONE else timeout,
            self._hook(self.QUIESCE),
            self._hook(self.ACTIVATE),
            self._health(),
            model.FailBack(self.properties[self.FAIL_BACK]),
            float(self.properties[self.KEEP_FAILED]) * 60,
        )

    def _health(self):
        found = self.properties[self.HEALTH] or {}
        given = [(k, found[k]) for k in self._HEALTH_KEYS if found.get(k) is not None]
        if len(given) != 1:
            return None
        ((kind, check),) = given
        return model.HealthCheck(
            check[self.PORT],
            check[self.PATH] if kind == self.HTTP else None,
            float(check[self.TIMEOUT]),
        )

    def _hook(self, prop):
        found = self.properties[prop] or {}
        if not found.get(self.CONFIG):
            return None
        return model.Hook(
            config=found[self.CONFIG],
            input_values=found[self.INPUT_VALUES] or {},
            timeout=float(found[self.TIMEOUT]),
            heartbeat=float(found[self.HEARTBEAT]),
            on_failure=model.OnFailure(found[self.ON_FAILURE]),
            signal_transport=found[self.SIGNAL_TRANSPORT] or '',
        )

    def _run_of_first(self):
        """The run of ``activate`` on an active that no failover chose; None without one."""
        wanted, found = self._hook(self.ACTIVATE), record.read(self)
        if wanted is None or found.active is None:
            return None
        return hook_runner.HookRun(
            self, clients.StackClients(self), wanted, f'activate-{found.epoch}',
            found.active.server,
        )  # fmt: skip

    def _is_activated(self, run):
        if run is None:
            return True
        try:
            told = run.step()
        except exceptions.CouldNotAsk as exc:
            LOG.info('%s', exc)
            return False
        except exceptions.Stopped as exc:
            raise exception.ResourceInError(
                resource_status='not activated', status_reason=str(exc)
            ) from exc
        if told is None:
            return False
        self._add_event(self.action, self.IN_PROGRESS, f'activate: {told}')
        return True

    def _choose_first(self):
        """The oldest healthy member and all members, asked of Heat and Nova now."""
        # Without the health check: what a standby is to answer with may not be started yet.
        observed = observation.observe(self._group(), clients.StackClients(self))
        return standbys.first_active(observed.candidates), observed

    def _warn_of_shared_host(self, candidates):
        text = standbys.shared_host_warning(candidates, record.read(self).active)
        if text is not None:
            self._add_event('CHECK', 'COMPLETE', text)

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

    # --- create and update -------------------------------------------------------------------

    def handle_create(self):
        self._create_user()
        record.write_definition(self, self._wanted_definition())
        active, observed = self._choose_first()
        candidates = observed.candidates
        if active is None:
            told = '; '.join(
                f'{c.member.name}: {standbys.limitation(c, None, ())}' for c in candidates
            )
            raise exception.ResourceInError(
                resource_status='no active member',
                status_reason=_('no member of the group is healthy (%s)')
                % (told or _('the group is empty')),
            )
        record.write(self, observed.on(model.Record(epoch=1, active=active)))
        self.create_with_template(self.child_template())
        return {'candidates': candidates, 'is_made': False, 'run': None}

    def check_create_complete(self, token):
        if not token['is_made']:
            if not super().check_create_complete(token):
                return False
            token['is_made'] = True
            self._warn_of_shared_host(token['candidates'])
            token['run'] = self._run_of_first()
        return self._is_activated(token['run'])

    def _needs_update(self, *args, **kwargs):
        # The nested stack decides for itself; a policy that was made is never replaced, since
        # a second one would attach what the first still holds.
        if self.resource_id is None:
            return super()._needs_update(*args, **kwargs)
        return True

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self.properties = json_snippet.properties(self.properties_schema, self.context)
        return {
            'lock': lease.Lock(self.context, self.resource_id),
            'is_updating': False,
            'is_made': False,
            'has_other_active': False,
            'run': None,
        }

    def check_update_complete(self, token):
        lock = token['lock']
        if token['is_updating']:
            try:
                done = self._is_updated(token)
            except BaseException:
                lock.release()
                raise
            if done:
                lock.release()
            return done
        try:
            lock.acquire()
        except lease.Busy:
            # A failover is running: the update comes after it.
            return False
        try:
            token['has_other_active'] = self._start_update()
        except BaseException:
            lock.release()
            raise
        token['is_updating'] = True
        return False

    def _is_updated(self, token):
        if not token['is_made']:
            if not super().check_update_complete():
                return False
            token['is_made'] = True
            if token['has_other_active']:
                token['run'] = self._run_of_first()
        return self._is_activated(token['run'])

    def _start_update(self):
        """Start the update of the nested stack; whether it gets another active."""
        found = record.read(self)
        if found.plan is not None and not found.plan.is_done:
            raise exception.ResourceInError(
                resource_status=found.state.value,
                status_reason=_('failover %(plan)s is not at its end (%(reason)s): send the '
                                'signal resume, then update again')
                % {'plan': found.plan.plan_id, 'reason': found.reason},
            )  # fmt: skip
        first, observed = self._choose_first()
        candidates = observed.candidates
        servers = {c.server.server for c in candidates if c.server is not None}
        is_left = found.active is None or found.active.server not in servers
        if is_left:
            # The update itself removed the active member, so the oldest healthy one follows.
            record.write(self, decide.with_active(found, first))
        record.write_definition(self, self._wanted_definition())
        self.update_with_template(self.child_template())
        self._warn_of_shared_host(candidates)
        return is_left

    def handle_create_cancel(self, token):
        # Without the lock, which a creation does not need; Heat's own would hand over to the next.
        super().handle_update_cancel(token)

    def handle_update_cancel(self, token):
        if token is not None:
            token['lock'].release()
        super().handle_update_cancel(token)

    # --- the other actions -------------------------------------------------------------------

    def _is_busy(self):
        return lease.is_held_by_living(self.context, self.resource_id)

    def _after_failover(self, token, start, check):
        """Wait until no failover runs, then start the nested stack's action and wait for it."""
        if not token['is_started']:
            if self._is_busy():
                return False
            start()
            token['is_started'] = True
            return False
        return check()

    def handle_check(self):
        return {'is_started': False}

    def check_check_complete(self, token):
        return self._after_failover(token, super().handle_check, super().check_check_complete)

    def handle_suspend(self):
        return {'is_started': False}

    def check_suspend_complete(self, token):
        def start():
            # Heat's two parents do not call one another: one disables the user that alarms
            # sign with, the other suspends the nested stack.
            signal_responder.SignalResponder.handle_suspend(self)
            stack_resource.StackResource.handle_suspend(self)

        return self._after_failover(token, start, super().check_suspend_complete)

    def handle_resume(self):
        signal_responder.SignalResponder.handle_resume(self)
        stack_resource.StackResource.handle_resume(self)

    def handle_delete(self):
        if self.resource_id is not None:
            # A running failover sees this before its next step and leaves off.
            self.data_set(controller.DELETING, 'true')
        return {'is_started': False}

    def check_delete_complete(self, token):
        def start():
            for run in self._runs():
                hook_stack.end(self, run)
            self._delete_signals()
            self._delete_user()
            self.delete_nested()

        nested_is_gone = super().check_delete_complete

        def is_done():
            # The runs of hooks act as this stack's user, who goes with the stack.
            return nested_is_gone() and all(hook_stack.is_gone(self, run) for run in self._runs())

        if self.resource_id is None:
            start()
            return True
        return self._after_failover(token, start, is_done)

    def _runs(self):
        found = record.read(self)
        runs = [hook_stack.name_of(self, f'activate-{found.epoch}')]
        return runs + (hook_runner.names(self, found.plan) if found.plan is not None else [])

    # --- signals -----------------------------------------------------------------------------

    def handle_signal(self, details=None):
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

    def fail_over(self, signal, chained):
        """Do what the signal asks for; also called by a ScalingPolicy in front of this one.

        :param chained: what that policy wants replaced afterwards, or None.
        :returns: what was done in words; Heat makes an event of it.
        :raises HaError: it was refused or stopped; an event says so.
        """
        try:
            if self.resource_id is None:
                raise exceptions.Refused('the policy is not created yet')
            with self.frozen_properties():
                failover = controller.FailoverController(self, self._group(), self._options())
                return failover.handle(
                    signal, chained, chained.policy_name if chained else self.name
                )
        except exceptions.Refused as exc:
            self._refused(exc)
            raise
        except exceptions.HaError as exc:
            LOG.warning('%s stopped: %s', self.name, exc)
            self._add_event(events.FAILOVER, events.FAILED, f'stopped: {exc}')
            raise

    def _refused(self, exc):
        LOG.info('%s refuses a signal: %s', self.name, exc)
        self._add_event('SIGNAL', 'FAILED', f'refused: {exc}')

    # --- attributes --------------------------------------------------------------------------

    def _shown(self):
        """What attributes show; of one moment for those that are asked for together."""
        if time.monotonic() - self._shown_at > TOGETHER:
            self._shown_data = resource_data.fresh(self)
            self._shown_at = time.monotonic()
        return self._shown_data

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        if name == self.ALARM_URL:
            return str(self._get_ec2_signed_url(never_expire=True))
        if name == self.SIGNAL_URL:
            return str(self._get_heat_signal_url())
        if name == self.HISTORY:
            return record.history_of(self._shown())
        if name == self.LAST_SECONDS:
            moved = [p['handoff_seconds'] for p in record.history_of(self._shown())]
            return moved[-1] if moved else None
        found = record.record_of(self._shown())
        if name == self.STANDBYS:
            return attributes.names_of_standbys(self._group(), found)
        return {
            self.ACTIVE: found.active and found.active.member,
            self.ACTIVE_SERVER: found.active and found.active.server,
            self.STATE: decide.state(found).value,
            self.EPOCH: found.epoch,
            self.REASON: f'{found.reason}. {found.remedy}' if found.reason else '',
            self.PLAN: attributes.graph_attribute(found),
        }[name]
