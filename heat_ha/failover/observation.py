# SPDX-License-Identifier: Apache-2.0
"""One look at a group: its members as Heat has them, their servers, their hosts, their health."""

import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import clients, compute_hosts
from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.adapters import health_check as health_cloud
from heat_ha.groups import model as groups
from heat_ha.groups.adapters import members as group_members

# Seconds of pause before Nova is asked again for a server after it did not answer: one lost answer
# is not a reason to pass over a healthy standby.
ASK_AGAIN = (0.2, 0.8)


_NOTHING = model.Record()


@dataclasses.dataclass(frozen=True)
class Observed:
    """The members with their servers, hosts and health, and what stands for Heat's rows of them.

    ``is_new`` is whether Heat has other rows than when it was looked at last.
    """

    candidates: tuple[model.Candidate, ...]
    rows: str
    is_new: bool = True

    def on(self, known: model.Record) -> model.Record:
        """The record with this as what was seen last."""
        return dataclasses.replace(known, seen=member_servers(self.candidates), seen_rows=self.rows)


class Looks:
    """Looks at hosts and servers that are under way while Heat's database is read.

    :param active: as for ``begin``.
    """

    def __init__(
        self,
        pool: concurrent.futures.ThreadPoolExecutor,
        stack_clients: clients.StackClients,
        active: model.MemberServer | None,
        last: model.Record,
    ) -> None:
        self.pool = pool
        self._clients = stack_clients
        self._active = active.server if active is not None else ''
        self._servers: dict[str, concurrent.futures.Future[cloud.Server]] = {}
        self._add([one.server for one in last.seen])
        is_spared = self._active not in self._servers
        self._hosts = pool.submit(self._look_at_hosts, self._active if is_spared else '')

    def _add(self, servers: Sequence[str | None]) -> None:
        for server in servers:
            if server is None or server in self._servers:
                continue
            if server != self._active or len(servers) != 2:
                self._servers[server] = self.pool.submit(_look_at_server, self._clients, server)

    def _look_at_hosts(self, spared: str) -> tuple[compute_hosts.HostTable, cloud.Server | None]:
        hosts = self._clients.hosts.all()
        # At once, and not when all else is known: the other looks may have to log in first.
        is_needed = bool(spared) and hosts.has_dead
        return hosts, _look_at_server(self._clients, spared) if is_needed else None

    def at(self, servers: Sequence[str | None]) -> dict[str, cloud.Server]:
        """What was seen of the servers. :param servers: of each member, None where it has none."""
        self._add(servers)
        return {s: self._servers[s].result() for s in servers if s and s in self._servers}

    def at_hosts(self) -> tuple[compute_hosts.HostTable, cloud.Server | None]:
        """What was seen of the hosts, and of the active's server if a host is down."""
        return self._hosts.result()


@contextlib.contextmanager
def begin(
    stack_clients: clients.StackClients,
    active: model.MemberServer | None = None,
    last: model.Record = _NOTHING,
) -> Iterator[Looks]:
    """Begin to look at the hosts and, side by side, at the servers that were seen last.

    :param active: its server is not looked at in a group of two, where its host decides
        nothing: a look takes time in which nothing has moved yet. Unless a host is confirmed
        down: if it is the active's, that is how its volumes are freed.
    :param last: has the members as they were seen last. A look at a former member is not used.
    """
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield Looks(pool, stack_clients, active, last)


def observe(
    group: Any,
    stack_clients: clients.StackClients,
    *,
    active: model.MemberServer | None = None,
    last: model.Record = _NOTHING,
    health: model.HealthCheck | None = None,
    begun: Looks | None = None,
) -> Observed:
    """Look at the group's members and, side by side, at their servers and hosts.

    :param active: as for ``begin``; so is ``last``.
    :param health: how servers are asked for their health, None for not at all.
    :param begun: the looks where they were begun before, with the same arguments.
    """
    active_server = active.server if active is not None else ''
    with contextlib.ExitStack() as until_ended:
        looks = begun or until_ended.enter_context(begin(stack_clients, active, last))
        seen = group_members.look(group, _servers(last), last.seen_rows)
        chosen = {m.name: server_of(group, m) for m in seen.members}
        servers = looks.at([server for server, _ in chosen.values()])
        asked = {} if health is None else _ask_for_health(looks.pool, servers, health)
        host_of, spared = looks.at_hosts()
        if host_of.has_dead and active_server and active_server not in servers:
            servers[active_server] = spared or _look_at_server(stack_clients, active_server)
        candidates = tuple(
            model.Candidate(
                m,
                servers.get(server or ''),
                problem,
                host_of(servers[server]) if server in servers else None,
                asked[server].result() if server in asked else None,
            )
            for m, (server, problem) in ((m, chosen[m.name]) for m in seen.members)
        )
        return Observed(candidates, seen.rows, seen.rows != last.seen_rows)


def _look_at_server(stack_clients: clients.StackClients, server: str) -> cloud.Server:
    for pause in ASK_AGAIN:
        found = stack_clients.nova.server(server)
        if found.status is not cloud.ServerStatus.COULD_NOT_ASK:
            return found
        time.sleep(pause)
    return stack_clients.nova.server(server)


def _ask_for_health(
    pool: concurrent.futures.ThreadPoolExecutor,
    servers: dict[str, cloud.Server],
    wanted: model.HealthCheck,
) -> 'dict[str, concurrent.futures.Future[model.Health]]':
    return {
        name: pool.submit(health_cloud.check, server, wanted)
        for name, server in servers.items()
        if server.status is cloud.ServerStatus.ACTIVE
    }


def member_servers(candidates: tuple[model.Candidate, ...]) -> tuple[model.MemberServer, ...]:
    """The members with their servers, for the record."""
    found = {c.member.name: c.member.servers for c in candidates}
    found |= {c.member.name: (c.server.server,) for c in candidates if c.server is not None}
    return tuple(model.MemberServer(name, own[0]) for name, own in found.items() if len(own) == 1)


def with_members_now(group: Any, known: model.Record) -> model.Record:
    """The record with the members as they are now, for the next failover to start from.

    They are listed only where Heat has other rows than the record. It has none when Heat could not
    be asked: the next failover then lists them first.
    """
    try:
        found = group_members.look(group, _servers(known), known.seen_rows)
    except exceptions.HaError:
        return dataclasses.replace(known, seen=(), seen_rows='')
    chosen = ((m.name, server_of(group, m)[0]) for m in found.members)
    seen = tuple(model.MemberServer(name, server) for name, server in chosen if server)
    return dataclasses.replace(known, seen=seen, seen_rows=found.rows)


def _servers(known: model.Record) -> dict[str, str]:
    """The servers of the members as they were seen last."""
    return {one.member: one.server for one in known.seen}


def server_of(group: Any, member: groups.Member) -> tuple[str | None, str]:
    """The one server of a member that can be active, or None and the reason."""
    if len(member.servers) == 1:
        return member.servers[0], ''
    if not member.servers:
        return None, 'it has no server'
    group._outputs = None
    reference = (group.get_attribute('refs_map') or {}).get(member.name)
    if reference in member.servers:
        return reference, ''
    return None, (
        f'it has {len(member.servers)} servers: give its template the output OS::stack_id with '
        'the id of the server that may be the active one'
    )
