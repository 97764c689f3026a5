# SPDX-License-Identifier: Apache-2.0
"""Nova as the agent uses it: all hosts, the servers on one, and marking a host as down."""

import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from novaclient import exceptions as nova_exceptions

from heat_ha import exceptions
from heat_ha.agent.rules import instance_failures
from heat_ha.cloud import clock, compute_hosts
from heat_ha.cloud import model as cloud
from heat_ha.conf import nova_hosts
from heat_ha.fencing.rules import guests

# 2.53 is the first that changes a service by its unique id; 2.59 the first that pages migrations.
# Later ones show no more of how a migration ended.
MICROVERSION = '2.59'

# Nova shows at most so many servers at once (max_limit).
PAGE = 1000

# As many of a server's actions are asked for at once, the newest first, and as often: backups may
# have come each hour for half a year since somebody last started the server.
ACTIONS, ACTION_PAGES = 100, 50

Answer = TypeVar('Answer')


class NovaAdmin:
    """One region's Nova with heat-ha's own credential."""

    def __init__(self, region: str | None) -> None:
        self._region = region
        self._made: Any = None

    def _ask(self, question: str, call: Callable[[Any], Answer]) -> Answer:
        try:
            if self._made is None:
                self._made = compute_hosts.client_for(self._region, MICROVERSION, nova_hosts.RESCUE)
            if self._made is None:
                raise exceptions.Refused(f'heat.conf has no credential in [{nova_hosts.RESCUE}]')
            return call(self._made)
        except compute_hosts.FAILURES as exc:
            raise exceptions.CouldNotAsk('nova', question, f'{exc}'[:200]) from exc

    def compute_services(self) -> dict[str, cloud.ComputeService]:
        """All hosts with what Nova shows of them. :raises CouldNotAsk: no answer."""
        found = self._ask('its hosts', lambda c: c.services.list(binary='nova-compute'))
        services = [_compute_service(s) for s in compute_hosts.without_overtaken(found)]
        # Of several records of one host, the one that shows most life counts: the last of these.
        services.sort(key=lambda s: (s.is_up, not s.is_forced_down, s.heartbeat_at or 0.0))
        return {s.host: s for s in services}

    def servers_on(self, host: str, project: str = '') -> set[str]:
        """The ids of all servers on a host, or of those of one project.

        :raises CouldNotAsk: no answer.
        """
        return {one.id for one in self._on(host, project)}

    def _on(self, host: str, project: str = '', *, detailed: bool = False) -> list[Any]:
        """All servers on a host, page by page."""
        found: list[Any] = []
        search = {'host': host, 'all_tenants': True}
        if project:
            search['project_id'] = project
        while True:
            marker = found[-1].id if found else None
            page = self._ask(
                f'the servers on {host}',
                lambda c, m=marker: c.servers.list(  # type: ignore[misc]
                    detailed=detailed, search_opts=search, marker=m, limit=PAGE
                ),
            )
            found += page
            if not page:
                # A page may be shorter than was asked for (max_limit).
                return found

    def volumes_at(self, host: str) -> frozenset[str] | None:
        """All volumes of the servers on a host, and of those that a migration takes to or from it.

        A volume counts from before it is attached: Nova puts it on record first.

        :returns: None where Nova shows no server there: it leaves out a cell that does not answer,
            and a host is in one cell.
        :raises CouldNotAsk: no answer.
        """
        moving = self._ask(
            f'the migrations of {host}',
            lambda c: [m.instance_uuid for m in c.migrations.list(host=host)
                       if m.status not in _ENDED],
        )  # fmt: skip
        there = self._on(host, detailed=True)
        found = {one['id'] for server in there for one in _attached(server)}
        # A list shows servers without volumes where their cell does not answer in time. Asked for
        # one server, Nova says then that it could not.
        without = {server.id for server in there if not _attached(server)}
        for server in sorted((set(moving) - {one.id for one in there}) | without):
            shown = self._ask(f'server {server}', lambda c, s=server: _living(c, s))  # type: ignore[misc]
            found |= {one['id'] for one in _attached(shown)}
        return frozenset(found) if there else None

    def is_on(self, server: str, host: str) -> bool:
        """Whether a server is on a host, by the record of the server itself.

        Nova asks its cell for it, and does not answer when that does not. It still shows one that
        was deleted and may be restored, which its lists leave out.

        :raises CouldNotAsk: no answer.
        """
        found = self._ask(f'server {server}', lambda c: _living(c, server))
        if getattr(found, 'OS-EXT-STS:vm_state', None) in ('soft-delete', 'deleted'):
            return False
        return getattr(found, 'OS-EXT-SRV-ATTR:host', None) == host

    def shown(self, server: str) -> instance_failures.Shown | None:
        """A server and what was last asked about it, None where Nova has it no more.

        :raises CouldNotAsk: no answer.
        """
        return self._ask(f'server {server}', lambda c: _shown(c, server))

    def placed(self, server: str) -> guests.Placed | None:
        """Where a server is, whose it is and which volumes it has; None where Nova has not got it.

        :raises CouldNotAsk: no answer.
        """
        found = self._ask(f'server {server}', lambda c: _living(c, server))
        if found is None:
            return None
        running = self._ask(
            f'the migrations of server {server}', lambda c: c.migrations.list(instance_uuid=server)
        )
        host = getattr(found, 'OS-EXT-SRV-ATTR:host', None) or ''
        project = getattr(found, 'tenant_id', '') or ''
        return guests.Placed(
            host,
            compute_hosts.host_id(project, host),
            project,
            frozenset(one['id'] for one in _attached(found)),
            _moves(found, running),
            getattr(found, 'OS-EXT-STS:vm_state', None) in ('deleted', 'soft-delete'),
        )

    def arriving(self) -> dict[str, str]:
        """Servers that are being rebuilt on another host just now, each with that host.

        One request, however many servers and hosts there are. :raises CouldNotAsk: no answer.
        """
        found = self._ask(
            'what is being evacuated',
            lambda c: c.migrations.list(migration_type='evacuation', status='pre-migrating'),
        )
        return {m.instance_uuid: m.dest_compute for m in found if m.dest_compute}

    def host_of(self, server: str) -> str:
        """The name of a server's host, also of one that is deleted; '' when there is none.

        :raises CouldNotAsk: no answer.
        """
        found = self._ask(f'server {server}', lambda c: _server(c, server))
        return getattr(found, 'OS-EXT-SRV-ATTR:host', None) or ''

    def mark_down(self, service: cloud.ComputeService, reason: str) -> cloud.ComputeService:
        """Mark the host as down, and disable it so that Nova puts nothing on it when it is back.

        Both in one request: a host that is disabled alone while Nova shows it as up would be called
        first, and waited for. The reason has the time, by which everybody tells a later sign of
        life from the mark. A host that an operator has disabled keeps the operator's reason.

        :returns: what Nova shows of it now. :raises CouldNotAsk: no answer.
        """
        wanted: dict[str, Any] = {'forced_down': True}
        if not service.is_disabled or service.disabled_reason.startswith(cloud.NOT_OPERATORS):
            wanted['status'] = 'disabled'
            wanted['disabled_reason'] = cloud.reason_of_mark(reason, clock.epoch())
        return self._change(service, wanted)

    def reopen(self, service: cloud.ComputeService) -> None:
        """Let Nova use the host again; a host that an operator disabled stays disabled."""
        wanted: dict[str, Any] = {'forced_down': False}
        if service.is_disabled and service.disabled_reason.startswith(cloud.OUR_REASON):
            wanted['status'] = 'enabled'
        self._change(service, wanted)

    def _change(
        self, service: cloud.ComputeService, wanted: dict[str, Any]
    ) -> cloud.ComputeService:
        """Change a host in one request; novaclient has methods for single fields only."""
        what = ' and '.join(sorted(set(wanted) & {'forced_down', 'status'}))
        path = f'/os-services/{service.service_id}'
        _response, body = self._ask(
            f'{what} of {service.host}', lambda c: c.client.put(path, body=wanted)
        )
        return _compute_service(types.SimpleNamespace(**body['service']))

    def leftovers(self, host: str) -> tuple[str, ...]:
        """Guests that were evacuated from the host, and that it has not cleaned up yet."""
        found = self._ask(
            f'what is left on {host}',
            lambda c: c.migrations.list(host=host, migration_type='evacuation'),
        )
        # "done": the guest runs elsewhere, and its old host has not removed it yet.
        return tuple(
            sorted(m.instance_uuid for m in found if m.source_compute == host
                   and m.status in ('accepted', 'pre-migrating', 'done'))
        )  # fmt: skip


def _shown(client: Any, server: str) -> instance_failures.Shown | None:
    found = _living(client, server)
    if found is None:
        return None
    try:
        wanted = instance_failures.wanted(_actions(client, server))
    except nova_exceptions.NotFound:
        return None
    power = getattr(found, 'OS-EXT-STS:power_state', None)
    return instance_failures.Shown(
        project=found.tenant_id,
        state=getattr(found, 'OS-EXT-STS:vm_state', None) or '',
        power=power if isinstance(power, int) else None,
        task=getattr(found, 'OS-EXT-STS:task_state', None) or '',
        wanted=wanted,
    )


def _actions(client: Any, server: str) -> Iterator[instance_failures.Action]:
    """The actions of a server, the newest first; a page is asked for when the one before is read.

    A page may be shorter than was asked for (max_limit), so only an empty one is the last.
    """
    marker = None
    for _page in range(ACTION_PAGES):
        listed = client.instance_action.list(server, limit=ACTIONS, marker=marker)
        for one in listed:
            has_failed = bool(getattr(one, 'message', None))
            yield instance_failures.Action(one.action, one.user_id or '', has_failed)
        if not listed or not listed[-1].request_id:
            return
        marker = listed[-1].request_id


def _attached(server: Any) -> Iterable[Any]:
    """The volumes that Nova shows at a server; of none it has none."""
    return getattr(server, 'os-extended-volumes:volumes_attached', None) or ()


# The states in which the guest of a server is at its host, if it is anywhere, and the tasks that do
# not change that.
_AT_HOST = ('active', 'paused', 'stopped', 'suspended')
_STAYS = (
    None, '', 'powering-off', 'powering-on', 'deleting', 'soft-deleting', 'rebooting',
    'rebooting_hard',
)  # fmt: skip

# How Nova calls a migration that has ended.
_ENDED = ('completed', 'confirmed', 'done', 'error', 'failed', 'cancelled', 'reverted')


def _moves(server: Any, migrations: Iterable[Any]) -> str:
    """Why the guest of a server may be at another host than Nova shows, '' for no reason."""
    state = getattr(server, 'OS-EXT-STS:vm_state', None)
    if state not in _AT_HOST:
        return f'the server is in state {state}'
    task = getattr(server, 'OS-EXT-STS:task_state', None)
    if task not in _STAYS:
        return f'the server is in task {task}'
    for one in migrations:
        if getattr(one, 'instance_uuid', '') == server.id and one.status not in _ENDED:
            return f'a migration of the server is {one.status}'
    return ''


def _living(client: Any, server: str) -> Any:
    """A server that is not deleted, else None."""
    try:
        return client.servers.get(server)
    except nova_exceptions.NotFound:
        return None


def _server(client: Any, server: str) -> Any:
    """A server as Nova has it on record, None where it has none."""
    found = _living(client, server)
    if found is None:
        search = {'all_tenants': True, 'deleted': True, 'uuid': server}
        listed = client.servers.list(search_opts=search)
        found = next((one for one in listed if one.id == server), None)
    return found


def _compute_service(service: Any) -> cloud.ComputeService:
    return cloud.ComputeService(
        host=service.host,
        service_id=str(service.id),
        is_up=service.state == 'up',
        is_forced_down=bool(service.forced_down),
        is_disabled=service.status == 'disabled',
        disabled_reason=service.disabled_reason or '',
        heartbeat_at=compute_hosts.seconds(service.updated_at),
        zone=getattr(service, 'zone', None) or '',
    )
