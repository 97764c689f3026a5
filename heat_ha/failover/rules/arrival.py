# SPDX-License-Identifier: Apache-2.0
"""What becomes of a signal that comes while another one holds the policy's lock.

The lock is also held by signals that only look: a dry run, one that is refused in the end. None of
these may cost an alarm its failover, so an alarm waits for them. It joins only what really runs.
"""

import dataclasses
from collections.abc import Sequence

from heat_ha import signals
from heat_ha.failover import model

# Seconds that a signal waits for one that looks at the group. A look takes about a second, and some
# seconds where Nova and Heat are busy; each waiting signal holds a thread of the engine.
PATIENCE = 30.0

# Seconds between two looks. Each costs two reads of Heat's database.
TRY_EVERY = 0.3

_AT_WORK = (model.State.RUNNING, model.State.WAITING_FOR_FENCE)


@dataclasses.dataclass(frozen=True)
class TryAgain:
    """The lock may be free soon: try to take it again after a pause."""


@dataclasses.dataclass(frozen=True)
class Join:
    """A failover is under way, or changed the active since: the signal is a part of it."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Keep:
    """It is no part of what runs: it is decided afterwards. ``reason`` says what it waits for."""

    reason: str


def when_busy(
    at_arrival: model.Record,
    now: model.Record,
    waited: float,
    owner: str,
    named: str | None,
    *,
    is_person: bool = False,
    is_chained: bool = False,
) -> TryAgain | Join | Keep:
    """What a signal does that found the lock taken.

    Invariant (S3): a signal joins only a failover that is about the same member; one that finds
    no failover under way, and none that changed the active since it came, waits PATIENCE seconds
    for the lock, and whatever does not join is kept.

    :param at_arrival: the record when the signal came; ``now`` is the record after the try.
    :param waited: seconds since the signal came.
    :param owner: who has the lock, in words.
    :param named: what the sender calls the member that it means, None where it names none.
    :param is_person: whether somebody waits for its answer: it is never taken for a part of what
        runs, which makes way for it where it is only tried again.
    :param is_chained: whether it wants replaced what it is about: then a failover that replaces
        nobody is less than it asks for.
    """
    if _is_under_way(now) and now.plan is not None:
        if is_person:
            return TryAgain() if waited < PATIENCE else Keep(f'a failover runs ({owner})')
        replaces_too = now.plan.chained is not None or not is_chained
        is_for_old = now.plan.cause is model.Cause.FAILOVER and replaces_too
        if is_for_old and (named is None or _names(named, now.plan.old)):
            return Join(f'a failover of this group is running already ({owner})')
        return Keep('a failover of this group, which does not do what it asks for, is not over')
    if is_overtaken(at_arrival, now) and named is None:
        return Join('a failover of this group changed the active after this signal came')
    if waited < PATIENCE:
        return TryAgain()
    return Keep(f'{owner}, and did not come to an end within {PATIENCE:.0f} s')


def is_of_another(one: model.Remembered, now: model.Record) -> bool:
    """Whether another member than the one that a kept signal is about is the active now."""
    return (now.active.server if now.active is not None else '') != one.server


def name_in(one: model.Remembered) -> str | None:
    """What a kept signal calls the member that it is about; None where it names none.

    Invariant: it is what the sender has called it. An update may give the member another server
    while the signal waits, and the record may have been late with that when the signal came.
    """
    return (one.named or one.server) if one.is_named else None


def signal_in(one: model.Remembered) -> signals.Signal[model.Action]:
    """A kept signal as it is decided again."""
    return signals.Signal(member=name_in(one), host=one.host or None, reason=one.reason)


def subject(one: model.Remembered) -> str:
    """What a kept signal is about, in words; there may have been no active when it came."""
    return one.member or 'the active'


def about(known: model.Record, named: str | None) -> model.MemberServer | None:
    """The member that a signal means, as far as it is on record; the active where none is named."""
    if named is None:
        return known.active
    return next((one for one in _on_record(known) if _names(named, one)), None)


def is_known(known: model.Record, named: str) -> bool:
    """Whether a name is on record as that of a member, or of the server of one."""
    return any(_names(named, one) for one in _on_record(known))


def _on_record(known: model.Record) -> tuple[model.MemberServer, ...]:
    plan = known.plan
    ends = (plan.old, plan.new, *plan.tried) if plan is not None else ()
    found = (*known.seen, known.active, known.previous, *ends)
    return tuple(one for one in found if one is not None)


def _names(named: str, one: model.MemberServer | None) -> bool:
    return one is not None and named in (one.member, one.server)


def foreign(named: str, names: Sequence[str]) -> str:
    """Why a name that nothing in the group has is refused, in words."""
    return (
        f'{named!r} is neither a member of the group nor a server in one '
        f'(members: {", ".join(names) or "none"})'
    )


def is_overtaken(at_arrival: model.Record, now: model.Record) -> bool:
    """Whether the active changed by a failover that began between the two, however far it is.

    A plan that replaced a standby, or that stopped before it moved anything, was not about what a
    signal without a member is about: the active.
    """
    began = _plan_id(now) not in ('', _plan_id(at_arrival))
    return began and now.active != at_arrival.active


def _is_under_way(known: model.Record) -> bool:
    return known.plan is not None and not known.plan.is_moved and known.state in _AT_WORK


def _plan_id(known: model.Record) -> str:
    return known.plan.plan_id if known.plan is not None else ''
