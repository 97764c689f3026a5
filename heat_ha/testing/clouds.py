# SPDX-License-Identifier: Apache-2.0
"""A Nova and a Cinder in memory, for the volumes of one failover.

Every request takes a few looks until it has taken effect, as on a real cloud, and may be lost,
refused or answered wrongly on demand. A second attachment of a volume is a violation that the
fake keeps, whoever asks for it.
"""

import dataclasses
import hashlib
import random
import threading
from collections.abc import Collection, Iterable

from heat_ha.cloud import clock
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus, VolumeStatus


def address_of(server: str) -> str:
    """The address of a server, which its id decides."""
    return f'10.{".".join(str(byte) for byte in hashlib.sha256(server.encode()).digest()[:3])}'


@dataclasses.dataclass
class _Volume:
    status: VolumeStatus = VolumeStatus.AVAILABLE
    server: str | None = None
    target: str | None = None
    looks_left: int = 0


class FakeCloud:
    """Volumes and servers; ``faults`` is the share of calls that fail, 0.0 to 1.0.

    :ivar refusals: how many attachments Nova refuses because it has not forgotten the last one.
    :ivar refused: servers to which Nova attaches nothing.
    :ivar violations: what must never have happened (S1), in words.
    :ivar requests: the requests that took effect, in their order.
    """

    def __init__(self, *, looks: int = 2, faults: float = 0.0, seed: int = 0) -> None:
        self._volumes: dict[str, _Volume] = {}
        self._servers: dict[str, ServerStatus] = {}
        self._looks = looks
        self._faults = faults
        self._random = random.Random(seed)
        self._guard = threading.Lock()
        self._dead = ''
        # Volumes that a guest may still write to, although they are shown as free.
        self._written: dict[str, str] = {}
        self.refusals = 0
        self.refused: set[str] = set()
        self.host = cloud.Host(HostState.UP, 'its host is up')
        self.violations: list[str] = []
        self.requests: list[tuple[str, str, str]] = []
        self._actions: dict[str, cloud.Restart] = {}

    @property
    def nova(self) -> 'FakeCloud':
        """The cloud as Nova."""
        return self

    @property
    def cinder(self) -> 'FakeCloud':
        """The cloud as Cinder."""
        return self

    @property
    def hosts(self) -> 'FakeCloud':
        """The cloud as the service that shows hosts."""
        return self

    def add_server(self, server: str, status: ServerStatus = ServerStatus.ACTIVE) -> None:
        """Let a server be there."""
        self._servers[server] = status

    def add_volume(self, volume: str, server: str | None = None) -> None:
        """Let a volume be there, in use on ``server`` when one is named."""
        in_use = VolumeStatus.IN_USE if server else VolumeStatus.AVAILABLE
        self._volumes[volume] = _Volume(in_use, server)

    def holder(self, volume: str) -> str | None:
        """The server that the volume is attached to."""
        return self._volumes[volume].server

    def _fails(self) -> bool:
        return self._random.random() < self._faults

    # --- Cinder ------------------------------------------------------------------------------

    def volume(self, volume_id: str) -> cloud.Volume:
        """Look at a volume; each look brings a request under way one step further."""
        with self._guard:
            found = self._volumes.get(volume_id)
            if found is None:
                return cloud.Volume(volume_id, VolumeStatus.GONE)
            if self._fails():
                return cloud.Volume(volume_id, VolumeStatus.COULD_NOT_ASK, detail='HTTP 503')
            self._advance(found)
            servers = frozenset({found.server} if found.server else ())
            return cloud.Volume(volume_id, found.status, servers, detail=found.status.value)

    def attached(self, servers: Iterable[str]) -> frozenset[tuple[str, str]] | None:
        """Which volume is attached to which of the servers; None when Cinder cannot be asked."""
        with self._guard:
            if self._fails():
                return None
            for found in self._volumes.values():
                self._advance(found)
            wanted = set(servers)
            return frozenset(
                (name, v.server)
                for name, v in self._volumes.items()
                if v.server in wanted and v.status is VolumeStatus.IN_USE
            )

    def _advance(self, found: _Volume) -> None:
        if found.looks_left > 0:
            found.looks_left -= 1
            return
        if found.status is VolumeStatus.DETACHING:
            found.status, found.server = VolumeStatus.AVAILABLE, None
        elif found.status is VolumeStatus.ATTACHING:
            found.status, found.server = VolumeStatus.IN_USE, found.target

    # --- Nova --------------------------------------------------------------------------------

    def server(self, server_id: str) -> cloud.Server:
        """Look at a server."""
        with self._guard:
            if self._fails():
                return cloud.Server(server_id, ServerStatus.COULD_NOT_ASK, detail='HTTP 503')
            status = self._servers.get(server_id, ServerStatus.GONE)
            addresses = (address_of(server_id),) if status is not ServerStatus.GONE else ()
            return cloud.Server(server_id, status, detail=status.value, addresses=addresses)

    def named(self, name: str) -> frozenset[str]:
        """The servers of this name, which is their id."""
        return frozenset(server for server in self._servers if server == name)

    def addressed(self, address: str) -> frozenset[str]:
        """The servers with this address."""
        return frozenset(server for server in self._servers if address_of(server) == address)

    def restart(self, server_id: str, action: str = 'reboot') -> None:
        """Let a person restart a server."""
        self._servers[server_id] = ServerStatus.ACTIVE
        self._actions[server_id] = cloud.Restart(action, clock.now())

    def last_action(self, server_id: str, actions: Collection[str]) -> cloud.Restart | None:
        """The newest of these actions on a server."""
        found = self._actions.get(server_id)
        return found if found is not None and found.action in actions else None

    def detach(self, server_id: str, volume_id: str) -> tuple[cloud.Reply, str]:
        """Ask for a volume to be taken from a server."""
        with self._guard:
            found = self._volumes[volume_id]
            if self._fails():
                return cloud.Reply.UNKNOWN, 'HTTP 500'
            if self._is_dead(server_id):
                return cloud.Reply.CONFLICT, 'HTTP 409'
            if found.server != server_id:
                return cloud.Reply.NOT_FOUND, 'HTTP 404'
            if found.status is not VolumeStatus.IN_USE:
                return cloud.Reply.REFUSED, 'HTTP 400: the volume is not in use'
            found.status, found.looks_left = VolumeStatus.DETACHING, self._looks
            self.requests.append(('detach', volume_id, server_id))
            return self._reply()

    def given_up(self, server: str, volume: str, _successor: str, _is_over: object) -> str:
        """Say which server had it, and which one has it by now."""
        return f'{server} had {volume}, and {self._volumes[volume].server} has it now'

    def attach(self, server_id: str, volume_id: str, device: str | None) -> tuple[cloud.Reply, str]:
        """Ask for a volume to be given to a server."""
        with self._guard:
            found = self._volumes[volume_id]
            if found.server is not None and found.server != server_id:
                self.violations.append(f'{volume_id} asked for {server_id} while on {found.server}')
            writer = self._written.get(volume_id, '')
            is_silent = bool(writer) and self._is_dead(writer) and self.host.state is HostState.DOWN
            if is_silent and writer != server_id:
                self.violations.append(f'{volume_id} asked for {server_id} while {writer} writes')
            if self._fails():
                return cloud.Reply.UNKNOWN, 'HTTP 500'
            if found.status is not VolumeStatus.AVAILABLE:
                return cloud.Reply.REFUSED, 'HTTP 400: the volume is not available'
            if server_id in self.refused:
                return cloud.Reply.REFUSED, 'HTTP 400: the server is in another availability zone'
            if self.refusals:
                self.refusals -= 1
                return cloud.Reply.REFUSED, 'HTTP 400: already attached to instances'
            found.status, found.target = VolumeStatus.ATTACHING, server_id
            found.looks_left = self._looks
            self.requests.append(('attach', volume_id, server_id))
            return self._reply()

    def delete(self, server_id: str) -> tuple[cloud.Reply, str]:
        """Ask for a server to be deleted; Nova frees its volumes itself, on a dead host too."""
        with self._guard:
            if self._fails():
                return cloud.Reply.UNKNOWN, 'HTTP 500'
            if self.host.state is not HostState.CONFIRMED_DOWN and self._is_dead(server_id):
                self.violations.append(f'{server_id} deleted while its host was not confirmed')
            self._servers.pop(server_id, None)
            for found in self._volumes.values():
                if found.server == server_id:
                    found.status, found.server = VolumeStatus.AVAILABLE, None
            self.requests.append(('delete', '', server_id))
            return self._reply()

    def deleted_server(self, server_id: str) -> cloud.Server:
        """Look at a server that was deleted; its host is known by its id here."""
        if self._fails():
            return cloud.Server(server_id, ServerStatus.COULD_NOT_ASK, detail='HTTP 503')
        return cloud.Server(server_id, ServerStatus.GONE, host='host')

    def owner_deletes(self, server_id: str) -> None:
        """Let its owner delete a server; on a silent host Nova does that in its database only."""
        with self._guard:
            self._servers.pop(server_id, None)
            for name, found in self._volumes.items():
                if found.server == server_id:
                    found.status, found.server = VolumeStatus.AVAILABLE, None
                    if self._is_dead(server_id) and self.host.state is HostState.DOWN:
                        self._written[name] = server_id

    # --- the hosts ---------------------------------------------------------------------------

    def let_die(self, server_id: str) -> None:
        """Let the host of a server not answer from now on; nobody has confirmed anything.

        The host before answers again, and Nova removes from it what was deleted meanwhile.
        """
        self._written.clear()
        self.host = cloud.Host(HostState.DOWN, 'its host does not answer')
        self._dead = server_id

    def confirm(self) -> None:
        """Confirm that the dead host is down."""
        self.host = cloud.Host(HostState.CONFIRMED_DOWN, 'its host is confirmed down')

    def _is_dead(self, server_id: str) -> bool:
        return self._dead == server_id

    def all(self) -> '_Hosts':
        """Look at all hosts at once."""
        return _Hosts(self)

    def state(self, server: cloud.Server) -> cloud.Host:
        """Look at the host of a server."""
        if self._is_dead(server.server):
            return self.host
        return cloud.Host(HostState.UP, 'its host is up')

    def stop(self, server_id: str) -> tuple[cloud.Reply, str]:
        """Ask for a server to be shut off."""
        with self._guard:
            if self._fails():
                return cloud.Reply.UNKNOWN, 'HTTP 500'
            if self._is_dead(server_id):
                return cloud.Reply.CONFLICT, 'HTTP 409'
            self._servers[server_id] = ServerStatus.SHUTOFF
            self._actions[server_id] = cloud.Restart('stop', clock.now())
            self.requests.append(('stop', '', server_id))
            return self._reply()

    def _reply(self) -> tuple[cloud.Reply, str]:
        # A reply can be lost after the request has taken effect.
        if self._fails():
            return cloud.Reply.UNKNOWN, 'the reply was lost'
        return cloud.Reply.ACCEPTED, ''


class _Hosts:
    """All hosts of a fake cloud, as ``compute_hosts.HostTable`` shows those of a real one."""

    def __init__(self, made: FakeCloud) -> None:
        self._cloud = made

    def __call__(self, server: cloud.Server) -> cloud.Host:
        return self._cloud.state(server)

    @property
    def has_dead(self) -> bool:
        return self._cloud.host.state is HostState.CONFIRMED_DOWN

    @property
    def sight(self) -> cloud.Sight:
        is_silent = self._cloud.host.state is HostState.DOWN
        return cloud.Sight.SOME_SILENT if is_silent else cloud.Sight.NONE_SILENT
