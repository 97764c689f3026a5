# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy does next, from what was seen: no clock, no client, no logging.

``answer`` says what a signal leads to. Who may take over is in ``standbys``, which steps a failover
has in ``plan_builder``, and what one look at a volume leads to in ``volume_rules``.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import arrival, plan_builder, standbys
from heat_ha.groups import model as groups
from heat_ha.groups.rules import members

# --- the record ---------------------------------------------------------------------------


def state(record: model.Record) -> model.State:
    """The state as the attribute shows it: a pause hides READY only."""
    if record.is_paused and record.state is model.State.READY:
        return model.State.PAUSED
    return record.state


def with_active(record: model.Record, active: model.MemberServer | None) -> model.Record:
    """The record after another member became the active one without a failover."""
    return dataclasses.replace(record, active=active, epoch=record.epoch + 1)


def left_at_its_end(record: model.Record) -> model.Plan | None:
    """The plan whose engine died after the last step and before the end was on record."""
    plan = record.plan
    is_left = plan is not None and plan.is_done and record.state is not model.State.READY
    return plan if is_left else None


# --- what a signal leads to -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Nothing:
    """The signal asks for nothing (an alarm that is over); not even an event."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Refuse:
    """The signal is refused and nothing changes; the reason becomes an event."""

    reason: str


@dataclasses.dataclass(frozen=True)
class GoOn:
    """A plan is on record and not done: take it up."""

    plan: model.Plan


@dataclasses.dataclass(frozen=True)
class Start:
    """A new plan is to be written down and carried out."""

    plan: model.Plan


@dataclasses.dataclass(frozen=True)
class Change:
    """The record becomes this one, and nothing else changes; ``text`` is for the sender."""

    record: model.Record
    text: str


@dataclasses.dataclass(frozen=True)
class Show:
    """A dry run: what a failover would do now, or why it would do nothing."""

    answer: 'Start | Refuse | GoOn'
    considered: Mapping[str, str]


Answer = Nothing | Refuse | GoOn | Start | Change | Show


def _find(candidates: Sequence[model.Candidate], named: str) -> groups.Member | None:
    return members.find([c.member for c in candidates], named)


def limits_refusal(
    limits: model.Limits, past: Sequence[datetime.datetime], now: datetime.datetime
) -> str | None:
    """Why cooldown or the flapping guard forbid a failover now, or None."""
    if limits.cooldown and past:
        # From the nearest: the clock of the engine that wrote it may be ahead, or far off.
        age = min(abs((now - p).total_seconds()) for p in past)
        if age < limits.cooldown:
            return (
                f'the last failover was {age:.0f} s ago and the cooldown is {limits.cooldown:.0f} s'
            )
    if limits.max_failovers and limits.period:
        recent = [p for p in past if abs((now - p).total_seconds()) < limits.period]
        if len(recent) >= limits.max_failovers:
            return (
                f'{len(recent)} failovers within {limits.period:.0f} s reach max_failovers '
                f'({limits.max_failovers}): the group is flapping and a person should look'
            )
    return None


def answer(signal: signals.Signal[model.Action], seen: model.Observation) -> Answer:
    """What the signal leads to.

    Invariant: a new plan starts only when none is unfinished, the group is not paused, and a
    healthy successor exists or can be made (S3, S5); a name outside of the group leads to a
    refusal (S7).
    """
    record = seen.record
    unfinished = record.plan is not None and not record.plan.is_done
    if signal.is_all_clear:
        return Nothing(f'the alarm says {signal.alarm_state.value}')
    match signal.action:
        case model.Action.PAUSE:
            paused = dataclasses.replace(record, is_paused=True)
            return Change(paused, 'paused: alarms move nothing now')
        case model.Action.UNPAUSE:
            return Change(dataclasses.replace(record, is_paused=False), 'no longer paused')
        case model.Action.CANCEL:
            return _cancel(record, unfinished)
        case model.Action.PLAN:
            return _show(signal, seen, unfinished)
    if record.is_paused:
        return Refuse('the policy is paused: send the signal unpause first')
    if unfinished and record.plan is not None:
        if signal.member is not None and not _concerns(signal.member, seen, record.plan):
            return Refuse(_foreign_name(signal.member, seen))
        return GoOn(record.plan)
    match signal.action:
        case model.Action.RESUME:
            left = left_at_its_end(record)
            return GoOn(left) if left is not None else Refuse('there is nothing to resume')
    if seen.is_overtaken and signal.member is None:
        # It was about the active of then.
        return Refuse('a failover began after this signal came, so this signal joins it')
    match signal.action:
        case model.Action.SWITCHOVER:
            return _switchover(signal, seen)
        case model.Action.FAIL_BACK:
            return _fail_back(signal, seen)
        case model.Action.FAILOVER | None:
            return _failover(signal, seen)


def _cancel(record: model.Record, unfinished: bool) -> Answer:
    plan = record.plan
    if plan is None or not unfinished:
        return Refuse('there is nothing to cancel')
    begun = [s for s in plan.steps if s.state is not model.StepState.PENDING]
    if begun:
        return Refuse(
            f'step {begun[0].name} of plan {plan.plan_id} has begun: send resume to bring it '
            'to its end'
        )
    without = dataclasses.replace(record, plan=None, state=model.State.READY, reason='', remedy='')
    return Change(without, f'plan {plan.plan_id} is cancelled; nothing had been touched')


def _show(
    signal: signals.Signal[model.Action], seen: model.Observation, unfinished: bool
) -> Answer:
    reasons = standbys.considered(seen.candidates, seen.record.active, seen.record.suspects, None)
    if unfinished and seen.record.plan is not None:
        return Show(GoOn(seen.record.plan), reasons)
    if seen.record.is_paused:
        return Show(Refuse('the policy is paused: send the signal unpause first'), reasons)
    would = _failover(dataclasses.replace(signal, action=None), seen)
    return Show(would, would.plan.considered if isinstance(would, Start) else reasons)


def _switchover(signal: signals.Signal[model.Action], seen: model.Observation) -> Start | Refuse:
    active = seen.record.active
    immovable = _immovable(seen)
    if immovable is not None:
        return immovable
    successors, reasons = standbys.eligible(seen.candidates, active)
    if signal.member is not None:
        wanted = _find(seen.candidates, signal.member)
        if wanted is None:
            return Refuse(_foreign_name(signal.member, seen))
        successors = tuple(s for s in successors if s.member == wanted.name)
        if not successors:
            why = reasons.get(wanted.name, 'it is not eligible')
            return Refuse(f'member {wanted.name} cannot become the active: {why}')
    if not successors:
        return Refuse(_no_successor(reasons))
    plan = plan_builder.build(
        seen, model.Cause.SWITCHOVER, signal.reason, active, successors[0], replaces=()
    )
    return Start(plan)


def _fail_back(signal: signals.Signal[model.Action], seen: model.Observation) -> Start | Refuse:
    """A switchover to the member that was active before, as long as it is the same server."""
    previous = seen.record.previous
    if seen.fail_back is model.FailBack.NEVER:
        return Refuse('the property fail_back is never: send switchover to name a member')
    if previous is None:
        return Refuse('no member was active before the present one')
    there = _find(seen.candidates, previous.server)
    if there is None:
        return Refuse(
            f'member {previous.member}, which was active before, is not in the group any more'
        )
    return _switchover(dataclasses.replace(signal, member=there.name), seen)


def expired(
    retained: Sequence[model.Retained], now: datetime.datetime
) -> tuple[model.Retained, ...]:
    """Those that were retained long enough; of several, all but the newest."""
    newest = max((r.until for r in retained), default='')
    return tuple(
        r for r in retained if r.until != newest or datetime.datetime.fromisoformat(r.until) <= now
    )


def _failover(signal: signals.Signal[model.Action], seen: model.Observation) -> Start | Refuse:
    active = seen.record.active
    present = {c.member.name for c in seen.candidates}
    if signal.member is not None:
        named = _find(seen.candidates, signal.member)
        if named is None and not _names(signal.member, active):
            return Refuse(_foreign_name(signal.member, seen))
        if named is not None and (active is None or named.name != active.member):
            return _replace_standby(signal, seen, named)
    limited = limits_refusal(seen.limits, seen.past_failovers, seen.now)
    if limited is not None:
        return Refuse(limited)
    immovable = _immovable(seen)
    if immovable is not None:
        return immovable
    replaces = (active.member,) if active is not None and active.member in present else ()
    successors, reasons = standbys.eligible(seen.candidates, active, seen.record.suspects)
    if not successors and len(seen.candidates) > 1:
        return Refuse(_no_successor(reasons))
    # In a cold failover nobody stands by, so the successor has to be made first.
    new = successors[0] if successors else None
    cause = model.Cause.FAILOVER
    return Start(plan_builder.build(seen, cause, signal.reason, active, new, replaces))


def _immovable(seen: model.Observation) -> Refuse | None:
    """The refusal when something cannot change hands, before anything is touched."""
    return Refuse(seen.never_moved[0]) if seen.never_moved else None


def _replace_standby(
    signal: signals.Signal[model.Action], seen: model.Observation, named: groups.Member
) -> Start | Refuse:
    if seen.chained is None:
        return Refuse(
            f'member {named.name} is a standby: nothing moves, and only a '
            'ScalingPolicy with adjustment_type replace_oldest replaces it'
        )
    return Start(
        plan_builder.build(
            seen,
            model.Cause.REPLACE_STANDBY,
            signal.reason,
            seen.record.active,
            seen.record.active,
            (named.name,),
        )
    )


def _names(named: str, end: model.MemberServer | None) -> bool:
    return end is not None and named in (end.member, end.server)


def _concerns(named: str, seen: model.Observation, plan: model.Plan) -> bool:
    """Whether a name is of the group now, or was when the plan was made."""
    return (
        _find(seen.candidates, named) is not None
        or _names(named, plan.old)
        or _names(named, plan.new)
    )


def _foreign_name(named: str, seen: model.Observation) -> str:
    return arrival.foreign(named, [c.member.name for c in seen.candidates])


def _no_successor(reasons: Mapping[str, str]) -> str:
    text = '; '.join(f'{name}: {why}' for name, why in reasons.items())
    return f'no standby can take over, so the active stays ({text or "the group is empty"})'
