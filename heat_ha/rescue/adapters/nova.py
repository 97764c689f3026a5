# SPDX-License-Identifier: Apache-2.0
"""Nova, as far as a rescue needs it.

What an owner may change is changed with the stack's own credentials. An owner may not evacuate:
that takes heat-ha's credential, which is used only for servers of the stack on confirmed-dead
hosts. Looks use heat-ha's credential too, where there is one: its token is the same for all
stacks, so a rescue need not begin with a log-in. They return the servers of the stack's own
project only, as the owner's credential would.
"""

import concurrent.futures
import dataclasses
import datetime
import time
from collections.abc import Callable, Sequence
from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients, compute_hosts
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import Host, ServerStatus
from heat_ha.conf import nova_hosts
from heat_ha.rescue import model
from heat_ha.rescue.adapters import placement
from heat_ha.rescue.rules import causes, migrations

LOG = logging.getLogger(__name__)

# The newest with which an evacuated server is started again when it ran before; from 2.95 on
# it stays stopped. 2.60 is the newest that is needed.
MICROVERSION = '2.60'

# Seconds for which the look at the hosts counts that was begun before it was needed.
EARLY_VALID = 2.0

# From this number of servers on they are listed, instead of asked for one by one. The list has at
# most this many times as many entries, for a project has other servers as well.
LISTED_FROM, LISTED_TIMES = 4, 4


class RescueNova:
    """One region's Nova for the servers of one policy."""

    def __init__(self, resource: Any) -> None:
        region, interface = clients.endpoint(resource, 'nova')
        self._region = region
        self._project = str(resource.context.project_id)
        self._client = nova_client.Client(
            MICROVERSION,
            session=clients.session_of(resource),
            region_name=region,
            endpoint_type=interface,
        )
        rescuer = compute_hosts.client_for(region, MICROVERSION, nova_hosts.RESCUE)
        self._reader = self._client if rescuer is None else rescuer
        # Nova shows an owner the servers of the own project only, in any case.
        self._search = {'all_tenants': True, 'project_id': self._project} if rescuer else {}
        self._hosts = compute_hosts.Hosts(
            region, self._project, nova_hosts.GROUP if rescuer is None else nova_hosts.RESCUE
        )
        self._early: tuple[float, concurrent.futures.Future[compute_hosts.HostTable]] | None = None
        self._is_worth_listing = True

    def begin_to_look(self) -> None:
        """Begin to look at the hosts, in a thread, which includes the log-in.

        Meanwhile the caller asks Heat for the stack's servers.
        """
        pool = concurrent.futures.ThreadPoolExecutor(1, 'hosts')
        self._early = time.monotonic(), pool.submit(self._hosts.all)
        pool.shutdown(wait=False)

    def hosts(self) -> Callable[[str], Host]:
        """Look at all hosts, with heat-ha's own credential; the result finds one by its hash."""
        early, self._early = self._early, None
        if early is not None and time.monotonic() - early[0] < EARLY_VALID:
            find = early[1].result()
        else:
            find = self._hosts.all()
        return lambda host: find(cloud.Server('', ServerStatus.OTHER, host))

    def look(self, server_id: str) -> model.Server:
        """Look at one server; a failed call is COULD_NOT_ASK, never GONE.

        Only its owner's credential can say that it is gone: one of heat-ha's that may not see the
        servers of others gets the same answer (S2).
        """
        try:
            seen = self._look_as(self._reader, server_id)
            if seen is None and self._reader is not self._client:
                seen = self._look_as(self._client, server_id)
        except compute_hosts.FAILURES as exc:
            # An administrator's error may name hosts; its owner reads what kind it was.
            LOG.info('Nova did not show server %s: %s', server_id, exc)
            detail = type(exc).__name__
            return model.Server(server_id, ServerStatus.COULD_NOT_ASK, detail=detail)
        return seen or model.Server(server_id, ServerStatus.GONE)

    def _look_as(self, client: Any, server_id: str) -> model.Server | None:
        try:
            return self._seen(client.servers.get(server_id))
        except nova_exceptions.NotFound:
            return None

    def look_at_many(self, servers: Sequence[str]) -> dict[str, model.Server]:
        """Look at those that one short list of the project's servers shows; often that is all.

        The caller looks at the others one by one. A request for each takes Nova, and Neutron
        behind it, longer than everything else that is done for a server.
        """
        if len(servers) < LISTED_FROM or not self._is_worth_listing:
            return {}
        try:
            listed = self._reader.servers.list(
                search_opts=self._search, limit=LISTED_TIMES * len(servers)
            )
        except compute_hosts.FAILURES:
            self._is_worth_listing = False
            return {}
        wanted = set(servers)
        found = {s.id: seen for s in listed if s.id in wanted and (seen := self._seen(s))}
        self._is_worth_listing = 2 * len(found) >= len(servers)
        return found

    def _seen(self, found: Any) -> model.Server | None:
        """A server as Nova shows it, None when it is not in the stack's project (S7)."""
        if found.tenant_id != self._project:
            return None
        volumes = getattr(found, 'os-extended-volumes:volumes_attached', None) or ()
        addresses = getattr(found, 'addresses', None) or {}
        return model.Server(
            found.id,
            ServerStatus.of(found.status),
            host=getattr(found, 'hostId', '') or '',
            task=getattr(found, 'OS-EXT-STS:task_state', None) or '',
            volumes=tuple(sorted(v['id'] for v in volumes)),
            addresses=tuple(sorted(a['addr'] for net in addresses.values() for a in net)),
            detail=found.status,
            vm_state=getattr(found, 'OS-EXT-STS:vm_state', None) or '',
            power_state=getattr(found, 'OS-EXT-STS:power_state', None) or 0,
            is_locked=bool(getattr(found, 'locked', False)),
            boots_from_volume=not getattr(found, 'image', True),
            **_fault(getattr(found, 'fault', None)),
        )

    def migration(self, server_id: str) -> model.Migration:
        """Look at the newest migration of a server, with heat-ha's own credential.

        Without one nobody of heat-ha evacuates, and that there is none is all that can be said.
        """
        client = compute_hosts.client_for(self._region, MICROVERSION, nova_hosts.RESCUE)
        if client is None:
            return model.Migration(model.Migration.ABSENT)
        try:
            # Nova shows the newest first.
            found = client.migrations.list(instance_uuid=server_id, limit=1)
        except compute_hosts.FAILURES as exc:
            LOG.info('Nova did not show the migrations of server %s: %s', server_id, exc)
            return model.Migration(model.Migration.COULD_NOT_ASK)
        if not found:
            return model.Migration(model.Migration.ABSENT)
        to = getattr(found[0], 'dest_compute', None)
        seen = model.Migration(
            status=found[0].status or '',
            kind=found[0].migration_type or '',
            created=_seconds(found[0].created_at),
            destination=compute_hosts.host_id(self._project, to) if to else '',
        )
        if not migrations.has_no_destination_yet(seen):
            return seen
        source = getattr(found[0], 'source_compute', None)
        return dataclasses.replace(seen, candidates=self._with_room(client, server_id, source))

    def _with_room(self, client: Any, server_id: str, source: str | None) -> tuple[str, ...]:
        """The hosts, beside that of before, on which the scheduler has set room aside."""
        try:
            found = placement.hosts_with_room(client, server_id)
        except compute_hosts.FAILURES as exc:
            LOG.info('Placement did not show the room of server %s: %s', server_id, exc)
            return ()
        return tuple(compute_hosts.host_id(self._project, h) for h in found if h != source)

    def begin(self, method: model.Method, server: model.Server, is_reset: bool = False) -> None:
        """Ask for a method that Nova carries out by itself; a look shows its end.

        :param is_reset: whether the state of the server is set to error first.
        :raises exceptions.HaError: Nova did not accept it, or it is not known whether it did.
        """
        try:
            match method:
                case model.Method.EVACUATE:
                    self._evacuate(server, is_reset)
                case model.Method.RESTART:
                    self._restart(server)
                case model.Method.REBUILD:
                    self._rebuild(server.server)
                case _:
                    raise AssertionError(f'Nova does not carry out {method.value}')
        except compute_hosts.FAILURES as exc:
            LOG.warning(
                'Nova did not accept: %s of server %s: %s', method.value, server.server, exc
            )
            raise causes.Unsuccessful(_cause_of(exc)) from exc

    def stop(self, server_id: str) -> None:
        """Stop a server; harmless when it is stopped.

        :raises exceptions.HaError: Nova did not accept it.
        """
        try:
            self._client.servers.stop(server_id)
        except compute_hosts.FAILURES as exc:
            raise causes.Unsuccessful(_cause_of(exc)) from exc

    def delete(self, server_id: str) -> None:
        """Delete a server; harmless when it is gone.

        :raises exceptions.HaError: Nova did not accept it.
        """
        try:
            self._client.servers.delete(server_id)
        except nova_exceptions.NotFound:
            return
        except compute_hosts.FAILURES as exc:
            raise exceptions.CouldNotAsk('nova', f'a delete of {server_id}', f'{exc}') from exc

    def _evacuate(self, server: model.Server, is_reset: bool) -> None:
        client = compute_hosts.client_for(self._region, MICROVERSION, nova_hosts.RESCUE)
        if client is None:
            raise causes.Unsuccessful(model.Cause.NO_CREDENTIAL)
        if is_reset:
            now = self._look_as(client, server.server)
            if now is None or _place_and_state(now) != _place_and_state(server):
                # Somebody else is at work on it, or has moved it. A reset would take that out of
                # Nova's sight.
                raise causes.Unsuccessful(model.Cause.STATE)
            LOG.warning(
                'The state of server %s is reset, to evacuate it again. If the host died that was '
                'to get it, purge the queue compute.HOST before that host starts again',
                server.server,
            )
            client.servers.reset_state(server.server, 'error')
        client.servers.evacuate(server.server)

    def _restart(self, server: model.Server) -> None:
        if server.status is ServerStatus.SHUTOFF:
            self._client.servers.start(server.server)
        else:
            self._client.servers.reboot(server.server, 'HARD')

    def _rebuild(self, server_id: str) -> None:
        found = self._client.servers.get(server_id)
        if not found.image:
            raise causes.Unsuccessful(model.Cause.UNSUPPORTED)
        self._client.servers.rebuild(server_id, found.image['id'])


def _cause_of(exc: Exception) -> model.Cause:
    if isinstance(exc, keystone_exceptions.Unauthorized):
        # Keystone does not take the credential itself.
        return model.Cause.FORBIDDEN
    code = getattr(exc, 'code', 0) or getattr(exc, 'http_status', 0)
    return causes.of_answer(code if isinstance(code, int) else 0, str(exc))


def _place_and_state(server: model.Server) -> tuple[str, str, str]:
    return server.host, server.vm_state, server.task


def _fault(found: Any) -> dict[str, Any]:
    """Why a server is in error: Nova's message, and the last line of what it shows administrators.

    Of an error that is not Nova's own the message is only its class, as libvirtError.
    """
    found = found if isinstance(found, dict) else {}
    lines = str(found.get('details') or '').split('\n')
    last = next((line.strip() for line in reversed(lines) if line.strip()), '')
    text = f'{found.get("message") or ""}'[:200] + (f' {last[:300]}' if last else '')
    return {'fault': text, 'fault_at': _seconds(found.get('created'))}


def _seconds(text: str | None) -> float:
    if not text:
        return 0.0
    when = datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))
    return when.replace(tzinfo=when.tzinfo or datetime.timezone.utc).timestamp()
