# SPDX-License-Identifier: Apache-2.0
"""The guest with QEMU alone, without the lab: and volumes that are files."""

import os
import pathlib
import shutil
import uuid

import pytest

from lab.real.checker import __main__ as checker
from lab.real.checker import console_files, consoles
from lab.real.guest import build, machine

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which('qemu-system-x86_64') is None, reason='there is no QEMU'),
]

VOLUME = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
NICE = 10


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    return build.build(
        pathlib.Path(os.environ.get('GUEST_FOLDER') or tmp_path_factory.mktemp('guest'))
    )


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume.raw'
    with path.open('wb') as opened:
        opened.truncate(64 * 2**20)
    return path


def read(volume, *machines):
    """Check the volume; the consoles are read before it."""
    texts = [each.console() for each in machines]
    return checker.check(VOLUME, volume.read_bytes(), texts)


def test_records_go_on_with_the_next_number_in_another_guest(images, volume):
    with (
        machine.Machine(images, str(uuid.uuid4()), nice=NICE) as old,
        machine.Machine(images, str(uuid.uuid4()), nice=NICE) as new,
    ):
        for each in (old, new):
            each.wait_for('init: a guest')
        old.attach(volume, VOLUME)
        old.wait_for('event=ack first=0 seq=29 ')
        old.detach(VOLUME)
        old.wait_for('event=gone')
        new.attach(volume, VOLUME)
        new.wait_for('seq=49 ')
        found = read(volume, old, new)
        assert not found.faults
        assert [run.writer.by for run in found.runs] == [old.uuid, new.uuid]
        offsets = {}
        for each in (old, new):
            offsets |= console_files.read(each.console_path)[1]
        assert all(abs(offset) < found.tolerance for offset in offsets.values())


def test_one_guest_goes_on_when_its_volume_comes_back(images, volume):
    with machine.Machine(images, str(uuid.uuid4()), nice=NICE) as guest:
        guest.wait_for('init: a guest')
        for last in (19, 39):
            guest.attach(volume, VOLUME)
            guest.wait_for(f'seq={last} ')
            guest.detach(VOLUME)
            guest.wait_for('event=gone')
        found = read(volume, guest)
    assert not found.faults and len(found.runs) == 1 and found.count >= 40


def test_writer_repeats_a_failed_record_until_it_is_written(images, volume):
    with machine.Machine(images, str(uuid.uuid4()), nice=NICE) as guest:
        guest.wait_for('init: a guest')
        guest.attach(volume, VOLUME, failing_writes=15)
        guest.wait_for('tries=15 ')
        guest.wait_for('seq=29 ')
        found = read(volume, guest)
        failed = [each for each in consoles.parse(guest.console()) if each.event == 'err']
    assert {each.seq for each in failed} == {0} and len(failed) == 15
    assert not found.faults and not found.unknown and found.count >= 30


def test_search_for_a_config_drive_disturbs_no_writer(images, volume):
    with machine.Machine(images, str(uuid.uuid4()), nice=NICE) as guest:
        guest.wait_for('init: a guest')
        guest.attach(volume, VOLUME)
        guest.wait_for('init: there is no config drive')
        guest.wait_for('event=ack', after=len(guest.console()))
        assert 'event=err' not in guest.console()


def test_power_cut_loses_no_acknowledged_record(images, volume):
    with machine.Machine(images, str(uuid.uuid4()), nice=NICE) as guest:
        guest.wait_for('init: a guest')
        guest.attach(volume, VOLUME)
        guest.wait_for('seq=19 ')
        guest.cut_power()
        found = read(volume, guest)
    assert not found.faults and found.count >= 20


def test_two_writers_are_called_out(images, volume):
    with (
        machine.Machine(images, str(uuid.uuid4()), nice=NICE) as one,
        machine.Machine(images, str(uuid.uuid4()), nice=NICE) as other,
    ):
        one.wait_for('init: a guest')
        other.wait_for('init: a guest')
        one.attach(volume, VOLUME)
        one.wait_for('seq=19 ')
        other.attach(volume, VOLUME)
        other.wait_for('event=start')
        began = len(one.console())
        one.wait_for('event=ack', after=began)
        other.wait_for('seq=39 ')
        one.wait_for('seq=49 ')
        found = read(volume, one, other)
    assert found.acknowledged_twice
    assert found.lost_count > 5
    # Without the consoles, nothing would say that writes were lost.
    assert not checker.check(VOLUME, volume.read_bytes(), []).lost


def test_crash_dump_request_is_a_panic(images):
    with machine.Machine(images, str(uuid.uuid4()), nice=NICE) as guest:
        guest.wait_for('init: a guest')
        guest.qmp.execute('inject-nmi')
        guest.wait_for('Kernel panic')


def test_power_button_ends_it(images):
    with machine.Machine(images, str(uuid.uuid4()), nice=NICE) as guest:
        guest.wait_for('init: there is no config drive')
        guest.qmp.execute('system_powerdown')
        guest.qmp.wait_for_event('SHUTDOWN')
