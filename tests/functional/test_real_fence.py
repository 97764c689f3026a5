# SPDX-License-Identifier: Apache-2.0
"""What a fence in the storage does to guests that write, seen on their volumes.

It needs ``make lab-real``. The truth is what lies on the volume, and not what Nova or Cinder shows.
"""

import contextlib
import time

import pytest

from heat_ha.fencing import driver
from heat_ha.fencing.driver import Power
from lab.client import hosts, real_hosts, real_writers, waiting
from lab.real.checker import __main__ as checker
from lab.real.checker import consoles

pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.usefixtures('bindings')]

# Seconds in which a guest that can write writes ten more records, on a busy machine too.
WHILE = 10.0


@pytest.fixture
def writers(admin):
    """A guest that writes on each of two hosts."""
    made = [real_writers.Writer(admin, host) for host in ('r1', 'r2')]
    try:
        for one in made:
            one.begin()
        yield made
    finally:
        # By then one of them may have the volumes of both.
        for one in made:
            one.delete_server()
        for one in made:
            one.remove()


@pytest.fixture
def fence():
    """The fence of r1, as the agent has it; taken back afterwards."""
    one = driver.load('r1', real_hosts.fence_settings('r1'))
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
    real_writers.until_volume_is(admin, old.volume, 'available')
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
