# SPDX-License-Identifier: Apache-2.0
"""What is known of a group and of one replacement in it: values only.

``adapters.members`` makes them from what Heat answers, ``rules.decide`` chooses from them,
``replacing`` acts on them.
"""

import dataclasses
import enum

from heat_ha import serialization, signals


class Action(signals.Action):
    """What a signal to a ScalingPolicy with ``replace_oldest`` may ask for by name.

    It is also what a signal without an action means.
    """

    REPLACE = 'replace'


class Order(enum.Enum):
    """Whether the new member or the room for it comes first."""

    CREATE_FIRST = 'create_first'
    DELETE_FIRST = 'delete_first'


@dataclasses.dataclass(frozen=True)
class Member:
    """One resource of a group as Heat has it on record.

    ``servers`` are the ids of the Nova servers in the member, nested ones too;
    ``reference`` is the member's physical resource id. A member is failed when it, or anything
    nested in it, is failed or marked unhealthy. ``update_failed``: it is there, and all that is
    wrong with it is an update that failed or was left. Heat's next update may be all that it
    needs.
    """

    name: str
    reference: str | None
    servers: tuple[str, ...]
    created_at: str
    is_failed: bool
    is_in_progress: bool = False
    reason: str = ''
    update_failed: bool = False

    @property
    def is_in_service(self) -> bool:
        """Whether the member is complete and healthy as far as Heat knows."""
        return not self.is_failed and not self.is_in_progress

    @property
    def never_created(self) -> bool:
        """Whether the member failed before anything of it came to be."""
        return self.is_failed and self.reference is None


@dataclasses.dataclass(frozen=True)
class Group:
    """A group's members in Heat's own order of removal: failed, then oldest, then by name.

    ``being_deleted`` are former members that Heat has yet to delete, or failed to; one of them is
    in progress while a living engine deletes it.
    ``is_in_progress`` and ``reason`` are the state of the nested stack that holds the members.
    ``at_work`` are the names of those, former ones too, that its change has yet to come to, or that
    an engine works on; None where Heat does not show that, which stands for all of them.
    ``rows`` stands for what Heat's database had when the group was looked at; empty unless all
    was well.
    """

    name: str
    members: tuple[Member, ...]
    being_deleted: tuple[Member, ...] = ()
    is_in_progress: bool = False
    reason: str = ''
    rows: str = ''
    at_work: frozenset[str] | None = None

    @property
    def healthy(self) -> tuple[Member, ...]:
        """Members that have not failed as far as Heat knows, oldest first."""
        return tuple(m for m in self.members if not m.is_failed)

    @property
    def in_service(self) -> tuple[Member, ...]:
        """Members that are complete and healthy, oldest first."""
        return tuple(m for m in self.members if m.is_in_service)

    def member(self, name: str) -> Member | None:
        """Return the member of this name, if there is one."""
        return next((m for m in self.members if m.name == name), None)


@dataclasses.dataclass(frozen=True)
class Rolling:
    """The bounds that a group's ``rolling_updates`` set for every change of its members."""

    min_in_service: int = 0
    max_batch_size: int = 1
    pause_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Chained:
    """The replacement that a ScalingPolicy wants after the failover that it goes through.

    ``cooldown`` is in seconds; None means the group's own.
    """

    policy_name: str
    count: int
    order: Order
    cooldown: float | None = None


@dataclasses.dataclass(frozen=True)
class Pair:
    """One member that goes and the name of the one that comes for it.

    ``victim`` is empty for a member that comes in addition, ``new`` where nobody comes any more
    and only the deletion is left. ``order`` is None for that of the whole replacement.
    ``is_overtaken``: an earlier request left it, and the one that is carried out now is not for it.
    """

    FORM = serialization.Form(omits=('order', 'is_overtaken'))

    victim: str
    new: str
    order: Order | None = None
    is_overtaken: bool = False


@dataclasses.dataclass(frozen=True)
class MaskedFailure:
    """A failed resource that is shown to Heat as healthy while its group is changed.

    Heat replaces whatever is failed at each update of a stack, under the same name and all at
    once. ``stack`` is the identity of the stack that the resource is in, as Heat's RPC takes it.
    """

    member: str
    stack: tuple[tuple[str, str], ...]
    resource: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Replacement:
    """The intent to replace members, on record before anything is done.

    Its phase is not on record: ``rules.decide.next_step`` sees it from the group, so that the
    record and the members always agree. ``size`` is how many members the group is to have
    afterwards, ``named`` what the request named, ``given_up`` are the names of new members that
    failed, ``masked`` the failures that are masked now, ``since`` is UTC in ISO form.
    """

    FORM = serialization.Form(keys={'masked': 'held_back'}, always=('given_up', 'masked'))

    id: str
    requested_by: str
    order: Order
    size: int
    named: tuple[str, ...]
    pairs: tuple[Pair, ...]
    engine: str
    since: str
    given_up: tuple[str, ...] = ()
    masked: tuple[MaskedFailure, ...] = ()

    @property
    def victims(self) -> tuple[str, ...]:
        """Names of the members that go."""
        return tuple(p.victim for p in self.pairs)

    @property
    def new_names(self) -> tuple[str, ...]:
        """Names of the members that come."""
        return tuple(p.new for p in self.pairs)


@dataclasses.dataclass(frozen=True)
class Mark:
    """What marks a group as being scaled, and what is known of who set it.

    ``engine`` and ``since`` are None where Heat's own code set the mark and left no trace.
    """

    engine: str | None = None
    since: str | None = None
    holder: str = ''
    id: str = ''


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a replacement came to.

    ``seconds`` is how long it took. ``left_over`` are members that earlier replacements have
    replaced and that Heat has not deleted yet, or cannot; the next replacement tries it again.
    """

    replaced: tuple[str, ...]
    new: tuple[str, ...]
    seconds: float
    left_over: tuple[str, ...] = ()
