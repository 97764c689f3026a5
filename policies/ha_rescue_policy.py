# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::RescuePolicy for Heat's plugin loader."""

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

TYPE = 'OS::Heat::RescuePolicy'


def available_resource_mapping():
    """Offer the type; where it cannot work, offer none, so that the engine starts."""
    try:
        from heat_ha.plugin import rescue_policy

        return {TYPE: rescue_policy.RescuePolicy}
    except Exception:
        LOG.exception('%s is not available. Try: heat-ha-plugin-dirs --check', TYPE)
        return {}
