# SPDX-License-Identifier: Apache-2.0
"""The lab's hosts with real guests: servers on them, their consoles, links and power."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import uuid
from collections.abc import Collection, Iterator
from typing import Any

import yaml

from lab.client import access, hosts, waiting

# Seconds. Without KVM a guest takes half a minute on a busy machine.
BOOTS_WITHIN = 180


def facts() -> dict[str, Any]:
    """What the lab says of its tier with real guests. :raises KeyError: it has none."""
    found: dict[str, Any] = access.environment()['real']
    return found


def names() -> tuple[str, ...]:
    """The names of the hosts."""
    return tuple(facts()['hosts'])


def start_server(cloud: Any, host: str, network: str = '', image: str = '') -> str:
    """Ask for a server on a certain host, which only an admin may choose. :return: its id."""
    made = cloud.compute.create_server(
        name=f'real-{host}-{uuid.uuid4().hex[:6]}',
        image_id=cloud.image.find_image(image or facts()['image']).id,
        flavor_id=cloud.compute.find_flavor(facts()['flavor']).id,
        networks=[{'uuid': cloud.network.find_network(network or facts()['network']).id}],
        availability_zone=f'nova:{host}',
        # The guest finds its address there.
        config_drive=True,
    )
    return str(made.id)


def parameters() -> dict[str, str]:
    """What makes the examples' servers guests that write to what is attached."""
    return {name: str(facts()[name]) for name in ('image', 'flavor', 'network')}


def fence_settings(host: str) -> dict[str, Any]:
    """The entry of a host in a fencing file whose only fence is in the storage."""
    return {
        'driver': 'ceph',
        'addresses': [storage_address(host)],
        'conf': facts()['ceph']['conf'],
        'user': 'heat-ha',
        'timeout': 30,
        'duration': 3600,
    }


def fencing_file(folder: pathlib.Path) -> pathlib.Path:
    """A fencing file with the storage of each host."""
    path = folder / 'fencing.yaml'
    path.write_text(yaml.safe_dump({'hosts': {host: fence_settings(host) for host in names()}}))
    return path


def until_active(cloud: Any, server: str) -> None:
    """Wait until a server is ACTIVE. :raises AssertionError: it failed, or takes too long."""

    def is_settled() -> bool:
        return bool(cloud.compute.get_server(server).status in ('ACTIVE', 'ERROR'))

    waiting.until(is_settled, f'{server} is active', seconds=BOOTS_WITHIN, every=1)
    found = cloud.compute.get_server(server)
    assert found.status == 'ACTIVE', found.fault


def instances(host: str) -> pathlib.Path:
    """The folder in which a host has a folder for each of its servers."""
    return pathlib.Path(facts()['hosts'][host]['instances'])


def console(host: str, server: str) -> str:
    """What a guest has printed on this host until now."""
    file = instances(host) / server / 'console.log'
    return file.read_text(errors='replace') if file.exists() else ''


def until_printed(host: str, server: str, text: str, *, after: int = 0) -> None:
    """Wait until the guest prints something, after the first ``after`` characters."""
    waiting.until(
        lambda: text in console(host, server)[after:],
        f'{text!r} on the console of {server}',
        seconds=BOOTS_WITHIN,
        every=0.5,
    )


def guests(host: str) -> list[int]:
    """The processes of the guests that run on a host, frozen or not."""
    try:
        keeper = pathlib.Path(facts()['hosts'][host]['keeper']).read_text().strip()
        wanted = os.readlink(f'/proc/{keeper}/ns/net')
    except OSError:
        return []
    return [pid for pid in _emulators() if _namespace(pid) == wanted]


def guest_of(server: str) -> int:
    """The process of a server's guest. :raises AssertionError: it has none, or several."""
    found = _processes_of(server)
    assert len(found) == 1, f'the guest of {server} has the processes {found}, and not one'
    return found[0]


def is_running(server: str) -> bool:
    """Whether a server has a guest somewhere, frozen or not."""
    return bool(_processes_of(server))


def _processes_of(server: str) -> list[int]:
    return [pid for pid in _emulators() if server in _words(pid)]


def crash(server: str) -> None:
    """End the guest of a server at once, as when its QEMU crashes."""
    os.kill(guest_of(server), signal.SIGKILL)


def _words(pid: int) -> list[str]:
    try:
        return pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().decode().split('\0')
    except OSError:
        return []


def _emulators() -> list[int]:
    found = []
    for process in pathlib.Path('/proc').iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and (process / 'comm').read_text().startswith('qemu-system'):
                found.append(int(process.name))
    return found


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f'/proc/{pid}/ns/net')
    except OSError:
        return ''


# The hosts that were cut off or halted since they were last brought back into service.
_disturbed: set[str] = set()


@contextlib.contextmanager
def cut(host: str, link: str = '') -> Iterator[None]:
    """A host without a link (management, storage, guests) or without all, during the body."""
    try:
        # Inside: who is interrupted here may have cut it already.
        _disturbed.add(host)
        hosts.run_lab('cut', host, *(['--link', link] if link else []))
        yield
    finally:
        hosts.run_lab('heal', host)


@contextlib.contextmanager
def frozen(host: str) -> Iterator[None]:
    """A host all of which is halted during the body."""
    try:
        _disturbed.add(host)
        hosts.run_lab('freeze', host)
        yield
    finally:
        hosts.run_lab('thaw', host)


@contextlib.contextmanager
def powerless(host: str) -> Iterator[None]:
    """A host that loses its power and boots after the body."""
    try:
        hosts.run_lab('kill', host)
        yield
    finally:
        hosts.run_lab('start', host)


def watchers(pool: str, image: str) -> set[str]:
    """The addresses that have an image of Ceph open, or had until half a minute ago."""
    return {client.rpartition(':')[0] for client in clients(pool, image)}


def clients(pool: str, image: str) -> set[str]:
    """The clients that have an image of Ceph open, or had, by the names that Ceph gives them."""
    place = facts()['ceph']
    command = ['rbd', '-c', place['conf'], '--id', place['user'], '--format', 'json']
    done = subprocess.run(
        [*command, 'status', f'{pool}/{image}'], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return {one['address'] for one in json.loads(done.stdout)['watchers']}


def storage_address(host: str) -> str:
    """The address with which a host's guests reach the storage."""
    return str(facts()['hosts'][host]['storage'])


def blocklisted() -> list[str]:
    """The clients that Ceph refuses, but for those that it refuses by itself, for a while."""
    command = ['ceph', '-c', facts()['ceph']['conf'], '--id', 'heat-ha', '-f', 'json']
    done = subprocess.run(
        [*command, 'osd', 'blocklist', 'ls'], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    entries, _end = json.JSONDecoder().raw_decode(done.stdout.lstrip())
    return [one['addr'] for one in entries if one['addr'].endswith(':0/0')]


def domains(host: str) -> list[str]:
    """The servers that libvirt knows of on a host, running or not."""
    return _virsh(host, 'list', '--all', '--uuid').split()


def start_again(host: str, server: str) -> None:
    """Start a guest again by libvirt, as somebody may who is on a host that Nova does not reach."""
    _virsh(host, 'destroy', server)
    _virsh(host, 'start', server)


def _virsh(host: str, *words: str) -> str:
    keeper = pathlib.Path(facts()['hosts'][host]['keeper']).read_text().strip()
    inside = ['nsenter', '-t', keeper, '-n', '-m', '-u', '--']
    command = [*inside, 'virsh', '-q', '-c', 'qemu:///system', *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def disks() -> set[str]:
    """The images of Ceph that hold the servers' root disks."""
    place = facts()['ceph']
    command = ['rbd', '-c', place['conf'], '--id', place['user'], 'ls', 'vms']
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def leftovers(servers: Collection[str]) -> list[str]:
    """What is there beyond these servers: guests, disks, entries that shut hosts out."""
    wanted = {f'{server}_disk' for server in servers} | {
        f'{server}_disk.config' for server in servers
    }
    return [
        *(f'{one} on {host}' for host in names() for one in domains(host) if one not in servers),
        *sorted(disks() - wanted),
        *blocklisted(),
    ]


def until_nothing_is_left(servers: Collection[str]) -> None:
    """Wait until Nova and Ceph have nothing but these servers on the lab's hosts.

    :raises AssertionError: something stays, which the message names.
    """
    try:
        waiting.until(lambda: not leftovers(servers), 'nothing is left', seconds=150, every=2)
    except AssertionError as exc:
        raise AssertionError(f'left over: {leftovers(servers)}') from exc


def restart_computes() -> None:
    """Start nova-compute again on the hosts that were cut off or halted.

    It may have lost its libvirt, which hears nothing of a process that waits for its broker
    (keepalive), and then hangs at the next guest without a word to Nova.
    """
    for host in sorted(_disturbed):
        for verb in ('kill', 'start'):
            hosts.run_lab(verb, f'nova-compute-{host}')


def make_whole(admin: Any) -> None:
    """Bring every host back into service, whatever was done to it."""
    for verb in ('start', 'thaw', 'heal'):
        hosts.run_lab(verb, *names())
    restart_computes()
    _disturbed.clear()
    for entry in blocklisted():
        command = ['ceph', '-c', facts()['ceph']['conf'], '--id', 'heat-ha']
        subprocess.run([*command, 'osd', 'blocklist', 'rm', entry], check=True, timeout=60)
    for host in names():
        service = hosts.service_of(admin, host)
        if service['forced_down']:
            hosts.let_in(admin, host)
        if service['status'] == 'disabled':
            admin.compute.put(
                f'/os-services/{service["id"]}', json={'status': 'enabled'}, microversion='2.53'
            )
        hosts.until_up(admin, host)
