# SPDX-License-Identifier: Apache-2.0
"""Which policies are signalled for a fenced host, in which order, and when all is done. Pure."""

import dataclasses
import enum
from collections.abc import Collection, Iterable, Mapping, Sequence

from heat_ha import serialization
from heat_ha.agent.rules import storm
from heat_ha.rescue.model import Progress, State

# Seconds after which a policy is signalled again that no living engine works for: its engine died,
# or the signal was lost. A policy refuses a signal too many.
RESIGNAL_AFTER = 4.0

# After so many signals in vain a policy is passed over: others come first, and its pause doubles
# with each further one, up to so many seconds.
PATIENCE, LONGEST_PAUSE = 3, 300.0

# After so many signals in vain a policy is given up until a person releases it: about 25 minutes.
GIVE_UP_AFTER = 12

# Seconds without a first signal to any policy after which one for which there is not enough room
# lets those with fewer servers pass. A rescue may take hours.
OVERTAKE_AFTER = 300.0


class DispatchState(enum.Enum):
    """How far the agent is with one policy."""

    WAITING = 'waiting'
    SIGNALLED = 'signalled'
    DONE = 'done'
    DEFERRED = 'deferred'
    DROPPED = 'dropped'


@dataclasses.dataclass(frozen=True)
class PolicyDispatch:
    """One policy with its servers on the host. ``number`` is its row in Heat's database.

    Times are seconds of Unix time. ``in_vain`` counts the signals since an engine was last seen at
    work for the policy.
    """

    FORM = serialization.Form(keys={'state': 'turn'}, always=('state',), omits=('in_vain',))

    number: int
    name: str
    stack_id: str
    stack_name: str
    project: str
    root: str
    priority: int
    servers: tuple[str, ...]
    state: DispatchState = DispatchState.WAITING
    first_signal: float = 0.0
    last_signal: float = 0.0
    reason: str = ''
    in_vain: int = 0

    @property
    def pause(self) -> float:
        """Seconds between its last signal and the next one."""
        return min(RESIGNAL_AFTER * 2.0 ** max(self.in_vain - PATIENCE, 0), LONGEST_PAUSE)

    @property
    def scope(self) -> storm.Scope:
        """What the storm guard counts it under."""
        return storm.Scope(self.project, self.root, str(self.number))


@dataclasses.dataclass(frozen=True)
class Dispatches:
    """All policies of the incident that was opened at that time, as they are on record."""

    opened: float
    rows: tuple[PolicyDispatch, ...]


@dataclasses.dataclass(frozen=True)
class PolicyState:
    """What a policy has on record. ``is_at_work``: a living engine executes its rescues."""

    is_at_work: bool
    rescues: Mapping[str, Progress]


def in_order(dispatches: Iterable[PolicyDispatch]) -> list[PolicyDispatch]:
    """The most important policies first; of equal ones those with fewer servers."""
    return sorted(dispatches, key=lambda d: (-d.priority, len(d.servers), d.number))


def guarded(
    dispatches: Sequence[PolicyDispatch],
    own_limits: Mapping[int, tuple[int, float]],
    past: Collection[storm.PastRescue],
    limits: storm.Limits,
    now: float,
) -> list[PolicyDispatch]:
    """Hold back what is too much for its policy, stack or project.

    :param own_limits: by policy, how many rescues its template allows within how many seconds.
    """
    allowed = []
    refused: dict[str, str] = {}
    for dispatch in in_order(dispatches):
        count, period = own_limits.get(dispatch.number, (0, 0.0))
        own = storm.Limits(period=period, per_policy=count)
        refusals = storm.of_rescues([(dispatch.scope, len(dispatch.servers))], past, own, now)
        refused.update(refusals)
        if not refusals:
            allowed.append((dispatch.scope, len(dispatch.servers)))
    refused.update(storm.of_rescues(allowed, past, limits, now))
    return [
        dataclasses.replace(dispatch, state=DispatchState.DEFERRED, reason=why)
        if (why := refused.get(dispatch.scope.policy))
        else dispatch
        for dispatch in in_order(dispatches)
    ]


def is_ended(
    server: str,
    on_host: Collection[str],
    state: PolicyState | None,
    opened: float,
    host_id: str = '',
) -> bool:
    """Whether nothing is left to do for a server.

    That is so when its policy has ended its rescue since the host failed, or when the server has
    left the host and nobody rescues it: its owner deleted it, or somebody else moved it. A rescue
    that brought the server to the host just before that was found to be dead is not its end.

    :param host_id: what Nova shows the project of the server for the host.
    """
    progress = state.rescues.get(server) if state else None
    if progress is not None and not progress.state.is_final:
        return False
    if progress is not None and progress.ended >= opened:
        came_from = progress.before.host
        is_from_elsewhere = bool(host_id and came_from) and came_from != host_id
        is_here = progress.state is State.DONE and server in on_host
        return not (is_from_elsewhere and is_here)
    return server not in on_host


def ended(
    dispatches: Iterable[PolicyDispatch],
    on_host: Collection[str],
    states: Mapping[int, PolicyState],
    opened: float,
    host_ids: Mapping[str, str],
) -> frozenset[str]:
    """The servers for which nothing is left to do; see :func:`is_ended` and :func:`advance`."""
    return frozenset(
        server
        for d in dispatches
        for server in d.servers
        if is_ended(server, on_host, states.get(d.number), opened, host_ids.get(d.project, ''))
    )


def missing(
    dispatches: Sequence[PolicyDispatch],
    on_host: Collection[str],
    states: Mapping[int, PolicyState],
) -> list[str]:
    """The servers that nobody rescues, and that would count as gone because a list lacks them."""
    return [
        server
        for dispatch in dispatches
        if dispatch.state in (DispatchState.WAITING, DispatchState.SIGNALLED)
        for server in dispatch.servers
        if server not in on_host
        and not (dispatch.number in states and server in states[dispatch.number].rescues)
    ]


def advance(
    dispatches: Sequence[PolicyDispatch],
    on_host: Collection[str],
    states: Mapping[int, PolicyState],
    opened: float,
    now: float,
    max_concurrent: int,
    host_ids: Mapping[str, str],
) -> tuple[list[PolicyDispatch], list[PolicyDispatch]]:
    """Bring the dispatches up to date, and choose which of them to signal now.

    Invariants: servers whose policies are signalled, and that are not done, are at most
    ``max_concurrent``, except for a single policy that has more. A policy that no engine takes up
    does not keep another one waiting for longer than its first ``PATIENCE`` signals, and is given
    up in the end. One that there is no room for does so for ``OVERTAKE_AFTER`` seconds.

    :param host_ids: by project, what Nova shows it for the host.
    :returns: all dispatches, and those to signal.
    """
    over = ended(dispatches, on_host, states, opened, host_ids)
    updated = []
    for dispatch in in_order(dispatches):
        is_open = dispatch.state in (DispatchState.WAITING, DispatchState.SIGNALLED)
        if is_open and over.issuperset(dispatch.servers):
            outcome = _outcome(dispatch, states.get(dispatch.number))
            dispatch = dataclasses.replace(dispatch, state=DispatchState.DONE, reason=outcome)
        updated.append(dispatch)
    before, updated = updated, [_still_due(d, states.get(d.number), now) for d in updated]
    chosen = [d for old, d in zip(before, updated, strict=True) if d.last_signal != old.last_signal]
    busy = len(under_way(updated, over))
    last = max((d.first_signal for d in updated), default=0.0)
    may_overtake = last > 0 and now - last > OVERTAKE_AFTER
    waiting = [d for d in updated if d.state is DispatchState.WAITING]
    # Those that are signalled in vain come last, and only when their pause is over.
    for dispatch in sorted(waiting, key=lambda d: d.in_vain >= PATIENCE):
        if dispatch.in_vain and now - dispatch.last_signal < dispatch.pause:
            continue
        if busy and busy + len(dispatch.servers) > max_concurrent:
            if may_overtake:
                continue
            # A less important policy does not overtake.
            break
        busy += len(dispatch.servers)
        chosen.append(
            dataclasses.replace(
                dispatch,
                state=DispatchState.SIGNALLED,
                first_signal=dispatch.first_signal or now,
                last_signal=now,
                in_vain=dispatch.in_vain + 1,
            )
        )
    signalled = {d.number: d for d in chosen}
    return [signalled.get(d.number, d) for d in updated], chosen


def _still_due(dispatch: PolicyDispatch, state: PolicyState | None, now: float) -> PolicyDispatch:
    """Signal a policy again that nobody works for, pass it over, or give it up."""
    if dispatch.state is not DispatchState.SIGNALLED:
        return dispatch
    if state is not None and state.is_at_work:
        return dataclasses.replace(dispatch, in_vain=0) if dispatch.in_vain else dispatch
    if now - dispatch.last_signal < dispatch.pause:
        return dispatch
    if dispatch.in_vain >= GIVE_UP_AFTER:
        why = dispatch.reason or 'no engine took it up'
        return dataclasses.replace(
            dispatch,
            state=DispatchState.DEFERRED,
            reason=f'given up after {dispatch.in_vain} signals in vain: {why}',
        )
    if dispatch.in_vain >= PATIENCE:
        return dataclasses.replace(dispatch, state=DispatchState.WAITING)
    return dataclasses.replace(dispatch, last_signal=now, in_vain=dispatch.in_vain + 1)


def refused(dispatch: PolicyDispatch, reason: str) -> PolicyDispatch:
    """Pass a policy over that has refused its signal: the next one comes to the same for now."""
    if dispatch.in_vain >= GIVE_UP_AFTER:
        return dataclasses.replace(dispatch, reason=reason)
    return dataclasses.replace(
        dispatch,
        state=DispatchState.WAITING,
        in_vain=max(dispatch.in_vain, PATIENCE),
        reason=reason,
    )


def unanswered(dispatch: PolicyDispatch) -> PolicyDispatch:
    """Do not count a signal that no engine answered as one in vain: it says nothing of the policy.

    The first ones count all the same, so that others come first: an engine may answer to those.
    """
    fewer = max(min(dispatch.in_vain, PATIENCE), dispatch.in_vain - 1)
    return dataclasses.replace(dispatch, in_vain=fewer)


def bound(
    under_way: Collection[str],
    arriving: Mapping[str, str],
    living: Collection[str],
    per_host: int,
    per_destination: int,
) -> int:
    """How many servers of one failed host may be under way at once.

    Nova chooses the host that a server comes to, and shows it only once it is being built there. So
    each living host has room for as many servers as it lacks to its bound, whoever evacuates them,
    and servers that Nova has not placed yet take room as well.

    Invariant: servers that are under way and not placed yet fit into the room that is left.

    :param under_way: servers whose policies are signalled and not done.
    :param arriving: by server that is being rebuilt elsewhere, the host.
    :param living: hosts that can get servers.
    :param per_host: how many of one failed host may be under way.
    :param per_destination: how many may be built on one host; 0 for any number.
    """
    if not per_destination:
        return per_host
    counts = dict.fromkeys(living, 0)
    for host in arriving.values():
        counts[host] = counts.get(host, 0) + 1
    room = sum(max(0, per_destination - counts[host]) for host in living)
    placed = sum(arriving.get(server) is not None for server in under_way)
    return min(per_host, placed + room)


def under_way(
    dispatches: Iterable[PolicyDispatch], over: Collection[str] = frozenset()
) -> set[str]:
    """The servers whose policies are signalled, without those for which nothing is left to do."""
    return {
        server
        for d in dispatches
        if d.state is DispatchState.SIGNALLED
        for server in d.servers
        if server not in over
    }


def left(dispatches: Iterable[PolicyDispatch]) -> int:
    """How many policies are not at their end."""
    return sum(d.state in (DispatchState.WAITING, DispatchState.SIGNALLED) for d in dispatches)


def held(dispatches: Iterable[PolicyDispatch]) -> list[PolicyDispatch]:
    """The policies that are held back for a person."""
    return [d for d in dispatches if d.state is DispatchState.DEFERRED]


def past_of(dispatches: Iterable[PolicyDispatch]) -> list[storm.PastRescue]:
    """What the storm guard counts of dispatches that were signalled."""
    return [
        storm.PastRescue(d.scope, len(d.servers), d.first_signal)
        for d in dispatches
        if d.first_signal
    ]


def _outcome(dispatch: PolicyDispatch, state: PolicyState | None) -> str:
    rescues = state.rescues if state else {}
    ends = [rescues[s].state.value if s in rescues else 'gone' for s in dispatch.servers]
    return ', '.join(f'{ends.count(kind)} {kind}' for kind in sorted(set(ends)))
