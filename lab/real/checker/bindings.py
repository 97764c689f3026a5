# SPDX-License-Identifier: Apache-2.0
"""Debian's Python bindings for Ceph, for an environment that has nothing else of Debian's."""

import atexit
import functools
import pathlib
import shutil
import sys
import tempfile

_PACKAGES = pathlib.Path('/usr/lib/python3/dist-packages')


@functools.cache
def add() -> None:
    """Let rados and rbd be imported, where they are installed for this version of Python."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bindings-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ('rados', 'rbd'):
        for file in _PACKAGES.glob(f'{name}.cpython-*.so'):
            (folder / file.name).symlink_to(file)
    sys.path.append(str(folder))
