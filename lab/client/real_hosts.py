# SPDX-License-Identifier: Apache-2.0
"""The lab's hosts with real guests: servers on them, their consoles, links and power."""

import contextlib
import json
import os
import pathlib
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

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


def until_active(cloud: Any, server: str) -> None:
    """Wait until a server is ACTIVE. :raises AssertionError: it failed, or takes too long."""

    def is_settled() -> bool:
        return bool(cloud.compute.get_server(server).status in ('ACTIVE', 'ERROR'))

    waiting.until(is_settled, f'{server} is active', seconds=BOOTS_WITHIN, every=1)
    found = cloud.compute.get_server(server)
    assert found.status == 'ACTIVE', found.fault


def console(host: str, server: str) -> str:
    """What a guest has printed on this host until now."""
    file = pathlib.Path(facts()['hosts'][host]['instances'], server, 'console.log')
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


@contextlib.contextmanager
def cut(host: str, link: str = '') -> Iterator[None]:
    """A host without a link (management, storage, guests) or without all, during the body."""
    hosts.run_lab('cut', host, *(['--link', link] if link else []))
    try:
        yield
    finally:
        hosts.run_lab('heal', host)


@contextlib.contextmanager
def powerless(host: str) -> Iterator[None]:
    """A host that loses its power and boots after the body."""
    hosts.run_lab('kill', host)
    try:
        yield
    finally:
        hosts.run_lab('start', host)


def watchers(pool: str, image: str) -> set[str]:
    """The addresses that have an image of Ceph open, or had until half a minute ago."""
    place = facts()['ceph']
    command = ['rbd', '-c', place['conf'], '--id', place['user'], '--format', 'json']
    done = subprocess.run(
        [*command, 'status', f'{pool}/{image}'], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return {one['address'].rpartition(':')[0] for one in json.loads(done.stdout)['watchers']}


def storage_address(host: str) -> str:
    """The address with which a host's guests reach the storage."""
    return str(facts()['hosts'][host]['storage'])
