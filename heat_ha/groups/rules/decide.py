# SPDX-License-Identifier: Apache-2.0
"""Which members go, and what to do next on the way there. No clock, no client.

``heat_ha.groups.replacing`` looks, asks ``next_step`` and does what it says, until there is
nothing left to do. Each step is chosen from what the group is now, so that it does not matter
which engine did the steps before, or whether it lived to see their end.
"""

import collections.abc
import dataclasses
import re

from heat_ha import exceptions
from heat_ha.groups import model
from heat_ha.groups.rules import members

# Between setting the mark and changing the nested stack Heat needs a second or two, and as long
# again between the end of the change and the removal of the mark. This is thirty times that, so
# that a busy engine does not count as a dead one.
UNTRACED_MARK_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Change:
    """Add these members to the group and remove those from it, in one update.

    Without either, the update has Heat delete what it left behind.
    """

    reason: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    is_new_batch: bool = False

    @property
    def is_sweep(self) -> bool:
        """Whether the members stay as they are."""
        return not self.add and not self.remove


@dataclasses.dataclass(frozen=True)
class Wait:
    """Another engine, or a person, changes the group."""

    reason: str


@dataclasses.dataclass(frozen=True)
class GiveUp:
    """Put on record that this new member cannot be had."""

    reason: str
    new: str


@dataclasses.dataclass(frozen=True)
class Blocked:
    """Nothing more can be done in this run."""

    reason: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """All pairs are settled."""

    reason: str


Step = Change | Wait | GiveUp | Blocked | Finished


def named_member(group: model.Group, name: str) -> model.Member:
    """Find the member that a sender calls by its name, its reference or the id of a server.

    :raises exceptions.Refused: there is none. Names of foreign servers get the same answer: the
        holder of a signed URL must not learn what exists elsewhere.
    """
    member = members.find(group.members, name)
    if member is not None:
        return member
    raise exceptions.Refused(
        f'{name[:60]!r} is not in group {group.name}',
        'Name a member of the group, or one of its servers',
    )


def victims(
    group: model.Group,
    count: int,
    named: collections.abc.Sequence[str] = (),
    keep: collections.abc.Collection[str] = (),
) -> tuple[model.Member, ...]:
    """Choose the members to replace: the named ones, then failed, then oldest, then by name.

    :raises exceptions.Refused: a name is foreign or must stay, or there are too few members.
    """
    chosen = []
    for name in named:
        member = named_member(group, name)
        if member.name in keep:
            raise exceptions.Refused(
                f'member {member.name} must stay', 'Name another member, or none'
            )
        if member not in chosen:
            chosen.append(member)
    if len(chosen) > count:
        raise exceptions.Refused(
            f'{len(chosen)} members are named, but {count} may be replaced at a time'
        )
    rest = [m for m in group.members if m not in chosen and m.name not in keep]
    if len(chosen) + len(rest) < count:
        raise exceptions.Refused(
            f'{count} members should be replaced, but group {group.name} has '
            f'{len(chosen) + len(rest)} that may go',
            'Lower scaling_adjustment',
        )
    return tuple(chosen + rest[: count - len(chosen)])


def check_pauses(count: int, rolling: model.Rolling, timeout: float) -> None:
    """Refuse what could not end in time, as Heat's rolling updates do.

    :param timeout: of the stack, in seconds.
    """
    batches = -(-count // rolling.max_batch_size)
    pauses = rolling.pause_seconds * (batches - 1)
    if pauses >= timeout:
        raise exceptions.Refused(
            f'{batches} batches with pauses of {rolling.pause_seconds:.0f} s do not fit into the '
            f'timeout of {timeout:.0f} s',
            'Lower pause_time, or raise max_batch_size',
        )


def why_chosen(member: model.Member, named: collections.abc.Collection[str]) -> str:
    """Say why this member goes before the others."""
    if member.is_failed:
        return 'failed'
    called = {member.name, member.reference, *member.servers}
    return 'named by the signal' if called.intersection(named) else 'oldest'


# What Heat writes to a resource whose engine has died at work on it.
DIED_WITH_ENGINE = 'Worker went down during resource'


@dataclasses.dataclass(frozen=True)
class Requested:
    """What this run has asked Heat for already.

    What an earlier run requested is requested again, for it may be that nobody works on it. What
    this run requested in vain is not, except for a removal that died with its engine, once.
    """

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    removed_twice: frozenset[str] = frozenset()
    is_swept: bool = False

    def and_for(self, change: Change) -> 'Requested':
        """Return this with one more change."""
        return Requested(
            self.added.union(change.add),
            self.removed.union(change.remove),
            self.removed_twice.union(self.removed.intersection(change.remove)),
            self.is_swept or change.is_sweep,
        )


def next_step(
    seen: model.Group,
    wanted: model.Replacement,
    rolling: model.Rolling,
    keep: collections.abc.Collection[str] = (),
    requested: Requested = Requested(),
) -> Step:
    """Choose the one step that brings the group closer to all pairs being settled.

    Invariants: a member goes under create_first only when its new one is in service, or when
    nothing of it exists. A member in ``keep`` never goes. What takes members out of service
    leaves ``min_in_service`` of them in it. At most ``max_batch_size`` new members are on their
    way. The group never gets smaller than ``wanted.size`` in the end, nor larger.
    """
    if seen.is_in_progress:
        if requested.added or requested.removed:
            return Wait(f'group {seen.name} is being changed by somebody else')
        return _send_again(seen, wanted)
    states = [_PairState(seen, wanted, pair) for pair in wanted.pairs]
    for state in states:
        failure = state.failure(keep, requested)
        if failure:
            return GiveUp(failure, state.pair.new)
    surplus = _surplus(seen, states, wanted.size)
    if surplus:
        return _blocked_removal(seen, surplus, requested) or Change(
            'removing what is replaced', (), surplus
        )
    missing = _missing(seen, states, wanted.size)[: rolling.max_batch_size]
    if missing:
        return Change('adding the new members', missing)
    waiting = [s for s in states if s.is_untouched]
    if waiting:
        return _new_batch(seen, waiting, wanted.order, rolling, requested)
    if seen.being_deleted and not requested.is_swept:
        return Change('having Heat delete what it left behind')
    if any(m.update_failed for m in seen.members) and not requested.is_swept:
        return Change('having Heat bring in order what an update left')
    return Finished('nothing is left to do')


class _PairState:
    """How far one pair is, as far as the group shows."""

    def __init__(self, seen: model.Group, wanted: model.Replacement, pair: model.Pair) -> None:
        self.pair = pair
        self.is_given_up = pair.new in wanted.given_up
        self.victim = seen.member(pair.victim)
        self.new = seen.member(pair.new)
        being_deleted = {m.name for m in seen.being_deleted}
        self.is_victim_being_deleted = pair.victim in being_deleted
        self.is_new_being_deleted = pair.new in being_deleted
        self._makes_room_first = wanted.order is model.Order.DELETE_FIRST

    @property
    def is_untouched(self) -> bool:
        return self.victim is not None and self.new is None and not self.is_given_up

    @property
    def is_unfinished(self) -> bool:
        """Whether the new member is in the group, but neither in service nor failed."""
        new = self.new
        return (
            new is not None and new.is_in_progress and not (self.is_given_up or new.update_failed)
        )

    @property
    def has_room(self) -> bool:
        """Whether the victim has gone first, or there never was one, and the new one may come."""
        is_victim_gone = self.victim is None and not self.is_victim_being_deleted
        comes_last = self._makes_room_first or not self.pair.victim
        return comes_last and is_victim_gone and self.new is None and not self.is_given_up

    def failure(self, keep: collections.abc.Collection[str], requested: Requested) -> str:
        """Say why the new member cannot be had; empty while it may still come."""
        if self.is_given_up:
            return ''
        if self.victim is not None and self.pair.victim in keep:
            return f'member {self.pair.victim} must stay now'
        was_requested = self.pair.new in requested.added
        if self.new is None:
            is_expected = self.is_untouched or self.has_room
            return 'Heat did not add it to the group' if was_requested and is_expected else ''
        if self.new.update_failed and not requested.is_swept:
            return ''
        if self.new.is_failed:
            return self.new.reason or 'it failed'
        return 'it was left unfinished' if was_requested and self.new.is_in_progress else ''


# What services answer that are overloaded, restarted, or cut off for a while, and what Heat says
# when its own engine was.
_PASSING = re.compile(
    r'HTTP (408|429|500|502|503|504)\b|RateLimit|ConnectFailure|ConnectionRefused'
    r'|(Connect|Read|Gateway|Messaging)Timeout|' + DIED_WITH_ENGINE
)


def is_passing(reason: str) -> bool:
    """Whether what failed for this reason may well succeed a little later, unchanged."""
    return _PASSING.search(reason) is not None


def still_open(
    seen: model.Group,
    wanted: model.Replacement,
    new_name: collections.abc.Callable[[], str],
    keep: collections.abc.Collection[str] = (),
) -> tuple[model.Pair, ...]:
    """Make new pairs of what is left of a replacement whose new members failed.

    :param new_name: makes a name that no member has had.
    :param keep: names of members that stay in any case.

    Invariants: a member that failed in the place of one that is gone is a victim itself, so that
    the group does not stay a member short. Nothing is paired that is in service or must stay.
    """
    pairs = []
    for pair in wanted.pairs:
        new = seen.member(pair.new)
        if pair.new not in wanted.given_up or (new is not None and new.is_in_service):
            continue
        if pair.victim in keep or pair.new in keep:
            continue
        if not pair.victim:
            # The one who requested one more member knows it by this name.
            pairs.append(pair)
        elif seen.member(pair.victim) is not None:
            pairs.append(model.Pair(pair.victim, new_name()))
        elif new is not None:
            pairs.append(model.Pair(pair.new, new_name()))
        elif len(seen.members) < wanted.size:
            pairs.append(model.Pair('', new_name()))
    return tuple(pairs)


def is_short(
    seen: model.Group, wanted: model.Replacement, keep: collections.abc.Collection[str] = ()
) -> bool:
    """Whether the place of a member that is gone is empty, so that it may not be forgotten."""
    return any(p.victim not in wanted.victims for p in still_open(seen, wanted, str, keep))


def resumed(
    left: model.Replacement, keep: collections.abc.Collection[str] = ()
) -> model.Replacement:
    """What is to be carried out of a replacement that an earlier run left.

    Invariant: a member that was given up and must stay now, because it was healed and made the
    active since, has its place: nothing is done about it any more.
    """
    pairs = tuple(p for p in left.pairs if not (p.new in keep and p.new in left.given_up))
    return dataclasses.replace(left, pairs=pairs)


def _send_again(seen: model.Group, wanted: model.Replacement) -> Change:
    """Repeat what is under way: its engine may be gone, and doing it twice is harmless."""
    coming = tuple(n for n in wanted.new_names if seen.member(n) and n not in wanted.given_up)
    ours = wanted.victims + wanted.given_up
    going = tuple(m.name for m in seen.being_deleted if m.name in ours)
    return Change('repeating the change that another engine left', coming, going)


def _surplus(seen: model.Group, states: list[_PairState], size: int) -> tuple[str, ...]:
    """Choose what goes now: what Heat failed to delete, failed new ones, replaced members."""
    being_deleted = [s.pair.victim for s in states if s.is_victim_being_deleted and not s.victim]
    being_deleted += [
        s.pair.new for s in states if s.is_new_being_deleted and s.is_given_up and not s.new
    ]
    failed = [
        s.pair.new for s in states if s.is_given_up and s.new and (s.victim or not s.pair.victim)
    ]
    replaced = [
        s.pair.victim
        for s in states
        if s.victim and s.new and s.new.is_in_service and not s.is_given_up
    ]
    # The group may have been made smaller meanwhile; then fewer may go.
    room = max(len(seen.members) - len(failed) - size, 0)
    return tuple(being_deleted + failed + replaced[:room])


def _missing(seen: model.Group, states: list[_PairState], size: int) -> tuple[str, ...]:
    """Choose the new members that were requested, or have room, and are not there."""
    unfinished = [s.pair.new for s in states if s.is_unfinished]
    # The room may have been filled meanwhile.
    room = max(size - len(seen.members), 0)
    return tuple(unfinished + [s.pair.new for s in states if s.has_room][:room])


def _blocked_removal(
    seen: model.Group, names: tuple[str, ...], requested: Requested
) -> Blocked | None:
    for name in names:
        if name in requested.removed:
            left = next((m for m in seen.being_deleted + seen.members if m.name == name), None)
            cause = (left.reason if left else '') or seen.reason or 'Heat gave no reason'
            if DIED_WITH_ENGINE in cause and name not in requested.removed_twice:
                continue
            return Blocked(
                f'member {name} could not be removed: {cause}',
                'Mend the cause and signal again: the same replacement goes on',
            )
    return None


def _new_batch(
    seen: model.Group,
    waiting: list[_PairState],
    order: model.Order,
    rolling: model.Rolling,
    requested: Requested,
) -> Step:
    batch = waiting[: rolling.max_batch_size]
    if order is model.Order.CREATE_FIRST:
        # Heat would create a failed member that was never created, beside its successor.
        never_created = tuple(s.pair.victim for s in batch if s.victim and s.victim.never_created)
        new = tuple(s.pair.new for s in batch)
        return Change('adding the new members', new, never_created, is_new_batch=True)
    room = len(seen.in_service) - rolling.min_in_service
    going: list[str] = []
    for state in batch:
        if state.victim and state.victim.is_in_service:
            if room <= 0:
                continue
            room -= 1
        going.append(state.pair.victim)
    if not going:
        return GiveUp(
            f'min_in_service {rolling.min_in_service} leaves no member of group {seen.name} to '
            f'delete first, for {len(seen.in_service)} are in service',
            batch[0].pair.new,
        )
    blocked = _blocked_removal(seen, tuple(going), requested)
    return blocked or Change('making room', (), tuple(going), is_new_batch=True)


@dataclasses.dataclass(frozen=True)
class MarkEvidence:
    """What can be seen around a mark: times in seconds before now.

    ``is_holder_alive`` is None where the mark has no trace of who set it. ``changed_ago`` is
    the age of the last change of the nested stack's members, ``seen_for`` how long the very same
    mark has been seen.
    """

    mark: model.Mark | None
    is_holder_alive: bool | None
    is_nested_in_progress: bool
    changed_ago: float
    seen_for: float
    timeout: float


@dataclasses.dataclass(frozen=True)
class Free:
    """Nobody scales the group. ``reason`` says why a mark that is there does not count."""

    reason: str = ''


@dataclasses.dataclass(frozen=True)
class Held:
    """Somebody scales the group."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Unclear:
    """Look again in ``seconds``: by then it is known whether somebody scales the group."""

    reason: str
    seconds: float


def who_holds(seen: MarkEvidence) -> Free | Held | Unclear:
    """Distinguish a mark that a living engine holds from one that a dead engine left.

    A mark without a trace counts as left over when the nested stack has been at rest, and the
    same mark in place, for ``UNTRACED_MARK_SECONDS``; a nested stack that is in progress for
    longer than its timeout is at rest, for then Heat has stopped working on it.
    """
    if seen.mark is None:
        return Free()
    if seen.is_holder_alive is False:
        return Free(f'engine {seen.mark.engine}, which held it since {seen.mark.since}, is gone')
    if seen.is_holder_alive:
        return Held(
            f'{seen.mark.holder or "another policy"} changes it since {seen.mark.since} '
            f'in engine {seen.mark.engine}'
        )
    if seen.is_nested_in_progress and seen.changed_ago <= seen.timeout:
        return Held('it is being scaled')
    rest = UNTRACED_MARK_SECONDS - min(seen.changed_ago, seen.seen_for)
    if rest > 0:
        return Unclear('it is marked as being scaled, but nothing happens', rest)
    return Free(
        f'it has been marked as being scaled for {UNTRACED_MARK_SECONDS:.0f} s and nothing happened'
    )
