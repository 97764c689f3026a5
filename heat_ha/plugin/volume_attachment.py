# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::HandoffVolumeAttachment, used below a FailoverPolicy only."""

import dataclasses
import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine import support
from heat.engine.resources.openstack.cinder import volume
from oslo_log import log as logging

from heat_ha.cloud import clients
from heat_ha.cloud.model import Reply, VolumeStatus
from heat_ha.failover.rules import moves, retry, volume_rules
from heat_ha.plugin import never_replaced

LOG = logging.getLogger(__name__)

# Seconds for one attachment: Nova itself tries for 160 s to take a volume from a guest.
LIMIT = 180.0

# What a volume may show while it is not known yet, or not over yet, that no server has it.
_UNCLEAR = frozenset({VolumeStatus.COULD_NOT_ASK, VolumeStatus.DETACHING})


class HandoffVolumeAttachment(never_replaced.NeverReplaced, volume.CinderVolumeAttachment):
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
            raise exception.StackValidationFailed(message=f'{why_not.reason}. {why_not.remedy}')

    def _why_never_moved(self):
        volume_id = self.properties[self.VOLUME_ID]
        if not volume_id:
            # A volume that the same stack makes: handle_create looks again.
            return None
        return volume_rules.why_never_moved(clients.StackClients(self).cinder.volume(volume_id))

    def handle_create(self):
        why_not = self._why_never_moved()
        if why_not is not None:
            raise _error(why_not.reason, why_not.remedy)
        # Before anything else can fail, so that a delete finds what may be attached; Nova's id of
        # an attachment is the volume's id.
        self.resource_id_set(self.properties[self.VOLUME_ID])
        return self._way_to(self.properties[self.INSTANCE_ID])

    def check_create_complete(self, way):
        return self._go_on(way)

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        if not set(prop_diff) <= {self.INSTANCE_ID}:
            # Another volume, or another device: as Heat does it.
            return super().handle_update(json_snippet, tmpl_diff, prop_diff)
        self.resource_id_set(self.properties[self.VOLUME_ID])
        return self._way_to(prop_diff.get(self.INSTANCE_ID, self.properties[self.INSTANCE_ID]))

    def check_update_complete(self, way):
        return self._go_on(way) if isinstance(way, _Way) else super().check_update_complete(way)

    def handle_delete(self):
        if self.resource_id is None or self.has_passed_on():
            return None
        return self._way_to(None)

    def check_delete_complete(self, way):
        return way is None or self._go_on(way)

    def _way_to(self, server):
        """:param server: the one that is to have the volume, None for nobody."""
        clouds = clients.StackClients(self)
        others = frozenset(self.values_of(self.INSTANCE_ID)) - {server}
        return _Way(clouds, others, server, time.monotonic() + LIMIT)

    def _go_on(self, way):
        """Look where the volume is and do at most one thing to bring it to the new server."""
        seen = way.clouds.cinder.volume(self.properties[self.VOLUME_ID])
        old = next(iter(seen.servers & way.others), None)
        if way.new is None and old is None and seen.status not in _UNCLEAR:
            # It is free, gone, or at a server that it was not given to by this.
            return True
        move = volume_rules.next_for_detach(seen, old, way.new)
        if isinstance(move, moves.Done) and way.new is not None:
            move = volume_rules.next_for_attach(seen, None, way.new)
        return self._do(way, old, move)

    def _do(self, way, old, move):
        if isinstance(move, moves.Done):
            return True
        told = getattr(move, 'reason', '')
        if isinstance(move, moves.Stop):
            raise _error(move.reason, move.remedy)
        if isinstance(move, moves.Request):
            reply, told = self._ask(way, old)
            if reply is Reply.REFUSED:
                way.first_refused = way.first_refused or time.monotonic()
                if time.monotonic() >= way.first_refused + retry.REFUSED_FOR:
                    raise _error(told, 'Mend what Nova names')
        if time.monotonic() > way.deadline:
            raise _error(f'not done within {LIMIT:.0f} s: {told}', 'Mend what was seen')
        return False

    def _ask(self, way, old):
        volume_id = self.properties[self.VOLUME_ID]
        if old is not None:
            LOG.info('volume %s is taken from %s', volume_id, old)
            return way.clouds.nova.detach(old, volume_id)
        LOG.info('volume %s is given to %s', volume_id, way.new)
        return way.clouds.nova.attach(way.new, volume_id, self.properties[self.DEVICE] or None)


@dataclasses.dataclass
class _Way:
    """From the servers that may have the volume to the one that is to have it."""

    clouds: clients.StackClients
    others: frozenset[str]
    new: str | None
    deadline: float
    first_refused: float = 0.0


def _error(reason, remedy):
    return exception.ResourceInError(
        resource_status='not as wanted', status_reason=f'{reason}. {remedy}'
    )
