# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::HandoffFloatingIPAssociation, used below a FailoverPolicy only."""

from heat.common.i18n import _
from heat.engine import support
from heat.engine.resources.openstack.neutron import floatingip

from heat_ha.plugin import never_replaced


class HandoffFloatingIPAssociation(never_replaced.NeverReplaced, floatingip.FloatingIPAssociation):
    """A floating address's association that is mended where it is.

    Heat's own is replaced once it failed: the new one associates the address, and the deletion
    of the old one takes it away again. This one stands in for it below a FailoverPolicy and is
    not meant for templates.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Used by OS::Heat::FailoverPolicy of heat-ha.')
    )

    CONNECTS = ('floatingip_id', 'port_id')

    def handle_create(self):
        pass

    def check_create_complete(self, _token):
        # Not before: what disassociates it now has to be over.
        is_alone, _holders = self.take_over()
        if not is_alone:
            return False
        super().handle_create()
        self.resource_id_set(self.properties[self.FLOATINGIP_ID])
        return True

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        # After a failure there may be nothing that differs, and the address still not be there.
        wanted = prop_diff or {self.PORT_ID: self.properties[self.PORT_ID]}
        super().handle_update(json_snippet, tmpl_diff, wanted)
        floating = prop_diff.get(self.FLOATINGIP_ID) or self.properties[self.FLOATINGIP_ID]
        self.resource_id_set(floating)

    def handle_delete(self):
        if not self.stands_for_nothing():
            super().handle_delete()
