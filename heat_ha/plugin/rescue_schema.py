# SPDX-License-Identifier: Apache-2.0
"""What can be written in a template about an OS::Heat::RescuePolicy, and read from it."""

from heat.common.i18n import _
from heat.engine import attributes, constraints, properties

from heat_ha.plugin import limits
from heat_ha.rescue import model
from heat_ha.rescue.rules import methods


class RescueSchema:
    """The names and schemas of the properties and attributes."""

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
                        constraints=[limits.Within(min=1, max=limits.DAY)],
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
                'holds further ones back until a person has looked: until an operator releases '
                'them, or you signal the policy with the action rescue. 0 sets no limit.'
            ),
            default=0,
            constraints=[constraints.Range(min=0)],
            update_allowed=True,
        ),
        PERIOD: properties.Schema(
            properties.Schema.NUMBER,
            _('Seconds over which max_rescues counts.'),
            default=3600,
            constraints=[limits.Within(min=1, max=limits.DAYS_30)],
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
