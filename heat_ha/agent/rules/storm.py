# SPDX-License-Identifier: Apache-2.0
"""The storm guard: too many failures at once mean that the observer is wrong (S6). Pure.

The cloud level counts hosts; the levels of project, stack and policy count rescued servers.
All count over a period, so that a cascade of one host each few minutes is a storm as well.
"""

import dataclasses
import fnmatch
import types
from collections.abc import Collection, Iterable, Mapping, Sequence

from heat_ha import exceptions
from heat_ha.agent.model import Incident, Phase
from heat_ha.rescue.rules import held_back
from heat_ha.rescue.rules.held_back import Level

# A closed incident was a false alarm, unless the host was fenced in it.
_NOT_COUNTED = frozenset({Phase.CLOSED, Phase.QUARANTINED})


@dataclasses.dataclass(frozen=True)
class Domains:
    """Groups of hosts that may fail by one cause: name and patterns of hosts, and zones.

    ``zones``: whether each availability zone is one as well.
    """

    patterns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    zones: bool = False

    def of(self, zone_of: Mapping[str, str]) -> dict[str, frozenset[str]]:
        """The hosts of each domain. :param zone_of: by host, its zone."""
        found = {
            name: frozenset(
                h for h in zone_of if any(fnmatch.fnmatchcase(h, one) for one in patterns)
            )
            for name, patterns in self.patterns
        }
        for zone in sorted(set(zone_of.values()) - {''}) if self.zones else ():
            found[f'zone {zone}'] = frozenset(h for h in zone_of if zone_of[h] == zone)
        return found


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may fail within ``period`` seconds. 0 sets no limit, except for the share.

    ``host_share`` of the hosts may fail, and one host always may. ``together`` hosts may fail
    within ``together_seconds``, ``per_domain`` hosts of one of the ``domains``, and one host may be
    fenced ``per_host`` times; ``at_once`` hosts are fenced at the same time. The others are counts
    of rescued servers of one project, stack or policy.
    """

    period: float = 3600.0
    host_share: float = 0.2
    per_project: int = 0
    per_stack: int = 0
    per_policy: int = 0
    together: int = 3
    together_seconds: float = 30.0
    per_domain: int = 0
    at_once: int = 2
    per_host: int = 3
    domains: Domains = Domains()


def domains_of(texts: Iterable[str], zones: bool) -> Domains:
    """Read the option ``storm_domains``: each is NAME=PATTERN or NAME=PATTERN PATTERN.

    :raises exceptions.Refused: one is not of that form, or a name comes twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, patterns = text.partition('=')
        if not name.strip() or not patterns.strip() or name.strip() in found:
            raise exceptions.Refused(
                f'storm_domains: {text!r} does not name a new domain and its hosts',
                'Write it as rack1=compute-1* compute-2*',
            )
        found[name.strip()] = tuple(patterns.split())
    return Domains(tuple(found.items()), zones)


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
    domains: Mapping[str, Collection[str]] = types.MappingProxyType({}),
) -> str:
    """Why the agent may not act on the failure of ``host``; '' when it may.

    :param all_hosts: how many hosts work for Nova, or have failed within the period.
    :param domains: by the name of a failure domain, its hosts.
    :param down_now: hosts that a source shows as down, with an incident or without.
    """
    known, down = list(incidents), set(down_now)
    found = failed(host, known, down, limits, now)
    allowed = _allowed(all_hosts, limits)
    within = f'within {limits.period:.0f} s'
    if len(found) > allowed:
        return (
            f'storm guard, level cloud: {len(found)} of {all_hosts} hosts failed {within} '
            f'({_names(found)}), and at most {allowed} may'
        )
    near = _together(host, known, down, limits)
    if limits.together and len(near) > limits.together:
        return (
            f'storm guard, level moment: {len(near)} hosts failed within '
            f'{limits.together_seconds:.0f} s ({_names(near)}), and at most {limits.together} may: '
            'what sees them may have failed'
        )
    for name, hosts in domains.items():
        inside = found & set(hosts)
        if limits.per_domain and host in inside and len(inside) > limits.per_domain:
            return (
                f'storm guard, level domain: {len(inside)} hosts of {name} failed {within} '
                f'({_names(inside)}), and at most {limits.per_domain} may'
            )
    fences = [at for i in known if i.host == host for at in i.fences if at > now - limits.period]
    if limits.per_host and len(fences) >= limits.per_host:
        return (
            f'storm guard, level host: it was fenced {len(fences)} times {within}, and at most '
            f'{limits.per_host} times it may be'
        )
    return ''


def _together(
    host: str, incidents: Iterable[Incident], down_now: set[str], limits: Limits
) -> set[str]:
    """The hosts that failed in about the same moment as this one, which is among them."""
    opened = {i.host: i.opened for i in incidents if i.phase not in _NOT_COUNTED}
    if host not in opened:
        return {host} | down_now
    near = {h for h, at in opened.items() if abs(at - opened[host]) <= limits.together_seconds}
    return near | (down_now - set(opened))


def doubt(
    host: str,
    incidents: Iterable[Incident],
    down_now: Iterable[str],
    unheard: Iterable[str],
    all_hosts: int,
    limits: Limits,
    now: float,
    domains: Mapping[str, Collection[str]] = types.MappingProxyType({}),
) -> str:
    """Whose heartbeats must be waited for; '' when the missing ones do not matter.

    Of hosts that fail together, one is seen down before the others, by up to an interval of
    reports. So hosts that have sent no heartbeat since count as failed until they send one, for
    every limit that may be reached in one moment.

    :param domains: by the name of a failure domain, its hosts.
    :param unheard: hosts that should have sent a heartbeat since this one was seen down.
    """
    found = failed(host, incidents, down_now, limits, now)
    missing = set(unheard) - found
    is_little = len(found | missing) <= _allowed(all_hosts, limits)
    # All that are missing would have fallen silent together with this one.
    is_apart = not limits.together or len(missing) < limits.together
    if is_little and is_apart:
        # They matter only together with this one.
        missing = _missing_in_domains(host, found, missing, limits, domains)
    if not missing:
        return ''
    return (
        f'not sure yet: {len(missing)} other hosts have sent no heartbeat since ({_names(missing)})'
    )


def _missing_in_domains(
    host: str,
    found: set[str],
    missing: set[str],
    limits: Limits,
    domains: Mapping[str, Collection[str]],
) -> set[str]:
    """Those that are missing in a failure domain of a host of which too many would have failed."""
    if not limits.per_domain:
        return set()
    return {
        one
        for hosts in domains.values()
        if host in hosts and len((found | missing).intersection(hosts)) > limits.per_domain
        for one in missing.intersection(hosts)
    }


def failed(
    host: str, incidents: Iterable[Incident], down_now: Iterable[str], limits: Limits, now: float
) -> set[str]:
    """The hosts that count as failed.

    One that is held back counts from then on: the others that failed with it, and about which the
    guard says something later, are as many as before.
    """
    since = now - limits.period
    recent = {
        i.host
        for i in incidents
        if (i.phase not in _NOT_COUNTED and i.opened > since)
        or (i.phase is Phase.DEFERRED and i.changed > since)
        or any(at > since for at in i.fences)
    }
    return recent | set(down_now) | {host}


# Seconds after which a host that is not fenced yet does not keep the others waiting any more.
STUCK_AFTER = 60.0


def fenced_before(incident: Incident, incidents: Iterable[Incident], now: float) -> list[str]:
    """The hosts whose turn to be fenced is before that of this one.

    Invariant: none waits for a host that has been waited for for longer than ``STUCK_AFTER``.
    """
    waiting = [
        (i.opened, i.host)
        for i in incidents
        if i.phase is Phase.CONFIRMED and now - i.changed <= STUCK_AFTER
    ]
    return [host for opened, host in sorted(waiting) if (opened, host) < _key(incident)]


def _key(incident: Incident) -> tuple[float, str]:
    return incident.opened, incident.host


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
                refused[scope.policy] = held_back.said_by_guard(
                    level,
                    f'{total} servers of {level} {name} within {limits.period:.0f} s, and at most '
                    f'{limit} may be rescued',
                )
                break
        else:
            for level, name, _limit in levels:
                counts[level, name] = counts.get((level, name), 0) + servers
    return refused


def _levels(scope: Scope, limits: Limits) -> tuple[tuple[str, str, int], ...]:
    return (
        (Level.PROJECT.value, scope.project, limits.per_project),
        (Level.STACK.value, scope.stack, limits.per_stack),
        (Level.POLICY.value, scope.policy, limits.per_policy),
    )
