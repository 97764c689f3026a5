# SPDX-License-Identifier: Apache-2.0
"""The smallest guest: it says that it is up, and does nothing.

With it the lab finds out whether the machine has KVM.
"""

import pathlib
import shutil
import subprocess

from lab import stamps
from lab.real import kernel, virtualization

_BUSYBOX = pathlib.Path('/bin/busybox')
_INIT = f"""#!/bin/sh
/bin/busybox mkdir -p /proc /sys
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
echo "{virtualization.SIGN_OF_LIFE}: $(/bin/busybox cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
if /bin/busybox grep -q heat_ha_probe /proc/cmdline; then /bin/busybox poweroff -f; fi
while :; do /bin/busybox sleep 3600; done
"""
_ROOT_BYTES = 2**20


def build(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """Build it in ``folder``. Return the files of the kernel, the initramfs and the root disk."""
    made = kernel.image_in(kernel.fetch(folder.parent))
    root, initramfs = folder / 'root.raw', folder / 'initramfs.gz'
    version = stamps.digest(_INIT, _BUSYBOX)
    if not stamps.is_set(folder, 'made', version):
        _pack(folder / 'tree', initramfs)
        root.write_bytes(b'\0' * _ROOT_BYTES)
        stamps.put(folder, 'made', version)
    return made, initramfs, root


def _pack(tree: pathlib.Path, initramfs: pathlib.Path) -> None:
    """Make the initramfs from a folder that is made new."""
    shutil.rmtree(tree, ignore_errors=True)
    for name in ('bin', 'dev', 'proc', 'sys'):
        (tree / name).mkdir(parents=True)
    shutil.copy2(_BUSYBOX, tree / 'bin' / 'busybox')
    (tree / 'bin' / 'sh').symlink_to('busybox')
    init = tree / 'init'
    init.write_text(_INIT)
    init.chmod(0o755)
    pack = f'find . | cpio --quiet -o -H newc -R 0:0 | gzip -9 > {initramfs}'
    subprocess.run(['/bin/sh', '-c', pack], cwd=tree, check=True)
