# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy does next, from what was seen: no clock, no client, no logging.

``answer`` says what a signal leads to. Who may take over is in ``standbys``, which steps a failover
has in ``plan_builder``, how a plan that stopped is left in ``ways_out``, and what one look at a
volume leads to in ``volume_rules``.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.rules import (
    arrival,
    instance_failure,
    later,
    limited,
    plan_builder,
    repeats,
    replaced,
    standbys,
    ways_out,
    work,
)
from heat_ha.groups import model as groups
from heat_ha.groups.rules import members

# --- the record ---------------------------------------------------------------------------


def state(record: model.Record, *, has_signals: bool = False) -> model.State:
    """The state as the attribute shows it: what there is to say beside READY hides it.

    Invariant: READY is shown only where a member is active and has all that is handed over, as far
    as that is known, and nothing is left to do.

    :param has_signals: whether signals are remembered, to be decided later.
    """
    if record.state is not model.State.READY:
        return record.state
    if record.is_paused:
        return model.State.PAUSED
    if has_signals:
        return model.State.WAITING
    if record.follow_ups or work.hindered(record):
        return model.State.REPLACING
    is_complete = record.active is not None and not record.left_over
    return model.State.READY if is_complete else model.State.INCOMPLETE


def left_at_its_end(record: model.Record) -> model.Plan | None:
    """The plan whose engine died after the failover was over and before that was on record."""
    plan = record.plan
    is_left = plan is not None and plan.is_moved and record.state is not model.State.READY
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
class FollowUp:
    """No failover is open: take up what earlier ones have left to do.

    ``at_once``: what is to be tried later as well.
    """

    text: str
    at_once: bool


@dataclasses.dataclass(frozen=True)
class Drop:
    """The plan ends where it stands, and what is left to do of earlier ones with it."""

    record: model.Record
    text: str


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

    answer: 'Start | Refuse | GoOn | later.Remember'
    considered: Mapping[str, str]


Answer = Nothing | Refuse | GoOn | Start | Change | Show | FollowUp | later.Remember | Drop


def _find(candidates: Sequence[model.Candidate], named: str) -> groups.Member | None:
    return members.find([c.member for c in candidates], named)


def answer(signal: signals.Signal[model.Action], seen: model.Observation) -> Answer:
    """What the signal leads to.

    Invariant: a new plan starts only when none is open, or when it takes over from the open one
    what that has begun; the group is not paused, and a healthy successor exists or can be made
    (S3, S5); a name outside of the group leads to a refusal (S7). A signal about a member is
    carried out, joined to what is under way, remembered, or refused for a reason that time alone
    does not take away.
    """
    record = seen.record
    if signal.is_all_clear:
        return Nothing(f'the alarm says {signal.alarm_state.value}')
    match signal.action:
        case model.Action.PAUSE:
            paused = dataclasses.replace(record, is_paused=True)
            return Change(paused, 'paused: alarms move nothing now')
        case model.Action.UNPAUSE:
            return Change(dataclasses.replace(record, is_paused=False), 'no longer paused')
        case model.Action.CANCEL:
            return _cancel(record)
        case model.Action.DROP:
            return _drop(seen)
        case model.Action.PLAN:
            return _show(signal, seen)
    if record.is_paused and signal.action is model.Action.RETRY:
        return FollowUp('the policy is paused', at_once=False)
    if record.is_paused:
        return Refuse('the policy is paused: send the signal unpause first')
    if ways_out.is_open(record) and record.plan is not None:
        return _with_open_plan(signal, seen, record.plan)
    if signal.action in (model.Action.RESUME, model.Action.RETRY):
        return _resume(record, at_once=signal.action is model.Action.RESUME)
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


def _resume(record: model.Record, *, at_once: bool) -> Answer:
    left = left_at_its_end(record)
    if left is not None:
        return GoOn(left)
    if record.follow_ups:
        names = ', '.join(sorted(standbys.going(record)))
        return FollowUp(f'going on with the replacement of {names}', at_once)
    hindered = work.hindered(record)
    if hindered:
        names = ', '.join(sorted(one.member for one in hindered))
        return FollowUp(f'going on with the removal of {names}', at_once)
    # A signal that is kept is not on record here; what asks for it is no person.
    text = 'there is nothing to resume'
    return Refuse(text) if at_once else FollowUp(text, at_once)


def _with_open_plan(
    signal: signals.Signal[model.Action], seen: model.Observation, plan: model.Plan
) -> Answer:
    """What a signal leads to while a failover is not over, and nobody is at it."""
    if signal.member is not None and not _concerns(signal.member, seen, plan):
        return Refuse(_foreign_name(signal.member, seen))
    is_to_old = signal.member is not None and _is(signal.member, plan.old, seen)
    is_to_new = signal.member is not None and _is(signal.member, plan.new, seen)
    means_old = is_to_old or (signal.member is None and seen.record.active == plan.old)
    if signal.member is None and seen.record.active == plan.new:
        # It has everything, and is seen to be down all the same.
        is_to_new = later.active_is_unwell(seen)
    if signal.action is model.Action.RETRY and work.has_failed_hook(plan):
        return Refuse('a config in a server is run again only by the signal resume')
    if signal.action is model.Action.RETRY and ways_out.is_started_again(plan, seen):
        why = 'somebody has started the old active again: resume shuts it off, fail_back keeps it'
        return Change(work.put_off(seen.record, seen.now), why)
    match signal.action:
        case model.Action.FAIL_BACK:
            return _back(signal, seen, plan)
        case model.Action.SWITCHOVER if is_to_old:
            return _back(signal, seen, plan)
        case model.Action.SWITCHOVER if signal.member is not None and not is_to_new:
            return _to_another(signal, seen, plan)
        case None | model.Action.FAILOVER if is_to_new:
            # The successor itself is sick.
            found, _reasons = ways_out.others(plan, seen)
            if not found and signal.member is None:
                return GoOn(plan)
            if not found:
                # Who is sick is on record until somebody else can take over; that ends no plan.
                why = 'the successor was reported sick, and nobody else can take over'
                return later.Remember(why, until=later.FOR_HEAT)
            return Start(ways_out.with_successor(plan, seen, found[0], is_sick=True))
        case None | model.Action.FAILOVER if means_old and ways_out.becomes_failover(
            signal, seen, plan
        ):
            return Start(ways_out.as_failover(plan, seen, signal.cause))
        case None | model.Action.FAILOVER if signal.member is not None and not is_to_old:
            return later.Remember(
                f'the failover from {plan.old.member if plan.old else "none"} is not over',
                until=later.FOR_HEAT,
            )
    return _go_on(signal, seen, plan)


def _go_on(
    signal: signals.Signal[model.Action], seen: model.Observation, plan: model.Plan
) -> Answer:
    """Go on with the plan; where its successor is not in the group, another one takes over."""
    if ways_out.has_successor(plan, seen):
        return GoOn(plan)
    found, _reasons = ways_out.others(plan, seen)
    if found:
        return Start(ways_out.with_successor(plan, seen, found[0]))
    why = 'the successor is not in the group any more, and nobody else can take over'
    if signal.action is model.Action.RETRY:
        return Change(work.put_off(seen.record, seen.now), why)
    return later.Remember(why, until=later.FOR_HEAT)


def _back(
    signal: signals.Signal[model.Action], seen: model.Observation, plan: model.Plan
) -> Start | Refuse:
    why_not = ways_out.why_not_back(plan, seen)
    if why_not is not None:
        name = plan.old.member if plan.old else 'the old active'
        return Refuse(f'{name} cannot be the active again: {why_not}')
    return Start(ways_out.back(plan, seen, signal.reason or plan.reason))


def _to_another(
    signal: signals.Signal[model.Action], seen: model.Observation, plan: model.Plan
) -> Start | Refuse:
    assert signal.member is not None
    wanted = _find(seen.candidates, signal.member)
    if wanted is None:
        return Refuse(_foreign_name(signal.member, seen))
    found, reasons = standbys.eligible(seen.candidates, plan.old, going=standbys.going(seen.record))
    for one in found:
        if one.member == wanted.name:
            return Start(ways_out.with_successor(plan, seen, one))
    why = reasons.get(wanted.name, 'it is not eligible')
    return Refuse(f'member {wanted.name} cannot become the active: {why}')


def _cancel(record: model.Record) -> Answer:
    plan = record.plan
    if plan is None or not ways_out.is_open(record):
        return Refuse('there is nothing to cancel')
    begun = [s for s in plan.steps if s.state is not model.StepState.PENDING]
    if begun:
        return Refuse(
            f'step {begun[0].name} of plan {plan.plan_id} has begun: send resume to bring it '
            'to its end, switchover with a member to choose another successor, fail_back to go '
            'back, or drop to leave things where they are'
        )
    without = dataclasses.replace(record, plan=None, state=model.State.READY, reason='', remedy='')
    return Change(without, f'plan {plan.plan_id} is cancelled; nothing had been touched')


def _drop(seen: model.Observation) -> Answer:
    record, plan = seen.record, seen.record.plan
    is_open, hindered = ways_out.is_open(record), work.hindered(record)
    if not is_open and not record.follow_ups and not hindered:
        return Refuse('there is nothing to drop')
    left = [f'member {name} is not replaced' for name in sorted(standbys.going(record))]
    left += [f'member {one.member} is not removed' for one in hindered]
    text = 'what was left to do is dropped'
    if is_open and plan is not None:
        found = ways_out.dropped(seen)
        record, text = found.record, f'plan {plan.plan_id} is dropped'
        left = [part for part in (found.left_over, *left) if part]
        if record.active is not None:
            text = f'{text}; the active is {record.active.member}'
    retained = tuple(one for one in record.retained if one not in hindered)
    record = dataclasses.replace(record, follow_ups=(), retained=retained)
    if left:
        text = f'{text}; left over: {"; ".join(left)}'
    if record.left_over:
        text = f'{text}; {ways_out.to_bring_there(record)}'
    return Drop(record, text)


def _show(signal: signals.Signal[model.Action], seen: model.Observation) -> Answer:
    reasons = standbys.considered(
        seen.candidates,
        seen.record.active,
        seen.record.suspects,
        None,
        standbys.going(seen.record),
    )
    if ways_out.is_open(seen.record) and seen.record.plan is not None:
        return Show(GoOn(seen.record.plan), reasons)
    if seen.record.is_paused:
        return Show(Refuse('the policy is paused: send the signal unpause first'), reasons)
    would = _failover(dataclasses.replace(signal, action=model.Action.FAILOVER), seen)
    return Show(would, would.plan.considered if isinstance(would, Start) else reasons)


def _switchover(signal: signals.Signal[model.Action], seen: model.Observation) -> Start | Refuse:
    active = seen.record.active
    immovable = _immovable(seen)
    if immovable is not None:
        return immovable
    going = standbys.going(seen.record)
    successors, reasons = standbys.eligible(seen.candidates, active, going=going)
    if signal.member is not None:
        wanted = _find(seen.candidates, signal.member)
        if wanted is None:
            return Refuse(_foreign_name(signal.member, seen))
        successors = tuple(s for s in successors if s.member == wanted.name)
        if not successors and active is not None and wanted.name == active.member:
            # A plan that was dropped may have left some of it elsewhere.
            successors = (active,) if later.is_anything_elsewhere(seen, active) else ()
            # It goes on serving with what it has.
            seen = dataclasses.replace(seen, quiesce=model.Quiesce.NONE, quiesce_hook=None)
        if not successors:
            why = reasons.get(wanted.name, 'it is not eligible')
            return Refuse(f'member {wanted.name} cannot become the active: {why}')
    if not successors:
        return Refuse(_no_successor(reasons, seen))
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


def _failover(
    signal: signals.Signal[model.Action], seen: model.Observation
) -> Start | Refuse | later.Remember:
    active = seen.record.active
    if signal.member is not None:
        named = _find(seen.candidates, signal.member)
        if named is None and not _names(signal.member, active):
            return Refuse(_foreign_name(signal.member, seen))
        if named is not None and not standbys.is_active(named, active):
            return _replace_standby(signal, seen, named)
    elif signal.action is None and _is_late_copy(signal, seen):
        return Refuse(
            'what an earlier failover has left is still being replaced, and the active looks well: '
            'this signal joins it. Name the member that is meant to have it replaced all the same'
        )
    if not seen.candidates:
        # Nobody has lost a member: the group was given this size.
        return Refuse('the group has no member, and none is made for it: raise its size first')
    outdated = later.outdated(seen, later.longest_wait(seen.limits))
    if outdated is not None:
        return outdated if isinstance(outdated, later.Remember) else Refuse(outdated)
    held = limited.of_active(seen)
    if held is not None:
        return held if isinstance(held, later.Remember) else Refuse(held)
    held = repeats.refusal(signal, seen) or instance_failure.held(signal, seen)
    if held is not None:
        return held if isinstance(held, later.Remember) else Refuse(held)
    immovable = _immovable(seen)
    if immovable is not None:
        return immovable
    going = standbys.going(seen.record)
    successors, reasons = standbys.eligible(seen.candidates, active, seen.record.suspects, going)
    has_others = len(seen.candidates) > 1 or later.heat_is_at_work(seen.candidates)
    if not successors and has_others and not later.needs_new_member(seen):
        reason = _no_successor(reasons, seen)
        return later.without_successor(reason, seen) or Refuse(reason)
    # In a cold failover nobody stands by, so the successor has to be made first.
    new = successors[0] if successors else None
    replaces = replaced.after_failover(seen, active, new)
    cause = model.Cause.FAILOVER
    return Start(plan_builder.build(seen, cause, signal.cause, active, new, replaces))


def _is_late_copy(signal: signals.Signal[model.Action], seen: model.Observation) -> bool:
    return later.is_late_copy(seen) and not instance_failure.is_about_either(signal, seen)


def _immovable(seen: model.Observation) -> Refuse | None:
    """The refusal when something cannot change hands, before anything is touched."""
    return Refuse(seen.never_moved[0]) if seen.never_moved else None


def _replace_standby(
    signal: signals.Signal[model.Action], seen: model.Observation, named: groups.Member
) -> Start | Refuse:
    if named.name in standbys.going(seen.record):
        return Refuse(f'member {named.name} is being replaced already, so this signal joins it')
    if named.name in standbys.leaving(seen.record):
        return Refuse(f'member {named.name} is kept for a look only, and another is in its place')
    if seen.chained is None:
        return Refuse(
            f'member {named.name} is a standby: nothing moves, and only a '
            'ScalingPolicy with adjustment_type replace_oldest replaces it'
        )
    return Start(
        plan_builder.build(
            seen,
            model.Cause.REPLACE_STANDBY,
            signal.cause,
            seen.record.active,
            seen.record.active,
            (named.name,),
        )
    )


def _is(named: str, end: model.MemberServer | None, seen: model.Observation) -> bool:
    """Whether a sender means this member, by whatever it calls it."""
    if end is None:
        return False
    found = _find(seen.candidates, named)
    return _names(named, end) or (found is not None and found.name == end.member)


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


def _no_successor(reasons: Mapping[str, str], seen: model.Observation) -> str:
    """Why nobody takes over, with what brings a standby back where waiting does not."""
    text = '; '.join(f'{name}: {why}' for name, why in reasons.items()) or 'the group is empty'
    text = f'no standby can take over, so the active stays ({text})'
    # Who is kept for a look only has its successor already.
    kept = standbys.leaving(seen.record)
    lost = [name for name in later.lost_standbys(seen) if name not in kept]
    if not lost:
        return text
    if seen.chained is None:
        return f'{text}. Mark {lost[0]} as unhealthy if its server is gone, and update the stack'
    return f'{text}. A signal with the member {lost[0]} has that one replaced'
