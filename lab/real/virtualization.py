# SPDX-License-Identifier: Apache-2.0
"""Find out whether this machine runs guests with KVM, by booting one.

That ``/dev/kvm`` opens proves nothing: on a virtual machine without nested virtualization it may
open, and all of the guest's kernel is then emulated, slowly and not wholly.
"""

import enum
import os
import pathlib
import platform
import subprocess

from lab import stamps
from lab.real import paths

DEVICE = pathlib.Path('/dev/kvm')
# The line that the probe's guest prints when its kernel has reached its first program.
SIGN_OF_LIFE = 'heat-ha guest is up'
# A guest is there after one second with KVM. Twenty are for a machine that is busy otherwise.
_PATIENCE_SECONDS = 20
_STAMP = 'virtualization'


class Kind(enum.Enum):
    """Nova's ``virt_type``."""

    KVM = 'kvm'
    TCG = 'qemu'

    @property
    def settings(self) -> str:
        """What Nova's section ``libvirt`` gets beside it."""
        # MiB. QEMU would take 256 for the code that it has translated for one guest.
        return 'tb_cache_size = 32' if self is Kind.TCG else ''


def choose(device_exists: bool, console: str, exit_code: int | None) -> Kind:
    """Choose from what a guest that was booted with KVM has shown.

    :param console: what it printed; nothing where it was not booted.
    :param exit_code: QEMU's; None when it had to be ended.
    """
    if not device_exists or SIGN_OF_LIFE not in console:
        return Kind.TCG
    # KVM gives up at an instruction that it cannot emulate, and that may be after the first line.
    return Kind.KVM if exit_code == 0 else Kind.TCG


def known() -> Kind:
    """Return what was found; TCG, which works everywhere, as long as nothing was."""
    for kind in Kind:
        if stamps.is_set(paths.BUILT, _STAMP, _value(kind)):
            return kind
    return Kind.TCG


def find_out(kernel: pathlib.Path, initramfs: pathlib.Path) -> Kind:
    """Boot a guest with KVM, unless that was done on this kernel of the machine, and remember."""
    for kind in Kind:
        if stamps.is_set(paths.BUILT, _STAMP, _value(kind)):
            return kind
    kind = Kind.TCG
    if os.access(DEVICE, os.R_OK | os.W_OK):
        kind = choose(True, *_boot(kernel, initramfs))
    stamps.put(paths.BUILT, _STAMP, _value(kind))
    return kind


def _value(kind: Kind) -> str:
    return f'{kind.value} {platform.release()} {platform.version()}'


def _boot(kernel: pathlib.Path, initramfs: pathlib.Path) -> tuple[str, int | None]:
    """Boot a guest that ends by itself. Return what was printed, and QEMU's exit code."""
    command = [
        *('qemu-system-x86_64', '-accel', 'kvm', '-m', '128', '-nodefaults', '-no-reboot'),
        *('-display', 'none', '-serial', 'stdio'),
        *('-kernel', str(kernel), '-initrd', str(initramfs)),
        *('-append', 'console=ttyS0 quiet panic=-1 mitigations=off heat_ha_probe'),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired as exc:
        return (exc.stdout or b'').decode(errors='replace'), None
    return done.stdout.decode(errors='replace'), done.returncode
