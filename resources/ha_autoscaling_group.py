# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::AutoScalingGroup for Heat's plugin loader."""

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

TYPE = 'OS::Heat::AutoScalingGroup'


def available_resource_mapping():
    """Offer the type; where it cannot work, offer none, so that the engine starts."""
    try:
        from heat_ha.plugin import autoscaling_group

        return {TYPE: autoscaling_group.AutoScalingGroup}
    except Exception:
        LOG.exception('%s is not available. Try: heat-ha-plugin-dirs --check', TYPE)
        return {}
