# SPDX-License-Identifier: Apache-2.0
"""Get what only the tier with real guests runs: Ceph, libvirt, QEMU, a relay, a kernel."""

import os
import pathlib

from lab import layout, packages, problems
from lab.progress import Progress
from lab.real import images, kernel, neutron, paths, virtualization

# A program or file that the package brings, and the package.
DEBIAN = {
    '/sbin/ip': 'iproute2',
    '/usr/bin/ceph-mon': 'ceph-mon',
    '/usr/bin/ceph-osd': 'ceph-osd',
    '/usr/bin/ceph-mgr': 'ceph-mgr',
    '/usr/bin/ceph': 'ceph-common',
    '/usr/lib/python3/dist-packages/rbd.cpython-311-x86_64-linux-gnu.so': 'python3-rbd',
    '/usr/lib/python3/dist-packages/rados.cpython-311-x86_64-linux-gnu.so': 'python3-rados',
    '/usr/sbin/libvirtd': 'libvirt-daemon',
    '/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so': (
        'libvirt-daemon-driver-qemu'
    ),
    '/usr/bin/virsh': 'libvirt-clients',
    '/usr/lib/python3/dist-packages/libvirt.py': 'python3-libvirt',
    '/usr/bin/qemu-system-x86_64': 'qemu-system-x86',
    # QEMU's driver for images in Ceph.
    '/usr/lib/x86_64-linux-gnu/qemu/block-rbd.so': 'qemu-block-extra',
    '/usr/bin/qemu-img': 'qemu-utils',
    '/usr/sbin/haproxy': 'haproxy',
    # With it Nova makes config drives.
    '/usr/bin/genisoimage': 'genisoimage',
    '/usr/bin/cpio': 'cpio',
}
_BUSYBOX = pathlib.Path('/bin/busybox')

# Debian's bindings, which are built for its own Python, of the same version as the lab's.
_BINDINGS = (
    'rados.cpython-311-x86_64-linux-gnu.so',
    'rbd.cpython-311-x86_64-linux-gnu.so',
    'libvirt.py',
    'libvirtmod.cpython-311-x86_64-linux-gnu.so',
)
_DEBIANS_PYTHON = pathlib.Path('/usr/lib/python3/dist-packages')


def install(progress: Progress) -> None:
    """Bring the packages, the bindings, the kernel and the guest up to date; quick when they are.

    :raises problems.Problem: something cannot be had, or this is not root.
    """
    if os.geteuid() != 0:
        raise problems.Problem('the tier with real guests needs root', 'run it as root')
    packages.install_debian(progress, _missing())
    _link_bindings(layout.VENV / 'lib' / 'python3.11' / 'site-packages')
    paths.BUILT.mkdir(exist_ok=True)
    if not (paths.BUILT / 'kernel').exists():
        with progress.phase("The guests' kernel"):
            kernel.fetch(paths.BUILT)
    with progress.phase('The guest, and whether this machine has KVM'):
        images.build()
        kind = virtualization.find_out(*images.probe())
        progress.step(f"guests run with Nova's virt_type {kind.value}")


def _missing() -> list[str]:
    files = {**DEBIAN, **images.needed()}
    found = [name for file, name in files.items() if not os.path.exists(file)]
    # Two packages have this program, and in an initramfs it cannot have libraries.
    if not _is_static(_BUSYBOX):
        found.append('busybox-static')
    return found


def _is_static(program: pathlib.Path) -> bool:
    return program.exists() and b'ld-linux' not in program.read_bytes()[:4096]


def _link_bindings(site_packages: pathlib.Path) -> None:
    """Let the lab's environment see Debian's bindings, and Neutron its mechanism driver.

    :raises problems.Problem: the environment has another Python than Debian's bindings.
    """
    if not site_packages.is_dir():
        raise problems.Problem(
            "the lab's environment has another Python than 3.11, for which Debian's bindings are",
            'make the lab new with Python 3.11: python3.11 -m lab clean',
        )
    for name in _BINDINGS:
        link = site_packages / name
        if not link.is_symlink():
            link.symlink_to(_DEBIANS_PYTHON / name)
    neutron.install(site_packages)
