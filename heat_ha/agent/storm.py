# SPDX-License-Identifier: Apache-2.0
"""The storm guard: too many failures at once mean that the observer is wrong (S6). Pure.

The cloud level counts hosts; the levels of project, stack and policy count rescued servers.
All count over a period, so that a cascade of one host each few minutes is a storm as well.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from heat_ha.agent.model import Incident, Phase

# Those are failures that were none, or that a person has looked at.
_NOT_COUNTED = frozenset({Phase.CLOSED, Phase.QUARANTINED})


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may fail within ``period`` seconds. 0 sets no limit, but for the share.

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
    """Servers that were rescued, or are being."""

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
    """Say why the failure of ``host`` may not be acted on, '' when it may.

    :param down_now: hosts that a source shows as down, with an incident or without.
    """
    failed = {
        i.host for i in incidents if i.phase not in _NOT_COUNTED and i.opened > now - limits.period
    }
    failed |= set(down_now) | {host}
    allowed = max(1, int(limits.host_share * all_hosts))
    if len(failed) <= allowed:
        return ''
    names = ', '.join(sorted(failed)[:5]) + (', …' if len(failed) > 5 else '')
    return (
        f'storm guard, level cloud: {len(failed)} of {all_hosts} hosts failed within '
        f'{limits.period:.0f} s ({names}); {allowed} may'
    )


def of_rescues(
    wanted: Sequence[tuple[Scope, int]],
    past: Iterable[PastRescue],
    limits: Limits,
    now: float,
) -> Mapping[str, str]:
    """Say which policies may not rescue, and why, by policy.

    :param wanted: policies with how many servers each would rescue, the most important first:
        they use up the limits in that order.
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
                    f'{limits.period:.0f} s; {limit} may'
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
