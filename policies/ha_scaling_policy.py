# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::ScalingPolicy for Heat's plugin loader."""

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

TYPE = 'OS::Heat::ScalingPolicy'


def available_resource_mapping():
    """Offer the type; where it cannot work, offer none, so that the engine starts."""
    try:
        from heat_ha.plugin import scaling_policy

        return {TYPE: scaling_policy.ScalingPolicy}
    except Exception:
        LOG.exception('%s is not available. Try: heat-ha-plugin-dirs --check', TYPE)
        return {}
