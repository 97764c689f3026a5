# SPDX-License-Identifier: Apache-2.0
"""What is on record of a RemoteStack: its parts, its tombstones and its snapshots.

Times are UTC in ISO form with seconds: they are stored, and another engine reads them.
"""

import dataclasses
import enum
from collections.abc import Mapping

from heat_ha import serialization

VERSION = 1


class ErrorClass(enum.Enum):
    """What kind of obstacle a part has met; it decides what a person can do."""

    UNREACHABLE = 'unreachable'
    AUTH = 'auth'
    REFUSED = 'refused'
    INVALID = 'invalid'
    REMOTE_FAILED = 'remote_failed'
    CONFLICT = 'conflict'


class State(enum.Enum):
    """How far a part is."""

    # The newest revision was not sent yet, and is sent as soon as the region answers.
    PENDING = 'pending'
    # It needs an output of another part first.
    WAITING = 'waiting'
    # The request was sent; the region is at work, or its end was not seen yet.
    WORKING = 'working'
    READY = 'ready'
    FAILED = 'failed'
    # A person gave the region up: nothing is sent there any more.
    ABANDONED = 'abandoned'


# --- the record ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Part:
    """What one region holds of the RemoteStack, as far as it is known here.

    The fields are in groups, and flat on record. Times are UTC in ISO form.
    """

    # What is on record keeps the names that it had first.
    FORM = serialization.Form(
        omits_defaults=True,
        keys={
            'sent': 'told',
            'suspend_wanted': 'sleep',
            'suspended': 'asleep',
            'fingerprint': 'signs',
            'resends': 'repeats',
        },
    )

    # --- which stack it is, and where ---
    region: str
    # A tag that no other stack has, made before the region is sent anything.
    mark: str
    name: str
    stack_id: str = ''
    _: dataclasses.KW_ONLY
    # What ``adapters`` need to get there beside the region's name.
    place: str = ''
    # The name or id of a stack that is taken over instead of made.
    adopts: str = ''

    # --- revisions ---
    desired: str = ''
    # Of the last request, on record before it is sent.
    sent: str = ''
    # The one that was seen complete.
    applied: str = ''
    # When the region says that the stack was changed last.
    changed: str = ''
    # Whether somebody else has changed the stack.
    drifted: bool = False

    # --- the last request ---
    # The action that sent it, on record before it is sent.
    attempt: str = ''
    # Since when its answer is not known.
    doubtful_since: str = ''

    # --- how it is ---
    state: State = State.PENDING
    error_class: ErrorClass | None = None
    reason: str = ''

    # --- whether the region answers ---
    reachable: bool | None = None
    last_seen: str = ''
    # Since when it does not.
    silent_since: str = ''

    # --- held back ---
    # A person wants it sent nothing.
    paused: bool = False
    # Whether the stack is to be suspended, and whether it was seen suspended by us.
    suspend_wanted: bool = False
    suspended: bool = False

    # --- a snapshot to go back to ---
    # Its id in the region, what the stack held when it was taken, and how far that is.
    restore: str = ''
    restore_revision: str = ''
    restoring: str = ''

    # --- whether it has stalled ---
    # The action there that we began, as it was seen first.
    traversal: str = ''
    # What its resources looked like last, and since when they look so.
    fingerprint: str = ''
    still_since: str = ''
    # How often the same was sent once more because of that.
    resends: int = 0

    @property
    def may_exist(self) -> bool:
        """Whether the region may hold a stack of this part."""
        return bool(self.stack_id or self.sent)

    @property
    def is_current(self) -> bool:
        """Whether the region was seen to have what is wanted."""
        return bool(self.desired) and self.applied == self.desired

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be sent to the region."""
        return self.is_current and self.suspend_wanted == self.suspended


@dataclasses.dataclass(frozen=True)
class Tombstone:
    """A delete whose end in its region was not seen yet.

    It names a stack by its id, or by a mark that only this stack can have, never by its name: a
    later stack of the same name is somebody else's. With ``snapshot``, a name that no other
    snapshot has, only that snapshot of the stack is to go.
    """

    FORM = serialization.Form(omits_defaults=True)

    region: str
    mark: str
    name: str
    stack_id: str = ''
    since: str = ''
    place: str = ''
    attempt: str = ''
    error_class: ErrorClass | None = None
    reason: str = ''
    snapshot: str = ''
    snapshot_id: str = ''


@dataclasses.dataclass(frozen=True)
class PartSnapshot:
    """One region's snapshot of its part, on record before the request is sent.

    ``snapshot`` is a name that no other snapshot has, so that the snapshot is found after a lost
    reply. ``sent_at`` is when the request was sent (UTC, ISO), ``is_taken`` whether the snapshot
    was seen complete. ``revision`` is what the stack holds.
    """

    FORM = serialization.Form(omits_defaults=True, keys={'sent_at': 'told'})

    region: str
    name: str
    stack_id: str
    snapshot: str
    revision: str
    place: str = ''
    snapshot_id: str = ''
    sent_at: str = ''
    is_taken: bool = False


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot of the parent: the snapshots of all parts."""

    shots: tuple[PartSnapshot, ...]

    @property
    def is_complete(self) -> bool:
        """Whether each region has taken its snapshot."""
        return all(s.is_taken for s in self.shots)

    def with_part_snapshot(self, found: PartSnapshot) -> 'Snapshot':
        """The snapshot with one region's as it is now."""
        return Snapshot(tuple(found if s.region == found.region else s for s in self.shots))


@dataclasses.dataclass(frozen=True)
class Restore:
    """A user's request to go back to a snapshot; each request has an id of its own."""

    request_id: str
    snapshot: Snapshot


@dataclasses.dataclass(frozen=True)
class Record:
    """All that is known of a RemoteStack, in the region of its parent.

    ``owner`` and ``epoch`` say which region may change the parts. Each part carries both as
    tags, so that another region can see which region it would take over from. ``manifest`` is the
    revision of all parts together. ``generations`` counts the stacks that each region got.
    ``restored`` is the id of the newest request to go back to a snapshot that was accepted.
    """

    FORM = serialization.Form(version=VERSION, always=('parts', 'tombstones'))

    owner: str = ''
    epoch: int = 1
    manifest: str = ''
    parts: tuple[Part, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    generations: Mapping[str, int] = dataclasses.field(default_factory=dict)
    restored: str = ''

    def part(self, region: str) -> Part | None:
        """The part of one region."""
        return next((p for p in self.parts if p.region == region), None)

    def with_part(self, part: Part) -> 'Record':
        """The record with one part as it is now."""
        return dataclasses.replace(
            self, parts=tuple(part if p.region == part.region else p for p in self.parts)
        )

    def with_tombstone(self, old: Tombstone, new: Tombstone | None) -> 'Record':
        """The record with one tombstone as it is now, or without it."""
        changed = (new if t == old else t for t in self.tombstones)
        return dataclasses.replace(self, tombstones=tuple(t for t in changed if t is not None))
