# SPDX-License-Identifier: Apache-2.0
"""How a failover that stopped is brought on, and what it may come to then: pure, no clock.

``take_up`` and ``to_settle`` choose signals as a person would; ``story`` says what ``check`` may
expect after a run, from what was done to its stack.
"""

import collections
import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from chaos import check
from chaos.choice import TakeUp, Trouble
from chaos.pool import POLICY, REPLACE
from heat_ha.failover import model
from heat_ha.failover.rules import ways_out

# Ways out that lead elsewhere than to the end of the same failover.
ELSEWHERE = (TakeUp.SWITCHOVER, TakeUp.FAIL_BACK, TakeUp.DROP)

# The way out of a plan whose volume does not exist any more, besides the signals.
UPDATE = 'update'

_STOPPED = (model.State.STOPPED, model.State.WAITING_FOR_FENCE)


@dataclasses.dataclass(frozen=True)
class Wish:
    """A signal: the resource that it goes to, its body, and the way out that it is, if any."""

    resource: str
    body: Mapping[str, Any]
    way: str = ''


def take_up(
    drawn: TakeUp, seen: model.Record, used: Collection[str], *, may_alarm: bool, may_drop: bool
) -> Wish | None:
    """What is sent for a failover that nobody is at; None for the alarm once more.

    A plan that stopped is left by the way that was drawn, once: who is refused there, or has seen
    it come to nothing, goes on with it. A plan whose engine died is taken up, and what is left to
    replace is tried again.

    :param used: the ways out that were used before.
    :param may_alarm: whether an alarm still joins the same failover.
    :param may_drop: whether the group is whole after it: it is not where the successor was added.
    """
    resume = Wish(POLICY, {'action': 'resume'}, TakeUp.RESUME.value)
    if seen.plan is None or (drawn is TakeUp.ALARM and may_alarm):
        return None
    is_stopped = seen.state in _STOPPED and ways_out.is_open(seen)
    if drawn not in ELSEWHERE or drawn.value in used or not is_stopped:
        return resume
    match drawn:
        case TakeUp.SWITCHOVER:
            other = _another(seen, seen.plan)
            if other is None:
                return resume
            return Wish(POLICY, {'action': 'switchover', 'member': other.server}, drawn.value)
        case TakeUp.DROP if not may_drop:
            return resume
    return Wish(POLICY, {'action': drawn.value}, drawn.value)


def to_mend(seen: model.Record, failed: Collection[str]) -> Wish | None:
    """What is sent where no failover begins as no standby can take over; None for the alarm.

    An engine that died may have left all members failed for Heat. The event says what helps: a
    signal with the name of one of them, to the policy that replaces.
    """
    active = seen.active.member if seen.active is not None else ''
    lost = sorted(name for name in failed if name != active)
    return Wish(REPLACE, {'member': lost[0]}) if lost else None


def _another(seen: model.Record, plan: model.Plan) -> model.MemberServer | None:
    """Another successor where one is on record, else the same: None where there is none yet."""
    ends = {one.member for one in (plan.old, plan.new) if one is not None}
    return next((one for one in seen.seen if one.member not in ends), plan.new)


def to_settle(
    seen: model.Record, holders: Mapping[str, Collection[str]], *, has_replacer: bool
) -> Wish | None:
    """What puts a group in order after a plan was dropped; None when it is.

    What is not at the active is brought there, and a member that was reported sick and is still
    there is replaced, for it would never take over.
    """
    if seen.active is None:
        return None
    own = {seen.active.server}
    if seen.left_over or any(set(servers) != own for servers in holders.values()):
        return Wish(POLICY, {'action': 'switchover', 'member': seen.active.server})
    there = {one.member: one.server for one in seen.seen}
    sick = next((name for name in seen.suspects if name in there), None)
    if sick is not None and has_replacer:
        return Wish(REPLACE, {'member': there[sick]})
    return None


# How often more the active may change, for what is done besides or for a way that is taken: back
# to the old one, on to a third, and by the switchovers of an update.
_MORE_MOVES: Mapping[str, int] = collections.defaultdict(
    int,
    {
        Trouble.HEIR_LOCKED.value: 1,
        Trouble.NOBODY_CAN.value: 1,
        Trouble.VOLUME_DELETED.value: 2,
        Trouble.ROLLED.value: 3,
        Trouble.SECOND_ALARM.value: 1,
        Trouble.SECOND_STOPPED.value: 2,
        Trouble.SECOND_FROZEN.value: 2,
        TakeUp.SWITCHOVER.value: 1,
        TakeUp.FAIL_BACK.value: 1,
        TakeUp.DROP.value: 2,
    },
)

# After these the old active may be the active, and be kept.
_MAY_STAY = frozenset(
    one.value
    for one in (
        Trouble.HEIR_LOCKED,
        Trouble.NOBODY_CAN,
        Trouble.VOLUME_DELETED,
        Trouble.ROLLED,
        Trouble.SECOND_STOPPED,
        Trouble.SECOND_FROZEN,
        TakeUp.FAIL_BACK,
        TakeUp.DROP,
    )
)

# With these one more member than the old active may go: one that a policy removes, a second one
# that was reported sick, or one that an update found failed because its engine had died.
_ONE_MORE_GOES = frozenset(
    one.value
    for one in (
        Trouble.SCALED,
        Trouble.ROLLED,
        Trouble.SECOND_ALARM,
        Trouble.SECOND_STOPPED,
        Trouble.SECOND_FROZEN,
        TakeUp.DROP,
    )
)


def story(trouble: Trouble | None, used: Collection[str]) -> check.Story:
    """What a run may come to.

    :param trouble: what was done besides; None also where it did not come to be.
    :param used: the ways out that were taken.
    """
    causes = {*used, *((trouble.value,) if trouble is not None else ())}
    return check.Story(
        moves=1 + sum(_MORE_MOVES[one] for one in causes),
        may_stay=bool(causes & _MAY_STAY),
        others_may_go=len(causes & _ONE_MORE_GOES),
        is_dropped=TakeUp.DROP.value in causes,
    )
