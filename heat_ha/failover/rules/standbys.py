# SPDX-License-Identifier: Apache-2.0
"""Which member may become the active one, and the sentence that says why or why not.

Pure, like ``decide``: no clock, no client, no logging.
"""

from collections.abc import Collection, Iterable, Sequence

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover import model
from heat_ha.failover.rules import suspicion
from heat_ha.groups import model as groups


def is_active(member: groups.Member, active: model.MemberServer | None) -> bool:
    """Whether the member is the active: an update may have given it another server since."""
    if active is None or member.name != active.member:
        return False
    return not member.servers or active.server in member.servers


def is_gone(active: model.MemberServer, candidates: Iterable[model.Candidate]) -> bool:
    """Whether the active's server is in the group no longer, or does not exist any more.

    A server that was not looked at counts as there (S2): of a member with several servers, none is
    where its template does not say which one may be the active.
    """
    for candidate in candidates:
        server = candidate.server
        if server is None and active.server in candidate.member.servers:
            return False
        if server is not None and server.server == active.server:
            return server.status is ServerStatus.GONE
    return True


def going(record: model.Record) -> frozenset[str]:
    """The members that are being replaced, or are to be once an earlier try is repeated."""
    return frozenset(name for one in record.follow_ups for name in one.plan.replaces)


def leaving(record: model.Record) -> frozenset[str]:
    """The members that go, now or once they were looked at: others are in their places already."""
    return going(record) | {one.member for one in record.retained}


def limitation(
    candidate: model.Candidate,
    active: model.MemberServer | None,
    suspects: Iterable[str],
    going: Collection[str] = (),
) -> str | None:
    """Why this member may not become the active one, or None when it may.

    One text for the decision, the event and the attribute ``plan``.

    :param going: members that are being replaced.
    """
    member, server = candidate.member, candidate.server
    if is_active(member, active):
        return 'it is the active'
    if member.name in going:
        return 'it is being replaced'
    if member.is_failed:
        return f'Heat counts it as failed ({member.reason})' if member.reason else 'it is failed'
    if member.is_in_progress:
        return 'Heat is still working on it'
    if candidate.problem:
        return candidate.problem
    if server is None:
        return 'it has no server'
    if server.status is ServerStatus.COULD_NOT_ASK:
        return f'Nova could not be asked for its server ({server.detail})'
    if server.status is ServerStatus.GONE:
        return 'its server does not exist any more'
    if server.status is not ServerStatus.ACTIVE:
        return f'its server is {server.detail or server.status.value}, not ACTIVE'
    if candidate.host is not None and candidate.host.state in _DOWN:
        return candidate.host.detail
    if candidate.health is not None and candidate.health.state is model.HealthState.SICK:
        return f'its health check fails: {candidate.health.detail}'
    if member.name in suspects:
        return suspicion.why_suspect(candidate)
    return None


def first_active(candidates: Sequence[model.Candidate]) -> model.MemberServer | None:
    """The member that is active from the start: the oldest healthy one, None without one."""
    for candidate in candidates:
        if limitation(candidate, None, ()) is None and candidate.server is not None:
            return model.MemberServer(candidate.member.name, candidate.server.server)
    return None


def eligible(
    candidates: Sequence[model.Candidate],
    active: model.MemberServer | None,
    suspects: Iterable[str] = (),
    going: Collection[str] = (),
) -> tuple[tuple[model.MemberServer, ...], dict[str, str]]:
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
        why_not = limitation(candidate, active, suspects, going)
        if why_not is None:
            good.append(candidate)
        else:
            reasons[candidate.member.name] = why_not
    good.sort(
        key=lambda c: (_is_unproved(c), bool(c.server and c.server.host == active_host != ''))
    )
    successors = tuple(model.MemberServer(c.member.name, c.server.server) for c in good if c.server)
    return successors, reasons


_DOWN = frozenset({cloud.HostState.DOWN, cloud.HostState.CONFIRMED_DOWN})


def _is_unproved(candidate: model.Candidate) -> bool:
    return candidate.health is not None and candidate.health.state is not model.HealthState.WELL


def considered(
    candidates: Sequence[model.Candidate],
    active: model.MemberServer | None,
    suspects: Iterable[str],
    chosen: model.MemberServer | None,
    going: Collection[str] = (),
) -> dict[str, str]:
    """For each member in a sentence why it is, or is not, the one that takes over."""
    successors, reasons = eligible(candidates, active, suspects, going)
    places = {s.member: place for place, s in enumerate(successors, 1)}
    active_hosts = {
        c.server.host
        for c in candidates
        if c.server and c.server.host and active and c.member.name == active.member
    }
    found: dict[str, str] = {}
    for candidate in candidates:
        name = candidate.member.name
        evidence = _evidence(candidate, active_hosts)
        if chosen is not None and name == chosen.member:
            found[name] = f'chosen: {evidence}'
        elif name in places:
            found[name] = f'eligible, in place {places[name]} of {len(successors)}: {evidence}'
        else:
            found[name] = f'not eligible: {reasons[name]}'
    return found


def _evidence(candidate: model.Candidate, active_hosts: set[str]) -> str:
    found = []
    if candidate.server is not None:
        found.append(f'its server is {candidate.server.detail or candidate.server.status.value}')
        if candidate.server.host in active_hosts:
            found.append('it is on the host of the active')
    if candidate.host is not None and candidate.host.state is cloud.HostState.UP:
        found.append(candidate.host.detail)
    if candidate.health is not None:
        found.append(candidate.health.detail)
    return ', '.join(found)


def shared_host_warning(
    candidates: Sequence[model.Candidate], active: model.MemberServer | None
) -> str | None:
    """The warning for the user when every standby would die with the active's host, or None."""
    hosts = {c.member.name: c.server.host for c in candidates if c.server and c.server.host}
    if active is None or active.member not in hosts or len(hosts) < 2:
        return None
    if len(set(hosts.values())) > 1:
        return None
    return (
        'warning: all members run on one host and would die with it; put their servers into an '
        'OS::Nova::ServerGroup with the policy anti-affinity'
    )
