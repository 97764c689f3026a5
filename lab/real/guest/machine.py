# SPDX-License-Identifier: Apache-2.0
"""Run a guest with QEMU alone, without a cloud: for its development, and for tests of it.

Volumes are plain files, attached and detached while it runs, through the same bus on which Nova
attaches them. Two machines may have one file: nothing keeps them from both writing to it.
"""

import contextlib
import errno
import json
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from lab.real.checker import consoles
from lab.real.guest import build

MEMORY_MB = 128
# Seconds for QEMU to take a command, and for a guest to let go of a device.
QMP_TIMEOUT = 60.0
# Where a guest on QEMU's own network finds this machine, and the address it has itself.
HOST_ADDRESS, GUEST_ADDRESS = '10.0.2.2', '10.0.2.15'


class Refused(Exception):
    """QEMU did not do what it was asked."""


class Machine:
    """One guest; a context in which it runs.

    :param uuid: the server's id, which the guest finds out.
    :param command_line: of the kernel; it decides the kind of guest.
    :param config_drive: an ISO image, or None for a guest without a network's address.
    :param http_port: of this machine's loopback, forwarded to the guest's port 80.
    :param nice: how much QEMU steps back behind other programs.
    """

    def __init__(
        self,
        images: build.Images,
        uuid: str,
        *,
        command_line: str = build.COMMAND_LINE,
        config_drive: pathlib.Path | None = None,
        http_port: int | None = None,
        nice: int = 0,
    ) -> None:
        self.uuid = uuid
        self._folder = tempfile.TemporaryDirectory(prefix='guest-')
        folder = pathlib.Path(self._folder.name)
        self.console_path = folder / 'console.log'
        self._socket_path = folder / 'qmp.sock'
        self._command = ['nice', '-n', str(nice), *_command(images, uuid, command_line)]
        self._command += ['-serial', f'file:{self.console_path}']
        self._command += ['-qmp', f'unix:{self._socket_path},server=on,wait=off']
        if config_drive is not None:
            self._command += ['-cdrom', str(config_drive)]
        if http_port is not None:
            forward = f'hostfwd=tcp:127.0.0.1:{http_port}-{GUEST_ADDRESS}:80'
            card = f'virtio-net-pci,netdev=net,mac={mac_of(uuid)}'
            self._command += ['-netdev', f'user,id=net,{forward}', '-device', card]
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None

    def __enter__(self) -> 'Machine':
        self._process = subprocess.Popen(self._command, start_new_session=True)
        try:
            self._qmp = Qmp(self._socket_path)
        except Exception:
            self.cut_power()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.cut_power()
        self._folder.cleanup()

    @property
    def qmp(self) -> 'Qmp':
        """QEMU's control; it is there while the machine runs."""
        assert self._qmp is not None, 'the machine does not run'
        return self._qmp

    def cut_power(self) -> None:
        """End it at once, whatever it is writing; harmless when it has ended."""
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def console(self) -> str:
        """Return all that the guest has written to its console."""
        try:
            return self.console_path.read_text(errors='replace')
        except FileNotFoundError:
            return ''

    def wait_for(self, text: str, seconds: float = 120.0, *, after: int = 0) -> float:
        """Wait until a text is on the console, beyond its first ``after`` characters.

        :returns: how many seconds it took.
        :raises AssertionError: with the console's end, when it does not come.
        """
        began = time.monotonic()
        while text not in self.console()[after:]:
            if time.monotonic() > began + seconds:
                raise AssertionError(f'no {text!r} after {seconds} s:\n{self.console()[-3000:]}')
            time.sleep(0.1)
        return time.monotonic() - began

    def attach(self, volume: pathlib.Path, serial: str, *, failing_writes: int = 0) -> None:
        """Attach a file as a disk.

        :param serial: the volume's id, of which 20 characters count.
        :param failing_writes: how many writes get an error before the first that succeeds.
        """
        disk: dict[str, Any] = {'driver': 'file', 'filename': str(volume), 'locking': 'off'}
        if failing_writes:
            error = {'event': 'none', 'iotype': 'write', 'errno': errno.EIO, 'once': True}
            errors = [error] * failing_writes
            disk = {'driver': 'blkdebug', 'image': disk, 'inject-error': errors}
        name = serial[: consoles.SERIAL_LENGTH]
        node = f'node-{name}'
        self.qmp.execute('blockdev-add', driver='raw', file=disk, **{'node-name': node})
        self.qmp.execute('device_add', driver='virtio-blk-pci', drive=node, id=name, serial=name)

    def detach(self, serial: str) -> None:
        """Take a disk away, as Nova does it: ask the guest, and wait until it has let go."""
        name = serial[: consoles.SERIAL_LENGTH]
        self.qmp.execute('device_del', id=name)
        self.qmp.wait_for_event('DEVICE_DELETED', device=name)
        self.qmp.execute('blockdev-del', **{'node-name': f'node-{name}'})


class Qmp:
    """QEMU's control, by its machine protocol."""

    def __init__(self, path: pathlib.Path) -> None:
        """Connect, as soon as QEMU has made its socket.

        :raises OSError: when it makes none.
        """
        deadline = time.monotonic() + QMP_TIMEOUT
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(QMP_TIMEOUT)
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._lines = self._socket.makefile('r')
        self._events: list[dict[str, Any]] = []
        self._lines.readline()
        self.execute('qmp_capabilities')

    def close(self) -> None:
        """Hang up; harmless when QEMU has ended."""
        with contextlib.suppress(OSError):
            self._lines.close()
            self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Carry out a command and return its answer.

        :raises Refused: with QEMU's reason.
        """
        self._socket.sendall(json.dumps({'execute': command, 'arguments': arguments}).encode())
        while True:
            message = json.loads(self._lines.readline())
            if 'error' in message:
                raise Refused(f'{command}: {message["error"]["desc"]}')
            if 'return' in message:
                return message['return']
            self._events.append(message)

    def wait_for_event(self, name: str, **data: Any) -> None:
        """Wait for an event with the given data, or take one that has come already.

        :raises TimeoutError: when it does not come.
        """
        while True:
            for event in self._events:
                if event.get('event') == name and data.items() <= event.get('data', {}).items():
                    self._events.remove(event)
                    return
            self._events.append(json.loads(self._lines.readline()))


def mac_of(uuid: str) -> str:
    """Return the address of a server's network card."""
    digits = uuid.replace('-', '')[-6:]
    return f'52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}'


def make_config_drive(
    path: pathlib.Path, uuid: str, user_data: str = '', mtu: int = 1500
) -> pathlib.Path:
    """Make an ISO image with what Nova puts on a config drive, for QEMU's own network."""
    link = {'id': 'tap0', 'type': 'tap', 'ethernet_mac_address': mac_of(uuid), 'mtu': mtu}
    route = {'network': '0.0.0.0', 'netmask': '0.0.0.0', 'gateway': HOST_ADDRESS}
    network = {
        'id': 'network0',
        'type': 'ipv4',
        'link': 'tap0',
        'ip_address': GUEST_ADDRESS,
        'netmask': '255.255.255.0',
        'routes': [route],
    }
    files = {
        'meta_data.json': json.dumps({'uuid': uuid}),
        'network_data.json': json.dumps({'links': [link], 'networks': [network], 'services': []}),
        'user_data': user_data,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name, 'openstack', 'latest')
        folder.mkdir(parents=True)
        for file_name, content in files.items():
            (folder / file_name).write_text(content)
        made = ['genisoimage', '-quiet', '-J', '-r', '-V', 'config-2', '-o', str(path), name]
        subprocess.run(made, check=True, capture_output=True)
    return path


def _command(images: build.Images, uuid: str, command_line: str) -> Sequence[str]:
    return [
        'qemu-system-x86_64',
        *('-machine', 'pc', '-accel', 'tcg,tb-size=32'),
        *('-m', str(MEMORY_MB), '-smp', '1', '-display', 'none', '-nodefaults', '-uuid', uuid),
        *('-kernel', str(images.kernel), '-initrd', str(images.initramfs)),
        *('-append', command_line),
        *('-drive', f'file={images.root},format=raw,if=virtio,snapshot=on'),
    ]
