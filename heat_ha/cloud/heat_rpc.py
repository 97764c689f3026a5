# SPDX-License-Identifier: Apache-2.0
"""Signals to policies over Heat's own message bus, as only a program beside the engines can.

No policy believes what a signal says, so a signal carries no secret: anybody who can send one here
can do more harm by other means.
"""

from typing import Any

import oslo_messaging
from heat.common import context, messaging, service_utils
from heat.rpc import client
from oslo_config import cfg

from heat_ha import exceptions

# Seconds until an engine must have accepted a signal.
CALL_LIMIT = 30

# What an engine raises for a resource that the stack does not have, or has not made.
_NOT_THERE = frozenset({'ResourceNotFound', 'ResourceNotAvailable'})


class SignalRefused(exceptions.CouldNotAsk):
    """An engine answered with an error: the same signal comes to the same end for now."""


class NotThere(SignalRefused):
    """An engine answered that the stack has no such resource, or has not made it yet."""


def setup() -> None:
    """Join Heat's message bus."""
    messaging.setup()


def _context(project: str) -> Any:
    return context.RequestContext(
        is_admin=True, project_id=project, roles=['admin'], overwrite=False
    )


def signal(project: str, stack_name: str, stack_id: str, resource: str, body: Any) -> None:
    """Signal a resource; its engine goes on by itself.

    :raises SignalRefused: an engine has not accepted it, as when its stack is suspended.
    :raises NotThere: the stack has no such resource now.
    :raises exceptions.CouldNotAsk: it is not known that an engine has accepted it.
    """
    identity = {'tenant': project, 'stack_name': stack_name, 'stack_id': stack_id, 'path': ''}
    try:
        call = client.EngineClient()
        message = call.make_msg(
            'resource_signal',
            stack_identity=identity,
            resource_name=resource,
            details=body,
            sync_call=False,
        )
        call.call(_context(project), message, version='1.3', timeout=CALL_LIMIT)
    except Exception as exc:
        answer = NotThere if _kind(exc) in _NOT_THERE else SignalRefused
        error = answer if _is_answer(exc) else exceptions.CouldNotAsk
        raise error(
            'heat', f'a signal to {resource} of {stack_name}', f'{type(exc).__name__}: {exc}'[:200]
        ) from exc


def _is_answer(exc: Exception) -> bool:
    """Whether an engine raised it; what the bus itself raises says nothing of the signal."""
    is_of_bus = isinstance(exc, (oslo_messaging.MessagingException, OSError))
    return isinstance(exc, oslo_messaging.RemoteError) or not is_of_bus


def _kind(exc: Exception) -> str:
    """The name of an engine's exception; the bus adds to that of one that it makes again."""
    name = exc.exc_type if isinstance(exc, oslo_messaging.RemoteError) else type(exc).__name__
    return str(name).removesuffix('_Remote')


def prepare(project: str, stack_name: str, stack_id: str, resource: str) -> None:
    """Let every engine log in to Nova, as a policy does at a signal; no answer comes.

    :raises exceptions.CouldNotAsk: the bus did not accept it.
    """
    identity = {'tenant': project, 'stack_name': stack_name, 'stack_id': stack_id, 'path': ''}
    try:
        call = client.EngineClient()
        method, arguments = call.make_msg(
            'resource_signal',
            stack_identity=identity,
            resource_name=resource,
            details={'action': 'prepare'},
            sync_call=False,
        )
        everybody = call._client.prepare(version='1.3', fanout=True)
        everybody.cast(_context(project), method, **arguments)
    except Exception as exc:
        raise exceptions.CouldNotAsk('heat', 'all engines', f'{type(exc).__name__}') from exc


def ping(limit: int) -> None:
    """See that an engine answers over the bus. :raises exceptions.CouldNotAsk: none did."""
    try:
        call = client.EngineClient()
        call.call(_context(''), call.make_msg('list_services'), version='1.4', timeout=limit)
    except Exception as exc:
        raise exceptions.CouldNotAsk('heat', 'its engines', f'{type(exc).__name__}') from exc


def is_alive(engine_id: str) -> bool:
    """Whether an engine answers; as Heat asks it itself."""
    return bool(service_utils.engine_alive(_context(''), engine_id))


def region() -> str | None:
    """The region of this Heat."""
    found: str | None = cfg.CONF.region_name_for_services
    return found
