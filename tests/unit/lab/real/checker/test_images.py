# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess

import pytest

from lab.real.checker import images
from tests.unit.lab.real.checker import written

PATH = '/usr/sbin:/sbin:/usr/bin'

needs_e2fsprogs = pytest.mark.skipif(
    any(shutil.which(name, path=PATH) is None for name in ('mke2fs', 'debugfs', 'e2fsck')),
    reason='there is no e2fsprogs',
)


def test_file_is_read_without_the_blank_at_its_end(tmp_path):
    path = tmp_path / 'volume'
    content = bytes(9 * 2**20) + b'end'
    path.write_bytes(content + bytes(5 * 2**20))
    assert images.read_file(path) == content


def test_volume_that_is_not_there_is_unreadable(tmp_path):
    with pytest.raises(images.Unreadable):
        images.read_file(tmp_path / 'none')


@needs_e2fsprogs
def test_records_are_found_in_a_file_system(tmp_path):
    folder, path = tmp_path / 'root', tmp_path / 'volume'
    folder.mkdir()
    content = written.volume('a', 'a', 'a')
    (folder / 'records').write_bytes(content)
    program = shutil.which('mke2fs', path=PATH)
    made = [program, '-q', '-t', 'ext4', '-d', str(folder), str(path), '16M']
    subprocess.run(made, check=True, capture_output=True)
    # As a reader of Ceph returns it: what is blank at its end is missing.
    volume = images.read_file(path)
    assert images.is_ext4(volume)
    assert images.records_in_ext4(volume) == content
    with pytest.raises(images.Unreadable, match='no /other'):
        images.records_in_ext4(volume, '/other')


def test_records_on_the_volume_itself_are_no_file_system():
    assert not images.is_ext4(written.volume(*'aaaa'))
    assert not images.is_ext4(b'')
