# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::PortAttachment: a port that changes servers with its address."""

from heat.common.i18n import _
from heat.engine import constraints, properties, support
from oslo_log import log as logging

from heat_ha.plugin import given, never_replaced

LOG = logging.getLogger(__name__)


class PortAttachment(given.OwnProperties, never_replaced.NeverReplaced):
    """A Neutron port that is plugged into a server, as a volume attachment is for a volume.

    Heat itself can plug a port only as part of the server that has it. Below a FailoverPolicy a
    port of its own, with its fixed address and the floating address that points to it, goes to
    the new active. It is taken from the old server first, and given to the new one once Neutron
    shows it free: a port is never at two servers.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Provided by heat-ha, not part of Heat.')
    )

    default_client_name = 'nova'
    entity = None

    PROPERTIES = (SERVER, PORT) = ('server', 'port')

    properties_schema = {
        SERVER: properties.Schema(
            properties.Schema.STRING,
            _('The id of the server that has the port.'),
            required=True,
            update_allowed=True,
            constraints=[constraints.CustomConstraint('nova.server')],
        ),
        PORT: properties.Schema(
            properties.Schema.STRING,
            _('The id of the port; it is not deleted with this resource.'),
            required=True,
            constraints=[constraints.CustomConstraint('neutron.port')],
        ),
    }

    CONNECTS = (PORT, SERVER)

    def handle_create(self):
        # Before anything else can fail, so that a delete finds what may be plugged.
        self.resource_id_set(self.properties[self.PORT])
        return {'server': self.properties[self.SERVER], 'is_asked': False, 'is_alone': False}

    def check_create_complete(self, wanted):
        return self._is_at(wanted)

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        wanted = prop_diff.get(self.SERVER, self.properties[self.SERVER])
        return {'server': wanted, 'is_asked': False, 'is_alone': False}

    def check_update_complete(self, wanted):
        return self._is_at(wanted)

    def handle_delete(self):
        return {'is_asked': False}

    def check_delete_complete(self, wanted):
        if self.stands_for_nothing():
            return True
        current = self._server_with_port()
        if current not in self.values_of(self.SERVER):
            # It is free, gone, or at another server by now.
            return True
        self._ask_once(wanted, current)
        return False

    def _server_with_port(self):
        """The server that Neutron shows the port at; '' for a free port, None without a port."""
        with self.client_plugin('neutron').ignore_not_found:
            port = self.client('neutron').show_port(self.resource_id)['port']
            return port.get('device_id') or ''
        return None

    def is_astray(self):
        """Whether Neutron shows the port as free."""
        return self._server_with_port() == ''

    def _is_at(self, wanted):
        """Look where the port is and do at most one thing to bring it to the wanted server."""
        server = wanted['server']
        if not wanted['is_alone']:
            wanted['is_alone'], _holders = self.take_over()
            if not wanted['is_alone']:
                return False
        current = self._server_with_port()
        if current == server:
            return bool(self.client_plugin().check_interface_attach(server, self.resource_id))
        if current:
            self._ask_once(wanted, current)
            return False
        LOG.info('port %s is plugged into %s', self.resource_id, server)
        self.client_plugin().interface_attach(server, self.resource_id)
        return False

    def _ask_once(self, wanted, current):
        # A detach that Nova has accepted is not asked for again: a second one, late, could hit
        # the port when it is back at the same server.
        if not wanted['is_asked']:
            LOG.info('port %s is unplugged from %s', self.resource_id, current)
            self.client_plugin().interface_detach(current, self.resource_id)
            wanted['is_asked'] = True
