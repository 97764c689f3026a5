# SPDX-License-Identifier: Apache-2.0
"""Nova, as far as a failover needs it: bounded calls, answers as values."""

import datetime
import ipaddress
import re
from collections.abc import Collection
from typing import Any

import requests
from keystoneauth1 import exceptions as keystone_exceptions
from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock
from heat_ha.cloud import model as cloud

LOG = logging.getLogger(__name__)

# 2.60 is the first that attaches multiattach volumes and the newest that is needed; every
# Nova since Queens has it.
MICROVERSION = '2.60'

# For how long a deleted server is looked for. Operators remove what was deleted from Nova's
# database after a few weeks or months.
LISTED_FOR = datetime.timedelta(days=14)


class Nova:
    """One region's Nova as one tenant sees it.

    :param session: a keystoneauth session with a timeout of its own (seconds a call).
    """

    def __init__(self, session: Any, region: str | None, interface: str) -> None:
        self._client = nova_client.Client(
            MICROVERSION, session=session, region_name=region, endpoint_type=interface
        )

    def server(self, server_id: str) -> cloud.Server:
        """Look at one server; a failed call is COULD_NOT_ASK, never GONE."""
        try:
            found = self._client.servers.get(server_id)
        except nova_exceptions.NotFound:
            return cloud.Server(server_id, cloud.ServerStatus.GONE)
        except _FAILURES as exc:
            return cloud.Server(server_id, cloud.ServerStatus.COULD_NOT_ASK, detail=_short(exc))
        return cloud.Server(
            server_id,
            cloud.ServerStatus.of(found.status),
            host=getattr(found, 'hostId', '') or '',
            detail=found.status,
            addresses=_addresses(getattr(found, 'addresses', None) or {}),
        )

    def named(self, name: str) -> frozenset[str]:
        """The ids of the project's servers of this name; where there are none, in any case.

        The host of a guest is called like its server, in small letters.

        :raises exceptions.CouldNotAsk: Nova did not answer.
        """
        try:
            # Nova searches for the expression anywhere in a name, and takes no care of case.
            found = self._client.servers.list(search_opts={'name': f'^{re.escape(name)}$'})
        except _FAILURES as exc:
            raise exceptions.CouldNotAsk(
                'nova', f'servers of a name ({name[:60]!r})', _short(exc)
            ) from exc
        exact = frozenset(str(server.id) for server in found if server.name == name)
        return exact or frozenset(
            str(server.id) for server in found if server.name.casefold() == name.casefold()
        )

    def addressed(self, address: str) -> frozenset[str]:
        """The ids of the project's servers that have this fixed address, in one network or more.

        :raises exceptions.CouldNotAsk: Nova did not answer.
        """
        wanted = ipaddress.ip_address(address)
        # Both find longer addresses as well: Nova looks for an expression, or has Neutron look for
        # a part of an address, where an expression would find nothing.
        by = {f'ip{"" if wanted.version == 4 else 6}': str(wanted)}
        try:
            found = self._client.servers.list(search_opts=by)
        except _FAILURES as exc:
            raise exceptions.CouldNotAsk(
                'nova', f'servers with the address {wanted}', _short(exc)
            ) from exc
        return frozenset(
            str(server.id)
            for server in found
            if str(wanted) in _fixed_addresses(getattr(server, 'addresses', None) or {})
        )

    def deleted_server(self, server_id: str) -> cloud.Server:
        """Look at a server that Nova has deleted, for the host that it was on.

        :returns: GONE with its host, '' where Nova does not list it any more; a failed call is
            COULD_NOT_ASK.
        """
        since = (clock.now() - LISTED_FOR).isoformat(timespec='seconds')
        try:
            # The owner of a server may see it so after its deletion, and in no other way. Asked
            # for the servers that changed, Nova lists deleted ones as well.
            found = self._client.servers.list(search_opts={'changes-since': since}, limit=-1)
        except _FAILURES as exc:
            return cloud.Server(server_id, cloud.ServerStatus.COULD_NOT_ASK, detail=_short(exc))
        hosts = [getattr(one, 'hostId', '') or '' for one in found if one.id == server_id]
        return cloud.Server(server_id, cloud.ServerStatus.GONE, host=hosts[0] if hosts else '')

    def last_action(self, server_id: str, actions: Collection[str]) -> cloud.Restart | None:
        """The newest of these actions on a server that did not fail; None without one.

        It is None as well where Nova does not show that: no answer is no evidence.
        """
        try:
            found = self._client.instance_action.list(server_id)
        except _FAILURES as exc:
            LOG.info('Nova did not show what was done to server %s: %s', server_id, _short(exc))
            return None
        times = [
            cloud.Restart(one.action, clock.utc(one.start_time))
            for one in found
            if one.action in actions and not one.message
        ]
        return max(times, key=lambda one: one.at, default=None)

    def detach(self, server_id: str, volume_id: str) -> tuple[cloud.Reply, str]:
        """Ask for a volume to be taken from a server; the end of it is seen in Cinder."""
        return _send(self._client.volumes.delete_server_volume, server_id, volume_id)

    def attach(self, server_id: str, volume_id: str, device: str | None) -> tuple[cloud.Reply, str]:
        """Ask for a volume to be given to a server; the end of it is seen in Cinder."""
        return _send(self._client.volumes.create_server_volume, server_id, volume_id, device)

    def stop(self, server_id: str) -> tuple[cloud.Reply, str]:
        """Ask for a server to be shut off; the end of it is seen in its status."""
        return _send(self._client.servers.stop, server_id)

    def delete(self, server_id: str) -> tuple[cloud.Reply, str]:
        """Ask for a server to be deleted; the end of it is that Nova no longer has it."""
        return _send(self._client.servers.delete, server_id)


_FAILURES = (
    nova_exceptions.ClientException,
    keystone_exceptions.ClientException,
    requests.RequestException,
)


def _addresses(networks: dict[str, list[dict[str, Any]]]) -> tuple[str, ...]:
    found = [a for network in networks.values() for a in network if a.get('addr')]
    found.sort(key=lambda a: a.get('OS-EXT-IPS:type') == 'floating')
    return tuple(str(a['addr']) for a in found)


def _fixed_addresses(networks: dict[str, list[dict[str, Any]]]) -> frozenset[str]:
    return frozenset(
        str(a.get('addr'))
        for network in networks.values()
        for a in network
        if a.get('OS-EXT-IPS:type') != 'floating'
    )


# It differs from one answer to the next, so that the same reason would look like news.
_REQUEST_ID = re.compile(r' \(Request-ID: [^)]*\)')


def _short(exc: Exception) -> str:
    return _REQUEST_ID.sub('', f'{type(exc).__name__}: {exc}')[:200]


def _send(call: Any, *args: Any) -> tuple[cloud.Reply, str]:
    try:
        call(*args)
    except nova_exceptions.NotFound as exc:
        return cloud.Reply.NOT_FOUND, _short(exc)
    except nova_exceptions.Conflict as exc:
        return cloud.Reply.CONFLICT, _short(exc)
    except (nova_exceptions.BadRequest, nova_exceptions.Forbidden) as exc:
        return cloud.Reply.REFUSED, _short(exc)
    except (keystone_exceptions.Unauthorized, keystone_exceptions.MissingAuthPlugin) as exc:
        raise exceptions.Stopped(
            f"the stack's credentials are not accepted any more ({_short(exc)})",
            'Update the stack as its owner to renew its trust, then send the signal resume',
        ) from exc
    except _FAILURES as exc:
        # The request may have been carried out: only a look can tell.
        return cloud.Reply.UNKNOWN, _short(exc)
    return cloud.Reply.ACCEPTED, ''
