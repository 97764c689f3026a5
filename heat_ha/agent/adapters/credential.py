# SPDX-License-Identifier: Apache-2.0
"""Trying heat-ha's own credential for the calls that a rescue needs, without changing anything."""

from collections.abc import Callable
from typing import Any, NamedTuple

from novaclient import exceptions as nova_exceptions

from heat_ha.agent.adapters import nova_admin
from heat_ha.cloud import compute_hosts
from heat_ha.conf import nova_hosts

# No service has this id: Nova checks what the caller may do, and then finds nothing to change.
NOBODY = '00000000-0000-4000-8000-000000000000'


class Right(NamedTuple):
    """A call, and why the credential cannot make it; '' when it can."""

    call: str
    problem: str


CALLS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ('list the hosts', lambda c: c.services.list(binary='nova-compute')),
    (
        'list the servers of all projects',
        lambda c: c.servers.list(detailed=False, search_opts={'all_tenants': True}, limit=1),
    ),
    ('list evacuations', lambda c: c.migrations.list(migration_type='evacuation')),
    ('mark a host as down', lambda c: c.services.force_down(NOBODY, True)),
    ('disable a host', lambda c: c.services.disable_log_reason(NOBODY, 'heat-ha: check')),
    ('enable a host', lambda c: c.services.enable(NOBODY)),
)

EVACUATE = 'evacuate a server, by the role admin'


def rights(region: str | None) -> list[Right]:
    """Try each call. For an evacuation, which cannot be tried, Nova wants the role admin."""
    problem = f'heat.conf has no credential in [{nova_hosts.RESCUE}]'
    try:
        client = compute_hosts.client_for(region, nova_admin.MICROVERSION, nova_hosts.RESCUE)
    except compute_hosts.FAILURES as exc:
        client, problem = None, f'{type(exc).__name__}: {exc}'[:200]
    if client is None:
        return [Right(call, problem) for call, _try in CALLS]
    return [*(Right(call, _problem(client, attempt)) for call, attempt in CALLS), _admin(client)]


def _problem(client: Any, attempt: Callable[[Any], Any]) -> str:
    try:
        attempt(client)
    except nova_exceptions.NotFound:
        return ''
    except compute_hosts.FAILURES as exc:
        return f'{type(exc).__name__}: {exc}'[:200]
    return ''


def _admin(client: Any) -> Right:
    session = client.client.session
    try:
        roles = session.auth.get_access(session).role_names
    except compute_hosts.FAILURES as exc:
        return Right(EVACUATE, f'{type(exc).__name__}: {exc}'[:200])
    return Right(EVACUATE, '' if 'admin' in roles else f'its roles are {", ".join(sorted(roles))}')
