# SPDX-License-Identifier: Apache-2.0
"""What Nova and Cinder show, as values: made by the clients, never changed in place.

Every domain looks at servers, volumes and hosts in these words, so none has to import another
one for them. A failed look is a value of its own and never means that something is gone (S2).
"""

import dataclasses
import datetime
import enum
import re


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
    """One look at the host of a server, with what was seen in words.

    :ivar written: of one that is DOWN, when its record was written last (Unix time, Nova's clock).
    """

    state: HostState
    detail: str
    written: float | None = dataclasses.field(default=None, compare=False)


class Sight(enum.Enum):
    """What is known of all compute hosts together, where the host of a server is not known."""

    NONE_SILENT = 'none_silent'
    SOME_SILENT = 'some_silent'
    COULD_NOT_ASK = 'could_not_ask'
    NO_CREDENTIAL = 'no_credential'


# With these begin the reasons for which no operator has disabled a host: ours, and those of Nova's
# drivers (DISABLE_PREFIX in nova/virt/libvirt/driver.py, and nova/virt/vmwareapi/host.py), as when
# libvirt does not answer. All others are an operator's, also those of a program that an operator
# runs, and Nova's own for a host that is not in service yet (enable_new_services).
OUR_REASON = 'heat-ha: '
NOT_OPERATORS = (OUR_REASON, 'AUTO: ', 'Auto-disabled due to ', 'set by vmwareapi host_state')

# Seconds by which the clocks of one cloud's machines may differ: so much later than heat-ha's mark
# a record must have been written to be a sign of life. Booting takes a host longer.
CLOCKS_APART = 30.0

# Nova keeps so many characters of a reason.
REASON_LENGTH = 255

_AT = re.compile(r' at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$')


def reason_of_mark(text: str, at: float) -> str:
    """Why heat-ha disables a host, with the time (Unix time), which a look can read again."""
    time = datetime.datetime.fromtimestamp(int(at), datetime.timezone.utc)
    when = f' at {time:%Y-%m-%dT%H:%M:%SZ}'
    return (OUR_REASON + text)[: REASON_LENGTH - len(when)] + when


def time_of_mark(reason: str | None) -> float | None:
    """When heat-ha has marked a host (Unix time), None when the mark is not ours."""
    found = _AT.search(reason or '')
    if not found or not (reason or '').startswith(OUR_REASON):
        return None
    try:
        return datetime.datetime.fromisoformat(found[1].replace('Z', '+00:00')).timestamp()
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True)
class ComputeService:
    """What Nova shows of a host's nova-compute service.

    ``heartbeat_at`` is when Nova last wrote its record (Unix time): at a sign of life, or when
    somebody marked it. ``zone`` is its availability zone.
    """

    host: str
    service_id: str
    is_up: bool
    is_forced_down: bool
    is_disabled: bool
    disabled_reason: str = ''
    heartbeat_at: float | None = None
    zone: str = ''

    @property
    def is_in_maintenance(self) -> bool:
        """Whether an operator took the host out of service, and decides what happens to it."""
        is_operators = not self.disabled_reason.startswith(NOT_OPERATORS)
        return self.is_disabled and not self.is_forced_down and is_operators

    @property
    def marked_at(self) -> float | None:
        """When heat-ha has marked it as down (Unix time); None when it has not."""
        return time_of_mark(self.disabled_reason)


class Reply(enum.Enum):
    """What came of a request that changes something."""

    ACCEPTED = 'accepted'
    CONFLICT = 'conflict'
    NOT_FOUND = 'not found'
    REFUSED = 'refused'
    UNKNOWN = 'unknown'
