# SPDX-License-Identifier: Apache-2.0
"""What is known of a rescue: values only. Times are seconds of Unix time (UTC).

``rules.decide`` chooses from them, ``executor`` acts on them, ``record`` stores them.
"""

import dataclasses
import enum
from typing import ClassVar

from heat_ha import serialization, signals
from heat_ha.cloud.model import Host, ServerStatus


class Action(signals.Action):
    """What a signal to a RescuePolicy may ask for by name.

    It is RESCUE without an action. PREPARE lets the engine log in, so that the rescue need not;
    the agent sends it to all engines.
    """

    RESCUE = 'rescue'
    PLAN = 'plan'
    PREPARE = 'prepare'

    @property
    def only_looks(self) -> bool:
        """Whether no server is touched and nothing is put on record."""
        return self is not Action.RESCUE


class Method(enum.Enum):
    """The ways to bring a server, or what it did, back. ``rules.methods`` says what each does."""

    RESTART = 'restart'
    EVACUATE = 'evacuate'
    REBUILD = 'rebuild'
    RECREATE = 'recreate'
    FAILOVER = 'failover'
    NONE = 'none'


class State(enum.Enum):
    """How far the rescue of one server is."""

    PENDING = 'pending'
    RUNNING = 'running'
    DONE = 'done'
    LEFT_ALONE = 'left_alone'
    FAILED = 'failed'

    @property
    def is_final(self) -> bool:
        """Whether nothing more is done about the server."""
        return self in (State.DONE, State.LEFT_ALONE, State.FAILED)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One method as the template wants it: seconds for one attempt, and how many."""

    method: Method
    timeout: float = 600.0
    attempts: int = 1


class Configuration(enum.Enum):
    """How far a server's software deployments are that were handed to it again."""

    DONE = 'done'
    RUNNING = 'running'
    FAILED = 'failed'
    COULD_NOT_ASK = 'could_not_ask'


@dataclasses.dataclass(frozen=True)
class Verify:
    """What must be as before when a server is rescued in Nova.

    ``configuration``: its software deployments are handed to it again, and must succeed.
    """

    volumes: bool = True
    addresses: bool = True
    configuration: bool = False


@dataclasses.dataclass(frozen=True)
class Server:
    """One look at a server. ``host`` is Nova's hash of host and project, '' when unknown.

    ``task`` is what Nova is doing with it, '' for nothing. ``detail`` is Nova's status,
    ``vm_state`` its word for the state without the task, '' when it is not shown. ``power_state``
    is Nova's number, ``fault`` why the server is in error, and ``fault_at`` since when (Unix time).
    """

    FORM = serialization.Form(
        keys={'detail': 'wording'},
        always=('volumes', 'addresses'),
        omits=('vm_state', 'power_state', 'is_locked', 'boots_from_volume', 'fault', 'fault_at'),
    )

    server: str
    status: ServerStatus
    host: str = ''
    task: str = ''
    volumes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    detail: str = ''
    vm_state: str = ''
    power_state: int = 0
    is_locked: bool = False
    boots_from_volume: bool = False
    fault: str = ''
    fault_at: float = 0.0


class Cause(enum.Enum):
    """Why an attempt came to nothing. ``rules.causes`` says what may follow."""

    NONE = ''
    COULD_NOT_ASK = 'could_not_ask'
    STATE = 'state'
    NO_CREDENTIAL = 'no_credential'
    FORBIDDEN = 'forbidden'
    LOCKED = 'locked'
    UNSUPPORTED = 'unsupported'
    NO_HOST = 'no_host'
    KEYS = 'keys'
    IN_USE = 'in_use'
    SERVICE = 'service'
    BUILD = 'build'
    REFUSED = 'refused'
    LATE = 'late'
    HEAT = 'heat'
    UNEXPECTED = 'unexpected'


@dataclasses.dataclass(frozen=True)
class Migration:
    """The newest migration of a server as Nova shows it.

    ``status`` and ``kind`` are Nova's words, ``created`` is Unix time, ``destination`` Nova's hash
    of host and project, '' before that host has begun with it. ``candidates``: until then, the
    hosts on which room is reserved for the server, beside the one of before.
    """

    ABSENT: ClassVar[str] = 'absent'
    COULD_NOT_ASK: ClassVar[str] = 'could not ask'

    status: str
    kind: str = ''
    created: float = 0.0
    destination: str = ''
    candidates: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Progress:
    """The rescue of one server as it is on record.

    ``index`` and ``attempt`` say which attempt of which method it is, ``before`` how the server
    was when the rescue began, ``failure`` why the attempt came to nothing. ``has_returned``: what
    went through Heat came to its end; without it the engine died in the middle.
    ``is_configured_again``: its software deployments were handed to it again. ``of_host``: the
    rescue began because its host was confirmed down, not because an alarm named the server.
    ``cause``: the kind of the failure. ``was_reset``: its state was reset, so Nova starts it
    whatever it was. ``was_stopped``: it was stopped again after that. ``cut_off``: how often a host
    that it was moved to died. ``reminded``: when an event last said that it takes long.
    ``arrived``: when the server was first seen on its new host, 0 if that did not matter.
    """

    FORM = serialization.Form(
        keys={'is_configured_again': 'is_configured_anew'},
        always=('state', 'method'),
        omits=('of_host', 'cause', 'was_reset', 'was_stopped', 'cut_off', 'reminded', 'arrived'),
    )

    server: str
    name: str
    before: Server
    index: int = 0
    attempt: int = 0
    state: State = State.PENDING
    method: Method | None = None
    began: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    failure: str = ''
    reason: str = ''
    has_returned: bool = False
    is_configured_again: bool = False
    of_host: bool = True
    cause: Cause = Cause.NONE
    was_reset: bool = False
    was_stopped: bool = False
    cut_off: int = 0
    reminded: float = 0.0
    arrived: float = 0.0


@dataclasses.dataclass(frozen=True)
class Observation:
    """One look at a server and at the host that it was on when the rescue began.

    ``configuration`` counts only when it was handed to the server again. ``here`` is the host that
    the server is on now, None when that is ``host``. ``migration`` is its newest migration, None
    when Nova was not asked for it, and ``destination`` the host that it leads to. ``absent_for``:
    for how many seconds all answers have been that it has none.
    """

    server: Server
    host: Host
    now: float
    configuration: Configuration = Configuration.DONE
    here: Host | None = None
    migration: Migration | None = None
    destination: Host | None = None
    absent_for: float = 0.0
