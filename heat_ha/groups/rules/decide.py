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
from heat_ha.groups.rules import members, pairs


@dataclasses.dataclass(frozen=True)
class Change:
    """Add these members to the group and remove those from it, in one update.

    Without either, the update has Heat bring in order what it left.

    :ivar hold: former members that Heat is not to try to delete in this update. A deletion that
        fails ends the whole update, before Heat has begun with what else is in it.
    """

    reason: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    is_new_batch: bool = False

    @property
    def is_sweep(self) -> bool:
        """Whether the members stay as they are."""
        return not self.add and not self.remove

    @property
    def is_final(self) -> bool:
        """Whether all that the update does is to delete former members, and none is held."""
        return self.is_sweep and not self.hold


@dataclasses.dataclass(frozen=True)
class Wait:
    """Another engine, or a person, changes the group."""

    reason: str


@dataclasses.dataclass(frozen=True)
class WaitForRemoval:
    """Nothing is left to do but to see Heat delete these former members, which it does now."""

    reason: str
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class GiveUp:
    """Put on record that this new member cannot be had."""

    reason: str
    new: str


@dataclasses.dataclass(frozen=True)
class Blocked:
    """Nothing more can be done in this run, for these members could not be removed.

    ``is_removing``: Heat is at it, and that is not waited for any longer.
    """

    reason: str
    remedy: str
    names: tuple[str, ...] = ()
    is_removing: bool = False


@dataclasses.dataclass(frozen=True)
class Finished:
    """All pairs are settled."""

    reason: str


Step = Change | Wait | WaitForRemoval | GiveUp | Blocked | Finished


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
    this run requested in vain is not, except once: a removal that died with its engine, and an
    addition that Heat had not begun with when the deletion of a former member failed.

    :ivar held: former members that Heat is not to try to delete now.
    :ivar overdue: former members whose deletion is not waited for before all else is done.
    """

    added: frozenset[str] = frozenset()
    added_twice: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    removed_twice: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    overdue: frozenset[str] = frozenset()
    is_swept: bool = False
    is_finished: bool = False

    def and_for(self, change: Change) -> 'Requested':
        """Return this with one more change."""
        return Requested(
            self.added.union(change.add),
            self.added_twice.union(self.added.intersection(change.add)),
            self.removed.union(change.remove),
            self.removed_twice.union(self.removed.intersection(change.remove)),
            frozenset(change.hold),
            self.overdue.difference(change.remove),
            self.is_swept or change.is_sweep,
            self.is_finished or change.is_final,
        )

    @classmethod
    def all_removals(cls, names: collections.abc.Collection[str]) -> 'Requested':
        """As if everything had been asked of Heat about these former members, in vain."""
        gone = frozenset(names)
        return cls(removed=gone, removed_twice=gone, overdue=gone, is_swept=True, is_finished=True)


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
    way. The group never gets smaller than ``wanted.size`` in the end, nor larger. A former member
    that Heat cannot delete, or has not yet deleted, stops no pair but one that needs its room: it
    is tried once when all else is done, and not in any update before.
    """
    former = pairs.former(seen, wanted)
    if _is_changing(seen, wanted, requested):
        if requested.added or requested.removed or not seen.is_in_progress:
            return Wait(f'group {seen.name} is being changed by somebody else')
        return _send_again(seen, wanted)
    states = pairs.states(seen, wanted, keep)
    for state in states:
        failure = _failure(state, seen, keep, requested)
        if failure:
            return GiveUp(failure, state.pair.new)
    surplus = _surplus(seen, states, wanted.size, rolling)
    going = tuple(n for n in surplus if not _is_tried(seen, n, requested))
    if going:
        return Change('removing what is replaced', (), going, _idle(seen))
    ours = own(wanted)
    removal = _removal(seen, [m for m in former if m.name in ours], requested)
    if removal:
        return removal
    missing = _missing(seen, states, wanted.size)[: rolling.max_batch_size]
    if missing:
        return Change('adding the new members', missing, (), _idle(seen))
    untouched = [s for s in states if s.is_untouched]
    waiting = [s for s in untouched if not _is_tried(seen, s.pair.victim, requested)]
    if waiting:
        return _new_batch(seen, waiting, rolling)
    stuck = (*surplus, *(s.pair.victim for s in untouched))
    return _tidying(seen, former, requested) or _end(seen, ours, stuck, former)


def passed_over(
    seen: model.Group, wanted: model.Replacement, requested: Requested
) -> frozenset[str]:
    """The former members that nothing else has to wait for, though Heat may be at work on them.

    Their deletion was requested before this run, or it takes too long, or it is held. A change of
    the nested stack overtakes it: Heat leaves a resource to the engine that works on it.
    """
    former = pairs.former(seen, wanted)
    late = {m.name for m in former if m.name not in requested.removed}
    return requested.held.union(requested.overdue, late)


def own(wanted: model.Replacement) -> frozenset[str]:
    """The names in the pairs that the request itself is for."""
    pairs_of = (p for p in wanted.pairs if not p.is_overtaken)
    return frozenset(name for pair in pairs_of for name in (pair.victim, pair.new))


def is_only_removing(
    seen: model.Group,
    wanted: model.Replacement,
    rolling: model.Rolling,
    keep: collections.abc.Collection[str] = (),
) -> bool:
    """Whether nothing is left to do but to see former members deleted: another may begin then."""
    if pairs.still_open(seen, wanted, str, keep):
        return False
    requested = Requested.all_removals([m.name for m in pairs.former(seen, wanted)])
    step = next_step(seen, pairs.overtaken(wanted), rolling, keep, requested)
    return isinstance(step, Blocked | Finished)


def _is_changing(seen: model.Group, wanted: model.Replacement, requested: Requested) -> bool:
    """Whether Heat is at work on anything that has to be waited for."""
    if not seen.at_work:
        return seen.is_in_progress
    return not seen.at_work <= passed_over(seen, wanted, requested)


def _failure(
    state: pairs.PairState,
    seen: model.Group,
    keep: collections.abc.Collection[str],
    requested: Requested,
) -> str:
    """Say why the new member cannot be had; empty while it may still come."""
    if state.is_given_up:
        return ''
    if state.victim is not None and state.pair.victim in keep:
        return f'member {state.pair.victim} must stay now'
    was_requested = state.pair.new in requested.added
    if state.new is None:
        is_expected = state.is_untouched or state.has_room
        return 'Heat did not add it to the group' if was_requested and is_expected else ''
    if state.new.update_failed and not requested.is_swept:
        return ''
    if state.new.is_failed:
        return state.new.reason or 'it failed'
    if was_requested and state.new.is_in_progress:
        was_stopped = any(m.is_failed for m in seen.being_deleted)
        is_over = state.pair.new in requested.added_twice or not was_stopped
        return 'it was left unfinished' if is_over else ''
    return ''


# What services answer that are overloaded, restarted, or cut off for a while, and what Heat says
# when its own engine was.
_PASSING = re.compile(
    r'HTTP (408|429|500|502|503|504)\b|RateLimit|ConnectFailure|ConnectionRefused'
    r'|(Connect|Read|Gateway|Messaging)Timeout|' + DIED_WITH_ENGINE
)


def is_passing(reason: str) -> bool:
    """Whether what failed for this reason may well succeed a little later, unchanged."""
    return _PASSING.search(reason) is not None


def _send_again(seen: model.Group, wanted: model.Replacement) -> Change:
    """Repeat what is under way: its engine may be gone, and doing it twice is harmless."""
    coming = tuple(n for n in wanted.new_names if seen.member(n) and n not in wanted.given_up)
    going = tuple(m.name for m in pairs.former(seen, wanted))
    if seen.at_work is None:
        return Change('repeating the change that another engine left', coming, going)
    return Change('repeating the change that another engine left', coming, (), _idle(seen))


def _idle(seen: model.Group) -> tuple[str, ...]:
    """The former members that nobody is deleting."""
    idle = (m.name for m in seen.being_deleted if not m.is_in_progress)
    # What Heat has replaced under the same name is not a member of its own.
    return tuple(name for name in idle if seen.member(name) is None)


def _is_tried(seen: model.Group, name: str, requested: Requested) -> bool:
    """Whether the removal of a member was requested, and need not be once more."""
    if name not in requested.removed:
        return False
    left = next((m for m in seen.being_deleted if m.name == name), None)
    was_begun = left is None or left.is_failed
    is_over = was_begun and DIED_WITH_ENGINE not in _cause(seen, name)
    return is_over or name in requested.removed_twice


def _cause(seen: model.Group, name: str) -> str:
    """Why a member could not be removed."""
    left = next((m for m in seen.being_deleted + seen.members if m.name == name), None)
    return (left.reason if left else '') or seen.reason or 'Heat gave no reason'


def _surplus(
    seen: model.Group, states: list[pairs.PairState], size: int, rolling: model.Rolling
) -> tuple[str, ...]:
    """Choose what is to go now: failed new members, replaced members."""
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
    # A place that a former member holds is filled later, if the others suffice until then.
    kept_free = len([s for s in states if s.comes_last and not s.has_room])
    room += min(kept_free, max(len(seen.in_service) - room - rolling.min_in_service, 0))
    return tuple(failed + replaced[:room])


def _missing(seen: model.Group, states: list[pairs.PairState], size: int) -> tuple[str, ...]:
    """Choose the new members that were requested, or have room, and are not there."""
    unfinished = [s.pair.new for s in states if s.is_unfinished]
    # The room may have been filled meanwhile.
    room = max(size - len(seen.members), 0)
    return tuple(unfinished + [s.pair.new for s in states if s.has_room][:room])


def _new_batch(
    seen: model.Group, waiting: list[pairs.PairState], rolling: model.Rolling
) -> Change | GiveUp:
    order = waiting[0].order
    batch = [s for s in waiting if s.order is order][: rolling.max_batch_size]
    if order is model.Order.CREATE_FIRST:
        # Heat would create a failed member that was never created, beside its successor.
        never_created = tuple(s.pair.victim for s in batch if s.victim and s.victim.never_created)
        new = tuple(s.pair.new for s in batch)
        reason = 'adding the new members'
        return Change(reason, new, never_created, _idle(seen), is_new_batch=True)
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
    return Change('making room', (), tuple(going), _idle(seen), is_new_batch=True)


def _removal(
    seen: model.Group, members: collections.abc.Sequence[model.Member], requested: Requested
) -> Change | None:
    """Have Heat delete former members that nobody is deleting, unless that was tried in vain.

    Those that failed before get an update each: in one update the first that fails ends it.
    """
    idle = _idle(seen)
    to_try = [m for m in members if m.name in idle and not _is_tried(seen, m.name, requested)]
    going = [m.name for m in to_try if not m.is_failed] or [m.name for m in to_try[:1]]
    if not going:
        return None
    hold = tuple(n for n in idle if n not in going)
    return Change('removing what is replaced', (), tuple(going), hold)


def _tidying(
    seen: model.Group, former: tuple[model.Member, ...], requested: Requested
) -> Change | None:
    """Bring in order what updates left, and delete former members, when all else is done."""
    if any(m.update_failed for m in seen.members) and not requested.is_swept:
        return Change('having Heat bring in order what an update left', hold=_idle(seen))
    removal = _removal(seen, former, requested)
    if removal:
        return removal
    ours = {m.name for m in former}
    has_others = any(m.name not in ours for m in seen.being_deleted)
    if requested.held or (has_others and not requested.is_finished):
        # The nested stack waits for what is held.
        return Change('having Heat delete what it left behind')
    return None


def _end(
    seen: model.Group,
    ours: collections.abc.Collection[str],
    stuck: tuple[str, ...],
    former: tuple[model.Member, ...],
) -> WaitForRemoval | Blocked | Finished:
    running = tuple(m.name for m in former if m.is_in_progress)
    names = tuple(n for n in running if n in ours)
    if names:
        return WaitForRemoval(f'waiting for the deletion of {", ".join(names)}', names)
    left = (*stuck, *(m.name for m in former))
    if not left:
        return Finished('nothing is left to do')
    first = next((n for n in left if n in ours), left[0])
    if first in running:
        return still_removing(first, left)
    return Blocked(
        f'member {first} could not be removed: {_cause(seen, first)}',
        'Mend the cause and signal again: the same replacement goes on',
        left,
    )


def still_removing(name: str, left: tuple[str, ...]) -> Blocked:
    """Say that the deletion of a former member is not waited for any longer."""
    return Blocked(
        f'member {name} is still being deleted',
        'Heat goes on with that; the next signal sees to its end',
        left,
        is_removing=True,
    )
