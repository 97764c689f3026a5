# SPDX-License-Identifier: Apache-2.0
"""The pairs of a replacement: how far each is, and what is left of it for another run.

A pair is one member that goes and the one that comes for it. No clock, no client.
"""

import collections.abc
import dataclasses

from heat_ha.groups import model

NewName = collections.abc.Callable[[], str]


class PairState:
    """How far one pair is, as far as the group shows."""

    def __init__(self, seen: model.Group, wanted: model.Replacement, pair: model.Pair) -> None:
        self.pair = pair
        self.order = pair.order or wanted.order
        self.is_given_up = pair.new in wanted.given_up
        self.victim = seen.member(pair.victim)
        self.new = seen.member(pair.new)
        being_deleted = {m.name for m in seen.being_deleted}
        self.is_victim_being_deleted = pair.victim in being_deleted
        self.is_new_being_deleted = pair.new in being_deleted

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has been done about the pair."""
        return self.victim is not None and self.new is None and not self.is_given_up

    @property
    def is_unfinished(self) -> bool:
        """Whether the new member is in the group, but neither in service nor failed."""
        new = self.new
        return (
            new is not None and new.is_in_progress and not (self.is_given_up or new.update_failed)
        )

    @property
    def comes_last(self) -> bool:
        """Whether the victim is to be gone, or there never was one, and the new one is to come."""
        is_last = self.order is model.Order.DELETE_FIRST or not self.pair.victim
        is_to_come = bool(self.pair.new) and self.new is None and not self.is_given_up
        return is_last and self.victim is None and is_to_come

    @property
    def has_room(self) -> bool:
        """Whether the new member may come by now."""
        return self.comes_last and not self.is_victim_being_deleted


def states(
    seen: model.Group, wanted: model.Replacement, keep: collections.abc.Collection[str]
) -> list[PairState]:
    """How far each pair is that anything may be done about."""
    return [PairState(seen, wanted, pair) for pair in resumed(wanted, keep).pairs]


def former(seen: model.Group, wanted: model.Replacement) -> tuple[model.Member, ...]:
    """The former members of this replacement that Heat has not deleted yet, or failed to."""
    ours = {*wanted.victims, *wanted.given_up} - {''}
    return tuple(m for m in seen.being_deleted if m.name in ours and seen.member(m.name) is None)


def resumed(
    left: model.Replacement, keep: collections.abc.Collection[str] = ()
) -> model.Replacement:
    """What is to be carried out of a replacement that an earlier run left.

    Invariant: a member that was given up and must stay now, because it was healed and made the
    active since, has its place: nothing is done about it any more.
    """
    pairs = tuple(p for p in left.pairs if not (p.new in keep and p.new in left.given_up))
    return dataclasses.replace(left, pairs=pairs)


def within(left: model.Replacement, max_size: int, kept: int = 0) -> model.Replacement:
    """What an earlier run left, for a group that may have been given a lower limit since.

    Invariant: nobody is made beyond what the template allows now; a group with a limit of 0 is
    parked and stays empty.

    :param kept: members beyond the limit that are only kept for a look.
    """
    return dataclasses.replace(left, size=min(left.size, max_size + kept if max_size else 0))


def kept_beside(seen: model.Group, left: model.Replacement) -> int:
    """How many members are only kept for a look: failed ones that are not part of the intent."""
    own = {*left.given_up, *(name for pair in left.pairs for name in (pair.victim, pair.new))}
    return sum(one.is_failed and one.name not in own for one in seen.members)


def still_open(
    seen: model.Group,
    wanted: model.Replacement,
    new_name: NewName,
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
        if pair.is_overtaken or pair.victim in keep or pair.new in keep:
            continue
        if not pair.victim:
            # The one who requested one more member knows it by this name.
            pairs.append(pair)
        elif seen.member(pair.victim) is not None:
            pairs.append(dataclasses.replace(pair, new=new_name()))
        elif new is not None:
            pairs.append(dataclasses.replace(pair, victim=pair.new, new=new_name()))
        elif len(seen.members) < wanted.size:
            pairs.append(dataclasses.replace(pair, victim='', new=new_name()))
    return tuple(pairs)


def is_short(
    seen: model.Group, wanted: model.Replacement, keep: collections.abc.Collection[str] = ()
) -> bool:
    """Whether the place of a member that is gone is empty, so that it may not be forgotten."""
    return any(p.victim not in wanted.victims for p in still_open(seen, wanted, str, keep))


def tried_again(
    seen: model.Group,
    wanted: model.Replacement,
    new_name: NewName,
    keep: collections.abc.Collection[str] = (),
) -> model.Replacement:
    """What another run has to do after this one has ended with new members that failed.

    Invariant: a former member that Heat has not deleted yet stays on record.
    """
    left = left_over(seen, wanted)
    pairs = still_open(seen, wanted, new_name, keep)
    return dataclasses.replace(wanted, pairs=(*left.pairs, *pairs), given_up=left.given_up)


def left_over(seen: model.Group, wanted: model.Replacement) -> model.Replacement:
    """The pairs of which a former member has not been deleted yet, for another request to overtake.

    Invariants: no pair is left over that could add or remove a member, unless the former member
    has to be gone first. Each former member of the replacement is in one pair.
    """
    left = {m.name for m in former(seen, wanted)}
    kept = []
    for state in (PairState(seen, wanted, pair) for pair in wanted.pairs):
        is_left = state.pair.victim in left
        if not is_left and not (state.is_given_up and state.pair.new in left):
            continue
        is_new_left = is_left and not state.is_given_up and (state.new or state.comes_last)
        new = state.pair.new if is_new_left else ''
        victim = state.pair.victim
        if not is_left:
            # Of a new member that failed only its own deletion is left.
            victim = state.pair.new
        kept.append(
            dataclasses.replace(
                state.pair, victim=victim, new=new, order=state.order, is_overtaken=True
            )
        )
        if is_left and state.is_given_up and state.pair.new in left:
            kept.append(model.Pair(state.pair.new, '', state.order, is_overtaken=True))
    return dataclasses.replace(wanted, pairs=tuple(kept), given_up=())


def overtaken(left: model.Replacement) -> model.Replacement:
    """What an earlier run left, seen by a request for something else."""
    pairs = tuple(dataclasses.replace(pair, is_overtaken=True) for pair in left.pairs)
    return dataclasses.replace(left, pairs=pairs)


def for_request(
    left: model.Replacement, named: collections.abc.Collection[str]
) -> model.Replacement:
    """What an earlier run left, seen by a request for these members: the other pairs are not its.

    Without names it is for all that no other request has overtaken.
    """
    if not named:
        return left
    pairs = tuple(dataclasses.replace(p, is_overtaken=p.victim not in named) for p in left.pairs)
    return dataclasses.replace(left, pairs=pairs)


def joined(
    left: model.Replacement, wanted: model.Replacement, seen: model.Group
) -> model.Replacement:
    """One intent for a new request and for the removals that an earlier one has left.

    :param left: of which nothing but the removal of former members is left to do.
    :param wanted: what the new request asks for, with its size as if there were no other.

    Invariants: no former member and no masked failure of the earlier intent is forgotten. No new
    member of it that the new request replaces comes back. The places that it still has to fill
    count as filled in the size.
    """
    over = left_over(seen, left)
    given_up = tuple(dict.fromkeys((*over.given_up, *wanted.given_up)))
    kept, to_come = [], 0
    for pair in over.pairs:
        new = '' if pair.new in wanted.victims else pair.new
        to_come += bool(new) and seen.member(new) is None
        kept.append(
            dataclasses.replace(
                pair,
                new=new,
                order=None if pair.order is wanted.order else pair.order,
                is_overtaken=pair.victim not in wanted.named,
            )
        )
    lacking = max(left.size - len(seen.members), 0)
    return dataclasses.replace(
        wanted,
        pairs=(*kept, *wanted.pairs),
        size=wanted.size + min(to_come, lacking),
        given_up=given_up,
        masked=left.masked,
    )
