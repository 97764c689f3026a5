# SPDX-License-Identifier: Apache-2.0
"""The lab's compute hosts: let them die, say that they are dead, bring them back."""

import contextlib
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Collection, Iterator
from typing import Any

import amqp

from lab import processes
from lab.client import access, waiting

HOSTS = ('c1', 'c2', 'c3')

# Seconds: the option mark_settle of the lab's engines.
MARK_SETTLES = 4.0


# The lab refuses a command while another one is at work.
_ONE_COMMAND = threading.Lock()


def run_lab(verb: str, *services: str) -> None:
    """Carry out one verb of the lab's command line. :raises AssertionError: it failed."""
    with _ONE_COMMAND:
        done = subprocess.run(
            [sys.executable, '-m', 'lab', verb, *services],
            cwd=access.ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout + done.stderr


def runs(host: str) -> bool:
    """Whether the nova-compute of a host runs, which may be frozen."""
    return processes.is_alive(f'nova-compute-{host}')


def host_of(admin: Any, server: str) -> str:
    """The name of the host that a server is on, which only an admin can see."""
    answer = admin.compute.get(f'/servers/{server}')
    return str(answer.json()['server']['OS-EXT-SRV-ATTR:host'])


def homes_of(admin: Any, servers: Collection[str]) -> dict[str, str]:
    """The host of each of these servers, by one request."""
    answer = admin.compute.get('/servers/detail?all_tenants=1&limit=1000')
    shown = {s['id']: str(s['OS-EXT-SRV-ATTR:host']) for s in answer.json()['servers']}
    return {server: shown[server] for server in servers}


def service_of(admin: Any, host: str) -> dict[str, Any]:
    """What Nova says of a compute host."""
    answer = admin.compute.get('/os-services?binary=nova-compute', microversion='2.53')
    found: dict[str, Any] = next(s for s in answer.json()['services'] if s['host'] == host)
    return found


def purge_queue(host: str) -> None:
    """Forget what Nova has sent to a nova-compute, as ``rabbitmqctl purge_queue`` does."""
    place = urllib.parse.urlsplit(access.environment()['bus']['one'])
    connection = amqp.Connection(
        host=f'{place.hostname}:{place.port}',
        userid=place.username,
        password=place.password,
        virtual_host=place.path.lstrip('/'),
    )
    connection.connect()
    with contextlib.closing(connection):
        connection.channel().queue_purge(f'compute.{host}')


def confirm_down(admin: Any, host: str, is_down: bool, *, settles: bool = True) -> None:
    """Say that a host is dead for certain, as somebody does who has fenced it, or no longer.

    :param settles: whether to wait until engines can believe that, where no agent tells them.
    """
    answer = admin.compute.put(
        f'/os-services/{service_of(admin, host)["id"]}',
        json={'forced_down': is_down},
        microversion='2.53',
    )
    assert answer.status_code == 200, answer.text
    if is_down and settles:
        # Before that nobody can tell the mark from a sign of life.
        time.sleep(MARK_SETTLES)


def let_in(admin: Any, host: str) -> None:
    """Say that a host is dead no longer, as soon as Nova accepts that.

    Nova refuses while a server's evacuation is not completed on record. Each start of the host's
    nova-compute completes one for each server, and one that was evacuated twice has two.
    """
    body, number = {'forced_down': False}, service_of(admin, host)['id']

    def is_accepted() -> bool:
        answer = admin.compute.put(f'/os-services/{number}', json=body, microversion='2.53')
        return bool(answer.status_code == 200)

    for _ in range(2):
        try:
            waiting.until(is_accepted, f'{host} is let in', seconds=15, every=1)
            return
        except AssertionError:
            run_lab('restart', f'nova-compute-{host}')
    waiting.until(is_accepted, f'{host} is let in', every=1)


def until_up(admin: Any, host: str) -> None:
    """Wait until Nova says that the host works."""
    waiting.until(lambda: service_of(admin, host)['state'] == 'up', f'{host} is up', every=0.5)


def confirmed_dead(admin: Any, host: str) -> contextlib.AbstractContextManager[None]:
    """A host that hangs and is confirmed down; it works again after the body."""
    return _down(admin, host, 'freeze', 'thaw')


def dead_and_confirmed(admin: Any, host: str) -> contextlib.AbstractContextManager[None]:
    """A host that is dead and confirmed down, and starts again after the body.

    Nova lets a host that servers were evacuated from in again only when it has started again.
    """
    return _down(admin, host, 'kill', 'start')


@contextlib.contextmanager
def _down(admin: Any, host: str, take: str, give_back: str) -> Iterator[None]:
    """A host that one verb of the lab takes and another one gives back after the body."""
    run_lab(take, f'nova-compute-{host}')
    try:
        confirm_down(admin, host, True)
        yield
    finally:
        run_lab(give_back, f'nova-compute-{host}')
        confirm_down(admin, host, False)
        until_up(admin, host)


@contextlib.contextmanager
def only_on(admin: Any, *hosts: str) -> Iterator[None]:
    """Let Nova put servers on these hosts only."""
    others = [h for h in HOSTS if h not in hosts]
    for status in ('disabled', 'enabled'):
        for host in others:
            service = service_of(admin, host)
            admin.compute.put(
                f'/os-services/{service["id"]}', json={'status': status}, microversion='2.53'
            )
        if status == 'disabled':
            yield


def addresses_of(admin: Any, server: str) -> list[str]:
    """The addresses that a server has on its networks."""
    found = admin.compute.get(f'/servers/{server}').json()['server']['addresses']
    return sorted(a['addr'] for net in found.values() for a in net)
