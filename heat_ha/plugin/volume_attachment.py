# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::HandoffVolumeAttachment, used below a FailoverPolicy only."""

from heat.common import exception
from heat.common.i18n import _
from heat.engine import support
from heat.engine.resources.openstack.cinder import volume
from oslo_log import log as logging

from heat_ha.cloud import services
from heat_ha.failover import moves

LOG = logging.getLogger(__name__)


class HandoffVolumeAttachment(volume.CinderVolumeAttachment):
    """A volume attachment that takes one which is as wanted already for done.

    A FailoverPolicy moves volumes by Nova and Cinder directly, because Heat's task runner looks
    only once a second, and updates its nested stack afterwards. Heat's own attachment would
    then detach and attach once more. It stands in for `OS::Cinder::VolumeAttachment` below a
    FailoverPolicy and is not meant for templates.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Used by OS::Heat::FailoverPolicy of heat-ha.')
    )

    def validate(self):
        """Refuse a volume that can never be handed over, where it is known by then."""
        super().validate()
        why_not = self._why_never_moved()
        if why_not is not None:
            raise exception.StackValidationFailed(message=f'{why_not.reason}. {why_not.way_out}')

    def _why_never_moved(self):
        volume_id = self.properties[self.VOLUME_ID]
        if not volume_id:
            # A volume that the same stack makes: handle_create looks again.
            return None
        return moves.why_never_moved(services.StackServices(self).cinder.volume(volume_id))

    def _is_attached(self, volume_id, server_id):
        """Whether Cinder shows the volume in use on this server and on no other."""
        found = self.client().volumes.get(volume_id)
        servers = {a.get('server_id') for a in found.attachments}
        return found.status == 'in-use' and servers == {server_id}

    def handle_create(self):
        server_id = self.properties[self.INSTANCE_ID]
        volume_id = self.properties[self.VOLUME_ID]
        if self._is_attached(volume_id, server_id):
            # Nova's id of an attachment is the volume's id.
            self.resource_id_set(volume_id)
            return volume_id
        why_not = self._why_never_moved()
        if why_not is not None:
            raise exception.ResourceInError(
                resource_status='not attached',
                status_reason=f'{why_not.reason}. {why_not.way_out}',
            )
        return super().handle_create()

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        if set(prop_diff) == {self.INSTANCE_ID}:
            volume_id = self.properties[self.VOLUME_ID]
            if self._is_attached(volume_id, prop_diff[self.INSTANCE_ID]):
                LOG.info('volume %s is where %s wants it already', volume_id, self.name)
                return None, None
        return super().handle_update(json_snippet, tmpl_diff, prop_diff)
