# SPDX-License-Identifier: Apache-2.0
"""Get the guests' kernel, Debian's for clouds, without installing it on this machine."""

import pathlib
import re
import shutil
import subprocess

from lab import problems

# It depends on the kernel of the day, whose name changes with each security update.
_META_PACKAGE = 'linux-image-cloud-amd64'
_NAME = re.compile(r'linux-image-\S+-cloud-amd64')


def fetch(folder: pathlib.Path) -> pathlib.Path:
    """Unpack the newest kernel that apt knows into ``folder``, unless one is there.

    :return: a folder with ``boot/vmlinuz-*`` and ``lib/modules``.
    """
    tree = folder / 'kernel'
    if tree.is_dir():
        return tree
    making = folder / 'kernel.making'
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    listed = _run(making, 'apt-cache', 'depends', _META_PACKAGE)
    names = [name for name in _NAME.findall(listed) if name != _META_PACKAGE]
    if not names:
        raise problems.Problem(f'apt knows no {_META_PACKAGE}', 'run: apt-get update')
    _run(making, 'apt-get', 'download', '-q', names[0])
    (package,) = making.glob('*.deb')
    _run(making, 'dpkg', '-x', package.name, '.')
    package.unlink()
    making.rename(tree)
    return tree


def image_in(tree: pathlib.Path) -> pathlib.Path:
    """Return the kernel itself in the unpacked folder."""
    (found,) = (tree / 'boot').glob('vmlinuz-*')
    return found


def _run(folder: pathlib.Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise problems.Problem(
            f'{" ".join(command)} failed', 'if apt knows no packages: apt-get update', done.stderr
        )
    return done.stdout
