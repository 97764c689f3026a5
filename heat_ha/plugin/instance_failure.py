# SPDX-License-Identifier: Apache-2.0
"""Keep on record, for the agent, whether a FailoverPolicy wants its signal when a guest ends."""

from heat.engine import function

from heat_ha.cloud import resource_data
from heat_ha.failover import instance_failure


def put_on_record(policy):
    """Write, or take away, what ``failover.instance_failure`` describes."""
    wanted = policy.properties[policy.ON_INSTANCE_FAILURE]
    group = policy.group_if_known()
    if wanted == instance_failure.OnInstanceFailure.FAILOVER.value and group is not None:
        watched = instance_failure.Watched(group.name, in_front_of(policy))
        policy.data_set(instance_failure.INSTANCE_FAILURE, instance_failure.text_of(watched))
    elif instance_failure.INSTANCE_FAILURE in resource_data.fresh(policy):
        policy.data_delete(instance_failure.INSTANCE_FAILURE)


def in_front_of(policy):
    """The name of the ScalingPolicy that goes through this policy; '' for none.

    Of several, the first by name: each replaces what it is told has failed. It may not be made yet,
    so it is looked for by what its template refers to.
    """
    found = [one.name for one in policy.stack.values() if _goes_through(one, policy)]
    return min(found, default='')


def _goes_through(one, policy):
    prop = getattr(one, 'AUTO_SCALING_POLICY', None)
    if prop is None or prop not in one.properties_schema:
        return False
    written = one.properties.data.get(prop)
    return any(referred.name == policy.name for referred in function.dependencies(written))
