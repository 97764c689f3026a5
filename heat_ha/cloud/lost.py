# SPDX-License-Identifier: Apache-2.0
"""What was made for a resource without Heat knowing: it would be left over for ever.

An engine asks Nova for a server and writes its id down afterwards. When it dies in between, or
the answer is lost, the resource has failed without an id, and Heat, which replaces it, deletes
nothing. But the name is known: Heat makes it from the resource's own uuid. So it is looked for
under that name, and its id is written where Heat would have written it; then Heat deletes it
with the resource.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from heat.common import short_id
from heat.engine import resource as heat_resource
from heat.engine.resources.openstack.nova import server
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from oslo_log import log as logging

from heat_ha.cloud import heat_rows

LOG = logging.getLogger(__name__)

CREATE, FAILED, IN_PROGRESS = 'CREATE', 'FAILED', 'IN_PROGRESS'


def _servers(clients: Any, name: str) -> Iterable[Any]:
    # Nova takes the name for a regular expression.
    limit = server.Server.physical_resource_name_limit
    name = heat_resource.Resource.reduce_physical_resource_name(name, limit)
    found = clients.client('nova').servers.list(search_opts={'name': f'^{re.escape(name)}$'})
    return [one.id for one in found if one.name == name]


def _volumes(clients: Any, name: str) -> Iterable[Any]:
    return [v.id for v in clients.client('cinder').volumes.list(search_opts={'name': name})]


def _ports(clients: Any, name: str) -> Iterable[Any]:
    return [port['id'] for port in clients.client('neutron').list_ports(name=name)['ports']]


# What members are made of, and what costs something when nobody knows of it.
FINDERS: tuple[Callable[[Any, str], Iterable[Any]], ...] = (_servers, _volumes, _ports)


def adopt(context: Any, stack_id: str, is_alive: Callable[[str], bool]) -> tuple[str, ...]:
    """Give what was made under the name of a failed resource to that resource.

    :param stack_id: a nested stack; what is nested in it is looked at as well.
    :param is_alive: whether an engine answers; what a living one works on is left alone.
    :returns: the ids that Heat knows now.

    Changes only rows of Heat's that have no id and are as they were seen. What cannot be asked
    for is logged and left as it is.
    """
    found = []
    for row in heat_rows.below(context, stack_id):
        if row.action != CREATE or row.physical_resource_id:
            continue
        is_left = row.status == IN_PROGRESS and row.engine_id and not is_alive(row.engine_id)
        if row.status != FAILED and not is_left:
            continue
        stack = stack_object.Stack.get_by_id(context, row.stack_id)
        name = f'{stack.name}-{row.name}-{short_id.get_id(row.uuid)}'
        try:
            made = next(filter(None, (find(context.clients, name) for find in FINDERS)), [])
        except Exception as exc:
            LOG.warning('%s was not looked for: %s: %s', name, type(exc).__name__, exc)
            continue
        for one in made:
            is_ours = resource_object.Resource.select_and_update_by_id(
                context,
                row.id,
                {'physical_resource_id': one},
                expected_engine_id=row.engine_id,
                atomic_key=row.atomic_key,
            )
            LOG.warning('%s was made as %s without Heat knowing: %s', name, one, is_ours)
            if is_ours:
                found.append(one)
            break
    return tuple(found)
