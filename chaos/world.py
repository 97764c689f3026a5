# SPDX-License-Identifier: Apache-2.0
"""Hosts that die and are fenced, engines that are killed, and Heat's way to Nova and Cinder."""

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from chaos import check
from chaos.choice import HostFault
from chaos.database import Database
from lab import processes
from lab.client import access, faults, hosts

# The interface of the catalogue that leads Heat to the proxy. Nobody else in the lab uses it.
INTERFACE = 'admin'
FAULTY_TYPES = ('compute', 'volumev3', 'block-storage')

_FAULTY = f"""
# Written by a campaign; the next `make lab` writes the file again.
[clients_nova]
endpoint_type = {INTERFACE}URL

[clients_cinder]
endpoint_type = {INTERFACE}URL

[heat_ha_nova]
interface = {INTERFACE}
"""


class Engines:
    """Heat's engines: which of them carries a failover, and its death."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names = access.environment()['regions']['RegionOne']['engines']
        self._dead: set[str] = set()
        self._starting: threading.Thread | None = None
        self._lock = threading.Lock()
        # When an engine was last up again, in seconds since the epoch.
        self.up_since = 0.0

    def carrier(self, nested: str) -> str | None:
        """The living engine that holds the lock of a policy, None without one."""
        rows = self._database.query(
            'SELECT l.engine_id, s.host FROM heat_one.stack_lock l'
            ' JOIN heat_one.service s ON s.engine_id = l.engine_id WHERE l.stack_id = %s',
            nested,
        )
        return next((str(host) for engine, host in rows if engine not in self._dead), None)

    def at_work(self, engine: str) -> str | None:
        """The name of a living engine by its id, None where it is dead or there is none."""
        if not engine or engine in self._dead:
            return None
        rows = self._database.query(
            'SELECT host FROM heat_one.service WHERE engine_id = %s', engine
        )
        return next((str(host) for (host,) in rows), None)

    def kill(self, service: str) -> bool:
        """End an engine as a crash does, and start it again; False while the other is dead."""
        with self._lock:
            if self._starting is not None and self._starting.is_alive():
                return False
            if not processes.kill(service):
                return False
            # A new life of the same engine has another id.
            rows = self._database.query(
                'SELECT engine_id FROM heat_one.service WHERE host = %s', service
            )
            self._dead |= {row[0] for row in rows}
            self._starting = threading.Thread(target=self._start, args=(service,))
            self._starting.start()
            return True

    def _start(self, service: str) -> None:
        hosts.run_lab('start', service)
        self.up_since = time.time()

    def wait(self) -> None:
        """Return when both engines work."""
        if self._starting is not None:
            self._starting.join()
        hosts.run_lab('start', *self._names)


class Hosts:
    """The compute hosts, and the ledger of their deaths."""

    def __init__(self, admin: Any) -> None:
        self._admin = admin
        self._lock = threading.Lock()
        self.deaths: list[check.Death] = []

    @contextlib.contextmanager
    def dying(
        self, host: str, kind: HostFault, fence_after: float | None, back_after: float
    ) -> Iterator[None]:
        """Let a host die now; it is fenced and comes back later, and works when this ends."""
        hosts.run_lab('kill' if kind is HostFault.KILLED else 'freeze', f'nova-compute-{host}')
        # That takes seconds where much is done, in which the host answers as ever.
        begin = time.time()
        with self._lock:
            self.deaths = [*self.deaths, check.Death(host, begin)]
        thread = threading.Thread(
            target=self._recover, args=(host, kind, begin, fence_after, back_after)
        )
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _recover(
        self, host: str, kind: HostFault, begin: float, fence_after: float | None, back_after: float
    ) -> None:
        fenced = None
        if fence_after is not None:
            time.sleep(fence_after)
            # On the ledger before it can have an effect.
            fenced = time.time()
            self._enter(check.Death(host, begin, fenced))
            hosts.confirm_down(self._admin, host, True)
        time.sleep(max(0.0, begin + back_after - time.time()))
        self._enter(check.Death(host, begin, fenced, time.time()))
        hosts.run_lab('start' if kind is HostFault.KILLED else 'thaw', f'nova-compute-{host}')
        if fenced is not None:
            hosts.confirm_down(self._admin, host, False)
        hosts.until_up(self._admin, host)

    def _enter(self, death: check.Death) -> None:
        with self._lock:
            self.deaths = [
                death if (d.host, d.begin) == (death.host, death.begin) else d for d in self.deaths
            ]


@contextlib.contextmanager
def faulty_services(admin: Any, seed: int) -> Iterator[faults.Proxy]:
    """Lead Heat to Nova and Cinder through the proxy for as long as the body lasts."""
    env = access.environment()
    folder = pathlib.Path(env['etc']) / 'one' / 'heat'
    engines = env['regions']['RegionOne']['engines']
    files = {path: path.read_text() for path in (folder / f'{name}.conf' for name in engines)}
    endpoints = _endpoints(admin, INTERFACE)
    # Not what they lead to now: an earlier campaign may have been cut off.
    direct = {kind: endpoint.url for kind, endpoint in _endpoints(admin, 'public').items()}
    with faults.Proxy(direct, seed) as proxy:
        try:
            for kind, endpoint in endpoints.items():
                admin.identity.update_endpoint(endpoint.id, url=proxy.urls[kind])
            for path, text in files.items():
                path.write_text(text.partition(_FAULTY)[0] + _FAULTY)
            hosts.run_lab('restart', *engines)
            yield proxy
        finally:
            for path, text in files.items():
                path.write_text(text.partition(_FAULTY)[0])
            for kind, endpoint in endpoints.items():
                admin.identity.update_endpoint(endpoint.id, url=direct[kind])
            hosts.run_lab('restart', *engines)


def _endpoints(admin: Any, interface: str) -> dict[str, Any]:
    """The first region's endpoints of Nova and Cinder, by the type of the service."""
    kinds = {s.id: s.type for s in admin.identity.services() if s.type in FAULTY_TYPES}
    found = {
        kinds[e.service_id]: e
        for e in admin.identity.endpoints(interface=interface)
        if e.service_id in kinds and e.region_id == 'RegionOne'
    }
    assert set(found) == set(FAULTY_TYPES), found
    return found
