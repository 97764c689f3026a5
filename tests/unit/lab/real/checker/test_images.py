# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys
import types

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


class Image:
    """What is used of an image in Ceph's bindings."""

    content = bytes(3000) + b'one' + bytes(9 * 2**20) + b'two' + bytes(4 * 2**20)

    def __init__(self, context, name, read_only=False):
        assert (context, name, read_only) == ('volumes', 'volume-1', True)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        pass

    def size(self):
        return len(self.content)

    def diff_iterate(self, offset, length, _from_snapshot, take):
        take(0, 4096, True)
        take(4096, 4096, False)
        take(8192, length - 8192, True)

    def read(self, offset, length):
        assert length <= 4 * 2**20
        return self.content[offset : offset + length]


def test_image_in_ceph_is_read_where_it_was_written(monkeypatch):
    class Cluster(Image):
        def __init__(self, **_options):
            pass

        def open_ioctx(self, pool):
            return Context(pool)

    class Context:
        def __init__(self, pool):
            self.pool = pool

        def __enter__(self):
            return self.pool

        def __exit__(self, *_exc):
            pass

    rados = types.SimpleNamespace(Rados=Cluster, Error=OSError)
    monkeypatch.setitem(sys.modules, 'rados', rados)
    monkeypatch.setitem(sys.modules, 'rbd', types.SimpleNamespace(Image=Image, Error=OSError))
    content = images.read_rbd('/a/ceph.conf', 'volumes', 'volume-1')
    assert content == Image.content.rstrip(b'\0')


def test_without_ceph_an_image_is_unreadable(monkeypatch):
    monkeypatch.setitem(sys.modules, 'rados', None)
    with pytest.raises(images.Unreadable, match='no bindings'):
        images.read_rbd('/a/ceph.conf', 'volumes', 'volume-1')


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
