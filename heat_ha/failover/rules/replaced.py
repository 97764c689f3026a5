# SPDX-License-Identifier: Apache-2.0
"""Which members are replaced once a failover is over. Pure, like ``decide``, which asks it."""

from collections.abc import Collection

from heat_ha.failover import model
from heat_ha.failover.rules import later, standbys


def after_failover(
    seen: model.Observation, active: model.MemberServer | None, new: model.MemberServer | None
) -> tuple[str, ...]:
    """The members that are replaced after a failover, the old active first.

    They are chosen now, under the lock, so that no later failover chooses one of them: as many as
    the policy in front wants, as far as they may go. Who leaves anyway does not count.

    :param new: None for a successor that is made first: it comes in the place of one.
    """
    leaving = standbys.leaving(seen.record)
    staying = [c.member for c in seen.candidates if c.member.name not in leaving]
    if active is None or not any(standbys.is_active(m, active) for m in staying):
        return _in_its_place(seen, leaving) if new is None else ()
    names = [m.name for m in staying]
    count = seen.chained.count if seen.chained is not None and new is not None else 1
    rest = [n for n in names if n != active.member and (new is None or n != new.member)]
    return (active.member, *rest[: max(count - 1, 0)])


def _in_its_place(seen: model.Observation, leaving: Collection[str]) -> tuple[str, ...]:
    """The lost member that a new one comes for where nobody is active: the size stays as it is."""
    lost = [c.member.name for c in seen.candidates if later.is_lost(c)]
    return tuple([name for name in lost if name not in leaving][:1])
