# SPDX-License-Identifier: Apache-2.0
"""The storm guard: too many failures at once mean that the observer is wrong (S6). Pure.

The cloud level counts hosts; the levels of project, stack and policy count rescued servers.
All count over a period, so that a cascade of one host each few minutes is a storm as well.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from heat_ha.agent.model import Incident, Phase

# A closed incident was a false alarm, or an operator has looked at it.
_NOT_COUNTED = frozenset({Phase.CLOSED, Phase.QUARANTINED})


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may fail within ``period`` seconds. 0 sets no limit, except for the share.

    ``host_share`` of the hosts may fail, and one host always may. The others are counts of
    rescued servers of one project, stack or policy.
    """

    period: float = 3600.0
    host_share: float = 0.2
    per_project: int = 0
    per_stack: int = 0
    per_policy: int = 0


@dataclasses.dataclass(frozen=True)
class Scope:
    """Whose servers a rescue is about; stack is the root stack."""

    project: str
    stack: str
    policy: str


@dataclasses.dataclass(frozen=True)
class PastRescue:
    """Servers that were rescued, or are being rescued; ``at`` in seconds of Unix time."""

    scope: Scope
    servers: int
    at: float


def of_hosts(
    host: str,
    incidents: Iterable[Incident],
    down_now: Iterable[str],
    all_hosts: int,
    limits: Limits,
    now: float,
) -> str:
    """Why the agent may not act on the failure of ``host``; '' when it may.

    :param down_now: hosts that a source shows as down, with an incident or without.
    """
    found = failed(host, incidents, down_now, limits, now)
    allowed = _allowed(all_hosts, limits)
    if len(found) <= allowed:
        return ''
    return (
        f'storm guard, level cloud: {len(found)} of {all_hosts} hosts failed within '
        f'{limits.period:.0f} s ({_names(found)}), and at most {allowed} may'
    )


def doubt(
    host: str,
    incidents: Iterable[Incident],
    down_now: Iterable[str],
    unheard: Iterable[str],
    all_hosts: int,
    limits: Limits,
    now: float,
) -> str:
    """Whose heartbeats must be waited for; '' when the missing ones do not matter.

    Of hosts that fail together, one is seen down before the others, by up to an interval of
    reports. So hosts that have sent no heartbeat since count as failed until they send one.

    :param unheard: hosts that should have sent a heartbeat since this one was seen down.
    """
    found = failed(host, incidents, down_now, limits, now)
    missing = set(unheard) - found
    allowed = _allowed(all_hosts, limits)
    if not missing or len(found | missing) <= allowed:
        return ''
    return (
        f'not sure yet: {len(missing)} other hosts have sent no heartbeat since ({_names(missing)})'
    )


def failed(
    host: str, incidents: Iterable[Incident], down_now: Iterable[str], limits: Limits, now: float
) -> set[str]:
    """The hosts that count as failed."""
    recent = {
        i.host for i in incidents if i.phase not in _NOT_COUNTED and i.opened > now - limits.period
    }
    return recent | set(down_now) | {host}


def _allowed(all_hosts: int, limits: Limits) -> int:
    """How many hosts may fail."""
    return max(1, int(limits.host_share * all_hosts))


def _names(hosts: set[str]) -> str:
    return ', '.join(sorted(hosts)[:5]) + (', …' if len(hosts) > 5 else '')


def of_rescues(
    wanted: Sequence[tuple[Scope, int]],
    past: Iterable[PastRescue],
    limits: Limits,
    now: float,
) -> Mapping[str, str]:
    """Which policies may not rescue, and why, by policy.

    :param wanted: policies with how many servers each would rescue, the most important first:
        limits are used up in that order.
    """
    counts: dict[tuple[str, str], int] = {}
    recent = [p for p in past if p.at > now - limits.period]
    for rescue in recent:
        for level, name, _limit in _levels(rescue.scope, limits):
            counts[level, name] = counts.get((level, name), 0) + rescue.servers
    refused = {}
    for scope, servers in wanted:
        levels = _levels(scope, limits)
        for level, name, limit in levels:
            total = counts.get((level, name), 0) + servers
            if limit and total > limit:
                refused[scope.policy] = (
                    f'storm guard, level {level}: {total} servers of {level} {name} within '
                    f'{limits.period:.0f} s, and at most {limit} may be rescued'
                )
                break
        else:
            for level, name, _limit in levels:
                counts[level, name] = counts.get((level, name), 0) + servers
    return refused


def _levels(scope: Scope, limits: Limits) -> tuple[tuple[str, str, int], ...]:
    return (
        ('project', scope.project, limits.per_project),
        ('stack', scope.stack, limits.per_stack),
        ('policy', scope.policy, limits.per_policy),
    )
