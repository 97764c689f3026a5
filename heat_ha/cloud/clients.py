# SPDX-License-Identifier: Apache-2.0
"""Clients for one stack's owner: the session that Heat would use, but with bounded calls."""

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from keystoneauth1 import session as keystone_session

from heat_ha.cloud import cinder, compute_hosts, nova

Client = TypeVar('Client')

# Seconds until one HTTP call is given up. Nova answers a request for an attachment after it
# has asked the server's host, which may take a minute on a loaded cloud; Heat itself sets no
# limit at all.
CALL_LIMIT = 60.0


# How many stacks' sessions an engine retains, with some tens of kilobytes each.
RETAINED_SESSIONS = 256


# Of how many addresses the versions are known that a service has there.
KNOWN_ADDRESSES = 256


class _Versions(dict[str, Any]):
    """What services have said of their versions, by address; used by all sessions of an engine.

    It is the same for everybody. Without it each log-in would begin with that question.
    """

    def __setitem__(self, address: str, found: Any) -> None:
        if len(self) >= KNOWN_ADDRESSES:
            self.clear()
        super().__setitem__(address, found)


_VERSIONS = _Versions()


class _Slot:
    """Where the session of one trust is retained."""

    session: keystone_session.Session | None = None


@functools.lru_cache(RETAINED_SESSIONS)
def _slot_of(_trust: str) -> _Slot:
    return _Slot()


def session_of(resource: Any) -> keystone_session.Session:
    """The session of the stack's owner, the same for each signal to the stack.

    Heat makes a new one for each request, and a new token is asked for, and then checked by
    each service at its first use: most of a second in which nothing has moved yet. A session
    renews its token by itself, before it expires and when a service refuses it. A stack that
    gets other credentials gets another trust. What Heat asks for by itself while it handles the
    request, it asks for with the same token.
    """
    trust = resource.context.trust_id
    slot = _slot_of(trust) if trust else _Slot()
    if slot.session is None:
        heats = resource.context.keystone_session
        slot.session = keystone_session.Session(
            auth=heats.auth,
            verify=heats.verify,
            cert=heats.cert,
            timeout=CALL_LIMIT,
            discovery_cache=_VERSIONS,
        )
    elif resource.context._auth_plugin is None:
        resource.context._auth_plugin = slot.session.auth
    return slot.session


class StackClients:
    """Nova and Cinder as the owner of the resource's stack may use them.

    :param resource: a Heat resource; its context holds the stored credentials of the stack.
    """

    def __init__(self, resource: Any) -> None:
        self._resource, self._session = resource, session_of(resource)
        self.nova = self.connect(nova.Nova, 'nova')
        self.cinder = self.connect(cinder.Cinder, 'cinder')
        self.hosts: compute_hosts.Looks = compute_hosts.Hosts(
            endpoint(resource, 'nova')[0], resource.context.project_id
        )

    def given_up(self, server: str, volume: str, successor: str, is_over: threading.Event) -> str:
        """Called once a volume was taken from a server, before another one gets it.

        :param successor: the server that gets it.
        :param is_over: set when the failover is left.
        :returns: what was done then in words, '' for nothing, as here.
        """
        return ''

    def connect(self, make: Callable[[Any, str | None, str], Client], client: str) -> Client:
        """A client for one more service, with the same session.

        :param make: takes a session, a region and an interface.
        :param client: the service as Heat's client plugins name it.
        """
        return make(self._session, *endpoint(self._resource, client))


def endpoint(resource: Any, client: str) -> tuple[str | None, str]:
    """The region and the interface at which Heat's client of that name looks."""
    plugin = resource.client_plugin(client)
    return plugin._get_region_name(), plugin._get_client_option(client, 'endpoint_type')
