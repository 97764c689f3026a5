# SPDX-License-Identifier: Apache-2.0
"""What a policy waits for, and when a person is reminded of it. Pure, like ``decide``.

Nothing waits without a word: each row has a bound, or an event each hour with a way out.

=================================== ============================== ================================
What is on record                   Who goes on with it            Bound, or reminder
=================================== ============================== ================================
a plan that runs                    its engine; the agent, once    each step has a limit; reminder
                                    that is dead
a plan that waits for a fence       the agent, once the host is    reminder
                                    confirmed down or back
a plan that stopped                 an engine or the agent, in 40  reminder
                                    seconds at most
a plan that stopped at a config     a person                       reminder
the policy is paused                a person                       reminder
nobody is active                    a person, or an alarm          reminder
something left by a dropped plan    a person, or the next failover reminder
a member that is to be replaced,    an engine or the agent, after  reminder, also while somebody
or removed after it was kept        growing pauses                 else changes the group
a kept signal                       an engine or the agent, in 20  a day at most; reminder
                                    seconds at most
=================================== ============================== ================================

An engine makes the event at the end of its work on a signal. The agent signals each policy that
waits at least once in an hour; without an agent a reminder comes with the next signal only.
"""

import dataclasses
import datetime
from collections.abc import Sequence

from heat_ha.failover import model
from heat_ha.failover.rules import arrival, ways_out, work

# Seconds between two reminders.
EVERY = 3600.0


@dataclasses.dataclass(frozen=True)
class Wait:
    """One thing that a policy waits for: what it is and why, and a way out."""

    reason: str
    remedy: str


def waits(record: model.Record, waiting: Sequence[model.Remembered]) -> tuple[Wait, ...]:
    """All that a policy waits for.

    Invariant: a policy whose state is not shown as ready waits for something that is named.
    """
    found = []
    if record.is_paused:
        found.append(Wait('the policy is paused, and alarms move nothing', 'Send unpause'))
    if ways_out.is_open(record):
        why = record.reason or 'nobody has reported its end'
        ways = 'Send resume, switchover with a member, fail_back or drop'
        remedy = f'{record.remedy}. Or: {ways}' if record.remedy else ways
        found.append(Wait(f'the failover is not over ({record.state.value}): {why}', remedy))
    elif record.state is not model.State.READY:
        found.append(Wait('the end of a failover is not on record', 'Send resume'))
    elif record.active is None:
        remedy = record.remedy or 'Send failover once a member is healthy'
        found.append(Wait(record.reason or 'nobody is active', remedy))
    if record.left_over:
        text = '; '.join(record.left_over)
        found.append(
            Wait(f'a dropped failover has left this: {text}', ways_out.to_bring_there(record))
        )
    for one in record.follow_ups:
        names = ', '.join(one.plan.replaces)
        why = one.reason or 'it has not come to its end'
        remedy = 'resume has it tried at once, drop gives it up'
        found.append(Wait(f'{names} is not replaced yet: {why}', remedy))
    for kept in work.hindered(record):
        remedy = 'resume has it tried at once, drop leaves the member in the group'
        found.append(Wait(f'{kept.member} is not removed yet: {kept.reason}', remedy))
    for signal in waiting:
        remedy = 'Mend that; the signal ends by itself within a day'
        text = f'the signal about {arrival.subject(signal)} waits: {signal.why}'
        found.append(Wait(text, remedy))
    return tuple(found)


def is_due(since: str, now: datetime.datetime) -> bool:
    """Whether a person is to be reminded.

    :param since: when a person was reminded last, or the waiting was seen first (UTC).
    """
    return work.apart(since, now) >= EVERY
