# SPDX-License-Identifier: Apache-2.0
"""Which FailoverPolicies have work on record that nobody does, and which signal has it done. Pure.

An engine does what it has begun; the agent asks for it only when that engine is dead, has given
up waiting, or the time of the next try has come.
"""

import dataclasses
import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heat_ha.failover.rules import work

# Seconds that an engine has to take up a kept signal by itself.
GRACE = 10.0

# The steps that run a config in a server; that is tried again only when a person says so.
_HOOKS = frozenset({'quiesce', 'activate'})


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Send the policy this action; ``reason`` is for the log."""

    action: str
    reason: str


def wanted(
    record: Mapping[str, Any],
    signals: Sequence[Mapping[str, Any]],
    now: datetime.datetime,
    *,
    is_locked: bool,
    is_alive: Callable[[str], bool],
    is_fence_over: Callable[[], bool],
    is_reminder_due: bool = False,
) -> Wanted | None:
    """What a policy is to be sent, None for nothing.

    Invariant: whatever is on record and due is asked for unless an engine that lives is at it; and
    who has begun a follow-up counts as at it only for as long as it says so on record. What waits
    for a person is asked for as well, where that is to be reminded.

    :param record: the policy's, as JSON has it.
    :param signals: those that it keeps, as JSON has them.
    :param is_locked: whether a living engine has its lock.
    :param is_alive: whether the engine of that id lives.
    :param is_fence_over: whether a host of those who had something is confirmed down, or all such
        hosts are up again; asked only if needed.
    :param is_reminder_due: whether nothing was sent for a reminder within the hour.
    """
    found = _wanted(
        record, signals, now, is_locked=is_locked, is_alive=is_alive, is_fence_over=is_fence_over
    )
    if found is None and not is_locked and is_reminder_due and is_waiting(record, signals):
        return Wanted('retry', 'a reminder is due')
    return found


def is_waiting(record: Mapping[str, Any], signals: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a policy waits for anything, as ``failover.rules.reminders`` has it."""
    return (
        bool(signals)
        or record.get('state') != 'ready'
        or bool(record.get('is_paused'))
        or record.get('active') is None
        or any(record.get(key) for key in ('left_over', 'follow_ups'))
        or any(one.get('reason') for one in record.get('kept', ()))
    )


def _wanted(
    record: Mapping[str, Any],
    signals: Sequence[Mapping[str, Any]],
    now: datetime.datetime,
    *,
    is_locked: bool,
    is_alive: Callable[[str], bool],
    is_fence_over: Callable[[], bool],
) -> Wanted | None:
    """What is due on record, or None; see ``wanted``."""
    if record.get('is_paused') or is_locked:
        return None
    state, plan = record.get('state'), record.get('plan') or {}
    if state == 'running':
        return Wanted('resume', 'its engine is dead')
    if state == 'waiting_for_fence' and is_fence_over():
        return Wanted('resume', 'its host is confirmed down, or back')
    failed = {s.get('kind') for s in plan.get('steps', ()) if s.get('state') == 'failed'}
    if (
        state == 'stopped'
        and not failed & _HOOKS
        and work.is_due(record.get('retry_due', ''), now, work.LONGEST_RETRY)
    ):
        return Wanted('retry', 'it stopped')
    about_it = [one for one in signals if _is_about(one, plan.get('new') or {})]
    if state != 'ready' and any(_is_signal_due(one, now) for one in about_it):
        return Wanted('retry', 'a signal about the successor is kept')
    is_over = state == 'ready'
    if is_over and any(_is_signal_due(one, now) for one in signals):
        return Wanted('retry', 'a signal is kept')
    for left in record.get('follow_ups', ()):
        due = left.get('due', '')
        is_claimed = work.is_claimed(left.get('engine', ''), due, now, is_alive)
        if work.is_due(due, now) and not is_claimed:
            return Wanted('retry', 'something is left to replace')
    kept = record.get('kept', ())
    if is_over and any(
        work.is_due(one['due'], now)
        if one.get('due')
        else work.is_due(one['until'], now, longest=math.inf)
        for one in kept
    ):
        return Wanted('retry', 'a member was kept long enough')
    return None


def _is_about(signal: Mapping[str, Any], successor: Mapping[str, Any]) -> bool:
    """Whether a kept signal is about the successor, as ``work.is_about_successor`` has it."""
    if not successor:
        return False
    names = [signal.get('server')]
    if signal.get('is_named'):
        names.append(signal.get('named'))
    return any(name in (successor['server'], successor['member']) for name in names if name)


def _is_signal_due(signal: Mapping[str, Any], now: datetime.datetime) -> bool:
    since = now - datetime.timedelta(seconds=GRACE)
    return work.is_due(signal.get('due') or signal['came'], since)
