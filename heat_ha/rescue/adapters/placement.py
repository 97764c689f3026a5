# SPDX-License-Identifier: Apache-2.0
"""Placement, as far as a rescue needs it: where Nova's scheduler has set room aside for a server.

Nova's record of an evacuation names its destination only once that host has begun with it. When
the host dies before, the evacuation waits for ever, and the record does not show for whom. The
scheduler has by then reserved the server's room there, beside that on the host that it was on.
"""

from typing import Any

from novaclient import exceptions as nova_exceptions

# The first in which a server's allocations are shown by their providers alone.
HEADERS = {'OpenStack-API-Version': 'placement 1.12', 'Accept': 'application/json'}

# Seconds until the call is given up.
CALL_LIMIT = 15


def hosts_with_room(client: Any, server: str) -> list[str]:
    """The names of the compute hosts on which room is reserved for a server.

    :param client: a Nova client as an administrator; its session asks Placement as well.
    :raises: one of ``compute_hosts.FAILURES``.
    """
    http = client.client
    answer = http.session.get(
        f'/allocations/{server}',
        endpoint_filter={
            'service_type': 'placement',
            'region_name': http.region_name,
            'interface': http.interface,
        },
        headers=HEADERS,
        timeout=CALL_LIMIT,
    )
    found = (_host_of(client, provider) for provider in answer.json().get('allocations') or ())
    return sorted({host for host in found if host})


def _host_of(client: Any, provider: str) -> str:
    try:
        # A compute node has the same UUID in Nova as in Placement.
        service = client.hypervisors.get(provider).service
    except nova_exceptions.NotFound:
        # One that belongs to a host or is shared by some, such as a disk or a card.
        return ''
    return str(service.get('host') or '')
