# SPDX-License-Identifier: Apache-2.0
"""What Nova and Cinder show, as values: made by the clients, never changed in place.

Every domain looks at servers, volumes and hosts in these words, so none has to import another
one for them. A failed look is a value of its own and never means that something is gone (S2).
"""

import dataclasses
import datetime
import enum


class VolumeStatus(enum.Enum):
    """Cinder's states of a volume, as far as moving it cares."""

    AVAILABLE = 'available'
    RESERVED = 'reserved'
    ATTACHING = 'attaching'
    DETACHING = 'detaching'
    IN_USE = 'in-use'
    OTHER = 'other'
    GONE = 'gone'
    COULD_NOT_ASK = 'could_not_ask'

    @classmethod
    def of(cls, text: str) -> 'VolumeStatus':
        """The state that Cinder's word stands for."""
        try:
            return cls(text)
        except ValueError:
            return cls.OTHER


@dataclasses.dataclass(frozen=True)
class Volume:
    """One look at a volume: Cinder's state and the servers that it is attached to.

    ``first_disk_of`` are those of them that have it as their first disk: they run from it.
    """

    volume: str
    status: VolumeStatus
    servers: frozenset[str] = frozenset()
    is_multiattach: bool = False
    detail: str = ''
    first_disk_of: frozenset[str] = frozenset()


class ServerStatus(enum.Enum):
    """Nova's states of a server, as far as failover cares."""

    ACTIVE = 'ACTIVE'
    SHUTOFF = 'SHUTOFF'
    ERROR = 'ERROR'
    OTHER = 'OTHER'
    GONE = 'GONE'
    COULD_NOT_ASK = 'COULD_NOT_ASK'

    @classmethod
    def of(cls, text: str) -> 'ServerStatus':
        """The state that Nova's word stands for."""
        try:
            return cls(text)
        except ValueError:
            return cls.OTHER


@dataclasses.dataclass(frozen=True)
class Server:
    """One look at a server. ``host`` is Nova's hash of host and project, '' when unknown.

    ``addresses`` are those on its networks, fixed ones before floating ones.
    """

    server: str
    status: ServerStatus
    host: str = ''
    detail: str = ''
    addresses: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Restart:
    """Something that Nova did to a server from which its guest came up anew; ``at`` is UTC."""

    action: str
    at: datetime.datetime


class HostState(enum.Enum):
    """What is known of a compute host. Only CONFIRMED_DOWN says that nothing on it writes."""

    UP = 'up'
    DOWN = 'down'
    CONFIRMED_DOWN = 'confirmed_down'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class Host:
    """One look at the host of a server, with what was seen in words."""

    state: HostState
    detail: str


class Sight(enum.Enum):
    """What is known of all compute hosts together, where the host of a server is not known."""

    NONE_SILENT = 'none_silent'
    SOME_SILENT = 'some_silent'
    COULD_NOT_ASK = 'could_not_ask'
    NO_CREDENTIAL = 'no_credential'


@dataclasses.dataclass(frozen=True)
class ComputeService:
    """What Nova shows of a host's nova-compute service.

    ``heartbeat_at`` is when Nova last wrote its record (Unix time): at a sign of life, or when
    somebody marked it.
    """

    host: str
    service_id: str
    is_up: bool
    is_forced_down: bool
    is_disabled: bool
    disabled_reason: str = ''
    heartbeat_at: float | None = None


class Reply(enum.Enum):
    """What came of a request that changes something."""

    ACCEPTED = 'accepted'
    CONFLICT = 'conflict'
    NOT_FOUND = 'not found'
    REFUSED = 'refused'
    UNKNOWN = 'unknown'
