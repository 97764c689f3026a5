# SPDX-License-Identifier: Apache-2.0
"""Fetch the bytes of a volume, read only: from Ceph, or from a plain file."""

import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from lab.real.checker import bindings

# The file of records in a volume with a file system; see lab/real/guest/configs/activate.sh.
RECORDS_FILE = '/records'

_CHUNK = 4 * 2**20
_TIMEOUT = 120.0


class Unreadable(Exception):
    """The volume could not be read."""


def read_file(path: pathlib.Path) -> bytes:
    """Return what a plain file or device holds, without the blank at its end."""
    content = bytearray()
    for offset, chunk in _chunks_of_file(path):
        _put(content, offset, chunk)
    return bytes(content)


def read_rbd(
    conf: str, pool: str, image: str, user: str = 'cinder', *, timeout: float = 30.0
) -> bytes:
    """Return what an image of Ceph holds, without the blank at its end.

    It is opened read only, so it may be in use; no lock is taken.

    :param conf: the path of a ceph.conf that says where the monitors and the user's key are.
    :param timeout: seconds for the monitors to answer, and for each operation.
    :raises Unreadable: when Ceph does not answer in time, or there is no such image.
    """
    bindings.add()
    try:
        # Not everybody who uses this module has Ceph.
        import rados
        import rbd
    except ImportError as exc:
        raise Unreadable(f'there are no bindings for Ceph: {exc}') from exc
    # Ceph takes whole seconds only.
    seconds = str(max(1, round(timeout)))
    options = {
        'client_mount_timeout': seconds,
        'rados_osd_op_timeout': seconds,
        'rados_mon_op_timeout': seconds,
    }
    content = bytearray()
    try:
        with (
            rados.Rados(conffile=conf, rados_id=user, conf=options) as cluster,
            cluster.open_ioctx(pool) as context,
            rbd.Image(context, image, read_only=True) as opened,
        ):
            for offset, length in _allocated(opened):
                _put(content, offset, opened.read(offset, length))
    except (rados.Error, rbd.Error) as exc:
        raise Unreadable(f'{pool}/{image}: {exc}') from exc
    return bytes(content)


def records_in_ext4(content: bytes, name: str = RECORDS_FILE) -> bytes:
    """Return what a file holds in a file system, given as the bytes of its volume.

    Works on a copy, whose journal is replayed as at the next mount.

    :raises Unreadable: when there is no such file system or file.
    """
    with tempfile.TemporaryDirectory(prefix='checker-') as folder:
        copy, out = pathlib.Path(folder, 'volume'), pathlib.Path(folder, 'file')
        copy.write_bytes(content)
        # What was blank at the end belongs to the file system too.
        os.truncate(copy, max(len(content), _size_of_ext4(content)))
        # 1 and 2 mean that something was put right.
        done = _run('e2fsck', '-fy', str(copy))
        if done.returncode > 2:
            raise Unreadable(f'no file system that can be read: {done.stdout[-500:]}')
        done = _run('debugfs', '-R', f'dump {name} {out}', str(copy))
        if not out.exists():
            raise Unreadable(f'there is no {name}: {done.stderr[-500:]}')
        return out.read_bytes()


def is_ext4(content: bytes) -> bool:
    """Whether a volume, given as its bytes, holds a file system of that family."""
    return content[1080:1082] == b'\x53\xef'


def _size_of_ext4(content: bytes) -> int:
    if not is_ext4(content):
        return 0
    blocks = int.from_bytes(content[1028:1032], 'little')
    return blocks * (1024 << int.from_bytes(content[1048:1052], 'little'))


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = shutil.which(program, path=f'/usr/sbin:/sbin:{os.environ.get("PATH", "")}')
    if path is None:
        raise Unreadable(f'there is no {program} on this machine (Debian package: e2fsprogs)')
    return subprocess.run(
        [path, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )


def _chunks_of_file(path: pathlib.Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open('rb') as opened:
            offset = 0
            while chunk := opened.read(_CHUNK):
                yield offset, chunk
                offset += len(chunk)
    except OSError as exc:
        raise Unreadable(str(exc)) from exc


def _allocated(opened: object) -> Iterator[tuple[int, int]]:
    """List what was ever written, as offsets and lengths of at most one chunk."""
    found: list[tuple[int, int]] = []

    def note(offset: int, length: int, exists: bool) -> None:
        if exists:
            found.append((offset, length))

    opened.diff_iterate(0, opened.size(), None, note)  # type: ignore[attr-defined]
    for offset, length in found:
        for start in range(offset, offset + length, _CHUNK):
            yield start, min(_CHUNK, offset + length - start)


def _put(content: bytearray, offset: int, chunk: bytes) -> None:
    """Put a chunk in its place; blanks before it are filled in, those at its end left out."""
    used = chunk.rstrip(b'\0')
    if used:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(used)] = used
