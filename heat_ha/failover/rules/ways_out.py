# SPDX-License-Identifier: Apache-2.0
"""The ways out of a plan that is not at its end, besides to go on with it.

Another successor, back to the old active, drop it, or change it by an update of the stack. Pure,
like ``decide``, which asks it.
"""

import dataclasses
from collections.abc import Collection

from heat_ha import signals
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import (
    later,
    limited,
    plan_builder,
    plan_changes,
    repeats,
    replaced,
    standbys,
    suspicion,
)
from heat_ha.groups import model as groups

# Characters of a name that are shown in a way out.
MAX_SHOWN = 60

# What was done to the old active stays done, whoever takes over from it.
_OF_THE_OLD = (StepKind.QUIESCE, StepKind.STOP_SERVER)


def is_open(record: model.Record) -> bool:
    """Whether there is a failover that is not over."""
    return record.plan is not None and not record.plan.is_moved


def has_begun(plan: model.Plan | None) -> bool:
    """Whether something was done of a plan that is not at its end."""
    if plan is None or plan.is_moved:
        return False
    return any(s.state is not StepState.PENDING for s in plan.steps)


def with_successor(
    plan: model.Plan, seen: model.Observation, new: model.MemberServer, *, is_sick: bool = False
) -> model.Plan:
    """The plan of the same failover to another successor.

    Invariant: whatever an earlier successor may have got is taken from it before the new one gets
    anything (S1), and nothing is done again to the old active that was done.
    """
    if plan.replaces == (new.member,) and plan_builder.added(plan):
        # The one that was to go takes over after all, so the one in its place goes.
        plan = _exchanged(plan, new.member)
    seen = dataclasses.replace(seen, chained=plan.chained)
    earlier = (*plan.tried, *((plan.new,) if plan.new and plan.new != new else ()))
    replaces = _replaces(plan, new, is_sick=is_sick)
    added = _added(plan, replaces)
    built = plan_builder.build(
        seen,
        plan.cause,
        plan.reason,
        plan.old,
        new,
        replaces,
        tried=tuple(dict.fromkeys(one for one in earlier if one != new)),
        has_added=bool(added),
    )
    done = {s.name: s for s in plan.steps if s.kind in _OF_THE_OLD and s.state is StepState.DONE}
    steps = tuple(done.get(s.name, s) if s.kind in _OF_THE_OLD else s for s in built.steps)
    return dataclasses.replace(
        built,
        steps=(*added, *steps),
        created=plan.created,
        requested_by=plan.requested_by,
    )


def _exchanged(plan: model.Plan, stays: str) -> model.Plan:
    """The plan with the member that it has made, and the one that goes for it, exchanged."""
    targets = {StepKind.ADD_MEMBER: stays, StepKind.REPLACE: plan_builder.added(plan)}
    return dataclasses.replace(
        plan,
        steps=tuple(
            dataclasses.replace(s, target=targets.get(s.kind, s.target)) for s in plan.steps
        ),
    )


def _added(plan: model.Plan, replaces: tuple[str, ...]) -> tuple[model.Step, ...]:
    """The step that has made a member, or was at it: that one comes in the old active's place."""
    if len(replaces) != 1:
        # One that is replaced itself comes in nobody's place.
        return ()
    return tuple(
        dataclasses.replace(s, target=plan_builder.added(plan), state=StepState.DONE, after=())
        for s in plan.steps
        if s.kind is StepKind.ADD_MEMBER and s.state is not StepState.PENDING
    )


def _replaces(plan: model.Plan, new: model.MemberServer, *, is_sick: bool) -> tuple[str, ...]:
    names = plan.replaces
    if names and is_sick and plan.new is not None:
        names = (*names, plan.new.member)
    return tuple(name for name in names if name != new.member)


def asks_for_more(plan: model.Plan, chained: groups.Chained | None) -> bool:
    """Whether an alarm about who a plan takes from asks for more than the plan does.

    :param chained: what the alarm wants replaced afterwards.
    """
    if plan.old is None or plan.old == plan.new:
        return False
    is_wish = plan.cause is model.Cause.SWITCHOVER
    return is_wish or (chained is not None and plan.chained is None)


def becomes_failover(
    signal: signals.Signal[model.Action], seen: model.Observation, plan: model.Plan
) -> bool:
    """Whether an alarm about who an open plan takes from makes it a failover that replaces it.

    Invariant: it asks for more than the plan does; and without evidence that the active is unwell,
    it would be carried out if no plan were open: neither a limit nor an earlier answer holds it
    back.
    """
    if not asks_for_more(plan, seen.chained):
        return False
    if signal.member is None and (seen.is_overtaken or later.is_late_copy(seen)):
        return False
    if later.active_is_unwell(seen):
        return True
    return limited.of_active(seen) is None and repeats.refusal(signal, seen) is None


def is_started_again(plan: model.Plan, seen: model.Observation) -> bool:
    """Whether the server that was shut off runs, and still has what is to be taken from it.

    Whoever has started it may be about to give it everything back, so nothing but a person, or an
    alarm, has it shut off once more.
    """
    kinds = {kind: [s for s in plan.steps if s.kind is kind] for kind in StepKind}
    was_shut_off = any(s.state is StepState.DONE for s in kinds[StepKind.STOP_SERVER])
    has_it = any(s.state is not StepState.DONE for s in kinds[StepKind.DETACH])
    if plan.old is None or not (was_shut_off and has_it):
        return False
    old = [c for c in seen.candidates if standbys.is_active(c.member, plan.old)]
    return any(c.server is not None and c.server.status is ServerStatus.ACTIVE for c in old)


def as_failover(plan: model.Plan, seen: model.Observation, reason: str) -> model.Plan:
    """The same plan, after an alarm said that who it takes from is sick.

    Invariant: no step is done again, and the successor stays. What the alarm's policy wants is
    replaced, which says also whether a server on a dead host may go (S8).
    """
    names = replaced.after_failover(seen, plan.old, plan.new)
    if plan_builder.added(plan):
        # One member was made, so one goes.
        names = names[:1]
    changed = dataclasses.replace(
        plan,
        cause=model.Cause.FAILOVER,
        reason=reason or plan.reason,
        requested_by=seen.requested_by,
        created=seen.now.isoformat(timespec='milliseconds'),
    )
    return plan_builder.with_replacement(changed, seen, names)


def others(
    plan: model.Plan, seen: model.Observation, refused: Collection[str] = ()
) -> tuple[tuple[model.MemberServer, ...], dict[str, str]]:
    """Who else may take over, best first, and of every other member why not.

    :param refused: members that got nothing just now; who got nothing an hour ago may by now.
    """
    found, reasons = standbys.eligible(
        seen.candidates, plan.old, seen.record.suspects, standbys.going(seen.record)
    )
    tried = {*refused, *((plan.new.member,) if plan.new else ())}
    reasons |= dict.fromkeys(tried, 'it did not get what it was to take over')
    return tuple(one for one in found if one.member not in tried), reasons


def has_successor(plan: model.Plan, seen: model.Observation) -> bool:
    """Whether who is to take over is in the group, or is to be made.

    One that cannot be made takes a member that is well again; the one that the plan has made is its
    successor anyway. An update may have named another group meanwhile.
    """
    if plan.new is not None:
        return any(standbys.is_active(c.member, plan.new) for c in seen.candidates)
    found, _reasons = others(plan, seen)
    return not found or found[0].member == plan_builder.added(plan)


def after_refusal(
    plan: model.Plan,
    seen: model.Observation,
    refused: Collection[str],
    *,
    is_sick: bool = False,
) -> model.Plan | None:
    """The plan after the successor could not get what it was to take over; None without any.

    The next eligible member follows, unless a person has chosen this one; else the old active
    gets back what it had, if it is well as far as can be seen.

    Invariant: no member is tried twice, so this comes to an end.

    :param refused: the names of the members that got nothing since this began, this one included.
    :param is_sick: whether the successor's host is confirmed down. Then it is replaced as the old
        active is, which also says whether its server may be deleted for what it holds (S8).
    """
    found, _reasons = others(plan, seen, refused)
    is_return = plan.cause is model.Cause.SWITCHOVER and bool(plan.tried)
    if found and (plan.cause is model.Cause.FAILOVER or is_return):
        return with_successor(plan, seen, found[0], is_sick=is_sick)
    if plan.old is None or plan.old.member in refused or why_not_back(plan, seen) is not None:
        return None
    return back(plan, seen, plan.reason)


def why_not_back(plan: model.Plan, seen: model.Observation) -> str | None:
    """Why the old active cannot have back what it had, or None when it can."""
    old = plan.old
    if old is None:
        return 'no member was active before'
    for candidate in seen.candidates:
        if standbys.is_active(candidate.member, old):
            going = standbys.going(seen.record)
            return standbys.limitation(candidate, None, (), going)
    return f'member {old.member} is not in the group any more'


def back(plan: model.Plan, seen: model.Observation, reason: str) -> model.Plan:
    """The plan that gives the old active back what it had.

    Invariant: the group has its size afterwards. A member that was made for the failover goes, with
    the old active in its place; nothing else is replaced.
    """
    assert plan.old is not None
    quiet = dataclasses.replace(seen, quiesce=model.Quiesce.NONE, quiesce_hook=None)
    made = tuple(
        dataclasses.replace(s, target=plan.old.member, state=StepState.DONE, after=())
        for s in plan.steps
        if s.kind is StepKind.ADD_MEMBER and s.state is not StepState.PENDING
    )
    here = {c.member.name for c in seen.candidates}
    going = tuple({plan_builder.added(plan)} & here) if made else ()
    built = plan_builder.build(
        quiet, model.Cause.SWITCHOVER, reason, plan.new, plan.old, going, has_added=bool(made)
    )
    tried = (*plan.tried, *((plan.new,) if plan.new else ()), *built.tried)
    return dataclasses.replace(
        built,
        steps=(*made, *built.steps),
        tried=tuple(dict.fromkeys(one for one in tried if one != plan.old)),
    )


_ON_ITS_WAY = ', and a request for it is under way'


@dataclasses.dataclass(frozen=True)
class Dropped:
    """The record without its plan, and what is left over in words, empty for nothing."""

    record: model.Record
    left_over: str


def dropped(seen: model.Observation) -> Dropped:
    """End the plan where it stands.

    Invariant: the active is who has all that is handed over, if a member of the plan has it, and
    else the active that is on record. Nothing is moved, and nothing is forgotten: what is not at
    the active is named.
    """
    record, plan = seen.record, seen.record.plan
    assert plan is not None
    active, epoch = record.active, record.epoch
    ends = tuple(one for one in (plan.old, plan.new, *plan.tried) if one is not None)
    for one in ends:
        own = frozenset({one.server})
        if seen.held_by and all(servers == own for servers in seen.held_by.values()):
            is_other = active != one
            active, epoch = one, epoch + is_other
    places = {**seen.held_by, **seen.others_at}
    elsewhere = _elsewhere(seen, active, ends)
    is_all_there = bool(places) and not elsewhere
    made = plan_builder.added(plan)
    left = [*elsewhere, *(f'member {name} is not replaced' for name in plan.replaces)]
    # On the way back nobody was reported sick, and who was made before goes.
    is_failover = plan.cause is model.Cause.FAILOVER
    is_there = is_failover and any(c.member.name == made for c in seen.candidates)
    if is_there and (active is None or active.member != made):
        left.append(f'member {made}, made for this failover, is not removed')
    sick = plan.replaces if is_failover else ()
    suspects = set(record.suspects) | set(sick)
    if active is not None:
        suspects.discard(active.member)
    without = dataclasses.replace(
        suspicion.with_suspects(record, suspects, sick, plan.created),
        plan=None,
        state=model.State.READY,
        reason='',
        remedy='',
        active=active,
        epoch=epoch,
        previous=plan.old if active != plan.old else record.previous,
        left_with=() if is_all_there else _left_with(record, plan, active),
        left_over=elsewhere if places else record.left_over,
    )
    return Dropped(without, '; '.join(left))


def _elsewhere(
    seen: model.Observation,
    active: model.MemberServer | None,
    ends: tuple[model.MemberServer, ...],
) -> tuple[str, ...]:
    """What is handed over and is not known to be at the active, and where it is, in words."""
    at_active = frozenset({active.server} if active is not None else ())
    return tuple(
        _where(target, servers, ends) + _ON_ITS_WAY * (target in seen.under_way)
        for target, servers in (*sorted(seen.held_by.items()), *sorted(seen.others_at.items()))
        if not at_active or servers != at_active or target in seen.under_way
    )


def as_left_now(seen: model.Observation) -> model.Record:
    """The record with what a dropped plan has left elsewhere, as it is now.

    Invariant: it stays on record until all of it is seen at the active.
    """
    record = seen.record
    if not record.left_over or is_open(record) or not (seen.held_by or seen.others_at):
        return record
    ends = (*record.left_with, *record.seen, *((record.previous,) if record.previous else ()))
    left = _elsewhere(seen, record.active, ends)
    return dataclasses.replace(record, left_over=left, left_with=record.left_with if left else ())


def to_bring_there(record: model.Record) -> str:
    """How what is left elsewhere comes to the active."""
    if record.active is None:
        return 'Send the signal failover once a member is healthy'
    active = record.active
    # A name may fill an event by itself; the id of the server means the same member.
    name = active.member if len(active.member) <= MAX_SHOWN else active.server
    return f'Send the signal switchover with member {name} to bring it there'


def _left_with(
    record: model.Record, plan: model.Plan, active: model.MemberServer | None
) -> tuple[model.MemberServer, ...]:
    """Who may have something of what is handed over, beside the active."""
    gives = (StepKind.ATTACH, StepKind.HAND_OVER)
    has_given = any(s.kind in gives and s.state is not StepState.PENDING for s in plan.steps)
    ends = (plan.old, plan.new if has_given else None, *plan.tried, *record.left_with)
    return tuple(dict.fromkeys(one for one in ends if one is not None and one != active))


def _where(
    target: str, servers: Collection[str] | None, ends: tuple[model.MemberServer, ...]
) -> str:
    if servers is None:
        return f'it is not known where {target} is'
    if not servers:
        return f'{target} is at no server'
    names = {one.server: f'member {one.member}' for one in ends}
    return f'{target} is at {", ".join(names.get(s, f"server {s}") for s in sorted(servers))}'


@dataclasses.dataclass(frozen=True)
class PlanUpdate:
    """What an update of the stack changes for a plan that is not at its end.

    ``taken_out`` are the ids of things that the template does not hand over any more.
    """

    revision: str
    taken_out: frozenset[str]
    quiesce_hook: model.Hook | None
    activate_hook: model.Hook | None
    on_dead_host: model.OnDeadHost
    quiesce: model.Quiesce
    keep_seconds: float


def updated(plan: model.Plan, seen: PlanUpdate) -> model.Plan:
    """The plan after the template changed: the failover goes on with what is wanted now.

    What the template does not hand over any more is left where it is. What it hands over in
    addition comes to the new active with the step ``hand_over``.
    """
    steps = tuple(
        dataclasses.replace(s, state=StepState.DONE, reason='it is not in the template any more')
        if s.kind in (StepKind.DETACH, StepKind.ATTACH) and s.target in seen.taken_out
        else s
        for s in plan.steps
    )
    plan = dataclasses.replace(
        plan, steps=steps, revision=seen.revision, on_dead_host=seen.on_dead_host
    )
    plan = plan_changes.with_quiesce(plan, seen.quiesce)
    plan = plan_changes.with_hooks(plan, seen.quiesce_hook, seen.activate_hook)
    return plan_changes.with_retention(plan, seen.keep_seconds)


def with_plan(record: model.Record, plan: model.Plan) -> model.Record:
    """The record with its plan changed; what hindered it may be gone."""
    return dataclasses.replace(record, plan=plan)
