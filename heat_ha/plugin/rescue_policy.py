# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::RescuePolicy."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes, constraints, properties, resource, support
from heat.engine.resources import signal_responder
from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import lease, nested_stack, resource_data
from heat_ha.plugin import rescue_by_heat
from heat_ha.rescue import executor, model, record
from heat_ha.rescue import lease as rescue_lease
from heat_ha.rescue.adapters import heat_servers
from heat_ha.rescue.adapters import nova as rescue_nova
from heat_ha.rescue.rules import methods
from heat_ha.rescue.rules.methods import CarriedOutBy

LOG = logging.getLogger(__name__)


class RescuePolicy(signal_responder.SignalResponder):
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

    PROPERTIES = (
        SERVERS, METHODS, FAILOVER_POLICY, PRIORITY, VERIFY, MAX_RESCUES, PERIOD,
    ) = (
        'servers', 'methods', 'failover_policy', 'priority', 'verify', 'max_rescues', 'period',
    )  # fmt: skip

    _METHOD_KEYS = (METHOD, TIMEOUT, ATTEMPTS) = ('method', 'timeout', 'attempts')
    _VERIFY_KEYS = (VOLUMES, ADDRESSES, CONFIGURATION) = ('volumes', 'addresses', 'configuration')

    ATTRIBUTES = (
        STATE, RESCUES, HISTORY, LAST_SECONDS, ALARM_URL, SIGNAL_URL,
    ) = (
        'state', 'rescues', 'history', 'last_rescue_seconds', 'alarm_url', 'signal_url',
    )  # fmt: skip

    # prepare: log in, so that the rescue need not; the agent sends it to all engines.
    _ACTIONS = frozenset({'rescue', 'plan', 'prepare'})

    properties_schema = {
        SERVERS: properties.Schema(
            properties.Schema.LIST,
            _(
                'What is protected: references to servers, groups or nested stacks of the same '
                'template. Without it, every server of the stack is.'
            ),
            schema=properties.Schema(properties.Schema.STRING),
            default=[],
            update_allowed=True,
        ),
        METHODS: properties.Schema(
            properties.Schema.LIST,
            _('What is done for a server, tried in this order until one has done its work.'),
            schema=properties.Schema(
                properties.Schema.MAP,
                schema={
                    METHOD: properties.Schema(
                        properties.Schema.STRING,
                        methods.descriptions(),
                        required=True,
                        constraints=[constraints.AllowedValues([m.value for m in methods.TABLE])],
                    ),
                    TIMEOUT: properties.Schema(
                        properties.Schema.NUMBER,
                        _('Seconds that one attempt may take.'),
                        default=600,
                        constraints=[constraints.Range(min=1)],
                    ),
                    ATTEMPTS: properties.Schema(
                        properties.Schema.INTEGER,
                        _('How often the method is tried before the next one is.'),
                        default=1,
                        constraints=[constraints.Range(min=1, max=10)],
                    ),
                },
            ),
            default=[{METHOD: model.Method.EVACUATE.value}],
            constraints=[constraints.Length(min=1, max=10)],
            update_allowed=True,
        ),
        FAILOVER_POLICY: properties.Schema(
            properties.Schema.STRING,
            _(
                'The OS::Heat::FailoverPolicy, or the OS::Heat::ScalingPolicy in front of it, '
                'that the method failover signals.'
            ),
            update_allowed=True,
        ),
        PRIORITY: properties.Schema(
            properties.Schema.INTEGER,
            _('Policies with a higher number are signalled first.'),
            default=0,
            constraints=[constraints.Range(min=-100, max=100)],
            update_allowed=True,
        ),
        VERIFY: properties.Schema(
            properties.Schema.MAP,
            _('What must be as it was before a server counts as rescued in Nova.'),
            schema={
                VOLUMES: properties.Schema(
                    properties.Schema.BOOLEAN,
                    _('Whether its volumes must be attached.'),
                    default=True,
                ),
                ADDRESSES: properties.Schema(
                    properties.Schema.BOOLEAN,
                    _('Whether it must have its addresses.'),
                    default=True,
                ),
                CONFIGURATION: properties.Schema(
                    properties.Schema.BOOLEAN,
                    _(
                        'Whether its software deployments are applied again after evacuate and '
                        'rebuild, and must succeed within the timeout of the method. For '
                        'hypervisors whose disks die with them. Where servers are recreated, '
                        'Heat does it anyway.'
                    ),
                    default=False,
                ),
            },
            default={},
            update_allowed=True,
        ),
        MAX_RESCUES: properties.Schema(
            properties.Schema.INTEGER,
            _(
                'How many rescues of its servers may begin within the period before the agent '
                'holds further ones back for a person. 0 sets no limit.'
            ),
            default=0,
            constraints=[constraints.Range(min=0)],
            update_allowed=True,
        ),
        PERIOD: properties.Schema(
            properties.Schema.NUMBER,
            _('Seconds over which max_rescues counts.'),
            default=3600,
            constraints=[constraints.Range(min=1)],
            update_allowed=True,
        ),
    }

    attributes_schema = {
        STATE: attributes.Schema(
            _('ready, running, or failed when a server was not rescued.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        RESCUES: attributes.Schema(
            _('The last rescue of each server: method, state and reason.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        HISTORY: attributes.Schema(
            _('The rescues so far, oldest first, with their outcome and seconds.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        LAST_SECONDS: attributes.Schema(
            _('Seconds that the last rescue took.'),
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        ALARM_URL: attributes.Schema(
            _('A signed url that an alarm can post to without further credentials.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        SIGNAL_URL: attributes.Schema(
            _('A url to signal the policy with the native API, for alarms with trust+http.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    # --- validation --------------------------------------------------------------------------

    def validate(self):
        """Refuse what is not of this stack, and methods that cannot work."""
        super().validate()
        for ref in self.properties[self.SERVERS]:
            # What another resource will be is not known before it is made.
            if ref is not None and nested_stack.sibling(self, ref) is None:
                self._invalid(
                    _('%(prop)s names %(ref)s, which is not a resource of this stack: a policy '
                      'protects servers of its own stack only')
                    % {'prop': self.SERVERS, 'ref': ref}
                )  # fmt: skip
        chosen = [m[self.METHOD] for m in self.properties[self.METHODS]]
        if len(set(chosen)) < len(chosen):
            self._invalid(
                _('%(prop)s names a method twice; use %(attempts)s')
                % {'prop': self.METHODS, 'attempts': self.ATTEMPTS}
            )
        # What refers to another resource has no value before that is made.
        carried_out_by = [m and methods.of(model.Method(m)).carried_out_by for m in chosen]
        if CarriedOutBy.NOBODY in carried_out_by[:-1]:
            self._invalid(_('%s: what comes after none is never tried') % self.METHODS)
        policy_id = self.properties[self.FAILOVER_POLICY]
        is_written = self.properties.data.get(self.FAILOVER_POLICY) is not None
        if (CarriedOutBy.CHAINED_POLICY in carried_out_by) != is_written:
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
        wish = record.Wish(
            tops=self._tops(),
            priority=self.properties[self.PRIORITY],
            max_rescues=self.properties[self.MAX_RESCUES],
            period=float(self.properties[self.PERIOD]),
        )
        record.write_wish(self, wish)

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
        try:
            signal = signals.parse(details, self._ACTIONS)
            if signal.alarm_state is not signals.AlarmState.ALARM:
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
        if signal.action == 'prepare':
            nova.hosts()
            LOG.info('%s of stack %s: ready for a rescue', self.name, self.stack.name)
            raise resource.NoActionRequired(res_name=self.name, reason='it is prepared')
        # By the names on record: what the properties refer to is replaced by rescues.
        wish = record.wish_of(resource_data.fresh(self)[record.WISH])
        protected = heat_servers.of_stack(self, wish.tops)
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
        if signal.action == 'plan':
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
            return {p.name: _shown(p) for p in known.values()}
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
