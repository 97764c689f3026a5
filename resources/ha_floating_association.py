# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::HandoffFloatingIPAssociation for Heat's plugin loader."""

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

TYPE = 'OS::Heat::HandoffFloatingIPAssociation'


def available_resource_mapping():
    """Offer the type; where it cannot work, offer none, so that the engine starts."""
    try:
        from heat_ha.plugin import floating_association

        return {TYPE: floating_association.HandoffFloatingIPAssociation}
    except Exception:
        LOG.exception('%s is not available. Try: heat-ha-plugin-dirs --check', TYPE)
        return {}
