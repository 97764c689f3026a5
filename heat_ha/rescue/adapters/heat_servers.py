# SPDX-License-Identifier: Apache-2.0
"""The servers of a stack and of all that is nested in it, and having Heat replace them."""

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

from heat.objects import stack as stack_object
from heat.rpc import api as rpc_api
from oslo_config import cfg

from heat_ha import exceptions
from heat_ha.groups.adapters import resource_rows

# Seconds between two looks at a stack that is being updated.
POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Protected:
    """A server with its place in the stack.

    ``top`` is the resource of the policy's own stack that it is, or is nested in; ``member``
    the resource right below that, '' when the server is the top itself. ``stack`` and
    ``resource`` are what Heat knows it by.
    """

    server: str
    name: str
    top: str
    member: str
    stack: tuple[tuple[str, str], ...]
    resource: str


def of_stack(policy: Any, tops: Iterable[str]) -> tuple[Protected, ...]:
    """List the servers of the policy's stack.

    :param tops: names of the stack's resources to which that is limited, in whose order the
        servers are returned; all, by name, if empty.
    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    wanted = {top: number for number, top in reversed(list(enumerate(tops)))}
    rows = _rows(policy)
    nested_in: dict[str, dict[str, Any]] = {}
    for row in rows:
        if rpc_api.RES_NESTED_STACK_ID in row:
            nested_in[row[rpc_api.RES_NESTED_STACK_ID]['stack_id']] = row
    found = []
    for row in rows:
        if not row[rpc_api.RES_PHYSICAL_ID] or row[rpc_api.RES_ACTION] == 'DELETE':
            continue
        if not resource_rows.is_server(policy, row[rpc_api.RES_TYPE]):
            continue
        path = _path(policy, row, nested_in)
        if path is None or (wanted and path[0] not in wanted):
            continue
        identity = row[rpc_api.RES_STACK_ID]
        found.append(
            Protected(
                server=row[rpc_api.RES_PHYSICAL_ID],
                name='/'.join(path),
                top=path[0],
                member=path[1] if len(path) > 1 else '',
                stack=tuple((key, str(identity[key])) for key in sorted(identity)),
                resource=row[rpc_api.RES_NAME],
            )
        )
    return tuple(sorted(found, key=lambda p: (wanted.get(p.top, 0), p.name)))


def recreate(policy: Any, servers: Sequence[Protected], reason: str, deadline: float) -> None:
    """Let Heat replace servers, with all that depends on them, and wait for it.

    They are marked unhealthy, and their stack is updated with its own template. Each is marked by
    its own id. An engine that died may have had it replaced already; its place in the stack is
    another server's then, which is left as it is.

    :param deadline: on the monotonic clock, in seconds.
    :raises exceptions.Stopped: Heat did not do it, or not in time.
    """
    try:
        _mark(policy, servers, reason)
    except exceptions.TryAgain:
        # An engine that died while it marked one left its lock, which an update takes away.
        _update(policy, deadline)
        _wait(policy, deadline)
        _mark(policy, servers, reason)
    _update(policy, deadline)
    _wait(policy, deadline)


def _mark(policy: Any, servers: Sequence[Protected], reason: str) -> None:
    for one in servers:
        try:
            policy.rpc_client().resource_mark_unhealthy(
                policy.context, dict(one.stack), one.server, True, reason
            )
        except Exception as exc:
            if _is_missing(exc):
                continue
            if _is_busy(exc):
                raise exceptions.TryAgain(f'{one.name} is being worked on') from exc
            raise exceptions.Stopped(
                f'Heat did not mark {one.name}: {exc}', 'Signal again'
            ) from exc


def _is_busy(exc: Exception) -> bool:
    # What comes over the bus has a class of the same name.
    return type(exc).__name__.startswith('ActionInProgress')


def _is_missing(exc: Exception) -> bool:
    return type(exc).__name__.startswith(('ResourceNotFound', 'EntityNotFound'))


def _wait(policy: Any, deadline: float) -> None:
    while True:
        action, status, why, _updated = stack_object.Stack.get_status(
            policy.context, policy.stack.id
        )
        if status == 'COMPLETE' and action == 'UPDATE':
            return
        if status == 'FAILED':
            raise exceptions.Stopped(f'Heat could not recreate it: {why}', 'Mend the cause')
        _check_time(deadline, f'the stack is in {action}_{status}')
        time.sleep(POLL_SECONDS)


def _update(policy: Any, deadline: float) -> None:
    """Ask for an update of the stack, as soon as nothing else changes it."""
    while True:
        try:
            policy.rpc_client().update_stack(
                policy.context,
                dict(policy.stack.identifier()),
                None,
                {},
                {},
                {rpc_api.PARAM_EXISTING: True},
            )
            return
        except Exception as exc:
            if not _is_busy(exc):
                raise exceptions.Stopped(
                    f'Heat refused an update: {exc}', 'Mend the cause'
                ) from exc
            _check_time(deadline, 'another action is in progress')
        time.sleep(POLL_SECONDS)


def _check_time(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise exceptions.Stopped(f'out of time: {what}', 'Look at the events of the stack')


def _rows(policy: Any) -> list[dict[str, Any]]:
    try:
        found = policy.rpc_client().list_stack_resources(
            policy.context,
            dict(policy.stack.identifier()),
            nested_depth=cfg.CONF.max_nested_stack_depth,
        )
    except Exception as exc:
        raise exceptions.CouldNotAsk(
            'heat', f'the servers of stack {policy.stack.name}', f'{type(exc).__name__}: {exc}'
        ) from exc
    return list(found)


def _path(
    policy: Any, row: dict[str, Any], nested_in: dict[str, dict[str, Any]]
) -> list[str] | None:
    """The names from the policy's stack down to the resource, None for another stack's."""
    path = [row[rpc_api.RES_NAME]]
    stack = row[rpc_api.RES_STACK_ID]['stack_id']
    while stack != policy.stack.id:
        parent = nested_in.get(stack)
        if parent is None:
            return None
        path.insert(0, parent[rpc_api.RES_NAME])
        stack = parent[rpc_api.RES_STACK_ID]['stack_id']
    return path
