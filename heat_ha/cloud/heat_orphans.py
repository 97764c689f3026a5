# SPDX-License-Identifier: Apache-2.0
"""What was made for a resource without Heat knowing of it, and would be left over for ever.

An engine asks Nova for a server and writes its id down afterwards. When it dies in between, or
the answer is lost, the resource has failed without an id, and Heat, which replaces it, deletes
nothing. But the name is known: Heat makes it from the resource's own uuid. So this module looks
for a server of that name and writes its id where Heat would have written it. Then Heat deletes
the server with the resource.

A template may name what it makes itself, which is no proof by itself: others may use that name. So
what came before the resource, or is another resource's already, is left alone, and so is all while
another resource of the stack has the name and no id yet: an engine may just be making it.

==================================== ==========================================================
Name                                 Whether what has it was made for the resource
==================================== ==========================================================
made by Heat                         Yes: the resource's own uuid is in it.
of the template, with that of its    Yes: there are random letters in the name of a nested
nested stack in it                   stack, and ``OS::stack_name`` gives it to the template.
of the template, and a port of the   Yes, a server: nobody else was told to use that port.
same stack is at the server
of the template, without these       Not known, so it is left alone.
==================================== ==========================================================

The same holds for a nested stack: another engine makes it, servers and all, while the one that
requested it may be dead before it knows the id.
"""

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any

import tenacity
from heat.common import exception as heat_exception
from heat.common import short_id
from heat.db import api as db_api
from heat.engine import resource as heat_resource
from heat.engine import stack as heat_stack
from heat.engine.resources import stack_resource
from heat.engine.resources.openstack.cinder import volume
from heat.engine.resources.openstack.neutron import port
from heat.engine.resources.openstack.nova import server
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock, heat_db

LOG = logging.getLogger(__name__)

CREATE, FAILED, IN_PROGRESS = 'CREATE', 'FAILED', 'IN_PROGRESS'

# Heat's clock may be ahead of that of another service.
CLOCKS_APART = datetime.timedelta(seconds=30)

# How often a service is asked before it counts as not answering.
TRIES = 3


@dataclasses.dataclass(frozen=True)
class Made:
    """What a service has under a name.

    ``created`` is its time, in UTC and ISO form; empty where the service does not tell, as Neutron
    may not.
    """

    id: str
    created: str


def _servers(clients: Any, name: str) -> Iterable[Made]:
    # Nova takes the name for a regular expression.
    found = clients.client('nova').servers.list(search_opts={'name': f'^{re.escape(name)}$'})
    return [Made(one.id, one.created) for one in found if one.name == name]


def _volumes(clients: Any, name: str) -> Iterable[Made]:
    if not clients.client_plugin('cinder').does_endpoint_exist('volumev3', 'cinder'):
        return []
    found = clients.client('cinder').volumes.list(search_opts={'name': name})
    return [Made(one.id, one.created_at) for one in found if one.name == name]


def _ports(clients: Any, name: str) -> Iterable[Made]:
    if not clients.client_plugin('neutron').does_endpoint_exist('network', 'neutron'):
        return []
    found = clients.client('neutron').list_ports(name=name)['ports']
    return [Made(one['id'], one.get('created_at') or '') for one in found if one['name'] == name]


def _servers_at(clients: Any, ports: Iterable[str]) -> set[str]:
    """The ids of those that have these ports."""
    wanted = set(ports)
    if not wanted:
        return set()
    found = clients.client('neutron').list_ports(id=sorted(wanted))['ports']
    return {one['device_id'] for one in found if one['id'] in wanted and one['device_id']}


Finder = Callable[[Any, str], Iterable[Made]]

# What members are made of, and what costs money when nobody knows of it.
FINDERS: tuple[Finder, ...] = (_servers, _volumes, _ports)

# Who finds what a resource of this class has made, under the name that the template gives it.
FINDER_OF: dict[type[Any], Finder] = {
    server.Server: _servers,
    volume.CinderVolume: _volumes,
    port.Port: _ports,
}


def may_be_orphaned(row: Any, is_alive: Callable[[str], bool]) -> bool:
    """Whether something may have been made for a resource without its id being written down.

    Invariant: never true of a row with an id, nor of one that a living engine holds. Heat itself
    tries a failed creation again and holds the row all the while. A row in progress that nobody
    holds is one that an engine is about to take.
    """
    if row.action != CREATE or row.physical_resource_id:
        return False
    if row.engine_id:
        return row.status in {FAILED, IN_PROGRESS} and not is_alive(row.engine_id)
    return bool(row.status == FAILED)


def adopt(context: Any, stack_id: str, is_alive: Callable[[str], bool]) -> tuple[str, ...]:
    """Give what was made under the name of a failed resource to that resource.

    :param stack_id: a nested stack; what is nested in it is looked at as well.
    :param is_alive: whether an engine answers; what a living one works on is left alone.
    :returns: the ids that Heat knows now.
    :raises exceptions.CouldNotAsk: a service did not say whether anything was made, so nothing
        may be done yet that makes Heat forget the resource. Earlier adoptions stay.

    Changes only rows of Heat's that have no id and are as they were seen.
    """
    adopted = []
    for row in heat_db.below(context, stack_id):
        if not may_be_orphaned(row, is_alive):
            continue
        stack = stack_object.Stack.get_by_id(context, row.stack_id)
        name = f'{stack.name}-{row.name}-{short_id.get_id(row.uuid)}'
        made = _nested(context, name, row.stack_id)
        made = made or _made(context, name) or _under_own_name(context, row, stack.name)
        if made is None:
            continue
        is_ours = resource_object.Resource.select_and_update_by_id(
            context,
            row.id,
            {'physical_resource_id': made},
            expected_engine_id=row.engine_id,
            atomic_key=row.atomic_key,
        )
        LOG.warning('%s was made for %s without Heat knowing: %s', made, row.name, is_ours)
        if is_ours:
            adopted.append(made)
    return tuple(adopted)


def _nested(context: Any, name: str, owner: str) -> Any:
    name = heat_resource.Resource.reduce_physical_resource_name(
        name, stack_resource.StackResource.physical_resource_name_limit
    )
    found = stack_object.Stack.get_by_name_and_owner_id(context, name, owner)
    return found and found.id


def _made(context: Any, name: str) -> Any:
    # Heat shortens the names of servers, which become those of hosts.
    limit = server.Server.physical_resource_name_limit
    short = heat_resource.Resource.reduce_physical_resource_name(name, limit)
    for find in FINDERS:
        for one in _asked(find, context.clients, short if find is _servers else name):
            return one.id
    return None


def _under_own_name(context: Any, row: Any, stack_name: str) -> Any:
    """What was made under the name of the template, as far as that proves whose it is."""
    properties = row.properties_data or {}
    name = properties.get('name')
    if not isinstance(name, str) or not name:
        return None
    find = _finder(context, row)
    if find is None:
        return None
    since = clock.utc(row.created_at.isoformat()) - CLOCKS_APART
    found = _asked(find, context.clients, name)
    ids = [one.id for one in found if one.created and clock.utc(one.created) >= since]
    # After that: whoever was given what was found has begun with it before.
    rows = resource_object.Resource.get_all_active_by_stack(context, row.stack_id) or {}
    siblings = [one for one in rows.values() if one.id != row.id]
    if any(_may_get(one, name) for one in siblings):
        return None
    if stack_name not in name:
        own = {one.physical_resource_id for one in siblings}
        at_ports = _at_ports(context, own, properties) if ids else set()
        ids = [one for one in ids if one in at_ports]
    return next((one for one in ids if not _is_known(context, one)), None)


def _may_get(row: Any, name: str) -> bool:
    """Whether something of this name may just be in the making for a resource."""
    is_without = row.status == IN_PROGRESS and not row.physical_resource_id
    return is_without and (row.properties_data or {}).get('name') == name


def _finder(context: Any, row: Any) -> Finder | None:
    try:
        resource = heat_stack.Stack.load(context, stack_id=row.stack_id).get(row.name)
    except heat_exception.HeatException as exc:
        # Its stack is deleted, or the template cannot be read any more.
        LOG.warning('%s of stack %s is not looked for: %s', row.name, row.stack_id, exc)
        return None
    except Exception as exc:
        # Heat would forget the resource for good.
        raise exceptions.CouldNotAsk('heat', f'what {row.name} is', str(exc)[:200]) from exc
    found = (find for kind, find in FINDER_OF.items() if isinstance(resource, kind))
    return next(found, None)


def _is_known(context: Any, made: str) -> bool:
    """Whether it is a resource's already, of this stack or of another one of the project."""
    return db_api.resource_get_by_physical_resource_id(context, made) is not None


def _at_ports(context: Any, own: set[str], properties: dict[str, Any]) -> set[str]:
    """The servers at a port of the resource's stack which the resource was to have.

    :param own: what the other resources of the stack are.
    """
    wanted = {one.get('port') for one in properties.get('networks') or () if one}
    ports = {one for one in wanted & own if one}
    return set(_asked(_servers_at, context.clients, ports))


@tenacity.retry(
    stop=tenacity.stop_after_attempt(TRIES),
    wait=tenacity.wait_random_exponential(multiplier=0.25, max=2),
    reraise=True,
)
def _answer(find: Callable[[Any, Any], Iterable[Any]], clients: Any, what: Any) -> Iterable[Any]:
    return find(clients, what)


def _asked(find: Callable[[Any, Any], Iterable[Any]], clients: Any, what: Any) -> Iterable[Any]:
    """:raises exceptions.CouldNotAsk: the service did not answer, again and again."""
    try:
        return _answer(find, clients, what)
    except Exception as exc:
        raise exceptions.CouldNotAsk(
            'nova, cinder or neutron',
            f'what was made as {what}',
            f'{type(exc).__name__}: {exc}'[:200],
        ) from exc
