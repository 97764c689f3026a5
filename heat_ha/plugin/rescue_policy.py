# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::RescuePolicy."""

import operator

from heat.common import exception
from heat.common.i18n import _
from heat.engine import resource, support
from heat.engine.resources import signal_responder
from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import heat_threads, lease, nested_stack, resource_data
from heat_ha.cloud.model import HostState
from heat_ha.plugin import given, rescue_by_heat, rescue_schema
from heat_ha.rescue import executor, model, record
from heat_ha.rescue import lease as rescue_lease
from heat_ha.rescue.adapters import agent_record, heat_servers
from heat_ha.rescue.adapters import nova as rescue_nova
from heat_ha.rescue.rules import held_back, methods
from heat_ha.rescue.rules.methods import CarriedOutBy

LOG = logging.getLogger(__name__)


class RescuePolicy(
    given.OwnProperties, rescue_schema.RescueSchema, signal_responder.SignalResponder
):
    """A resource that says how servers of the stack are brought back when their host dies.

    `heat-ha-agent` signals it after it has fenced a host. The policy believes no signal: it
    asks Nova itself, with heat-ha's own credential, which of its servers are on a host that is
    confirmed down (`forced_down`), and does nothing about any other. A signal that names a
    server, as an alarm does, is also about a server that is stopped or in error on a host that
    is up.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Provided by heat-ha, not part of Heat.')
    )

    # --- validation --------------------------------------------------------------------------

    def validate(self):
        """Refuse what is not of this stack, and methods that cannot work."""
        super().validate()
        # What another resource will be is not known before it is made, and not in the list.
        for ref in self.properties[self.SERVERS]:
            if nested_stack.sibling(self, ref) is None:
                self._invalid(
                    _('%(prop)s names %(ref)s, which is not a resource of this stack: a policy '
                      'protects servers of its own stack only')
                    % {'prop': self.SERVERS, 'ref': ref}
                )  # fmt: skip
        chosen = [m[self.METHOD] for m in self.properties[self.METHODS]]
        named = [method for method in chosen if method is not None]
        if len(set(named)) < len(named):
            self._invalid(
                _('%(prop)s names a method twice; use %(attempts)s')
                % {'prop': self.METHODS, 'attempts': self.ATTEMPTS}
            )
        # What refers to another resource has no value before that is made.
        carried_out_by = [m and methods.of(model.Method(m)).carried_out_by for m in chosen]
        if CarriedOutBy.NOBODY in carried_out_by[:-1]:
            self._invalid(_('%s: what comes after none is never tried') % self.METHODS)
        policy_id = self.properties[self.FAILOVER_POLICY]
        is_given = given.is_given(self, self.FAILOVER_POLICY)
        if (CarriedOutBy.CHAINED_POLICY in carried_out_by) != is_given:
            self._invalid(
                _('%(prop)s and the method failover go together') % {'prop': self.FAILOVER_POLICY}
            )
        if policy_id is not None:
            target = nested_stack.sibling(self, policy_id)
            if target is not None and not rescue_by_heat.can_fail_over(target):
                self._invalid(
                    _('%(prop)s names %(name)s, which is an %(type)s and neither an '
                      'OS::Heat::FailoverPolicy nor an OS::Heat::ScalingPolicy in front of one')
                    % {'prop': self.FAILOVER_POLICY, 'name': target.name, 'type': target.type()}
                )  # fmt: skip

    def _invalid(self, message):
        raise exception.StackValidationFailed(message=f'{self.name}: {message}')

    # --- create, update, delete --------------------------------------------------------------

    def handle_create(self):
        super().handle_create()
        self.resource_id_set(self._get_user_id())
        self._write_wish()

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self.properties = json_snippet.properties(self.properties_schema, self.context)
        self._write_wish()

    def _write_wish(self):
        protection = record.Protection(
            tops=self._tops(),
            priority=self.properties[self.PRIORITY],
            max_rescues=self.properties[self.MAX_RESCUES],
            period=float(self.properties[self.PERIOD]),
        )
        record.write_protection(self, protection)

    def _tops(self):
        found = []
        for ref in self.properties[self.SERVERS]:
            top = nested_stack.sibling(self, ref)
            if top is None:
                raise exception.ResourceInError(
                    resource_status='invalid',
                    status_reason=_('%(prop)s names %(ref)s, which is not a resource of this stack')
                    % {'prop': self.SERVERS, 'ref': ref},
                )
            found.append(top.name)
        return tuple(found)

    # --- signals -----------------------------------------------------------------------------

    def handle_signal(self, details=None):
        heat_threads.forget_finished(self.stack.id)
        try:
            signal = signals.parse(details, model.Action)
            if signal.is_all_clear:
                raise resource.NoActionRequired(
                    res_name=self.name, reason=f'the alarm says {signal.alarm_state.value}'
                )
            with self.frozen_properties():
                return self._rescue(signal)
        except lease.Busy as exc:
            LOG.info('%s: a signal joins the rescue that is running: %s', self.name, exc)
            raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc
        except exceptions.HaError as exc:
            LOG.info('%s refuses a signal: %s', self.name, exc)
            self._add_event('SIGNAL', 'FAILED', f'refused: {exc}'[:255])
            raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc

    def _rescue(self, signal):
        nova = rescue_nova.RescueNova(self)
        nova.begin_to_look()
        if signal.action is model.Action.PREPARE:
            nova.hosts()
            LOG.info('%s of stack %s: ready for a rescue', self.name, self.stack.name)
            raise resource.NoActionRequired(res_name=self.name, reason='it is prepared')
        # By the names on record: what the properties refer to is replaced by rescues.
        protection = record.protection_of(resource_data.fresh(self)[record.PROTECTION])
        protected = heat_servers.of_stack(self, protection.tops)
        chosen = protected
        if signal.member is not None:
            chosen = tuple(p for p in protected if signal.member in (p.server, p.name, p.member))
            if not chosen:
                raise exceptions.Refused(
                    f'{signals.shown(signal.member)} is not protected by this policy',
                    'Name a server of ' + ', '.join(p.name for p in protected[:5]),
                )
        rescue = executor.Rescue(
            self,
            nova,
            rescue_by_heat.ByHeat(self, self._emit),
            self._options(),
            self._emit,
        )
        found, others = rescue.affected(chosen, signal.member)
        found, held = self._without_held_back(found, signal)
        others = held + others
        if signal.action is model.Action.PLAN:
            names = ', '.join(one.name for one, _seen in found) or 'nothing'
            text = f'plan: {names} would be rescued; others: {"; ".join(others) or "none"}'
            self._emit('COMPLETE', text)
            return signals.shorten(text)
        unfinished = [p for p in record.read(self).values() if not p.state.is_final]
        if not found and not unfinished:
            raise exceptions.Refused(
                'none of its servers is on a host that Nova shows as confirmed down ('
                + '; '.join(others)[:150] + ')'
            )  # fmt: skip
        with rescue_lease.Lease(self) as held:
            return signals.shorten(rescue.run(found, protected, held))

    def _without_held_back(self, found, signal):
        """What the agent's storm guard does not hold back, and why it holds the rest back (S6)."""
        dead = [one.server for one, seen in found if seen.host.state is HostState.CONFIRMED_DOWN]
        reasons = agent_record.held_of(self.id) if dead else {}
        is_asked_for = signal.action is model.Action.RESCUE
        why = {
            server: held_back.why_refused(reasons[server], is_asked_for)
            for server in dead
            if server in reasons
        }
        left = [(one, seen) for one, seen in found if not why.get(one.server)]
        held = [f'{one.name}: {why[one.server]}' for one, _seen in found if why.get(one.server)]
        if held and not left and signal.action is not model.Action.PLAN:
            raise exceptions.Refused('; '.join(held))
        return left, held

    def _options(self):
        verify = self.properties[self.VERIFY] or {}
        return executor.Options(
            rules=tuple(
                model.Rule(
                    model.Method(m[self.METHOD]), float(m[self.TIMEOUT]), int(m[self.ATTEMPTS])
                )
                for m in self.properties[self.METHODS]
            ),
            verify=model.Verify(
                volumes=verify.get(self.VOLUMES) is not False,
                addresses=verify.get(self.ADDRESSES) is not False,
                configuration=verify.get(self.CONFIGURATION) is True,
            ),
        )

    def _emit(self, status, text):
        LOG.info('%s of stack %s: %s', self.name, self.stack.name, text)
        self._add_event('RESCUE', status, signals.shorten(text))

    # --- attributes --------------------------------------------------------------------------

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        if name == self.ALARM_URL:
            return str(self._get_ec2_signed_url(never_expire=True))
        if name == self.SIGNAL_URL:
            return str(self._get_heat_signal_url())
        history = record.read_history(self)
        if name == self.HISTORY:
            return history
        if name == self.LAST_SECONDS:
            return history[-1]['seconds'] if history else None
        known = record.read(self)
        if name == self.RESCUES:
            # Of several servers that had a place one after the other, the last.
            in_turn = sorted(known.values(), key=operator.attrgetter('began'))
            return {p.name: _shown(p) for p in in_turn}
        states = {p.state for p in known.values()}
        if not all(s.is_final for s in states):
            return 'running'
        return 'failed' if model.State.FAILED in states else 'ready'


def _shown(progress):
    return {
        'server': progress.server,
        'state': progress.state.value,
        'method': progress.method.value if progress.method else '',
        'reason': progress.reason,
    }
