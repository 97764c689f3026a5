# SPDX-License-Identifier: Apache-2.0
"""What can be written in a template about an OS::Heat::FailoverPolicy."""

from heat.common.i18n import _
from heat.engine import constraints, properties

from heat_ha import signals
from heat_ha.failover import instance_failure, model
from heat_ha.failover.rules import hook
from heat_ha.plugin import limits


def _hook_limits(timeout):
    return {
        'timeout': properties.Schema(
            properties.Schema.NUMBER,
            _('Seconds that it may take. With NO_SIGNAL it always takes this long.'),
            default=timeout,
            constraints=[limits.Within(min=0, max=limits.DAY)],
            update_allowed=True,
        ),
        'heartbeat': properties.Schema(
            properties.Schema.NUMBER,
            _(
                'Seconds of silence after which it counts as dead before its timeout, for one '
                'that may take long. It then gets the input heartbeat_url, to which it PUTs {} '
                "as to a wait condition. Give it more than the interval at which the servers' "
                'agents ask for their work. 0 expects nothing.'
            ),
            default=0,
            constraints=[limits.Within(min=0, max=limits.DAY)],
            update_allowed=True,
        ),
    }


def _hook_schema(timeout, on_failure):
    """The properties of a hook; its keys are the constants of FailoverSchema."""
    return _hook_limits(timeout) | {
        'config': properties.Schema(
            properties.Schema.STRING,
            _('The id of the software config that is run, usually an OS::Heat::SoftwareConfig.'),
            update_allowed=True,
        ),
        'input_values': properties.Schema(
            properties.Schema.MAP,
            _(
                'The values of its inputs. %active% in them is the id of the server that it runs '
                'on, and %active.PATH% an attribute of its member. What refers to a group is as it '
                'is when the config runs.'
            ),
            default={},
            update_allowed=True,
        ),
        'on_failure': properties.Schema(
            properties.Schema.STRING,
            _(
                'Whether the failover goes on or stops when it fails, does not answer in time, '
                'or nothing can run on the server.'
            ),
            default=on_failure.value,
            constraints=[constraints.AllowedValues([o.value for o in model.OnFailure])],
            update_allowed=True,
        ),
        'signal_transport': properties.Schema(
            properties.Schema.STRING,
            _(
                'How the server answers, as in an OS::Heat::SoftwareDeployment. NO_SIGNAL wants '
                "no answer; without the property it is Heat's default."
            ),
            constraints=[
                constraints.AllowedValues(
                    [
                        'CFN_SIGNAL', 'TEMP_URL_SIGNAL', 'HEAT_SIGNAL', hook.NO_SIGNAL,
                        'ZAQAR_SIGNAL',
                    ]
                ),
            ],
            update_allowed=True,
        ),
    }  # fmt: skip


def _check_schema():
    return {
        'port': properties.Schema(
            properties.Schema.INTEGER,
            _('The port that is asked.'),
            required=True,
            constraints=[constraints.Range(min=1, max=65535)],
            update_allowed=True,
        ),
        'timeout': properties.Schema(
            properties.Schema.NUMBER,
            _('Seconds that the answer may take; a failover may take longer by as much.'),
            default=2,
            constraints=[limits.Within(min=0.1, max=30)],
            update_allowed=True,
        ),
    }


class FailoverSchema:
    """The names and schemas of the properties."""

    PROPERTIES = (
        GROUP, RESOURCE, COOLDOWN, MAX_FAILOVERS, PERIOD, QUIESCE, FENCING, FENCING_TIMEOUT,
        ON_DEAD_HOST, ACTIVATE, HEALTH, FAIL_BACK, KEEP_FAILED, INSUFFICIENT_DATA,
        ON_INSTANCE_FAILURE,
    ) = (
        'auto_scaling_group_id', 'resource', 'cooldown', 'max_failovers', 'period', 'quiesce',
        'fencing', 'fencing_timeout', 'on_dead_host', 'activate', 'health', 'fail_back',
        'keep_failed', 'insufficient_data', 'on_instance_failure',
    )  # fmt: skip

    _HOOK_KEYS = (CONFIG, INPUT_VALUES, TIMEOUT, HEARTBEAT, ON_FAILURE, SIGNAL_TRANSPORT) = (
        'config', 'input_values', 'timeout', 'heartbeat', 'on_failure', 'signal_transport',
    )  # fmt: skip

    _HEALTH_KEYS = (HTTP, TCP) = ('http', 'tcp')
    _CHECK_KEYS = (PORT, PATH) = ('port', 'path')

    _QUIESCE_KEYS = (SERVER_ACTION,) = ('server_action',)

    properties_schema = {
        GROUP: properties.Schema(
            properties.Schema.STRING,
            _(
                'The OS::Heat::AutoScalingGroup of the same template whose members stand in for '
                'one another.'
            ),
            required=True,
            update_allowed=True,
        ),
        RESOURCE: properties.Schema(
            properties.Schema.MAP,
            _(
                'What is handed over: the definition of a resource in HOT format, usually an '
                'OS::Cinder::VolumeAttachment or a provider template with several of them. Where '
                'the server of the active member belongs, write %active% or a reference to a '
                'member of the group, such as {get_attr: [group, refs, 1]}; whichever member it '
                'names, it stands for the one that is active now.'
            ),
            required=True,
            update_allowed=True,
        ),
        COOLDOWN: properties.Schema(
            properties.Schema.NUMBER,
            _(
                'Seconds after the start of a failover in which alarms are refused, 0 for none. A '
                'switchover that a person asks for is not held back. Without it only an alarm that '
                'repeats itself is held back, while the active looks well.'
            ),
            constraints=[limits.Within(min=0, max=limits.DAYS_30)],
            update_allowed=True,
        ),
        MAX_FAILOVERS: properties.Schema(
            properties.Schema.INTEGER,
            _(
                'How many failovers there may be within the period before further alarms are '
                'refused, because a group that flaps needs a person. 0 sets no limit.'
            ),
            default=0,
            constraints=[constraints.Range(min=0)],
            update_allowed=True,
        ),
        PERIOD: properties.Schema(
            properties.Schema.NUMBER,
            _('Seconds over which max_failovers counts.'),
            default=3600,
            constraints=[limits.Within(min=1, max=limits.DAYS_30)],
            update_allowed=True,
        ),
        QUIESCE: properties.Schema(
            properties.Schema.MAP,
            _('What is done to the old active before anything is taken from it.'),
            schema=_hook_schema(60, model.OnFailure.CONTINUE)
            | {
                SERVER_ACTION: properties.Schema(
                    properties.Schema.STRING,
                    _(
                        'none leaves the server running while its volumes are detached; stop '
                        'shuts it off first, after the config, so that its file systems are '
                        'unmounted.'
                    ),
                    default=model.Quiesce.NONE.value,
                    constraints=[
                        constraints.AllowedValues([q.value for q in model.Quiesce]),
                    ],
                ),
            },
            default={},
            update_allowed=True,
        ),
        ACTIVATE: properties.Schema(
            properties.Schema.MAP,
            _(
                'What is run on the new active once it has what is handed over, and on the first '
                'active when the stack is created.'
            ),
            schema=_hook_schema(300, model.OnFailure.STOP),
            default={},
            update_allowed=True,
        ),
        HEALTH: properties.Schema(
            properties.Schema.MAP,
            _(
                'How a standby shows, beside what Nova says of it, that it may take over: by an '
                'answer to http or tcp at its own address. A standby that says no is never '
                'chosen; one that could not be asked comes after all that said yes.'
            ),
            schema={
                HTTP: properties.Schema(
                    properties.Schema.MAP,
                    _('A GET request; a status from 200 to 399 shows a server that is well.'),
                    schema=_check_schema()
                    | {
                        PATH: properties.Schema(
                            properties.Schema.STRING,
                            _('The path that is asked for.'),
                            default='/',
                            constraints=[constraints.AllowedPattern('/[!-~]*')],
                            update_allowed=True,
                        ),
                    },
                    update_allowed=True,
                ),
                TCP: properties.Schema(
                    properties.Schema.MAP,
                    _('A connection; a server that accepts it is well.'),
                    schema=_check_schema(),
                    update_allowed=True,
                ),
            },
            update_allowed=True,
        ),
        FAIL_BACK: properties.Schema(
            properties.Schema.STRING,
            _(
                'Whether the signal fail_back may make the former active member the active one '
                'again. It never happens by itself.'
            ),
            default=model.FailBack.MANUAL.value,
            constraints=[constraints.AllowedValues([f.value for f in model.FailBack])],
            update_allowed=True,
        ),
        KEEP_FAILED: properties.Schema(
            properties.Schema.NUMBER,
            _(
                'Minutes for which a member that is replaced because it was sick stays in the '
                'group, shut off and without what was handed over, for a look at it. It goes '
                'with the first signal afterwards, with the next member that is kept, or with '
                'an update that sets the size of the group. On a dead host nothing is kept.'
            ),
            default=0,
            constraints=[limits.Within(min=0, max=limits.DAYS_30 // 60)],
            update_allowed=True,
        ),
        INSUFFICIENT_DATA: properties.Schema(
            properties.Schema.STRING,
            _(
                'Whether an alarm that has no data counts as an alarm, as when a server that died '
                'sends no samples any more. What is ignored is an event.'
            ),
            default=signals.NoData.IGNORE.value,
            constraints=[constraints.AllowedValues([n.value for n in signals.NoData])],
            update_allowed=True,
        ),
        ON_INSTANCE_FAILURE: properties.Schema(
            properties.Schema.STRING,
            _(
                'What follows when Nova reports that the guest of a member has ended and nobody '
                'had asked for that. none: an alarm has to signal the policy. failover: '
                'heat-ha-agent signals the policy itself, or the ScalingPolicy in front of it, '
                'beside any alarm. It needs the agent of the operator, with its source '
                'nova_notifications.'
            ),
            default=instance_failure.OnInstanceFailure.NONE.value,
            constraints=[
                constraints.AllowedValues([o.value for o in instance_failure.OnInstanceFailure])
            ],
            update_allowed=True,
        ),
        FENCING: properties.Schema(
            properties.Schema.STRING,
            _(
                'Which proof is needed that the old active no longer writes. required: its '
                'server must be seen shut off, or gone from a host that is up, or its host '
                'confirmed down, before any volume is taken. confirmed_by_nova: a volume that is '
                'seen as detached is enough; where its host does not answer, Nova must show the '
                'host as forced down, also for a volume that is free or a server that was '
                'deleted. storage: as confirmed_by_nova, and while the host does not answer '
                'heat-ha-agent has the storage shut the old active out from all of its volumes, '
                'which counts as well; the other servers of the host go on. none: as '
                'confirmed_by_nova, but a failover stops at once instead of '
                'waiting for a host to be fenced.'
            ),
            default=model.Fencing.CONFIRMED_BY_NOVA.value,
            constraints=[constraints.AllowedValues([f.value for f in model.Fencing])],
            update_allowed=True,
        ),
        FENCING_TIMEOUT: properties.Schema(
            properties.Schema.NUMBER,
            _(
                'Seconds that a failover waits for the host of the old active to be fenced '
                'before it stops. A later signal takes it up again.'
            ),
            default=300,
            constraints=[limits.Within(min=0, max=limits.DAY)],
            update_allowed=True,
        ),
        ON_DEAD_HOST: properties.Schema(
            properties.Schema.STRING,
            _(
                'How what the server on a confirmed-dead host still holds is freed. '
                'delete_server deletes it, where the old active is replaced anyway; in all '
                'other cases, and with wait, the failover waits until a person has evacuated '
                'or deleted it.'
            ),
            default=model.OnDeadHost.DELETE_SERVER.value,
            constraints=[constraints.AllowedValues([o.value for o in model.OnDeadHost])],
            update_allowed=True,
        ),
    }
