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
from heat_ha.cloud.model import Reply, ServerStatus, VolumeStatus
from heat_ha.failover import former_holders
from heat_ha.failover.handoff import volume as handoff_volume
from heat_ha.failover.rules import moves, retry
from heat_ha.plugin import never_replaced, predecessors

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

    CONNECTS = ('volume_id', 'instance_uuid')

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
        driver = handoff_volume.VolumeDriver(self._services())
        return driver.why_never_moved(driver.look(volume_id))

    def _services(self):
        return clients.StackClients(self)

    def handle_create(self):
        why_not = self._why_never_moved()
        if why_not is not None:
            raise _error(why_not.reason, why_not.remedy)
        # Before anything else can fail, so that a delete finds what may be attached; Nova's id of
        # an attachment is the volume's id.
        self.resource_id_set(self.properties[self.VOLUME_ID])
        return [self._handoff_to(self.properties[self.INSTANCE_ID])]

    def check_create_complete(self, handoffs):
        return self._carry_out(handoffs)

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        if not set(prop_diff) <= {self.INSTANCE_ID} and predecessors.is_stack_at_work(self):
            # Another volume, or another device: as Heat does it.
            return super().handle_update(json_snippet, tmpl_diff, prop_diff)
        # A failover has attached whatever the template names by now.
        given = self._handoff_to(prop_diff.get(self.INSTANCE_ID, self.properties[self.INSTANCE_ID]))
        given.volume = prop_diff.get(self.VOLUME_ID, given.volume)
        given.device = prop_diff.get(self.DEVICE, given.device)
        return [*self._releases(given.volume), given]

    def check_update_complete(self, handoffs):
        if not isinstance(handoffs, list):
            return super().check_update_complete(handoffs)
        return self._carry_out(handoffs)

    def handle_delete(self):
        return [] if self.stands_for_nothing() else self._releases(None)

    def check_delete_complete(self, handoffs):
        return self._carry_out(handoffs)

    def _releases(self, wanted):
        """What lets go of each volume that the resource may have, but for the wanted one.

        After an update to another volume that failed that may be either.
        """
        volumes = self.values_of(self.VOLUME_ID) | {self.resource_id}
        found = []
        for volume_id in sorted(volumes - {wanted, None}):
            release = self._handoff_to(None)
            release.volume = volume_id
            found.append(release)
        return found

    def _carry_out(self, handoffs):
        """Go on with the first that is not done. :returns: whether all are."""
        while handoffs:
            first = handoffs[0]
            first.deadline = first.deadline or time.monotonic() + LIMIT
            if first.new is not None and self.resource_id != first.volume:
                # Before it is attached, so that a delete finds it.
                self.resource_id_set(first.volume)
            if not self._advance(first):
                return False
            handoffs.pop(0)
        return True

    def _handoff_to(self, server):
        """:param server: the one that is to have the volume, None for nobody."""
        others = frozenset(self.values_of(self.INSTANCE_ID))
        if server is not None:
            # What is to be free may stay with whom it was left.
            others = (others | self.left_with()) - {server}
        services = self._services()
        return _Handoff(
            handoff_volume.VolumeDriver(services),
            former_holders.FormerHolders(services),
            others,
            server,
            self.properties[self.VOLUME_ID],
            self.properties[self.DEVICE],
            # What is to be free is not taken over from anybody.
            is_alone=server is None,
        )

    def is_astray(self):
        """Whether Cinder shows the volume as free, and its server is there to have it."""
        services, server = self._services(), self.properties[self.INSTANCE_ID]
        seen = handoff_volume.VolumeDriver(services).look(self.properties[self.VOLUME_ID])
        if seen.status is not VolumeStatus.AVAILABLE or seen.servers:
            return False
        return services.nova.server(server).status in (ServerStatus.ACTIVE, ServerStatus.SHUTOFF)

    def _advance(self, handoff):
        """Look where the volume is and do at most one thing to bring it to the new server."""
        if not handoff.is_alone:
            handoff.is_alone, holders = self.take_over()
            handoff.others |= holders - {handoff.new}
            if not handoff.is_alone:
                return self._wait(handoff, 'another resource that attaches it is being changed')
        seen = handoff.driver.look(handoff.volume)
        old = next(iter(seen.servers & handoff.others), None)
        if handoff.new is None and old is None and seen.status not in _UNCLEAR:
            # It is free, gone, or at a server that it was not given to by this.
            return True
        move = handoff.former_holders.settled(
            handoff.driver.next_release(seen, old, handoff.new), handoff.others
        )
        if isinstance(move, moves.Done) and handoff.new is not None:
            move = handoff.driver.next_acquire(seen, None, handoff.new)
        return self._do(handoff, old, move)

    def _do(self, handoff, old, move):
        """Do what the look led to; returns whether the volume is where it is to be."""
        if isinstance(move, moves.Done):
            return True
        reason = getattr(move, 'reason', '')
        if isinstance(move, moves.Stop):
            raise _error(reason, move.remedy)
        if isinstance(move, moves.Request):
            reply, reason = self._send(handoff, old)
            if reply is Reply.REFUSED:
                handoff.first_refused = handoff.first_refused or time.monotonic()
                if time.monotonic() >= handoff.first_refused + retry.REFUSED_FOR:
                    raise _error(reason, 'Mend what Nova names')
        return self._wait(handoff, reason, getattr(move, 'remedy', 'Mend what was seen'))

    def _wait(self, handoff, reason, remedy='Mend what was seen'):
        if handoff.deadline and time.monotonic() > handoff.deadline:
            raise _error(f'not done within {LIMIT:.0f} s: {reason}', remedy)
        return False

    def _send(self, handoff, old):
        volume_id = handoff.volume
        if old is not None:
            LOG.info('volume %s is taken from %s', volume_id, old)
            reply, reason = handoff.driver.release(volume_id, old)
            if reply is Reply.ACCEPTED:
                handoff.former_holders.vouch(old)
            return reply, reason
        LOG.info('volume %s is given to %s', volume_id, handoff.new)
        return handoff.driver.acquire(volume_id, handoff.new, handoff.device or None)


@dataclasses.dataclass
class _Handoff:
    """A volume, from the servers that may have it to the one that is to have it."""

    driver: handoff_volume.VolumeDriver
    former_holders: former_holders.FormerHolders
    others: frozenset[str]
    new: str | None
    volume: str
    device: str | None
    # Of the monotonic clock, from its first look on.
    deadline: float = 0.0
    is_alone: bool = True
    first_refused: float = 0.0


def _error(reason, remedy):
    return exception.ResourceInError(
        resource_status='not as wanted', status_reason=f'{reason}. {remedy}'
    )
