# SPDX-License-Identifier: Apache-2.0
"""What a fence in the storage does to guests that write, seen on their volumes.

It needs ``make lab-real``. The truth is what lies on the volume, and not what Nova or Cinder shows.
"""

import contextlib
import importlib
import pathlib
import sys
import time

import pytest

from heat_ha.fencing import ceph, driver
from heat_ha.fencing.driver import Power
from lab.client import hosts, real_hosts, waiting
from lab.real.checker import __main__ as checker
from lab.real.checker import consoles, images

pytestmark = [pytest.mark.real, pytest.mark.alone]

# Records of a guest before anything is done to it, and seconds in which a guest that can write
# writes ten more, on a busy machine too.
ENOUGH, WHILE = 20, 10.0

BINDINGS = pathlib.Path('/usr/lib/python3/dist-packages')


@pytest.fixture(scope='module', autouse=True)
def bindings(tmp_path_factory):
    """Debian's bindings for Ceph, and nothing else of Debian's."""
    folder = tmp_path_factory.mktemp('bindings')
    for name in ('rados', 'rbd'):
        for file in BINDINGS.glob(f'{name}.cpython-*.so'):
            (folder / file.name).symlink_to(file)
    sys.path.append(str(folder))
    importlib.reload(ceph)
    yield
    sys.path.remove(str(folder))


class Writer:
    """A guest on a host, with a volume that it writes to."""

    def __init__(self, admin, host):
        self.admin, self.host = admin, host
        self.server = real_hosts.start_server(admin, host)
        volume = admin.block_storage.create_volume(
            size=1, volume_type=real_hosts.facts()['volume_type']
        )
        admin.block_storage.wait_for_status(volume, 'available', wait=60)
        self.volume = volume.id

    def begin(self):
        real_hosts.until_active(self.admin, self.server)
        real_hosts.until_printed(self.host, self.server, self.server)
        self.admin.compute.create_volume_attachment(self.server, volume_id=self.volume)
        waiting.until(
            lambda: self.written().count >= ENOUGH, f'{self.server} writes', seconds=120, every=1
        )

    def content(self):
        place = real_hosts.facts()['ceph']
        return images.read_rbd(place['conf'], 'volumes', f'volume-{self.volume}', place['user'])

    def written(self):
        """What the checker says of the volume and the guest's console."""
        text = real_hosts.console(self.host, self.server)
        return checker.check(self.volume, self.content(), [text])

    def is_open(self):
        found = real_hosts.watchers('volumes', f'volume-{self.volume}')
        return real_hosts.storage_address(self.host) in found

    def delete_server(self):
        self.admin.compute.delete_server(self.server, ignore_missing=True)
        waiting.until(
            lambda: self.admin.compute.find_server(self.server) is None, 'it is gone', every=1
        )


@pytest.fixture
def writers(admin):
    """A guest that writes on each of two hosts."""
    made = [Writer(admin, host) for host in ('r1', 'r2')]
    try:
        for one in made:
            one.begin()
        yield made
    finally:
        for one in made:
            one.delete_server()
        for one in made:
            _until_volume_is(admin, one.volume, 'available')
            admin.block_storage.delete_volume(one.volume)


def _until_volume_is(admin, volume, status):
    waiting.until(
        lambda: admin.block_storage.get_volume(volume).status == status,
        f'volume {volume} is {status}',
        every=1,
    )


@pytest.fixture
def fence():
    """The fence of r1, as the agent has it; taken back afterwards."""
    conf = pathlib.Path(real_hosts.facts()['ceph']['conf'])
    settings = {
        'driver': 'ceph', 'addresses': [real_hosts.storage_address('r1')],
        'conf': str(conf), 'user': 'heat-ha', 'timeout': 30, 'duration': 3600,
    }  # fmt: skip
    one = driver.load('r1', settings)
    yield one
    with contextlib.suppress(Exception):
        one.let_in()
    one.close()


def test_no_record_lands_after_the_proof_and_other_hosts_go_on(writers, fence):
    fenced, other = writers
    others_before = other.written().count
    proof = driver.fence(fence, timeout=30)
    at_proof = fenced.content()
    assert proof.who == 'ceph' and fence.power()[0] is Power.OFF
    assert not fenced.is_open(), 'Ceph has forgotten its clients at once'
    time.sleep(WHILE)
    assert fenced.content() == at_proof, 'nothing was written after the proof'
    report = fenced.written()
    assert not report.faults, report.faults
    after = other.written()
    assert after.count >= others_before + 10 and not after.faults, after.faults
    # The guest of before may not write when its host is let in: it has lost the image's lock.
    fence.let_in()
    assert fence.power()[0] is Power.ON
    time.sleep(WHILE)
    assert fenced.content() == at_proof


@pytest.fixture
def cut_off(admin):
    """r1 without its management link, and marked in Nova as down although nobody fenced it."""
    (service,) = admin.compute.services(binary='nova-compute', host='r1')
    with real_hosts.cut('r1', 'management'):
        waiting.until(
            lambda: hosts.service_of(admin, 'r1')['state'] == 'down', 'r1 is down', every=1
        )
        admin.compute.update_service_forced_down(service, forced=True)
        yield
    admin.compute.update_service_forced_down(service, forced=False)
    # Nova removes the guest whose server was deleted.
    waiting.until(lambda: not real_hosts.guests('r1'), 'r1 is clean', seconds=180, every=2)


def test_without_a_fence_two_guests_write_and_no_service_shows_it(admin, writers, cut_off):
    old, new = writers
    old.delete_server()
    _until_volume_is(admin, old.volume, 'available')
    admin.compute.create_volume_attachment(new.server, volume_id=old.volume)
    text = f'vol={old.volume[: consoles.SERIAL_LENGTH]} event=ack'
    real_hosts.until_printed('r2', new.server, text)
    time.sleep(WHILE)
    (attached,) = admin.block_storage.get_volume(old.volume).attachments
    assert attached['server_id'] == new.server, 'Cinder knows of one'
    texts = [real_hosts.console(one.host, one.server) for one in writers]
    report = checker.check(old.volume, old.content(), texts)
    assert report.faults, 'both go on writing'
    assert report.acknowledged_twice or report.intrusions
