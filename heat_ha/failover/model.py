# SPDX-License-Identifier: Apache-2.0
"""What is known of a failover: values only, made at the border, never changed in place.

``rules`` chooses from them, ``executor`` acts on them, ``record`` keeps them.
"""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

from heat_ha import serialization, signals
from heat_ha.cloud import model as cloud
from heat_ha.failover import health
from heat_ha.groups import model as groups

HealthCheck = health.HealthCheck
HealthState = health.HealthState
Health = health.Health


class Action(signals.Action):
    """What a signal to a FailoverPolicy may ask for by name; ``rules.decide`` answers each."""

    FAILOVER = 'failover'
    SWITCHOVER = 'switchover'
    FAIL_BACK = 'fail_back'
    RESUME = 'resume'
    RETRY = 'retry'
    CANCEL = 'cancel'
    DROP = 'drop'
    PAUSE = 'pause'
    UNPAUSE = 'unpause'
    PLAN = 'plan'

    @property
    def only_looks(self) -> bool:
        """Whether it changes nothing: a dry run."""
        return self is Action.PLAN

    @property
    def takes_up_plan(self) -> bool:
        """Whether it brings a plan to its end that was left; before any other, that is done."""
        return self in (Action.RESUME, Action.RETRY)

    @property
    def is_quiet(self) -> bool:
        """Whether it makes events of news only: nobody has sent it who waits for an answer."""
        return self is Action.RETRY


class State(enum.Enum):
    """What a FailoverPolicy is doing, as its attribute ``state`` says it.

    Those from PAUSED on are shown in the place of READY and are never on record.
    """

    READY = 'ready'
    RUNNING = 'running'
    WAITING_FOR_FENCE = 'waiting_for_fence'
    STOPPED = 'stopped'
    PAUSED = 'paused'
    REPLACING = 'replacing'
    WAITING = 'waiting'
    INCOMPLETE = 'incomplete'


# The step that shuts off the old active which is retained for a look.
SHUT_OFF_RETAINED = 'shut_off_kept'


class StepKind(enum.Enum):
    """The kinds of step, in the order in which a plan may hold them."""

    ADD_MEMBER = 'add_member'
    QUIESCE = 'quiesce'
    STOP_SERVER = 'stop_server'
    DETACH = 'detach'
    ATTACH = 'attach'
    FENCE = 'fence'
    HAND_OVER = 'hand_over'
    ACTIVATE = 'activate'
    REPLACE = 'replace'


class ThingKind(enum.Enum):
    """The kinds of things that are handed over on the quick path, each by a driver of its own."""

    VOLUME = 'volume'


class StepState(enum.Enum):
    """How far one step is. Only DONE is final: every other is looked at again on resume."""

    PENDING = 'pending'
    RUNNING = 'running'
    DONE = 'done'
    FAILED = 'failed'


class Cause(enum.Enum):
    """Why the active changes: because it is sick, or because a person asked."""

    FAILOVER = 'failover'
    SWITCHOVER = 'switchover'
    REPLACE_STANDBY = 'replace_standby'


class Quiesce(enum.Enum):
    """What is done to the old active's server before its volumes are taken."""

    NONE = 'none'
    STOP = 'stop'


class OnFailure(enum.Enum):
    """What becomes of the failover when a hook does not succeed."""

    CONTINUE = 'continue'
    STOP = 'stop'


class FailBack(enum.Enum):
    """Whether the active may be brought back to where it was before."""

    NEVER = 'never'
    MANUAL = 'manual'


class Fencing(enum.Enum):
    """Which proof is wanted before the new active may write."""

    REQUIRED = 'required'
    CONFIRMED_BY_NOVA = 'confirmed_by_nova'
    STORAGE = 'storage'
    NONE = 'none'


class OnDeadHost(enum.Enum):
    """How what a server on a confirmed-dead host still holds is freed."""

    DELETE_SERVER = 'delete_server'
    WAIT = 'wait'


@dataclasses.dataclass(frozen=True)
class MemberServer:
    """A member as the active or its successor: its name in the group, and its server."""

    member: str
    server: str


@dataclasses.dataclass(frozen=True)
class Retained:
    """A member that was left as sick and is retained, shut off, for a look; ``until`` is UTC.

    ``tries`` is how often its removal came to nothing since, ``due`` when that is tried again (UTC,
    empty for at once), ``reason`` and ``remedy`` are of the last try.
    """

    FORM = serialization.Form(omits=('tries', 'due', 'reason', 'remedy'))

    member: str
    server: str
    until: str
    tries: int = 0
    due: str = ''
    reason: str = ''
    remedy: str = ''


@dataclasses.dataclass(frozen=True)
class Hook:
    """A software config that is run on the old or the new active; times in seconds.

    ``heartbeat`` is how long it may be silent, 0 for as long as ``timeout``; an empty
    ``signal_transport`` leaves the way of the answer to Heat.
    """

    config: str
    input_values: Mapping[str, Any]
    timeout: float
    heartbeat: float
    on_failure: OnFailure
    signal_transport: str = ''


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that is done. ``after`` names the steps that must be done before.

    ``target`` is the id of what a step is about; for DETACH and ATTACH, ``thing`` says of which
    kind it is.
    """

    # Versions that know only volumes read a step about one as before, and refuse any other.
    FORM = serialization.Form(always=('after', 'state'), omits=('thing',))

    name: str
    kind: StepKind
    target: str
    after: tuple[str, ...] = ()
    state: StepState = StepState.PENDING
    reason: str = ''
    started: str = ''
    seconds: float | None = None
    detail: str = ''
    thing: ThingKind = ThingKind.VOLUME

    @property
    def is_follow_up(self) -> bool:
        """Whether it comes after the failover: it puts the group in order and moves nothing."""
        return self.kind is StepKind.REPLACE or self.name == SHUT_OFF_RETAINED


@dataclasses.dataclass(frozen=True)
class Plan:
    """The graph of steps of one failover, with what it starts from and what it leads to.

    ``revision`` is the SHA-256 of what is to be handed over; ``epoch`` the number that the
    group will have once the new active has it. ``new`` is None until ADD_MEMBER is done.
    ``tried`` are members that earlier plans of the same failover have tried as the new active.
    """

    FORM = serialization.Form(
        always=('chained', 'quiesce', 'on_dead_host', 'quiesce_hook', 'activate_hook'),
        omits=('tried',),
    )

    plan_id: str
    cause: Cause
    reason: str
    requested_by: str
    created: str
    epoch: int
    revision: str
    old: MemberServer | None
    new: MemberServer | None
    steps: tuple[Step, ...]
    chained: groups.Chained | None = None
    quiesce: Quiesce = Quiesce.NONE
    on_dead_host: OnDeadHost = OnDeadHost.WAIT
    quiesce_hook: Hook | None = None
    activate_hook: Hook | None = None
    considered: Mapping[str, str] = dataclasses.field(default_factory=dict)
    keep_seconds: float = 0.0
    tried: tuple[MemberServer, ...] = ()

    def step(self, name: str) -> Step:
        """The step of that name. :raises KeyError: there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def with_step(self, changed: Step) -> 'Plan':
        """The same plan with one step replaced by its newer self."""
        steps = tuple(changed if s.name == changed.name else s for s in self.steps)
        return dataclasses.replace(self, steps=steps)

    def may_delete(self, server: str | None) -> bool:
        """Whether the template wants the server of who was active to go: it is replaced (S8)."""
        left = [one for one in (self.old, *self.tried) if one is not None and one != self.new]
        is_replaced = any(one.server == server and one.member in self.replaces for one in left)
        return is_replaced and self.on_dead_host is OnDeadHost.DELETE_SERVER

    @property
    def is_done(self) -> bool:
        """Whether no step is left."""
        return all(s.state is StepState.DONE for s in self.steps)

    @property
    def is_moved(self) -> bool:
        """Whether the failover is over: what is left, if anything, is follow-up work."""
        return all(s.is_follow_up or s.state is StepState.DONE for s in self.steps)

    @property
    def replaces(self) -> tuple[str, ...]:
        """The names of the members that are to be replaced."""
        targets = [s.target for s in self.steps if s.kind is StepKind.REPLACE]
        return tuple(name for target in targets for name in target.split(','))


@dataclasses.dataclass(frozen=True)
class Attachment:
    """One thing that the template hands over, as the nested stack has it on record.

    ``target`` is its id and ``detail`` what its attachment needs besides, such as a device.
    ``after`` names things whose attachments the template wants to have been made before.
    """

    target: str
    detail: str | None = None
    after: tuple[str, ...] = ()
    thing: ThingKind = ThingKind.VOLUME


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A member with what Nova says of its server and host, or why it has no server.

    ``host`` and ``health`` are None where they were not asked for.
    """

    member: groups.Member
    server: cloud.Server | None
    problem: str = ''
    host: cloud.Host | None = None
    health: Health | None = None


@dataclasses.dataclass(frozen=True)
class Limits:
    """How often the active may change, all in seconds but the count.

    ``holds_repeats``: the template gives no cooldown, so ``rules.repeats`` bounds what an alarm
    does that repeats itself.
    """

    cooldown: float = 0.0
    max_failovers: int = 0
    period: float = 0.0
    holds_repeats: bool = False


@dataclasses.dataclass(frozen=True)
class Past:
    """One line of the history."""

    plan_id: str
    time: str
    cause: str
    reason: str
    requested_by: str
    old_member: str
    old_server: str
    new_member: str
    new_server: str
    outcome: str
    handoff_seconds: float
    seconds: float
    steps: dict[str, float]


@dataclasses.dataclass(frozen=True)
class FollowUp:
    """What is left to do of a failover that is over: replacing the members that it has left.

    ``plan`` has the steps. ``engine`` is the one that is at it, empty for none; ``tries`` how often
    it came to nothing, ``due`` when it is tried again (UTC, empty for at once), ``reason`` and
    ``remedy`` are of the last try.
    """

    FORM = serialization.Form(omits_defaults=True)

    plan: Plan
    engine: str = ''
    tries: int = 0
    due: str = ''
    reason: str = ''
    remedy: str = ''


@dataclasses.dataclass(frozen=True)
class Remembered:
    """A signal that is to be decided later; there is at most one about each member.

    ``member`` and ``server`` are what it is about, ``is_named`` whether it has named that itself:
    else it is about the active of the time when it came, ``came`` (UTC). ``tries`` is how often it
    was decided that it has to wait, ``due`` when it is decided again (UTC, empty for at once) and
    ``why`` what it waits for. ``named`` is what it has called the member, empty for its server.
    ``alarms`` are the alarms that ask for it, and ``over`` those of them that have said ok since.
    ``host`` is the address by which they have named the member, empty where they call it otherwise.
    All three are empty unless ``rules.instance_failure`` needs them.
    """

    FORM = serialization.Form(omits_defaults=True)

    member: str
    server: str
    is_named: bool
    came: str
    requested_by: str
    reason: str = ''
    chained: groups.Chained | None = None
    tries: int = 0
    due: str = ''
    why: str = ''
    named: str = ''
    alarms: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    host: str = ''


@dataclasses.dataclass(frozen=True)
class Suspicion:
    """Since when (UTC) a member is not trusted to take over.

    ``server`` is the one that failed, empty where that is not known; ``was_down`` whether its guest
    was seen not to run since then, so that somebody has started it again if it does.
    """

    FORM = serialization.Form(omits_defaults=True)

    member: str
    since: str
    server: str = ''
    was_down: bool = False


@dataclasses.dataclass(frozen=True)
class Record:
    """All that a FailoverPolicy must not forget; written before the first side effect (S4)."""

    # The keys are those of the first version: what is on record keeps its names.
    FORM = serialization.Form(
        keys={'remedy': 'way_out', 'retained': 'kept'},
        always=('state', 'active', 'plan', 'remedy', 'suspects', 'previous', 'retained'),
        # Versions without it go on with a record that has no use for it.
        omits=('follow_ups', 'retries', 'retry_due', 'suspicions', 'left_with', 'left_over'),
    )

    state: State = State.READY
    epoch: int = 0
    active: MemberServer | None = None
    plan: Plan | None = None
    reason: str = ''
    remedy: str = ''
    suspects: tuple[str, ...] = ()
    is_paused: bool = False
    previous: MemberServer | None = None
    retained: tuple[Retained, ...] = ()
    # Members and servers as last seen: what a failover looks at while Heat lists the members.
    seen: tuple[MemberServer, ...] = ()
    # What Heat had on record then; while it has the same, the members need not be listed.
    seen_rows: str = ''
    follow_ups: tuple[FollowUp, ...] = ()
    # How often a plan that stopped was tried again, and when the next try is due (UTC).
    retries: int = 0
    retry_due: str = ''
    # What is known of each of the suspects; a version before has put down their names only.
    suspicions: tuple[Suspicion, ...] = ()
    # Who may have something that a dropped plan has left, until another has taken it from them.
    left_with: tuple[MemberServer, ...] = ()
    # What a dropped plan has left elsewhere than at the active, and where, in words.
    left_over: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Observation:
    """All that the answer to a signal depends on.

    ``never_moved`` says of each thing that no policy may hand over why, and what to do instead;
    ``is_overtaken`` whether a failover began between the signal and its turn. ``asks_old_host`` is
    whether Heat's update takes something from the old active that its host has to give up, such as
    a port. ``held_by`` has for each thing that is handed over the servers that have it, None where
    that is not known; those ``under_way`` are being taken or given just now. ``others_at`` has the
    same for what Heat hands over, such as ports and addresses, while a plan is open and after one
    was dropped; None where Heat did not end it. ``kept`` are the kept signals, and ``decided`` is
    the one of them that is decided, if it is one. ``agents_failover`` is when the last failover
    began, if the agent has asked for it and it is done.
    """

    record: Record
    candidates: tuple[Candidate, ...]
    attachments: tuple[Attachment, ...]
    revision: str
    limits: Limits
    past_failovers: tuple[datetime.datetime, ...]
    now: datetime.datetime
    plan_id: str
    requested_by: str
    chained: groups.Chained | None = None
    quiesce: Quiesce = Quiesce.NONE
    on_dead_host: OnDeadHost = OnDeadHost.DELETE_SERVER
    never_moved: tuple[str, ...] = ()
    quiesce_hook: Hook | None = None
    activate_hook: Hook | None = None
    moves_more_than_volumes: bool = True
    asks_old_host: bool = False
    fail_back: FailBack = FailBack.MANUAL
    keep_seconds: float = 0.0
    is_overtaken: bool = False
    held_by: Mapping[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)
    under_way: frozenset[str] = frozenset()
    others_at: Mapping[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)
    kept: tuple[Remembered, ...] = ()
    decided: Remembered | None = None
    agents_failover: datetime.datetime | None = None
