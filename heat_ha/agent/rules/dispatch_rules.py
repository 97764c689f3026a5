# SPDX-License-Identifier: Apache-2.0
"""Which policies are signalled for a fenced host, in which order, and when all is done. Pure."""

import dataclasses
import enum
from collections.abc import Collection, Iterable, Mapping, Sequence

from heat_ha import serialization
from heat_ha.agent.rules import storm
from heat_ha.rescue.model import Progress

# Seconds after which a policy that nobody is at work for is signalled again: its engine died,
# or the signal was lost. A signal too many is refused by the policy.
RESIGNAL_AFTER = 4.0


class DispatchState(enum.Enum):
    """How far the agent is with one policy."""

    WAITING = 'waiting'
    SIGNALLED = 'signalled'
    DONE = 'done'
    DEFERRED = 'deferred'
    DROPPED = 'dropped'


@dataclasses.dataclass(frozen=True)
class PolicyDispatch:
    """One policy with its servers on the host. ``number`` is its row in Heat's database."""

    FORM = serialization.Form(always=('turn',))

    number: int
    name: str
    stack_id: str
    stack_name: str
    project: str
    root: str
    priority: int
    servers: tuple[str, ...]
    turn: DispatchState = DispatchState.WAITING
    first_signal: float = 0.0
    last_signal: float = 0.0
    reason: str = ''

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
class State:
    """What a policy has on record; ``is_at_work``: a living engine carries its rescues."""

    is_at_work: bool
    rescues: Mapping[str, Progress]


def in_order(rows: Iterable[PolicyDispatch]) -> list[PolicyDispatch]:
    """The most important policies first; of equal ones those with fewer servers."""
    return sorted(rows, key=lambda r: (-r.priority, len(r.servers), r.number))


def guarded(
    rows: Sequence[PolicyDispatch],
    own_limits: Mapping[int, tuple[int, float]],
    past: Collection[storm.PastRescue],
    limits: storm.Limits,
    now: float,
) -> list[PolicyDispatch]:
    """Hold back what is too much for its policy, stack or project.

    :param own_limits: by policy, how many rescues its template allows within how many seconds.
    """
    kept = []
    refused: dict[str, str] = {}
    for row in in_order(rows):
        count, period = own_limits.get(row.number, (0, 0.0))
        own = storm.Limits(period=period, per_policy=count)
        told = storm.of_rescues([(row.scope, len(row.servers))], past, own, now)
        refused.update(told)
        if not told:
            kept.append((row.scope, len(row.servers)))
    refused.update(storm.of_rescues(kept, past, limits, now))
    return [
        dataclasses.replace(row, turn=DispatchState.DEFERRED, reason=why)
        if (why := refused.get(row.scope.policy))
        else row
        for row in in_order(rows)
    ]


def is_ended(server: str, on_host: Collection[str], state: State | None, opened: float) -> bool:
    """Whether nothing is left to be done for a server.

    It is when its policy says so since the host failed, or when the server has left the host
    and nobody is rescuing it: its owner deleted it, or somebody else moved it.
    """
    progress = state.rescues.get(server) if state else None
    if progress is not None and not progress.state.is_final:
        return False
    if progress is not None and progress.ended >= opened:
        return True
    return server not in on_host


def advance(
    rows: Sequence[PolicyDispatch],
    on_host: Collection[str],
    states: Mapping[int, State],
    opened: float,
    now: float,
    at_once: int,
) -> tuple[list[PolicyDispatch], list[PolicyDispatch]]:
    """Bring the rows up to date, and choose which of them to signal now.

    Invariant: servers whose policies are signalled and not done are at most ``at_once``, but
    for a single policy that has more.

    :returns: all rows, and those to signal.
    """
    updated = []
    for row in in_order(rows):
        is_open = row.turn in (DispatchState.WAITING, DispatchState.SIGNALLED)
        state = states.get(row.number)
        if is_open and all(is_ended(s, on_host, state, opened) for s in row.servers):
            row = dataclasses.replace(row, turn=DispatchState.DONE, reason=_outcome(row, state))
        updated.append(row)
    under_way = sum(len(r.servers) for r in updated if r.turn is DispatchState.SIGNALLED)
    chosen, result = [], []
    is_full = False
    for row in updated:
        if row.turn is DispatchState.SIGNALLED:
            state = states.get(row.number)
            if not (state and state.is_at_work) and now - row.last_signal >= RESIGNAL_AFTER:
                row = dataclasses.replace(row, last_signal=now)
                chosen.append(row)
        elif row.turn is DispatchState.WAITING and not is_full:
            if under_way and under_way + len(row.servers) > at_once:
                # What is less important does not overtake.
                is_full = True
            else:
                under_way += len(row.servers)
                row = dataclasses.replace(
                    row, turn=DispatchState.SIGNALLED, first_signal=now, last_signal=now
                )
                chosen.append(row)
        result.append(row)
    return result, chosen


def bound(
    under_way: Collection[str],
    arriving: Mapping[str, str],
    living: Collection[str],
    per_host: int,
    per_destination: int,
) -> int:
    """How many servers of one failed host may be under way at once.

    Which host a server will come to is Nova's choice, and known only once it is being built
    there. So each living host has room for as many as are missing to its bound, whoever evacuates
    them, and what Nova has not placed yet takes room as well.

    Invariant: whoever is under way and not placed yet fits into the room that is left.

    :param under_way: servers whose policies are signalled and not done.
    :param arriving: by server that is being built anew, the host.
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


def under_way(rows: Iterable[PolicyDispatch]) -> set[str]:
    """The servers whose policies are signalled and not done."""
    return {server for r in rows if r.turn is DispatchState.SIGNALLED for server in r.servers}


def left(rows: Iterable[PolicyDispatch]) -> int:
    """How many policies are not at their end."""
    return sum(r.turn in (DispatchState.WAITING, DispatchState.SIGNALLED) for r in rows)


def past_of(rows: Iterable[PolicyDispatch]) -> list[storm.PastRescue]:
    """What the storm guard counts of rows that were signalled."""
    return [
        storm.PastRescue(r.scope, len(r.servers), r.first_signal) for r in rows if r.first_signal
    ]


def _outcome(row: PolicyDispatch, state: State | None) -> str:
    rescues = state.rescues if state else {}
    told = [rescues[s].state.value if s in rescues else 'gone' for s in row.servers]
    return ', '.join(f'{told.count(kind)} {kind}' for kind in sorted(set(told)))
