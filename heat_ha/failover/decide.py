# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy does next, from what was seen: no clock, no client, no logging.

``answer`` says what a signal leads to, ``make_plan`` which steps a failover has, and
``next_for_detach`` / ``next_for_attach`` what one look at a volume leads to.
``heat_ha.failover.carry_out`` acts on all of them.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.model import ServerStatus, StepKind, VolumeStatus
from heat_ha.groups import model as groups

# --- who is active, who may become it -------------------------------------------------------


def limitation(
    candidate: model.Candidate, active: model.Holder | None, suspects: Iterable[str]
) -> str | None:
    """Why this member may not become the active one, or None when it may.

    One text for the decision, the event and the attribute ``plan``.
    """
    member, server = candidate.member, candidate.server
    if active is not None and member.name == active.member:
        return 'it is the active'
    if member.is_failed:
        return f'Heat holds it for failed ({member.reason})' if member.reason else 'it is failed'
    if member.is_in_progress:
        return 'Heat is still working on it'
    if candidate.problem:
        return candidate.problem
    if server is None:
        return 'it has no server'
    if server.status is ServerStatus.COULD_NOT_ASK:
        return f'Nova could not be asked for its server ({server.wording})'
    if server.status is ServerStatus.GONE:
        return 'its server does not exist any more'
    if server.status is not ServerStatus.ACTIVE:
        return f'its server is {server.wording or server.status.value}, not ACTIVE'
    if candidate.host is not None and candidate.host.state in _DOWN:
        return candidate.host.wording
    if candidate.health is not None and candidate.health.state is model.HealthState.SICK:
        return f'its health check fails: {candidate.health.wording}'
    if member.name in suspects:
        return 'it was the active when it was reported sick, and was not replaced since'
    return None


def first_active(candidates: Sequence[model.Candidate]) -> model.Holder | None:
    """The member that is active from the start: the oldest healthy one, None without one."""
    for candidate in candidates:
        if limitation(candidate, None, ()) is None and candidate.server is not None:
            return model.Holder(candidate.member.name, candidate.server.server)
    return None


def eligible(
    candidates: Sequence[model.Candidate],
    active: model.Holder | None,
    suspects: Iterable[str] = (),
) -> tuple[tuple[model.Holder, ...], dict[str, str]]:
    """The members that may take over, best first, and the reason for each that may not.

    A server that proved its health comes before one that could not be asked, then one on
    another host before one that shares the active's host, for what made the active sick may be
    its host, and then the older one.
    """
    suspects = tuple(suspects)
    reasons: dict[str, str] = {}
    good: list[model.Candidate] = []
    active_host = ''
    for candidate in candidates:
        if active is not None and candidate.member.name == active.member and candidate.server:
            active_host = candidate.server.host
    for candidate in candidates:
        why_not = limitation(candidate, active, suspects)
        if why_not is None:
            good.append(candidate)
        else:
            reasons[candidate.member.name] = why_not
    good.sort(
        key=lambda c: (_is_unproved(c), bool(c.server and c.server.host == active_host != ''))
    )
    holders = tuple(model.Holder(c.member.name, c.server.server) for c in good if c.server)
    return holders, reasons


_DOWN = frozenset({model.HostState.DOWN, model.HostState.CONFIRMED_DOWN})


def _is_unproved(candidate: model.Candidate) -> bool:
    return candidate.health is not None and candidate.health.state is not model.HealthState.WELL


def considered(
    candidates: Sequence[model.Candidate],
    active: model.Holder | None,
    suspects: Iterable[str],
    chosen: model.Holder | None,
) -> dict[str, str]:
    """For each member in a sentence why it is, or is not, the one that takes over."""
    heirs, reasons = eligible(candidates, active, suspects)
    places = {h.member: place for place, h in enumerate(heirs, 1)}
    active_hosts = {
        c.server.host
        for c in candidates
        if c.server and c.server.host and active and c.member.name == active.member
    }
    told: dict[str, str] = {}
    for candidate in candidates:
        name = candidate.member.name
        evidence = _evidence(candidate, active_hosts)
        if chosen is not None and name == chosen.member:
            told[name] = f'chosen: {evidence}'
        elif name in places:
            told[name] = f'eligible, in place {places[name]} of {len(heirs)}: {evidence}'
        else:
            told[name] = f'not eligible: {reasons[name]}'
    return told


def _evidence(candidate: model.Candidate, active_hosts: set[str]) -> str:
    found = []
    if candidate.server is not None:
        found.append(f'its server is {candidate.server.wording or candidate.server.status.value}')
        if candidate.server.host in active_hosts:
            found.append('it is on the host of the active')
    if candidate.host is not None and candidate.host.state is model.HostState.UP:
        found.append(candidate.host.wording)
    if candidate.health is not None:
        found.append(candidate.health.wording)
    return ', '.join(found)


def state(record: model.Record) -> model.State:
    """The state as people are shown it: a pause hides nothing but readiness."""
    if record.is_paused and record.state is model.State.READY:
        return model.State.PAUSED
    return record.state


def with_active(record: model.Record, active: model.Holder | None) -> model.Record:
    """The record after another member became the active one outside of a failover."""
    return dataclasses.replace(record, active=active, epoch=record.epoch + 1)


def shared_host_warning(
    candidates: Sequence[model.Candidate], active: model.Holder | None
) -> str | None:
    """What to tell the user when every standby would die with the active's host, or None."""
    hosts = {c.member.name: c.server.host for c in candidates if c.server and c.server.host}
    if active is None or active.member not in hosts or len(hosts) < 2:
        return None
    if len(set(hosts.values())) > 1:
        return None
    return (
        'warning: all members run on one host and would die with it; put their servers into an '
        'OS::Nova::ServerGroup with the policy anti-affinity'
    )


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
class Pause:
    """Refuse failovers from now on (``paused``), or no longer."""

    paused: bool


@dataclasses.dataclass(frozen=True)
class Drop:
    """Forget a plan of which no step has touched anything."""

    plan: model.Plan


@dataclasses.dataclass(frozen=True)
class Show:
    """A dry run: what a failover now would be, or why there would be none."""

    answer: 'Start | Refuse | GoOn'
    considered: Mapping[str, str]


Answer = Nothing | Refuse | GoOn | Start | Pause | Drop | Show


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that the answer to a signal depends on."""

    record: model.Record
    candidates: tuple[model.Candidate, ...]
    attachments: tuple[model.Attachment, ...]
    revision: str
    limits: model.Limits
    past_failovers: tuple[datetime.datetime, ...]
    now: datetime.datetime
    plan_id: str
    requested_by: str
    chained: groups.Chained | None = None
    quiesce: model.Quiesce = model.Quiesce.NONE
    on_dead_host: model.OnDeadHost = model.OnDeadHost.DELETE_SERVER
    volumes: tuple[model.Volume, ...] = ()
    quiesce_hook: model.Hook | None = None
    activate_hook: model.Hook | None = None
    moves_more_than_volumes: bool = True
    fail_back: model.FailBack = model.FailBack.MANUAL
    keep_seconds: float = 0.0


def find_member(candidates: Sequence[model.Candidate], named: str) -> model.Candidate | None:
    """The member of that name, physical id, or with that server (S7: of this group only)."""
    for candidate in candidates:
        member = candidate.member
        if named in (member.name, member.reference) or named in member.servers:
            return candidate
    return None


def limits_refusal(
    limits: model.Limits, past: Sequence[datetime.datetime], now: datetime.datetime
) -> str | None:
    """Why cooldown or the flapping guard forbid a failover now, or None."""
    if limits.cooldown and past:
        age = (now - max(past)).total_seconds()
        if age < limits.cooldown:
            return (
                f'the last failover was {age:.0f} s ago and the cooldown is {limits.cooldown:.0f} s'
            )
    if limits.max_failovers and limits.period:
        recent = [p for p in past if (now - p).total_seconds() < limits.period]
        if len(recent) >= limits.max_failovers:
            return (
                f'{len(recent)} failovers within {limits.period:.0f} s reach max_failovers '
                f'({limits.max_failovers}): the group is flapping and a person should look'
            )
    return None


def answer(signal: signals.Signal, seen: Seen) -> Answer:
    """What the signal leads to.

    Invariant: a new plan starts only when none is unfinished, the group is not paused, and a
    healthy heir exists or can be made (S3, S5); a name outside of the group leads to a
    refusal (S7).
    """
    record = seen.record
    unfinished = record.plan is not None and not record.plan.is_done
    if signal.action in ('pause', 'unpause'):
        return Pause(signal.action == 'pause')
    if signal.action == 'cancel':
        return _cancel(record, unfinished)
    if signal.action is None and signal.alarm_state is not signals.AlarmState.ALARM:
        return Nothing(f'the alarm says {signal.alarm_state.value}')
    if signal.action == 'plan':
        return _show(signal, seen, unfinished)
    if record.is_paused:
        return Refuse('the policy is paused: send the signal unpause first')
    if unfinished and record.plan is not None:
        if signal.member is not None and not _concerns(signal.member, seen, record.plan):
            return Refuse(_foreign(signal.member, seen))
        return GoOn(record.plan)
    if signal.action == 'resume':
        return Refuse('there is nothing to resume')
    if signal.action == 'switchover':
        return _switchover(signal, seen)
    if signal.action == 'fail_back':
        return _fail_back(signal, seen)
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
    return Drop(plan)


def _show(signal: signals.Signal, seen: Seen, unfinished: bool) -> Answer:
    told = considered(seen.candidates, seen.record.active, seen.record.suspects, None)
    if unfinished and seen.record.plan is not None:
        return Show(GoOn(seen.record.plan), told)
    if seen.record.is_paused:
        return Show(Refuse('the policy is paused: send the signal unpause first'), told)
    would = _failover(dataclasses.replace(signal, action=None), seen)
    return Show(would, would.plan.considered if isinstance(would, Start) else told)


def _switchover(signal: signals.Signal, seen: Seen) -> Start | Refuse:
    active = seen.record.active
    unsuited = _unsuited(seen)
    if unsuited is not None:
        return unsuited
    heirs, reasons = eligible(seen.candidates, active)
    if signal.member is not None:
        wanted = find_member(seen.candidates, signal.member)
        if wanted is None:
            return Refuse(_foreign(signal.member, seen))
        heirs = tuple(h for h in heirs if h.member == wanted.member.name)
        if not heirs:
            why = reasons.get(wanted.member.name, 'it is not eligible')
            return Refuse(f'member {wanted.member.name} cannot become the active: {why}')
    if not heirs:
        return Refuse(_no_heir(reasons))
    return Start(
        make_plan(seen, model.Cause.SWITCHOVER, signal.reason, active, heirs[0], replaces=())
    )


def _fail_back(signal: signals.Signal, seen: Seen) -> Start | Refuse:
    """A switchover to the member that was active before, as long as it is the same server."""
    previous = seen.record.previous
    if seen.fail_back is model.FailBack.NEVER:
        return Refuse('the property fail_back is never: send switchover to name a member')
    if previous is None:
        return Refuse('no member was active before the present one')
    there = find_member(seen.candidates, previous.server)
    if there is None:
        return Refuse(
            f'member {previous.member}, which was active before, is not in the group any more'
        )
    return _switchover(dataclasses.replace(signal, member=there.member.name), seen)


def expired(kept: Sequence[model.Kept], now: datetime.datetime) -> tuple[model.Kept, ...]:
    """Those that were kept long enough; of several, all but the newest."""
    newest = max((k.until for k in kept), default='')
    return tuple(
        k for k in kept if k.until != newest or datetime.datetime.fromisoformat(k.until) <= now
    )


def _failover(signal: signals.Signal, seen: Seen) -> Start | Refuse:
    active = seen.record.active
    present = {c.member.name for c in seen.candidates}
    if signal.member is not None:
        named = find_member(seen.candidates, signal.member)
        if named is None and not _names_holder(signal.member, active):
            return Refuse(_foreign(signal.member, seen))
        if named is not None and (active is None or named.member.name != active.member):
            return _replace_standby(signal, seen, named)
    held_back = limits_refusal(seen.limits, seen.past_failovers, seen.now)
    if held_back is not None:
        return Refuse(held_back)
    unsuited = _unsuited(seen)
    if unsuited is not None:
        return unsuited
    replaces = (active.member,) if active is not None and active.member in present else ()
    heirs, reasons = eligible(seen.candidates, active, seen.record.suspects)
    if heirs:
        return Start(
            make_plan(seen, model.Cause.FAILOVER, signal.reason, active, heirs[0], replaces)
        )
    if len(seen.candidates) <= 1:
        # Cold failover: nobody stands by, so the heir has to be made first.
        return Start(make_plan(seen, model.Cause.FAILOVER, signal.reason, active, None, replaces))
    return Refuse(_no_heir(reasons))


def _unsuited(seen: Seen) -> Refuse | None:
    """The refusal when a volume is one that cannot change hands, before anything is touched."""
    for volume in seen.volumes:
        why_not = why_never_moved(volume)
        if why_not is not None:
            return Refuse(f'{why_not.reason}. {why_not.way_out}')
    return None


def _replace_standby(signal: signals.Signal, seen: Seen, named: model.Candidate) -> Start | Refuse:
    if seen.chained is None:
        return Refuse(
            f'member {named.member.name} is a standby: nothing is to be moved, and only a '
            'ScalingPolicy with adjustment_type replace_oldest replaces it'
        )
    return Start(
        make_plan(
            seen,
            model.Cause.REPLACE_STANDBY,
            signal.reason,
            seen.record.active,
            seen.record.active,
            (named.member.name,),
        )
    )


def _names_holder(named: str, holder: model.Holder | None) -> bool:
    return holder is not None and named in (holder.member, holder.server)


def _concerns(named: str, seen: Seen, plan: model.Plan) -> bool:
    """Whether a name is of the group now or was so when the plan was made."""
    return (
        find_member(seen.candidates, named) is not None
        or _names_holder(named, plan.old)
        or _names_holder(named, plan.new)
    )


def _foreign(named: str, seen: Seen) -> str:
    names = ', '.join(c.member.name for c in seen.candidates) or 'none'
    return f'{named!r} is neither a member of the group nor a server in one (members: {names})'


def _no_heir(reasons: Mapping[str, str]) -> str:
    told = '; '.join(f'{name}: {why}' for name, why in reasons.items())
    return f'no standby can take over, so the active stays ({told or "the group is empty"})'


# --- the graph of steps ---------------------------------------------------------------------


def make_plan(
    seen: Seen,
    cause: model.Cause,
    reason: str,
    old: model.Holder | None,
    new: model.Holder | None,
    replaces: tuple[str, ...],
) -> model.Plan:
    """The steps that bring what the template names from ``old`` to ``new``.

    Without ``new`` the first step makes a member. Invariant: the attach step of a volume comes
    after its own detach step, the hand-over after every attach, the replacement last; volumes
    are attached in the order of the template's dependencies and detached in the reverse one;
    nothing is taken before the old active is quiesced, and nothing is activated before every
    volume is there.
    """
    moves = cause is not model.Cause.REPLACE_STANDBY
    steps: list[model.Step] = []
    ready: tuple[str, ...] = ()
    if moves and new is None:
        steps.append(model.Step('add_member', StepKind.ADD_MEMBER, ''))
        ready = ('add_member',)
    if moves and old is not None and seen.quiesce_hook is not None:
        steps.append(model.Step('quiesce', StepKind.QUIESCE, old.server, ready))
        ready = ('quiesce',)
    if moves and old is not None and seen.quiesce is model.Quiesce.STOP:
        steps.append(model.Step('stop_server', StepKind.STOP_SERVER, old.server, ready))
        ready = ('stop_server',)
    if moves:
        known = {a.volume for a in seen.attachments}
        followers: dict[str, list[str]] = {a.volume: [] for a in seen.attachments}
        for one in seen.attachments:
            for earlier in one.after:
                if earlier in known:
                    followers[earlier].append(one.volume)
        for one in seen.attachments:
            after = ready + tuple(f'detach:{v}' for v in followers[one.volume])
            steps.append(model.Step(f'detach:{one.volume}', StepKind.DETACH, one.volume, after))
        for one in seen.attachments:
            after = (f'detach:{one.volume}',)
            after += tuple(f'attach:{v}' for v in one.after if v in known)
            steps.append(
                model.Step(
                    f'attach:{one.volume}',
                    StepKind.ATTACH,
                    one.volume,
                    after,
                    detail=one.device or '',
                )
            )
        after = tuple(f'attach:{a.volume}' for a in seen.attachments) or ready
        steps.append(model.Step('hand_over', StepKind.HAND_OVER, '', after))
    last: tuple[str, ...] = ('hand_over',) if moves else ()
    if moves and seen.activate_hook is not None:
        # Heat's record of volumes is of no use to what is activated; a port or an address is.
        after = ('hand_over',) if seen.moves_more_than_volumes else steps[-1].after
        steps.append(model.Step('activate', StepKind.ACTIVATE, '', after))
        last += ('activate',)
    cold = moves and new is None
    keeps = bool(
        seen.keep_seconds and cause is model.Cause.FAILOVER and old and old.member in replaces
    )
    if keeps and old is not None and (seen.chained is not None or cold):
        steps.append(model.Step('shut_off_kept', StepKind.STOP_SERVER, old.server, last))
        last = ('shut_off_kept',)
    if replaces and (seen.chained is not None or cold):
        steps.append(
            model.Step(
                'replace',
                StepKind.REPLACE,
                ','.join(replaces),
                last,
            )
        )
    return model.Plan(
        plan_id=seen.plan_id,
        cause=cause,
        reason=reason,
        requested_by=seen.requested_by,
        created=seen.now.isoformat(timespec='milliseconds'),
        epoch=seen.record.epoch + (1 if moves else 0),
        revision=seen.revision,
        old=old,
        new=new,
        steps=tuple(steps),
        chained=seen.chained,
        quiesce=seen.quiesce,
        on_dead_host=seen.on_dead_host,
        quiesce_hook=seen.quiesce_hook,
        activate_hook=seen.activate_hook,
        considered=considered(
            seen.candidates,
            seen.record.active,
            seen.record.suspects if cause is model.Cause.FAILOVER else (),
            new if moves else None,
        ),
        keep_seconds=seen.keep_seconds if keeps else 0.0,
    )


# --- one volume -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ask:
    """Send the request that the step is named for (detach or attach, stop)."""


@dataclasses.dataclass(frozen=True)
class Look:
    """Nothing to send: the services are at work, or did not answer. Look again."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Done:
    """The world is as the step wants it."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Stop:
    """The step cannot be done safely; a person is needed."""

    reason: str
    way_out: str


@dataclasses.dataclass(frozen=True)
class Delete:
    """Delete the old active's server: the way that Nova allows to free what it holds."""

    reason: str


@dataclasses.dataclass(frozen=True)
class AwaitFence:
    """Somebody has to confirm that the host is down before anything more is safe."""

    reason: str
    way_out: str


Move = Ask | Look | Done | Stop | Delete | AwaitFence

_ON_THE_WAY = frozenset({VolumeStatus.RESERVED, VolumeStatus.ATTACHING, VolumeStatus.DETACHING})


def why_never_moved(seen: model.Volume) -> Stop | None:
    """Why a volume is of a kind that no policy may hand over, or None.

    Asked when a stack is validated and created, when a plan is made, and at each look since:
    none of it says anything when the volume could not be asked for (S2).
    """
    if seen.is_multiattach:
        return Stop(
            f'volume {seen.volume} is a multiattach volume: that it left one server does not '
            'say that no other writes to it',
            'Hand over volumes without multiattach only',
        )
    if seen.first_disk_of:
        return Stop(
            f'volume {seen.volume} is the root disk of server '
            f'{", ".join(sorted(seen.first_disk_of))}, which Nova detaches from no server',
            'Keep what is to be handed over on a volume of its own',
        )
    return None


def _unusable(seen: model.Volume) -> Look | Stop | None:
    if seen.status is VolumeStatus.COULD_NOT_ASK:
        # S2: says nothing about the volume.
        return Look(f'Cinder did not answer ({seen.wording})')
    if seen.status is VolumeStatus.GONE:
        return Stop(
            f'volume {seen.volume} does not exist any more',
            'Take it out of the template, then send the signal resume',
        )
    never = why_never_moved(seen)
    if never is not None:
        return never
    if seen.status is VolumeStatus.OTHER:
        return Stop(
            f'volume {seen.volume} is in state {seen.wording}',
            'Bring it back to available or in-use, then send the signal resume',
        )
    return None


def _foreign_holders(seen: model.Volume, own: Iterable[str | None]) -> Stop | None:
    foreign = seen.servers - {s for s in own if s is not None}
    if not foreign:
        return None
    return Stop(
        f'volume {seen.volume} is attached to {", ".join(sorted(foreign))}, which is neither '
        'the old nor the new active',
        'Detach it there, then send the signal resume',
    )


def next_for_detach(seen: model.Volume, old: str | None, new: str | None) -> Move:
    """What one look at a volume leads to while it is being taken from ``old``.

    Invariant: Done only when Cinder shows no server but ``new`` on it; Ask only for ``old``.
    """
    unusable = _unusable(seen)
    if unusable is not None:
        return unusable
    foreign = _foreign_holders(seen, (old, new))
    if foreign is not None:
        return foreign
    if old is not None and old != new and old in seen.servers:
        if seen.status is VolumeStatus.IN_USE:
            return Ask()
        return Look(f'Cinder says {seen.status.value}')
    if new is not None and new in seen.servers:
        return Done('it is on the new active already')
    if seen.status is VolumeStatus.AVAILABLE:
        return Done('it is free')
    if seen.status is VolumeStatus.IN_USE:
        # In use by nobody: between two writes of Cinder's.
        return Look('Cinder shows it in use without a server')
    if new is not None and seen.status in (VolumeStatus.RESERVED, VolumeStatus.ATTACHING):
        return Look('an earlier request to attach it is still under way')
    return Look(f'Cinder says {seen.status.value}')


def next_for_attach(seen: model.Volume, old: str | None, new: str) -> Move:
    """What one look at a volume leads to while it is being given to ``new``.

    Invariant (S1): Ask only when Cinder shows the volume free of every server.
    """
    unusable = _unusable(seen)
    if unusable is not None:
        return unusable
    foreign = _foreign_holders(seen, (old, new))
    if foreign is not None:
        return foreign
    if old is not None and old != new and old in seen.servers:
        return Stop(
            f'volume {seen.volume} is on the old active {old} again',
            'Find out who attached it there, then send the signal resume',
        )
    if new in seen.servers:
        if seen.status is VolumeStatus.IN_USE:
            return Done('it is in use on the new active')
        return Look(f'Cinder says {seen.status.value}')
    if seen.status is VolumeStatus.AVAILABLE:
        return Ask()
    return Look(f'Cinder says {seen.status.value}')


def next_for_stop(seen: model.Server) -> Move:
    """What one look at the old active's server leads to while it is being shut off.

    Invariant: Done only when Nova shows it shut off or gone.
    """
    if seen.status is ServerStatus.COULD_NOT_ASK:
        return Look(f'Nova did not answer ({seen.wording})')
    if seen.status is ServerStatus.GONE:
        return Done('the server does not exist any more')
    if seen.status is ServerStatus.SHUTOFF:
        return Done('the server is shut off')
    return Ask()


def next_for_stuck(server: model.Server, host: model.Host, may_delete: bool) -> Move:
    """What to do when Nova does not carry out a request for the old active's server.

    By evidence, never by a timer. Invariant: Delete only where the template wishes the server
    to go (S8), and only when its host is confirmed down or the living host itself deletes it;
    Done, that the server writes no more, only when it is gone or its host is confirmed down.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return Look(f'Nova did not answer ({server.wording})')
    if server.status is ServerStatus.GONE:
        return Done('the server does not exist any more')
    if host.state is model.HostState.CONFIRMED_DOWN:
        if may_delete:
            return Delete(host.wording)
        return AwaitFence(
            f'{host.wording}, but nothing may delete the server to free what it holds',
            'Evacuate or delete the server, then send the signal resume',
        )
    if host.state is model.HostState.DOWN:
        return AwaitFence(
            host.wording,
            'Make sure that it is off, then: openstack compute service set --down HOST '
            'nova-compute',
        )
    if server.status is ServerStatus.ERROR and host.state is model.HostState.UP:
        if may_delete:
            return Delete('its server is in ERROR, where Nova detaches nothing, and its host is up')
        return Stop(
            'its server is in ERROR, where Nova detaches nothing',
            'Bring it out of ERROR (openstack server set --state active) or delete it, then '
            'send the signal resume',
        )
    return Look(host.wording)


def next_for_stuck_stop(server: model.Server, host: model.Host) -> Move:
    """What to do when Nova does not shut the old active's server off.

    Invariant: Done only when the server is gone or its host is confirmed down.
    """
    found = next_for_stuck(server, host, may_delete=False)
    if host.state is model.HostState.CONFIRMED_DOWN:
        return Done(host.wording)
    # A server in ERROR can be shut off, only not be asked for its volumes.
    return Look(found.reason) if isinstance(found, Stop) else found
