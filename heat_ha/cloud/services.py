# SPDX-License-Identifier: Apache-2.0
"""Clients for one stack's owner: the session that Heat would use, but with bounded calls."""

from typing import Any

from keystoneauth1 import session as keystone_session

from heat_ha.cloud import cinder, hosts, nova

# Seconds until one HTTP call is given up. Nova answers a request for an attachment after it
# has asked the server's host, which may take a minute on a loaded cloud; Heat itself sets no
# limit at all.
CALL_LIMIT = 60.0


def _session(resource: Any) -> keystone_session.Session:
    heats = resource.context.keystone_session
    return keystone_session.Session(
        auth=heats.auth, verify=heats.verify, cert=heats.cert, timeout=CALL_LIMIT
    )


class StackServices:
    """Nova and Cinder as the owner of the resource's stack may use them.

    :param resource: a Heat resource; its context holds the stored credentials of the stack.
    """

    def __init__(self, resource: Any) -> None:
        self._session = _session(resource)
        self.nova = nova.Nova(self._session, *_place(resource, 'nova'))
        self.cinder = cinder.Cinder(self._session, *_place(resource, 'cinder'))
        self.hosts = hosts.Hosts(_place(resource, 'nova')[0], resource.context.project_id)


def _place(resource: Any, client: str) -> tuple[str | None, str]:
    plugin = resource.client_plugin(client)
    return plugin._get_region_name(), plugin._get_client_option(client, 'endpoint_type')
