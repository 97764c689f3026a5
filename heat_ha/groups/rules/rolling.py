# SPDX-License-Identifier: Apache-2.0
"""The next batch of a rolling update of a group, some of whose members have volumes handed to them.

Heat fixes its batches before the first, from the number of members alone. Here the next one is
decided from what the members are by then. Heat tries again, with whatever it changes, each member
that failed, and gives a server that is marked unhealthy a successor, so those are a part of each
batch.

Sizes are as in ``heat.scaling.rolling_update``: ``least`` members stay in service meanwhile, for
which the group may grow.
"""

import dataclasses
from collections.abc import Iterable, Sequence

# More batches than any update has: Heat's groups have at most so many members.
MOST = 1000


@dataclasses.dataclass(frozen=True)
class Member:
    """What decides about one member.

    ``is_outdated`` is one without the new definition. ``is_failed`` is one that Heat tries again
    whatever it changes; of an active only what Heat gives another server then. ``is_active`` is one
    that something is handed over to.
    """

    name: str
    is_outdated: bool = False
    is_failed: bool = False
    is_active: bool = False


@dataclasses.dataclass(frozen=True)
class Batch:
    """What one update of the nested stack does.

    ``stay`` are the members that are not removed, ``renew`` those of them that get the new
    definition, and ``add`` is the number of new ones.
    """

    stay: tuple[str, ...]
    renew: frozenset[str]
    add: int = 0


def next_batch(members: Sequence[Member], target: int, batch: int, least: int) -> Batch | None:
    """The next batch, or None when all members have the new definition.

    Invariant: an active is hit, by a removal, the new definition, or as failed, only where a member
    that is well stays untouched to take over; but for a group of one, and where every standby has
    failed and Heat would give the active another server in any case.
    Each batch brings the group nearer to its end, whatever has become of it since the one before.

    :param members: in Heat's order.
    :param target: how many members there are to be; see ``target_size``.
    :param batch: how many may change at once.
    """
    size = len(members)
    has_active = any(m.is_active for m in members)
    if has_active:
        batch = max(min(batch, min(size, target) - 1), 1)
    done = sum(not m.is_outdated and not m.is_failed for m in members)
    if done >= size == target:
        return None
    count = min(batch, max(target - done, 0))
    wanted = count + max(min(size, target - count), min(least, target, size))
    ordered = order(members)
    staying = ordered[-wanted:] if wanted else ()
    add = max(wanted - size, 0)
    tried = [m for m in staying if m.is_failed and not m.is_active]
    rest = [m for m in staying if m.is_outdated and m not in tried]
    renewed = rest[: max(count - add - len(tried), 0)]
    renewed = _with_one_to_take_over(staying, ordered, renewed)
    return Batch(tuple(m.name for m in staying), frozenset(m.name for m in (*tried, *renewed)), add)


def number_of_batches(members: Sequence[Member], target: int, batch: int, least: int) -> int:
    """How many batches there are to be, where nothing fails."""
    count = 0
    while (found := next_batch(members, target, batch, least)) is not None and count < MOST:
        left = {m.name: m for m in members if m.name in found.stay}
        members = [
            dataclasses.replace(
                m, is_failed=False, is_outdated=m.is_outdated and n not in found.renew
            )
            for n, m in left.items()
        ]
        members += [Member(f'{count}.{n}') for n in range(found.add)]
        count += 1
    return count


def target_size(desired: int, size: int, has_active: bool) -> int:
    """How many members there are when the update has come to its end.

    It makes the group smaller if the template does, but two are left where there are two: somebody
    takes over while the active is changed. What is too many goes when that is done.

    :param size: how many there are when it begins.
    """
    wanted = min(desired, size)
    return max(wanted, min(size, 2)) if has_active else wanted


def order(members: Iterable[Member]) -> tuple[Member, ...]:
    """What is removed, or changed, first: what failed, then outdated ones, the active after them.

    Also an active that failed, as with Heat, where somebody is well to take over from it.
    """
    members = tuple(members)
    is_anyone_well = any(not m.is_failed for m in members)

    def place(member: Member) -> tuple[bool, bool, bool]:
        is_useless = member.is_failed and (is_anyone_well or not member.is_active)
        return not is_useless, not member.is_outdated, member.is_active

    return tuple(sorted(members, key=place))


def _with_one_to_take_over(
    staying: Sequence[Member], everybody: Sequence[Member], renewed: list[Member]
) -> list[Member]:
    """What may be renewed of this, so that who takes over from an active that is hit stays."""

    def has_one(chosen: list[Member]) -> bool:
        hit = [m for m in everybody if m.is_active and (m.is_failed or m in chosen)]
        hit += [m for m in everybody if m.is_active and m not in staying]
        return not hit or any(not m.is_failed and m not in chosen for m in staying)

    if has_one(renewed):
        return renewed
    # An active that would be hit by this batch alone has time; else a standby has to stay.
    spared = [m for m in renewed if not m.is_active]
    is_progress = spared or len(staying) != len(everybody) or any(m.is_failed for m in staying)
    if is_progress and has_one(spared):
        return spared
    if any(m.is_active and m.is_failed for m in everybody) and renewed:
        fewer = [m for m in renewed if m is not renewed[-1]]
        return fewer if has_one(fewer) else renewed
    return renewed
