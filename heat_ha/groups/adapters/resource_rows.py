# SPDX-License-Identifier: Apache-2.0
"""What Heat lists of a nested stack: one row a resource, with all that is nested below it.

``members`` makes a group's members from the rows, ``failure_masks`` finds in them what Heat would
replace by itself.
"""

from collections.abc import Iterator
from typing import Any

from heat.common import exception as heat_exception
from heat.engine.resources.aws.ec2 import instance
from heat.engine.resources.openstack.nova import server
from heat.rpc import api as rpc_api
from oslo_config import cfg

from heat_ha import exceptions

# What else is a server in Nova is known by its class.
SERVER_TYPES = ('OS::Nova::Server', 'AWS::EC2::Instance')

Row = dict[str, Any]


def of_group(group: Any) -> list[Row]:
    """Every resource of the group's nested stack and of all that is nested in it.

    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    try:
        found = group.rpc_client().list_stack_resources(
            group.context,
            dict(group.nested_identifier()),
            nested_depth=cfg.CONF.max_nested_stack_depth,
        )
    except Exception as exc:
        raise exceptions.CouldNotAsk(
            'heat', f'the members of group {group.name}', f'{type(exc).__name__}: {exc}'
        ) from exc
    return list(found)


def by_member(group: Any, rows: list[Row]) -> Iterator[tuple[Row, list[Row]]]:
    """Go through the members, each with the rows of all that is nested in it."""
    in_stack: dict[str, list[Row]] = {}
    for row in rows:
        in_stack.setdefault(stack_of(row), []).append(row)

    def parts(row: Row) -> Iterator[Row]:
        nested = row.get(rpc_api.RES_NESTED_STACK_ID)
        for part in in_stack.get(nested['stack_id'], ()) if nested else ():
            yield part
            yield from parts(part)

    for row in in_stack.get(group.resource_id, ()):
        yield row, list(parts(row))


def is_failed(row: Row) -> bool:
    """Whether Heat shows the resource as failed; a failed delete is not meant."""
    return bool(row[rpc_api.RES_STATUS] == 'FAILED' and row[rpc_api.RES_ACTION] != 'DELETE')


def is_tried(row: Row) -> bool:
    """Whether Heat tries the resource again at the next change: it failed, or was never begun."""
    return is_failed(row) or row[rpc_api.RES_ACTION] == 'INIT'


def stack_of(row: Row) -> str:
    """The id of the stack that the resource is in."""
    return str(row[rpc_api.RES_STACK_ID]['stack_id'])


def is_server(resource: Any, resource_type: str) -> bool:
    """Whether resources of this type are servers in Nova.

    :param resource: a resource of the stack in whose environment the type is looked up.
    """
    if resource_type in SERVER_TYPES:
        return True
    try:
        kind = resource.stack.env.get_class_to_instantiate(resource_type)
    except heat_exception.HeatException:
        # The environment of a nested stack may know types that the parent's does not.
        return False
    return issubclass(kind, server.Server | instance.Instance)
