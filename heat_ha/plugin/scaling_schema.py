# SPDX-License-Identifier: Apache-2.0
"""What can be written in a template about an OS::Heat::ScalingPolicy beyond Heat's own."""

from heat.common.i18n import _
from heat.engine import constraints, properties
from heat.engine.resources.openstack.heat import scaling_policy
from heat.scaling import scalingutil

from heat_ha import signals
from heat_ha.groups import model

REPLACE_OLDEST = 'replace_oldest'


class ScalingSchema:
    """The names and schemas of the properties."""

    PROPERTIES = (
        AUTO_SCALING_GROUP_NAME,
        SCALING_ADJUSTMENT,
        ADJUSTMENT_TYPE,
        COOLDOWN,
        MIN_ADJUSTMENT_STEP,
        AUTO_SCALING_POLICY,
        REPLACEMENT_ORDER,
        INSUFFICIENT_DATA,
    ) = (
        'auto_scaling_group_id',
        'scaling_adjustment',
        'adjustment_type',
        'cooldown',
        'min_adjustment_step',
        'auto_scaling_policy_id',
        'replacement_order',
        'insufficient_data',
    )

    properties_schema = {
        **scaling_policy.AutoScalingPolicy.properties_schema,
        AUTO_SCALING_GROUP_NAME: properties.Schema(
            properties.Schema.STRING,
            _(
                'The AutoScalingGroup to apply the policy to. Exactly one of this and '
                'auto_scaling_policy_id is needed.'
            ),
            # Heat's own policy is replaced, and with it the url that senders of alarms have.
            update_allowed=True,
        ),
        AUTO_SCALING_POLICY: properties.Schema(
            properties.Schema.STRING,
            _(
                'A FailoverPolicy of the same stack to go through first: it moves what it hands '
                'over to another member, then the old member is replaced. Only with the '
                'adjustment type replace_oldest. Exactly one of this and auto_scaling_group_id '
                'is needed.'
            ),
            update_allowed=True,
        ),
        SCALING_ADJUSTMENT: properties.Schema(
            properties.Schema.NUMBER,
            _(
                'The size of the adjustment. With replace_oldest: how many members each signal '
                'replaces, a whole number from 1 to the size of the group.'
            ),
            required=True,
            update_allowed=True,
        ),
        ADJUSTMENT_TYPE: properties.Schema(
            properties.Schema.STRING,
            _(
                'The type of the adjustment: of the capacity by a number of members, by percent '
                'or to an exact size, or replace_oldest, which replaces members and leaves the '
                'capacity as it is.'
            ),
            required=True,
            constraints=[
                constraints.AllowedValues(
                    [
                        scalingutil.CHANGE_IN_CAPACITY,
                        scalingutil.EXACT_CAPACITY,
                        scalingutil.PERCENT_CHANGE_IN_CAPACITY,
                        REPLACE_OLDEST,
                    ]
                ),
            ],
            update_allowed=True,
        ),
        COOLDOWN: properties.Schema(
            properties.Schema.NUMBER,
            _(
                'The cooldown period, in seconds: after a change of the group, signals are '
                "refused for so long. Without it the group's own cooldown holds."
            ),
            update_allowed=True,
        ),
        REPLACEMENT_ORDER: properties.Schema(
            properties.Schema.STRING,
            _(
                'What comes first when a member is replaced. With create_first the old member '
                'goes only when the new one is complete, and stays where that fails. '
                'delete_first is for members that hold something which exists only once. Both '
                "keep to the group's rolling_updates: at most max_batch_size members are "
                'replaced at a time, pause_time seconds lie between two batches, and '
                'delete_first leaves min_in_service members in service. Used with the '
                'adjustment type replace_oldest only.'
            ),
            constraints=[constraints.AllowedValues([o.value for o in model.Order])],
            default=model.Order.CREATE_FIRST.value,
            update_allowed=True,
        ),
        INSUFFICIENT_DATA: properties.Schema(
            properties.Schema.STRING,
            _(
                'Whether an alarm that has no data counts as an alarm, as when a server that died '
                'sends no samples any more. Without it, the FailoverPolicy that is gone through '
                'first decides, and with none an alarm without data is ignored. Used with the '
                'adjustment type replace_oldest only.'
            ),
            constraints=[constraints.AllowedValues([n.value for n in signals.NoData])],
            update_allowed=True,
        ),
    }
