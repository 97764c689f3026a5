# SPDX-License-Identifier: Apache-2.0
"""Nova, as far as a rescue needs it.

What an owner may do is done with the stack's own credentials. Evacuating is not among it: that
takes heat-ha's credential, which is used for servers of the stack on confirmed-dead hosts only.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions

from heat_ha import exceptions
from heat_ha.cloud import hosts, services
from heat_ha.conf import nova_hosts
from heat_ha.failover import model as failover
from heat_ha.failover.model import Host, ServerStatus
from heat_ha.rescue import model

# The newest with which an evacuated server is started again when it ran before; from 2.95 on
# it stays stopped. 2.60 is the newest that is needed.
MICROVERSION = '2.60'


class RescueNova:
    """One region's Nova for the servers of one policy."""

    def __init__(self, resource: Any) -> None:
        region, interface = services.endpoint(resource, 'nova')
        self._region = region
        self._client = nova_client.Client(
            MICROVERSION,
            session=services.session_of(resource),
            region_name=region,
            endpoint_type=interface,
        )
        self._hosts = hosts.Hosts(region, resource.context.project_id)

    def log_in(self) -> None:
        """Begin to log in with all credentials at once, in threads.

        In an engine's first rescue each would ask for its token at its first call, one after the
        other, and Nova would check each: seconds in which nothing is rescued.
        """
        calls: list[Callable[[], Any]] = [
            self._hosts.all,
            lambda: self._client.servers.list(limit=1),
        ]
        # Made here: two threads that look for the session at once would make two.
        rescuer = hosts.client_for(self._region, MICROVERSION, nova_hosts.RESCUE)
        if rescuer is not None:
            calls.append(lambda: rescuer.servers.list(detailed=False, limit=1))
        hosts.client_for(self._region)
        for call in calls:
            threading.Thread(target=_try, args=(call,), name='log-in', daemon=True).start()

    def hosts(self) -> Callable[[str], Host]:
        """Look at all hosts, with heat-ha's own credential; the result finds one by its hash."""
        find = self._hosts.all()
        return lambda host: find(failover.Server('', ServerStatus.OTHER, host))

    def look(self, server_id: str) -> model.Server:
        """Look at one server; a failed call is COULD_NOT_ASK, never GONE."""
        try:
            found = self._client.servers.get(server_id)
        except nova_exceptions.NotFound:
            return model.Server(server_id, ServerStatus.GONE)
        except hosts.FAILURES as exc:
            wording = f'{type(exc).__name__}: {exc}'[:200]
            return model.Server(server_id, ServerStatus.COULD_NOT_ASK, wording=wording)
        volumes = getattr(found, 'os-extended-volumes:volumes_attached', None) or ()
        addresses = getattr(found, 'addresses', None) or {}
        return model.Server(
            server_id,
            ServerStatus.of(found.status),
            host=getattr(found, 'hostId', '') or '',
            task=getattr(found, 'OS-EXT-STS:task_state', None) or '',
            volumes=tuple(sorted(v['id'] for v in volumes)),
            addresses=tuple(sorted(a['addr'] for net in addresses.values() for a in net)),
            wording=found.status,
        )

    def begin(self, method: model.Method, server: model.Server) -> None:
        """Ask for a method that Nova carries out by itself; the end of it is seen in a look.

        :raises exceptions.HaError: Nova did not take it, or nobody knows whether it did.
        """
        try:
            if method is model.Method.EVACUATE:
                self._evacuate(server.server)
            elif method is model.Method.RESTART:
                self._restart(server)
            elif method is model.Method.REBUILD:
                self._rebuild(server.server)
            else:
                raise AssertionError(method)
        except hosts.FAILURES as exc:
            raise exceptions.CouldNotAsk(
                'nova', f'{method.value} of server {server.server}', f'{exc}'[:150]
            ) from exc

    def delete(self, server_id: str) -> None:
        """Delete a server; harmless when it is gone.

        :raises exceptions.HaError: Nova did not take it.
        """
        try:
            self._client.servers.delete(server_id)
        except nova_exceptions.NotFound:
            return
        except hosts.FAILURES as exc:
            raise exceptions.CouldNotAsk('nova', f'a delete of {server_id}', f'{exc}') from exc

    def _evacuate(self, server_id: str) -> None:
        client = hosts.client_for(self._region, MICROVERSION, nova_hosts.RESCUE)
        if client is None:
            raise exceptions.Refused(
                f'evacuating is not possible: heat.conf has no credential in [{nova_hosts.RESCUE}]'
            )
        client.servers.evacuate(server_id)

    def _restart(self, server: model.Server) -> None:
        if server.status is ServerStatus.SHUTOFF:
            self._client.servers.start(server.server)
        else:
            self._client.servers.reboot(server.server, 'HARD')

    def _rebuild(self, server_id: str) -> None:
        found = self._client.servers.get(server_id)
        if not found.image:
            raise exceptions.Refused('a server that boots from a volume cannot be rebuilt')
        self._client.servers.rebuild(server_id, found.image['id'])


def _try(call: Callable[[], Any]) -> None:
    # What is wrong with it is told where the answer is needed.
    with contextlib.suppress(Exception):
        call()
