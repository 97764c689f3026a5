# SPDX-License-Identifier: Apache-2.0
"""Which members go, and what to do next on the way there. No clock, no client.

``heat_ha.groups.replacing`` looks, asks ``next_step`` and does what it says, until there is
nothing left to do. Each step is chosen from what the group is now, so that it does not matter
which engine did the steps before, or whether it lived to see their end.
"""

import collections.abc
import dataclasses

from heat_ha import exceptions
from heat_ha.groups import model

# Between setting the mark and changing the nested stack Heat needs a second or two, and as long
# between the end of the change and the taking back of the mark. Thirty times that, so that a
# busy engine is not taken for a dead one.
UNTRACED_MARK_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Change:
    """Bring these members into the group and take those out of it, in one update."""

    reason: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    is_new_batch: bool = False


@dataclasses.dataclass(frozen=True)
class Wait:
    """Somebody else changes the group."""

    reason: str


@dataclasses.dataclass(frozen=True)
class GiveUp:
    """Put on record that this new member is not to be had."""

    reason: str
    new: str


@dataclasses.dataclass(frozen=True)
class Blocked:
    """Nothing more can be done in this run."""

    reason: str
    way_out: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """All pairs are settled."""

    reason: str


Step = Change | Wait | GiveUp | Blocked | Finished


def named_member(group: model.Group, name: str) -> model.Member:
    """Find the member that a sender calls by its name, its reference or the id of a server.

    :raises exceptions.Refused: there is none, which is also the answer to names of foreign
        servers: who holds a signed URL must not learn what exists elsewhere.
    """
    for member in group.members:
        if name == member.name:
            return member
    for member in group.members:
        if name == member.reference or name in member.servers:
            return member
    raise exceptions.Refused(
        f'{name[:60]!r} is not in group {group.name}',
        'Name a member of the group, or one of its servers',
    )


def victims(
    group: model.Group,
    count: int,
    named: collections.abc.Sequence[str] = (),
    spare: collections.abc.Collection[str] = (),
) -> tuple[model.Member, ...]:
    """Choose the members to replace: the named ones, then failed, then oldest, then by name.

    :raises exceptions.Refused: a name is foreign or must stay, or there are too few members.
    """
    chosen = []
    for name in named:
        member = named_member(group, name)
        if member.name in spare:
            raise exceptions.Refused(
                f'member {member.name} must stay', 'Name another member, or none'
            )
        if member not in chosen:
            chosen.append(member)
    if len(chosen) > count:
        raise exceptions.Refused(
            f'{len(chosen)} members are named, but {count} may be replaced at a time'
        )
    rest = [m for m in group.members if m not in chosen and m.name not in spare]
    if len(chosen) + len(rest) < count:
        raise exceptions.Refused(
            f'{count} members are to be replaced, but group {group.name} has '
            f'{len(chosen) + len(rest)} that may go',
            'Lower scaling_adjustment',
        )
    return tuple(chosen + rest[: count - len(chosen)])


def why_chosen(member: model.Member, named: collections.abc.Collection[str]) -> str:
    """Say why this member goes before the others."""
    if member.is_failed:
        return 'failed'
    called = {member.name, member.reference, *member.servers}
    return 'named by the signal' if called.intersection(named) else 'oldest'


def next_step(
    seen: model.Group,
    wanted: model.Replacement,
    rolling: model.Rolling,
    *,
    spare: collections.abc.Collection[str] = (),
    tried: collections.abc.Collection[str] = (),
) -> Step:
    """Choose the one step that brings the group closer to all pairs being settled.

    Invariants: a member goes under create_first only when its new one is in service, or when
    nothing of it exists. A member in ``spare`` never goes. What takes members out of service
    leaves ``min_in_service`` of them in it. No step touches more new members than
    ``max_batch_size``.

    :param tried: members that this run has already asked Heat to bring or to take away. What
        was tried by a run before this one is tried again, for nobody may be working on it.
    """
    if seen.is_in_progress:
        if tried:
            return Wait(f'group {seen.name} is being changed')
        return Change('sending the change again: its engine may be gone', *_under_way(seen, wanted))
    states = [_PairState(seen, wanted, pair) for pair in wanted.pairs]
    for state in states:
        failure = state.failure(spare, tried)
        if failure:
            return GiveUp(failure, state.pair.new)
    surplus = tuple(name for state in states for name in state.surplus())
    if surplus:
        return _once_more(seen, surplus, tried) or Change('removing what is replaced', (), surplus)
    missing = tuple(s.pair.new for s in states if s.is_begun)[: rolling.max_batch_size]
    if missing:
        return Change('bringing the new members', missing)
    waiting = [s for s in states if s.is_untouched]
    if waiting:
        return _new_batch(seen, waiting, wanted.order, rolling)
    return Finished('all members are replaced')


class _PairState:
    """How far one pair is, as far as the group shows."""

    def __init__(self, seen: model.Group, wanted: model.Replacement, pair: model.Pair) -> None:
        self.pair = pair
        self.order = wanted.order
        self.is_given_up = pair.new in wanted.given_up
        self.victim = seen.member(pair.victim)
        self.new = seen.member(pair.new)
        leaving = {m.name for m in seen.leaving}
        self.is_victim_leaving = pair.victim in leaving
        self.is_new_leaving = pair.new in leaving

    @property
    def is_victim_gone(self) -> bool:
        return self.victim is None and not self.is_victim_leaving

    @property
    def is_untouched(self) -> bool:
        return self.victim is not None and self.new is None and not self.is_given_up

    @property
    def is_begun(self) -> bool:
        """Whether the new member was asked for, or the room for it made, and it is not there."""
        if self.is_given_up:
            return False
        if self.new is not None:
            return not self.new.is_in_service
        return self.is_victim_gone and self.order is model.Order.DELETE_FIRST

    def failure(
        self, spare: collections.abc.Collection[str], tried: collections.abc.Collection[str]
    ) -> str:
        """Say why the new member is not to be had, empty while it may still come."""
        if self.is_given_up:
            return ''
        if self.pair.victim in spare and self.victim is not None:
            return f'member {self.pair.victim} must stay now'
        was_tried = self.pair.new in tried
        if self.new is None:
            return 'Heat did not take it into the group' if was_tried and self.is_begun else ''
        if self.new.is_failed:
            return self.new.reason or 'it failed'
        return 'it was left unfinished' if was_tried and self.new.is_in_progress else ''

    def surplus(self) -> tuple[str, ...]:
        """Names of members that are to go now."""
        if self.is_given_up:
            if self.is_new_leaving or (self.new is not None and self.victim is not None):
                return (self.pair.new,)
            return ()
        if self.is_victim_leaving:
            return (self.pair.victim,)
        if self.victim is not None and self.new is not None and self.new.is_in_service:
            return (self.pair.victim,)
        return ()


def _under_way(
    seen: model.Group, wanted: model.Replacement
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the change that is under way brings and takes, as far as it is ours."""
    coming = tuple(n for n in wanted.new_names if seen.member(n) and n not in wanted.given_up)
    going = tuple(m.name for m in seen.leaving if m.name in wanted.victims + wanted.given_up)
    return coming, going


def _once_more(
    seen: model.Group, names: tuple[str, ...], tried: collections.abc.Collection[str]
) -> Blocked | None:
    for name in names:
        if name in tried:
            left = next((m for m in seen.members + seen.leaving if m.name == name), None)
            cause = (left.reason if left else '') or seen.reason or 'Heat gave no reason'
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
) -> Step:
    batch = waiting[: rolling.max_batch_size]
    if order is model.Order.CREATE_FIRST:
        # Heat would make a failed member of which nothing exists anew, beside its successor.
        hollow = tuple(
            s.pair.victim
            for s in batch
            if s.victim and s.victim.is_failed and s.victim.reference is None
        )
        return Change(
            'bringing the new members', tuple(s.pair.new for s in batch), hollow, is_new_batch=True
        )
    room = len(seen.in_service) - rolling.min_in_service
    going = []
    for state in batch:
        if state.victim and state.victim.is_in_service:
            if room <= 0:
                continue
            room -= 1
        going.append(state.pair.victim)
    if not going:
        return Blocked(
            f'min_in_service {rolling.min_in_service} leaves no member of {seen.name} to delete '
            f'first: {len(seen.in_service)} are in service',
            'Lower min_in_service, or use replacement_order create_first',
        )
    return Change('making room for the new members', (), tuple(going), is_new_batch=True)


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
    """Nobody scales the group. ``reason`` says what speaks against a mark that there is."""

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
    """Tell a mark that somebody stands behind from one that a dead engine left.

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
        f'it has been marked as being scaled for {UNTRACED_MARK_SECONDS:.0f} s and '
        'nothing happened'
    )
