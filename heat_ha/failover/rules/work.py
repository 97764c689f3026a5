# SPDX-License-Identifier: Apache-2.0
"""What a policy has left to do when a signal is answered: pure, like ``decide``.

Signals that were remembered come before what is left of failovers that are over, because volumes
may wait for them.
"""

import dataclasses
import datetime
import math
from collections.abc import Callable, Collection, Iterable, Sequence

from heat_ha.failover import model
from heat_ha.failover.rules import arrival, hook, ways_out

# Seconds for which a thread of an engine waits without having anything to do; then the agent, or
# the next signal, takes up what is left.
PATIENCE = 600.0

# Seconds between two looks, and for which a follow-up is left to the engine that has begun it
# without a question whether it lives; and for so many more while it does.
LOOK_EVERY, CLAIMED_FOR = 5.0, 60.0

# Seconds until a stopped plan is tried again, and the longest time.
FIRST_RETRY, LONGEST_RETRY = 10.0, 40.0

# Seconds until follow-up work is tried again that did not succeed, and the longest time.
FIRST_AGAIN, LONGEST_AGAIN = 10.0, 900.0

# How many tries that fail for the same reason make no event, at most: eight hours of the longest
# pause.
REMIND_EVERY = 32


@dataclasses.dataclass(frozen=True)
class DecideAgain:
    """Decide a remembered signal now."""

    signal: model.Remembered


@dataclasses.dataclass(frozen=True)
class CarryOut:
    """Do what is left of a failover now."""

    follow_up: model.FollowUp


@dataclasses.dataclass(frozen=True)
class Retry:
    """Try a plan again that stopped: what hindered it may be gone."""


@dataclasses.dataclass(frozen=True)
class Expire:
    """Remove a member that was retained long enough."""

    retained: model.Retained


@dataclasses.dataclass(frozen=True)
class Pause:
    """Look again after so many seconds."""

    seconds: float


@dataclasses.dataclass(frozen=True)
class Leave:
    """Something is left, and it is not for this thread to wait for it."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Nothing:
    """Nothing is left."""


Work = DecideAgain | CarryOut | Retry | Expire | Pause | Leave | Nothing


def next_work(
    record: model.Record,
    waiting: Sequence[model.Remembered],
    now: datetime.datetime,
    idle: float,
    *,
    is_locked: bool,
    not_now: Collection[object] = (),
) -> Work:
    """What is to be done next.

    Invariant: nothing that is on record is ever left out: it is due now, or at a time at which it
    will be, or there is an engine at work that will look again, or it waits for a plan that is
    open.

    :param idle: seconds since this thread has last done something.
    :param is_locked: whether somebody has the policy's lock; who has it looks for work afterwards.
    :param not_now: the plans whose follow-up is in other hands.
    """
    is_open = ways_out.is_open(record)
    decidable = [one for one in waiting if not is_locked and _is_decidable(one, record, is_open)]
    due = [one for one in decidable if is_due(one.due, now)]
    if due:
        return DecideAgain(due[0])
    may_retry = may_be_retried(record) and not is_locked
    if may_retry and is_due(record.retry_due, now, LONGEST_RETRY):
        return Retry()
    left = () if record.is_paused else record.follow_ups
    ready = [o for o in left if is_due(o.due, now) and o.plan.plan_id not in not_now]
    if ready:
        return CarryOut(ready[0])
    old = _expired(record, now)
    if old:
        return Expire(old[0])
    if not (waiting or record.follow_ups or may_retry):
        return Nothing()
    if idle > PATIENCE:
        return Leave(f'nothing could be done for {PATIENCE:.0f} s')
    if not (is_locked or decidable or left or may_retry):
        return Leave('the policy is paused' if record.is_paused else 'a failover is not over')
    times = [one.due for one in decidable] + [one.due for one in left]
    times += [record.retry_due] if may_retry else []
    return Pause(max(min(_until(times, now), LOOK_EVERY), 0.2))


def is_anything_left(record: model.Record, waiting: Sequence[model.Remembered]) -> bool:
    """Whether something is on record that an engine can do without a person, now or later."""
    if record.is_paused:
        return False
    is_fenced_later = ways_out.is_open(record) and record.state is model.State.WAITING_FOR_FENCE
    is_left = waiting or record.follow_ups or hindered(record)
    return bool(is_left) or is_fenced_later or may_be_retried(record)


def is_other_due(
    record: model.Record,
    waiting: Sequence[model.Remembered],
    now: datetime.datetime,
    plan_id: str,
    *,
    is_locked: bool,
) -> bool:
    """Whether something is due beside the follow-up of this plan, and nobody is at it."""
    others = tuple(one for one in record.follow_ups if one.plan.plan_id != plan_id)
    rest = dataclasses.replace(record, follow_ups=others)
    step = next_work(rest, waiting, now, 0.0, is_locked=is_locked)
    return isinstance(step, DecideAgain | CarryOut | Retry | Expire)


def _is_decidable(one: model.Remembered, record: model.Record, is_open: bool) -> bool:
    """Whether a signal can be decided: while a plan is open, only one that may change it."""
    if record.is_paused:
        return False
    plan = record.plan
    if not is_open or plan is None:
        return True
    return is_about_successor(one, plan) or _is_about_old(one, plan, record.active)


def _is_about_old(
    one: model.Remembered, plan: model.Plan, active: model.MemberServer | None
) -> bool:
    """Whether a kept signal says of who the plan takes from what the plan does not know."""
    is_meant = plan.old is not None and plan.old.server == one.server
    is_meant = is_meant and (one.is_named or active == plan.old)
    return is_meant and ways_out.asks_for_more(plan, one.chained)


def is_about_successor(one: model.Remembered, plan: model.Plan) -> bool:
    """Whether a kept signal is about who takes over, or has just taken over, by this plan.

    Invariant: such a signal is decided in every state of the plan: by who carries the plan, and as
    soon as nobody does (``next_work``).
    """
    new = plan.new
    return new is not None and (one.server == new.server or arrival.name_in(one) == new.member)


def _expired(record: model.Record, now: datetime.datetime) -> tuple[model.Retained, ...]:
    """The members that were retained long enough, while nothing else is going on."""
    if record.active is None or record.state is not model.State.READY or record.is_paused:
        return ()
    return expired(record.retained, now)


def expired(
    retained: Sequence[model.Retained], now: datetime.datetime
) -> tuple[model.Retained, ...]:
    """Those that were retained long enough; of several, all but the newest.

    One whose removal has failed comes when the next try is due.
    """
    newest = max((r.until for r in retained), default='')
    return tuple(
        r
        for r in retained
        if (r.until != newest or is_due(r.until, now, longest=math.inf)) and is_due(r.due, now)
    )


def hindered(record: model.Record) -> tuple[model.Retained, ...]:
    """The retained members whose removal was tried and is tried again."""
    return tuple(one for one in record.retained if one.reason)


def age(came: str, now: datetime.datetime) -> float:
    """Seconds since a time on record; never negative, for another engine's clock may be ahead."""
    return max((now - datetime.datetime.fromisoformat(came)).total_seconds(), 0.0)


def may_be_retried(record: model.Record) -> bool:
    """Whether a plan stopped at something that may pass by itself, or its engine died.

    A config in a server is run again only when a person says so: it may not bear it.
    """
    is_left = record.state in (model.State.STOPPED, model.State.RUNNING)
    if record.plan is None or not is_left or record.is_paused or not ways_out.is_open(record):
        return False
    return not has_failed_hook(record.plan)


def has_failed_hook(plan: model.Plan) -> bool:
    """Whether a config in a server is what the plan stopped at."""
    return any(s.kind in hook.KINDS and s.state is model.StepState.FAILED for s in plan.steps)


def retry_pause(tries: int) -> float:
    """Seconds until a stopped plan is tried again, well below a minute."""
    return min(FIRST_RETRY * 1.5 ** min(tries, 20), LONGEST_RETRY)


def put_off(record: model.Record, now: datetime.datetime) -> model.Record:
    """The record of a stopped plan that could not be tried again now."""
    due = at(now, retry_pause(record.retries))
    return dataclasses.replace(record, retries=record.retries + 1, retry_due=due)


def is_due(due: str, now: datetime.datetime, longest: float = LONGEST_AGAIN) -> bool:
    """Whether a time on record has come; an empty one has.

    Invariant: nothing waits much longer than it may be put off. A time that is further ahead was
    written by an engine whose clock was ahead, or this one's was set back.

    :param longest: seconds for which it is put off at most.
    """
    if not due:
        return True
    ahead = (datetime.datetime.fromisoformat(due) - now).total_seconds()
    return ahead <= 0 or ahead > 2 * longest


def apart(time: str, now: datetime.datetime) -> float:
    """Seconds between now and a time on record, whichever clock is ahead."""
    return abs((now - datetime.datetime.fromisoformat(time)).total_seconds())


def is_claimed(
    engine: str, due: str, now: datetime.datetime, is_alive: Callable[[str], bool]
) -> bool:
    """Whether a follow-up is left to the engine that has begun it.

    Invariant: no claim counts longer than twice CLAIMED_FOR after it was put off last, whoever
    lives: the thread may have ended without a word, as it does while the database is away. Who
    takes up too early what is still done does no harm: changes of the group exclude one another.

    :param due: until when it is claimed, as it is on record; one without a time has run out.
    """
    if not engine or not due:
        return False
    if not is_due(due, now, CLAIMED_FOR):
        return True
    return apart(due, now) < CLAIMED_FOR and is_alive(engine)


def _until(times: Iterable[str], now: datetime.datetime) -> float:
    return min(
        ((datetime.datetime.fromisoformat(one) - now).total_seconds() for one in times if one),
        default=LOOK_EVERY,
    )


def again_after(tries: int) -> float:
    """Seconds until follow-up work is tried again that failed so many times."""
    return min(FIRST_AGAIN * 2.0 ** min(tries - 1, 20), LONGEST_AGAIN)


def is_reported(tries: int, is_news: bool) -> bool:
    """Whether a try that failed makes an event: its reason is news, or it is a reminder.

    The reminders come ever more seldom, and then each time after REMIND_EVERY tries.
    """
    return is_news or tries & (tries - 1) == 0 or tries % REMIND_EVERY == 0


def at(now: datetime.datetime, seconds: float) -> str:
    """The time so many seconds later, as it is put on record."""
    return (now + datetime.timedelta(seconds=seconds)).isoformat(timespec='milliseconds')


def with_follow_up(record: model.Record, changed: model.FollowUp) -> model.Record:
    """The record with a follow-up replaced by its newer self."""
    plan_id = changed.plan.plan_id
    return dataclasses.replace(
        record,
        follow_ups=tuple(
            changed if one.plan.plan_id == plan_id else one for one in record.follow_ups
        ),
    )


def follow_up_of(record: model.Record, plan_id: str) -> model.FollowUp | None:
    """The follow-up of this plan, if it is on record."""
    return next((one for one in record.follow_ups if one.plan.plan_id == plan_id), None)


def all_due(record: model.Record) -> model.Record:
    """The record with everything that is left due at once, because a person asks for it.

    What an engine has begun is left to that, or due within CLAIMED_FOR.
    """
    return dataclasses.replace(
        record,
        follow_ups=tuple(
            one if one.engine else dataclasses.replace(one, due='') for one in record.follow_ups
        ),
        retained=tuple(dataclasses.replace(one, due='') for one in record.retained),
    )
