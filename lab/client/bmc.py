# SPDX-License-Identifier: Apache-2.0
"""Real power controls for hosts that do not exist: Redfish by sushy-tools, IPMI by ipmi_sim."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of the loopback address that nobody has now."""
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def system_id(host: str) -> str:
    """The id of a host's system in the emulator."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, host))


def redfish_settings(address: str, host: str) -> dict[str, Any]:
    """What the fencing file says of a host of the emulator."""
    return {
        'driver': 'redfish',
        'address': address,
        'system': f'/redfish/v1/Systems/{system_id(host)}',
        'timeout': 20,
    }


def power_of(settings: dict[str, Any]) -> str:
    """The ``PowerState`` that the emulator shows for a host of the fencing file."""
    with urllib.request.urlopen(settings['address'] + settings['system'], timeout=5) as answer:
        return str(json.load(answer)['PowerState'])


def switch(settings: dict[str, Any], reset_type: str) -> None:
    """Let the emulator switch a host, as a person does: ``On``, ``ForceOff``."""
    request = urllib.request.Request(
        f'{settings["address"]}{settings["system"]}/Actions/ComputerSystem.Reset',
        data=json.dumps({'ResetType': reset_type}).encode(),
        headers={'Content-Type': 'application/json'},
    )
    with urllib.request.urlopen(request, timeout=5):
        pass


# In the folder of an emulator that runs, its process.
EMULATOR_PID = 'emulator.pid'


@contextlib.contextmanager
def silent(folder: pathlib.Path) -> Iterator[Callable[[], None]]:
    """Let the emulator in a folder hang during the body, or until the result is called."""
    pid = int((folder / EMULATOR_PID).read_text())

    def go_on() -> None:
        os.kill(pid, signal.SIGCONT)

    os.kill(pid, signal.SIGSTOP)
    try:
        yield go_on
    finally:
        go_on()


@contextlib.contextmanager
def redfish(folder: pathlib.Path, hosts: Sequence[str]) -> Iterator[str]:
    """Run sushy-tools' emulator with a system for each host; yields its address."""
    port = free_port()
    systems = [{'uuid': system_id(h), 'name': h, 'power_state': 'On', 'nics': []} for h in hosts]
    config = folder / 'emulator.conf'
    config.write_text(
        f'SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n'
        f'SUSHY_EMULATOR_FAKE_SYSTEMS = {systems!r}\n'
        f'SUSHY_EMULATOR_STATE_DIR = {str(folder)!r}\n'
        f'SUSHY_EMULATOR_FAKE_DRIVER = True\n'
    )
    program = pathlib.Path(sys.executable).parent / 'sushy-emulator'
    with open(folder / 'emulator.log', 'w') as log:
        process = subprocess.Popen(
            [program, '--config', config, '--fake'], stdout=log, stderr=log, cwd=folder
        )
    address = f'http://127.0.0.1:{port}'
    (folder / EMULATOR_PID).write_text(str(process.pid))
    try:
        _wait(lambda: _answers(f'{address}/redfish/v1/'), process, folder / 'emulator.log')
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


# ipmi_sim calls it for the power: CHASSIS FILE get|set power [VALUE].
_CHASSIS = """\
#!/bin/sh
case $2 in
    get) echo "$3:$(cat "$1")" ;;
    set) echo "$4" > "$1" ;;
esac
"""


@contextlib.contextmanager
def ipmi(folder: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Run OpenIPMI's simulator with one host; yields what the fencing file says of it."""
    port = free_port(socket.SOCK_DGRAM)
    config, commands = folder / 'lan.conf', folder / 'host.emu'
    chassis, power = folder / 'chassis', folder / 'power'
    chassis.write_text(_CHASSIS)
    chassis.chmod(0o755)
    power.write_text('1\n')
    config.write_text(
        textwrap.dedent(f"""
            name "c1"
            set_working_mc 0x20
              startlan 1
                addr 127.0.0.1 {port}
                priv_limit admin
                allowed_auths_admin none md2 md5 straight
                guid a123456789abcdefa123456789abcdef
              endlan
              chassis_control "{chassis} {power}"
              user 1 true "" "test" user 10 none md2 md5 straight
              user 2 true "ipmiusr" "test" admin 10 none md2 md5 straight
        """)
    )
    commands.write_text(
        'mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n'
        'mc_enable 0x20\n'
    )
    with open(folder / 'ipmi.log', 'w') as log:
        process = subprocess.Popen(
            [str(shutil.which('ipmi_sim')), '-c', config, '-f', commands, '-s', folder, '-n'],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        yield {
            'driver': 'ipmi', 'address': '127.0.0.1', 'port': port, 'username': 'ipmiusr',
            'password': 'test', 'cipher_suite': 3, 'timeout': 20,
        }  # fmt: skip
    finally:
        process.terminate()
        process.wait(timeout=10)


_AT_ONCE = """\
#!/bin/sh
while read -r line; do
    case $line in
        action=*) action=${line#*=} ;;
        status_file=*) file=${line#*=} ;;
    esac
done
case $action in
    status) if [ -e "$file" ]; then echo 'Status: OFF'; exit 2; else echo 'Status: ON'; fi ;;
    off) touch "$file" ;;
esac
"""


def at_once(folder: pathlib.Path, host: str) -> dict[str, Any]:
    """What the fencing file says of a host with a power control that takes no time."""
    program = folder / 'fence_at_once'
    if not program.exists():
        program.write_text(_AT_ONCE)
        program.chmod(0o755)
    off = folder / f'{host}.off'
    options = {'status_file': str(off)}
    # Nothing else switches it, so it needs no second look later.
    return {'driver': 'command', 'program': str(program), 'options': options, 'apart': 0}


def fence_agents_dummy(folder: pathlib.Path, host: str) -> dict[str, Any]:
    """What the fencing file says of a host that fence-agents' dummy switches off."""
    state = folder / f'{host}.status'
    state.write_text('on')
    options = {'status_file': str(state), 'plug': host}
    # By its own name it is refused: it switches a file.
    program = folder / 'fence_by_a_file'
    if not program.exists():
        program.symlink_to(str(shutil.which('fence_dummy')))
    return {'driver': 'command', 'program': str(program), 'options': options, 'timeout': 20}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _wait(look: Any, process: 'subprocess.Popen[bytes]', log: pathlib.Path) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.1)
