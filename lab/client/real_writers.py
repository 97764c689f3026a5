# SPDX-License-Identifier: Apache-2.0
"""Guests that write to a volume of their own, without any stack."""

from typing import Any

from lab.client import real_hosts, waiting
from lab.real.checker import __main__ as checker
from lab.real.checker import images, report

# Records of a guest before anything is done to it.
ENOUGH = 20


class Writer:
    """A guest on a host, with a volume that it writes to."""

    def __init__(self, admin: Any, host: str) -> None:
        self.admin, self.host = admin, host
        self.server = real_hosts.start_server(admin, host)
        volume = admin.block_storage.create_volume(
            size=1, volume_type=real_hosts.facts()['volume_type']
        )
        admin.block_storage.wait_for_status(volume, 'available', wait=60)
        self.volume = volume.id

    def begin(self) -> None:
        """Wait until it writes."""
        real_hosts.until_active(self.admin, self.server)
        real_hosts.until_printed(self.host, self.server, self.server)
        self.admin.compute.create_volume_attachment(self.server, volume_id=self.volume)
        waiting.until(
            lambda: self.written().count >= ENOUGH, f'{self.server} writes', seconds=120, every=1
        )

    def content(self) -> bytes:
        """What is on its volume."""
        place = real_hosts.facts()['ceph']
        return images.read_rbd(place['conf'], 'volumes', f'volume-{self.volume}', place['user'])

    def written(self) -> report.Report:
        """What the checker says of the volume and the guest's console."""
        text = real_hosts.console(self.host, self.server)
        return checker.check(self.volume, self.content(), [text])

    def is_open(self) -> bool:
        """Whether its host has the volume open."""
        found = real_hosts.watchers('volumes', f'volume-{self.volume}')
        return real_hosts.storage_address(self.host) in found

    def delete_server(self) -> None:
        """Delete its server, and wait until that is gone."""
        self.admin.compute.delete_server(self.server, ignore_missing=True)
        waiting.until(
            lambda: self.admin.compute.find_server(self.server) is None, 'it is gone', every=1
        )

    def remove(self) -> None:
        """Delete server and volume."""
        self.delete_server()
        until_volume_is(self.admin, self.volume, 'available')
        self.admin.block_storage.delete_volume(self.volume)


def until_volume_is(admin: Any, volume: str, status: str) -> None:
    """Wait until Cinder shows a volume in a state."""
    waiting.until(
        lambda: admin.block_storage.get_volume(volume).status == status,
        f'volume {volume} is {status}',
        every=1,
    )
