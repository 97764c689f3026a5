# SPDX-License-Identifier: Apache-2.0
"""Make the guest: a kernel, an initramfs of a few MB, and a root disk with nothing on it.

The kernel and busybox are Debian's, unpacked and not installed. The programs that busybox lacks
(jq, mke2fs, e2fsck) are this machine's, with their libraries. The same inputs give the same bytes.

By hand::

    python -m lab.real.guest.build FOLDER
"""

import dataclasses
import gzip
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from lab import problems, stamps
from lab.real.guest import debian, modules

FILES = pathlib.Path(__file__).parent / 'files'
CONFIGS = pathlib.Path(__file__).parent / 'configs'

# Programs of this machine that are needed, and Debian's packages of them.
NEEDED = {
    '/usr/bin/cpio': 'cpio',
    '/usr/bin/gcc': 'gcc',
    '/usr/bin/jq': 'jq',
    '/usr/sbin/mke2fs': 'e2fsprogs',
}

# The kernel's command line for each kind of guest: a property of the image, os_command_line.
COMMAND_LINE = 'console=ttyS0 quiet no_timer_check mitigations=off'
COMMAND_LINE_FILES = f'{COMMAND_LINE} guest.kind=files'

ROOT_BYTES = 2**20

_BUSYBOX = 'busybox-static'
# Each with its name in the guest. One called mke2fs would not be run: busybox has its own, and its
# shell takes that first.
_PROGRAMS = {'jq': 'jq', 'mke2fs': 'mkfs.ext4', 'e2fsck': 'e2fsck'}
# The first are needed by a recorder of raw volumes. The others may come while it writes: for the
# network, the config drive (a CD on IDE or SCSI, or a disk), and the power button.
_FIRST = ('virtio_pci', 'virtio_blk')
_SECOND = (
    'virtio_net',
    'ata_piix',
    'virtio_scsi',
    'sr_mod',
    'isofs',
    'nls_ascii',
    'nls_cp437',
    'vfat',
    'ext4',
    'evdev',
    'button',
)


@dataclasses.dataclass(frozen=True)
class Images:
    """The files of a guest, as Glance takes them: ``aki``, ``ari`` and ``raw``."""

    kernel: pathlib.Path
    initramfs: pathlib.Path
    root: pathlib.Path


def build(folder: pathlib.Path) -> Images:
    """Make the guest in ``folder``; quick when it is there and nothing has changed.

    :raises lab.problems.Problem: when a package or a program cannot be had.
    """
    missing = [package for program, package in NEEDED.items() if not os.path.exists(program)]
    if missing:
        raise problems.Problem(
            f'the guest cannot be built without {", ".join(missing)}',
            f'apt-get install --no-install-recommends {" ".join(missing)}',
        )
    folder.mkdir(parents=True, exist_ok=True)
    images = Images(folder / 'vmlinuz', folder / 'initramfs.gz', folder / 'root.raw')
    package = debian.kernel_package()
    wanted = stamps.digest(package, pathlib.Path(__file__), *_sources())
    is_there = all(path.exists() for path in dataclasses.astuple(images))
    if is_there and stamps.is_set(folder, 'built', wanted):
        return images
    packages = folder / 'packages'
    kernel = debian.unpack([package], packages)
    busybox = debian.unpack([_BUSYBOX], packages)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        tree = pathlib.Path(name)
        _put_programs(tree, busybox)
        _put_modules(tree, kernel)
        images.initramfs.write_bytes(_pack(tree))
    shutil.copy(next((kernel / 'boot').glob('vmlinuz-*')), images.kernel)
    with images.root.open('wb') as root:
        root.truncate(ROOT_BYTES)
    stamps.put(folder, 'built', wanted)
    return images


def _sources() -> list[pathlib.Path]:
    return sorted(path for path in FILES.rglob('*') if path.is_file())


def _put_programs(tree: pathlib.Path, busybox: pathlib.Path) -> None:
    shutil.copytree(FILES, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns('*.c'))
    programs = tree / 'bin'
    shutil.copy(busybox / 'bin' / 'busybox', programs / 'busybox')
    for name in debian.run([programs / 'busybox', '--list'], 'busybox does not run').split():
        if not (programs / name).exists():
            (programs / name).symlink_to('busybox')
    for program, name in _PROGRAMS.items():
        path, *libraries = debian.with_libraries(program)
        shutil.copy(path, programs / name)
        for library in libraries:
            # Where the loader looks for it.
            target = tree / library.relative_to('/')
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    source = FILES / 'recorder.c'
    debian.run(
        ['gcc', '-static', '-O2', '-s', '-Wall', '-Werror', '-o', programs / 'recorder', source],
        'the recorder could not be compiled (Debian packages: gcc libc6-dev)',
    )
    _put_power_button(tree)


def _put_power_button(tree: pathlib.Path) -> None:
    """Without it, Nova would wait a minute for a server to stop."""
    button = tree / 'etc' / 'acpi' / 'PWRF' / '00000080'
    button.parent.mkdir(parents=True)
    button.write_text('#!/bin/sh\n/bin/poweroff\n')
    button.chmod(0o755)


def _put_modules(tree: pathlib.Path, kernel: pathlib.Path) -> None:
    source = next((kernel / 'lib' / 'modules').iterdir())
    target = tree / 'lib' / 'modules'
    target.mkdir(parents=True, exist_ok=True)
    # The package has no modules.dep; it is made where a kernel is installed.
    paths = {modules.name_of(str(path)): path for path in source.rglob('*.ko')}
    built_in = (source / 'modules.builtin').read_text().split()

    def needs(name: str) -> list[str]:
        return modules.direct_needs(paths[name].read_bytes())

    first = modules.load_order(_FIRST, needs, built_in)
    second = [each for each in modules.load_order(_SECOND, needs, built_in) if each not in first]
    for stage, names in (('first', first), ('second', second)):
        for name in names:
            shutil.copy(paths[name], target)
        (target / stage).write_text(''.join(f'{paths[name].name}\n' for name in names))


def _pack(tree: pathlib.Path) -> bytes:
    """Return the tree as a compressed cpio archive, the same for the same contents."""
    paths = sorted(tree.rglob('*'))
    for path in paths:
        os.utime(path, (0, 0), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    names = '\0'.join(str(path.relative_to(tree)) for path in paths)
    archive = subprocess.run(
        ['cpio', '--create', '--null', '--quiet', '--format=newc', '--reproducible', '-R', '+0:+0'],
        cwd=tree,
        input=names.encode(),
        capture_output=True,
        check=True,
    ).stdout
    return gzip.compress(archive, compresslevel=9, mtime=0)


if __name__ == '__main__':
    for made in dataclasses.astuple(build(pathlib.Path(sys.argv[1]).resolve())):
        print(f'{made.stat().st_size:>10} {made}')
