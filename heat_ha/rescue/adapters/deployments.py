# SPDX-License-Identifier: Apache-2.0
"""Letting the software deployments of a server be applied again.

What runs on the server skips a config that it knows. So each deployment gets a copy of its config,
under a new id, as Heat itself gives it one when it is updated.
"""

from typing import Any

from heat.rpc import api as rpc_api

from heat_ha import exceptions
from heat_ha.rescue.model import Configuration

REASON = 'applied again after a rescue'

_TRANSPORT, _NO_SIGNAL = 'deploy_signal_transport', 'NO_SIGNAL'
_COPIED = (
    rpc_api.SOFTWARE_CONFIG_GROUP,
    rpc_api.SOFTWARE_CONFIG_NAME,
    rpc_api.SOFTWARE_CONFIG_CONFIG,
    rpc_api.SOFTWARE_CONFIG_INPUTS,
    rpc_api.SOFTWARE_CONFIG_OUTPUTS,
    rpc_api.SOFTWARE_CONFIG_OPTIONS,
)


def apply_again(policy: Any, server: str) -> int:
    """Hand every deployment of the server to it again. :returns: how many there are.

    :raises exceptions.CouldNotAsk: Heat did not take all of them; doing it again is harmless.
    """
    try:
        found = _of_server(policy, server)
        for deployment in found:
            _renew(policy.rpc_client(), policy.context, deployment)
    except Exception as exc:
        raise exceptions.CouldNotAsk(
            'heat', f'the configuration of server {server}', f'{type(exc).__name__}: {exc}'[:150]
        ) from exc
    return len(found)


def _renew(client: Any, context: Any, deployment: dict[str, Any]) -> None:
    old = deployment[rpc_api.SOFTWARE_DEPLOYMENT_CONFIG_ID]
    config = client.show_software_config(context, old)
    transports = [
        i.get('value') for i in config[rpc_api.SOFTWARE_CONFIG_INPUTS] if i['name'] == _TRANSPORT
    ]
    new = client.create_software_config(context, **{key: config[key] for key in _COPIED})
    client.update_software_deployment(
        context,
        deployment_id=deployment[rpc_api.SOFTWARE_DEPLOYMENT_ID],
        config_id=new[rpc_api.SOFTWARE_CONFIG_ID],
        action='UPDATE',
        # From one without a signal no answer ever comes.
        status='COMPLETE' if _NO_SIGNAL in transports else 'IN_PROGRESS',
        status_reason=REASON,
    )
    with client.ignore_error_by_name('NotFound'):
        client.delete_software_config(context, old)


def look(policy: Any, server: str) -> Configuration:
    """How far the server's deployments are; a failed look leaves that open."""
    try:
        found = _of_server(policy, server)
    except Exception:
        return Configuration.COULD_NOT_ASK
    statuses = {d[rpc_api.SOFTWARE_DEPLOYMENT_STATUS] for d in found}
    if 'FAILED' in statuses:
        return Configuration.FAILED
    return Configuration.RUNNING if 'IN_PROGRESS' in statuses else Configuration.DONE


def _of_server(policy: Any, server: str) -> list[dict[str, Any]]:
    found = policy.rpc_client().list_software_deployments(policy.context, server_id=server)
    return [d for d in found if d[rpc_api.SOFTWARE_DEPLOYMENT_ACTION] != 'DELETE']
