# SPDX-License-Identifier: Apache-2.0
"""A volume in another region goes back to its snapshot, with what it held: `make regions`.

Heat keeps a volume in a snapshot as a backup. The lab has no service for these, so the test runs
Cinder's, with a file in the place of the volume's device.
"""

import subprocess
import time

import pytest

from lab.client import access, regions, stack_snapshots, waiting

pytestmark = pytest.mark.regions

VOLUME = '          volume: {type: OS::Cinder::Volume, properties: {size: 1}}\n'

OPTIONS = """
[DEFAULT]
backup_driver = cinder.backup.drivers.posix.PosixBackupDriver
backup_posix_path = FOLDER/backups
backup_compression_algorithm = none
# How soon, and how often, the scheduler hears of the service; ten seconds are the least.
backup_driver_stats_polling_interval = 10
periodic_interval = 1
periodic_fuzzy_delay = 0
"""


@pytest.fixture
def devices(tmp_path):
    """RegionTwo's service for backups; the folder has a file for each volume's device."""
    (tmp_path / 'backups').mkdir()
    options = tmp_path / 'backup.conf'
    options.write_text(OPTIONS.replace('FOLDER', str(tmp_path)))
    command = (
        access.LAB / 'venv' / 'bin' / 'python',
        access.ROOT / 'lab' / 'client' / 'cinder_backup.py',
        tmp_path,
        *('--config-file', access.LAB / 'etc' / 'two' / 'cinder' / 'cinder.conf'),
        *('--config-file', options),
    )
    log = tmp_path / 'log'
    with log.open('w') as out:
        service = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        waiting.until(
            lambda: (tmp_path / 'published').exists() or service.poll() is not None,
            'the service for backups works',
            seconds=90,
        )
        assert service.poll() is None, log.read_text()[-2000:]
        # The scheduler hears of it by a message that nobody answers.
        time.sleep(1)
        yield tmp_path
    finally:
        service.terminate()
        try:
            service.wait(timeout=30)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


@pytest.fixture
def parent(devices, far, make_stack):
    # After the service, so that it is there for what a test that failed has left.
    begin, end = regions.PARENT.split('          random:\n')
    template = f'{begin}{VOLUME}          random:\n{end}'
    made = regions.Parent(make_stack(template, create=False), far)
    yield made
    made.clean()


def test_a_volume_has_again_what_it_held_when_the_snapshot_was_taken(parent, far, devices):
    parent.create(regions=[far.name])
    stack = far.show(parent.prefix)
    path = f'/stacks/{stack["stack_name"]}/{stack["id"]}/resources/volume'

    def volume():
        found = far.tenant.orchestration.get(path).json()['resource']['physical_resource_id']
        return far.tenant.block_storage.get(f'/volumes/{found}').json()['volume']

    before = volume()
    device = devices / before['id']
    device.write_text('as it was')
    snapshots = stack_snapshots.Snapshots(parent)
    taken, _ = snapshots.take()
    assert stack_snapshots.in_region(far.tenant.orchestration, parent.prefix) == ['COMPLETE']
    parent.update(text='two')
    device.write_text('written since')
    snapshots.restore(taken)
    assert device.read_text() == 'as it was'
    after = volume()
    assert (after['id'], after['status']) == (before['id'], 'available')
    assert far.output(parent.prefix, 'text') == 'one'
    snapshots.delete(taken)
    waiting.until(
        lambda: not far.tenant.block_storage.get('/backups').json()['backups'],
        'the backup is deleted',
    )
