# SPDX-License-Identifier: Apache-2.0
"""Hand over volumes: Nova takes and gives them, Cinder shows where they are."""

from collections.abc import Collection, Iterable

from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.handoff import driver
from heat_ha.failover.rules import moves, volume_rules


class VolumeDriver(driver.Driver[cloud.Volume]):
    """Moves volumes of Cinder, one attachment at a time."""

    thing = model.ThingKind.VOLUME
    stand_ins = {'OS::Cinder::VolumeAttachment': 'OS::Heat::HandoffVolumeAttachment'}
    properties = ('volume_id', 'instance_uuid', 'mountpoint')
    looked_at_in = 'Cinder'
    asked_of = 'Nova'

    def __init__(self, services: clients.StackClients) -> None:
        self._nova = services.nova
        self._cinder = services.cinder

    def look(self, target: str) -> cloud.Volume:
        """Look at one volume."""
        return self._cinder.volume(target)

    def attached(
        self, targets: Collection[str], servers: Iterable[str]
    ) -> frozenset[tuple[str, str]] | None:
        """Which volumes the servers have, with one request a server."""
        return self._cinder.attached(servers)

    def release(self, target: str, old: str) -> driver.Sent:
        """Ask Nova to detach a volume."""
        return self._nova.detach(old, target)

    def acquire(self, target: str, new: str, detail: str | None) -> driver.Sent:
        """Ask Nova to attach a volume. :param detail: its device."""
        return self._nova.attach(new, target, detail)

    @staticmethod
    def next_release(seen: cloud.Volume, old: str | None, new: str | None) -> moves.Shown:
        """What a look leads to while the volume is taken from ``old``."""
        return volume_rules.next_for_detach(seen, old, new)

    @staticmethod
    def next_acquire(seen: cloud.Volume, old: str | None, new: str) -> moves.Move:
        """What a look leads to while the volume is given to ``new``."""
        return volume_rules.next_for_attach(seen, old, new)

    @staticmethod
    def holders(seen: cloud.Volume) -> frozenset[str] | None:
        """The servers that have the volume; None when Cinder did not answer."""
        return None if seen.status is cloud.VolumeStatus.COULD_NOT_ASK else frozenset(seen.servers)

    @staticmethod
    def is_under_way(seen: cloud.Volume) -> bool:
        """Whether a request for the volume is being carried out; Nova may take minutes for it."""
        return seen.status in volume_rules.UNDER_WAY

    @staticmethod
    def why_never_moved(seen: cloud.Volume) -> moves.Stop | None:
        """Why no policy may hand this volume over, or None."""
        return volume_rules.why_never_moved(seen)
