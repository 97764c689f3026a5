# SPDX-License-Identifier: Apache-2.0
"""A scaling group's members, read from and changed through Heat.

The members of a group are the resources of a nested stack. ``look`` reads them in one request,
``change`` sends that stack a template with other members, ``wait`` watches it without the
second that Heat's own task runner sleeps between two looks.
"""

import dataclasses
import functools
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from heat.common import exception as heat_exception
from heat.common import short_id, timeutils
from heat.engine import environment, template
from heat.engine import resource as heat_resource
from heat.engine.notification import autoscaling as notification
from heat.engine.resources.aws.ec2 import instance
from heat.engine.resources.openstack.heat import autoscaling_group
from heat.engine.resources.openstack.nova import server
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from heat.objects import stack_lock as stack_lock_object
from heat.rpc import api as rpc_api
from heat.scaling import template as scaling_template
from oslo_config import cfg
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import heat_db, heat_orphans, lease, nested_stack
from heat_ha.groups import model
from heat_ha.groups.adapters import store as group_store

LOG = logging.getLogger(__name__)

# Seconds between two looks at the state of a nested stack: one small read of Heat's database.
POLL_SECONDS = 0.5

# What else is a server in Nova is known by its class.
SERVER_TYPES = ('OS::Nova::Server', 'AWS::EC2::Instance')

Row = dict[str, Any]


def is_group(resource: Any) -> bool:
    """Whether the resource is an OS::Heat::AutoScalingGroup, or made to be one."""
    return isinstance(resource, autoscaling_group.AutoScalingResourceGroup)


def new_name() -> str:
    """Make a name for a member, as Heat makes them."""
    return str(short_id.generate_id())


def look(
    group: Any, known: Mapping[str, str] = types.MappingProxyType({}), known_rows: str = ''
) -> model.Group:
    """Read the group's members with all that is nested in them.

    An engine has to load all of their templates to list them, which takes the most of the time
    until a failover's first step. So they are listed only when Heat's database has anything else
    than when they were listed last.

    :param known: the server of each member at an earlier look.
    :param known_rows: what that look gave as ``rows``.
    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    if group.resource_id is None:
        return model.Group(group.name, ())
    status, reason = _nested_status(group)
    found = list(heat_db.below(group.context, group.resource_id))
    digest = heat_db.digest(found)
    if status == group.COMPLETE and digest == known_rows and not group_store.masked_failures(group):
        return _as_known(group, found, known, digest)
    seen = _as_group(group, _rows(group), status == group.IN_PROGRESS, reason)
    is_well = status == group.COMPLETE and not seen.being_deleted
    is_plain = all(m.is_in_service and len(m.servers) == 1 for m in seen.members)
    return dataclasses.replace(seen, rows=digest if is_well and is_plain else '')


def member_attribute(group: Any, member: str, path: str) -> Any:
    """One attribute of a member as it is now: an output of its template, or what its type has.

    :param path: the attribute's name and keys below it, with dots between.
    :raises exceptions.Refused: the member has no such attribute.
    """
    # What the group has loaded is of before the last change.
    group._nested = None
    nested = group.nested()
    try:
        if nested is None or member not in nested:
            raise exceptions.Refused(f'member {member} is not in group {group.name}')
        name, *keys = path.split('.')
        value = nested[member].FnGetAtt(name, *(int(k) if k.isdigit() else k for k in keys))
    except heat_exception.HeatException as exc:
        raise exceptions.Refused(f'member {member} has no attribute {path} ({exc})') from exc
    if value is None:
        raise exceptions.Refused(
            f'member {member} has no attribute {path}',
            f'Give the template of the members an output {path.partition(".")[0]}',
        )
    return value


def rolling(group: Any) -> model.Rolling:
    """Read the bounds of the group's ``rolling_updates``."""
    given = group.properties[group.ROLLING_UPDATES] or {}
    return model.Rolling(
        min_in_service=int(given.get(group.MIN_IN_SERVICE) or 0),
        max_batch_size=int(given.get(group.MAX_BATCH_SIZE) or 1),
        pause_seconds=float(given.get(group.PAUSE_TIME) or 0),
    )


def change(group: Any, add: Sequence[str], remove: Sequence[str]) -> None:
    """Send the nested stack its template again, with other members.

    Members that stay keep their definition as it is on record; new ones get the group's own.

    :raises exceptions.CouldNotAsk: it is not known whether Heat has taken the change.
    :raises exceptions.Refused: Heat has not taken it.
    """
    heat_orphans.adopt(
        group.context, group.resource_id, functools.partial(lease.engine_is_alive, group.context)
    )
    try:
        group.update_with_template(_template(group, add, remove))
    except heat_resource.UpdateReplace as exc:
        raise exceptions.Refused(
            f'the nested stack of group {group.name} is gone', 'Update the stack of the group'
        ) from exc
    except heat_exception.ResourceFailure as exc:
        raise exceptions.Refused(f'Heat did not change the group: {exc}') from exc
    except heat_exception.HeatException as exc:
        raise exceptions.Refused(f'Heat did not change the group: {exc}') from exc
    except Exception as exc:
        raise exceptions.CouldNotAsk('heat', f'a change of group {group.name}', str(exc)) from exc


def wait(group: Any, deadline: float, still_wanted: Callable[[], None]) -> bool:
    """Wait until nobody changes the nested stack any more.

    :param deadline: on the monotonic clock, in seconds.
    :param still_wanted: called at each look; what it raises ends the wait.
    :returns: False when the deadline came first.
    """
    watch = nested_stack.watch_over(group.context, group.resource_id)
    while True:
        still_wanted()
        watch.look()
        status, _reason = _nested_status(group)
        if status != group.IN_PROGRESS and _is_unlocked(group):
            refresh(group)
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)


def refresh(group: Any) -> None:
    """Make the group forget what it knows of its members, and report to its load balancers."""
    group._nested = None
    group._outputs = None
    group._group_data(refresh=True)
    group.clear_stored_attributes()
    try:
        group._lb_reload()
    except Exception:
        # As in Heat's own scaling the members are right by now; the next change reloads again.
        LOG.exception('Load balancers of group %s were not told of its members', group.name)


def notify(group: Any, suffix: str, count: int, size: int, message: str) -> None:
    """Send the notification of a scaling that Heat sends: ``start``, ``end`` or ``error``."""
    if suffix != 'error':
        message = f'{message} replacing members of the group {group.FnGetRefId()}'
    try:
        notification.send(
            stack=group.stack,
            adjustment=count,
            adjustment_type='replace_oldest',
            capacity=size,
            groupname=group.FnGetRefId(),
            message=message,
            suffix=suffix,
        )
    except Exception:
        LOG.exception('The notification of group %s was not sent', group.name)


def to_mask(
    group: Any, remove: Sequence[str], victims: Sequence[str]
) -> tuple[model.MaskedFailure, ...]:
    """Find what Heat would replace by itself, under the same name, were the group changed now.

    That is whatever is marked unhealthy or failed a check, and in the victims, which are to be
    gone afterwards, whatever failed in another way.

    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    found = []
    for member, parts in _members(group, _rows(group)):
        if member[rpc_api.RES_NAME] in remove:
            continue
        for row in (member, *parts):
            if _would_be_replaced(row, member, parts, victims):
                identity = row[rpc_api.RES_STACK_ID]
                found.append(
                    model.MaskedFailure(
                        member=member[rpc_api.RES_NAME],
                        stack=tuple((key, str(identity[key])) for key in sorted(identity)),
                        resource=row[rpc_api.RES_NAME],
                        reason=row[rpc_api.RES_STATUS_DATA] or '',
                    )
                )
    return tuple(found)


def mask(group: Any, held: model.MaskedFailure) -> None:
    """Show Heat a failed resource as healthy.

    :raises exceptions.CouldNotAsk: Heat did not, or could not.
    """
    # Only from CHECK_FAILED does Heat let a resource become healthy.
    _mark(group, held, True, held.reason)
    _mark(group, held, False, 'not to be replaced while the group is changed')


def unmask(group: Any, held: model.MaskedFailure) -> None:
    """Show Heat the resource as failed again.

    :raises exceptions.CouldNotAsk: Heat did not, or could not.
    """
    _mark(group, held, True, held.reason or 'it was failed before the group was changed')


def mark_unhealthy(group: Any, member: str, reason: str) -> None:
    """Mark a member as failed, which Heat's own scaling removes before others.

    :raises exceptions.CouldNotAsk: Heat did not, or could not.
    """
    identity = tuple((k, str(v)) for k, v in sorted(dict(group.nested_identifier()).items()))
    _mark(group, model.MaskedFailure(member, identity, member, reason), True, reason)


def _mark(group: Any, held: model.MaskedFailure, unhealthy: bool, reason: str) -> None:
    try:
        group.rpc_client().resource_mark_unhealthy(
            group.context, dict(held.stack), held.resource, unhealthy, reason
        )
    except Exception as exc:
        if type(exc).__name__.startswith(('ResourceNotFound', 'EntityNotFound')):
            return
        raise exceptions.CouldNotAsk(
            'heat', f'a mark on {held.resource} of member {held.member}', str(exc)
        ) from exc


def _would_be_replaced(row: Row, member: Row, parts: list[Row], victims: Sequence[str]) -> bool:
    if row[rpc_api.RES_STATUS] != 'FAILED' or row[rpc_api.RES_ACTION] == 'DELETE':
        return False
    if rpc_api.RES_NESTED_STACK_ID in row:
        # Heat updates a failed nested stack in place, unless a person marked it as a whole.
        inner = row[rpc_api.RES_NESTED_STACK_ID]['stack_id']
        cause = [p for p in parts if _is_failed(p) and _stack_of(p) == inner]
        return row[rpc_api.RES_ACTION] == 'CHECK' and not cause
    if row[rpc_api.RES_ACTION] == 'CHECK':
        return True
    is_never_created_member = row is member and not row[rpc_api.RES_PHYSICAL_ID]
    return member[rpc_api.RES_NAME] in victims and not is_never_created_member


def _rows(group: Any) -> list[Row]:
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


def _members(group: Any, rows: list[Row]) -> Iterator[tuple[Row, list[Row]]]:
    """Go through the members, each with the rows of all that is nested in it."""
    in_stack: dict[str, list[Row]] = {}
    for row in rows:
        in_stack.setdefault(_stack_of(row), []).append(row)

    def parts(row: Row) -> Iterator[Row]:
        nested = row.get(rpc_api.RES_NESTED_STACK_ID)
        for part in in_stack.get(nested['stack_id'], ()) if nested else ():
            yield part
            yield from parts(part)

    for row in in_stack.get(group.resource_id, ()):
        yield row, list(parts(row))


def _as_group(group: Any, rows: list[Row], is_in_progress: bool, reason: str) -> model.Group:
    held = group_store.masked_failures(group)
    is_server = functools.cache(functools.partial(_is_server, group))
    members, being_deleted = [], []
    for row, parts in _members(group, rows):
        servers = tuple(
            r[rpc_api.RES_PHYSICAL_ID]
            for r in (row, *parts)
            if r[rpc_api.RES_PHYSICAL_ID] and is_server(r[rpc_api.RES_TYPE])
        )
        failed = next((r for r in (row, *parts) if _is_failed(r)), None)
        hidden = next((h for h in held if h.member == row[rpc_api.RES_NAME]), None)
        member = model.Member(
            name=row[rpc_api.RES_NAME],
            reference=row[rpc_api.RES_PHYSICAL_ID] or None,
            servers=servers,
            created_at=row[rpc_api.RES_CREATION_TIME],
            is_failed=failed is not None or hidden is not None,
            is_in_progress=row[rpc_api.RES_STATUS] == 'IN_PROGRESS'
            or row[rpc_api.RES_ACTION] == 'INIT',
            reason=(failed[rpc_api.RES_STATUS_DATA] or '')
            if failed is not None
            else (hidden.reason if hidden else ''),
            update_failed=hidden is None and _update_failed((row, *parts)),
        )
        if row[rpc_api.RES_ACTION] != 'DELETE':
            members.append(member)
        elif row[rpc_api.RES_STATUS] != 'COMPLETE':
            being_deleted.append(
                dataclasses.replace(member, reason=row[rpc_api.RES_STATUS_DATA] or '')
            )
    return model.Group(
        name=group.name,
        members=tuple(sorted(members, key=lambda m: (not m.is_failed, m.created_at, m.name))),
        being_deleted=tuple(being_deleted)
        + _forgotten(group, {m.name for m in members + being_deleted}),
        is_in_progress=is_in_progress,
        reason=reason,
    )


def _as_known(
    group: Any, found: Iterable[Any], known: Mapping[str, str], digest: str
) -> model.Group:
    """The members as they were, all of them well, each with its one server."""
    members = [
        model.Member(
            name=row.name,
            reference=row.physical_resource_id,
            servers=(known[row.name],),
            created_at=timeutils.isotime(row.created_at),
            is_failed=False,
        )
        for row in found
        if row.stack_id == group.resource_id
    ]
    members.sort(key=lambda m: (m.created_at, m.name))
    return model.Group(group.name, tuple(members), rows=digest)


def _forgotten(group: Any, known: set[str]) -> tuple[model.Member, ...]:
    """Find former members that Heat keeps without listing them.

    That are those whose template is gone, and those that Heat replaced under the same name
    after an engine had died in their creation: it deletes the latter at the next update only.
    """
    rows = resource_object.Resource.get_all_active_by_stack(group.context, group.resource_id)
    return tuple(
        model.Member(
            name=row.name,
            reference=row.physical_resource_id,
            servers=(),
            created_at='',
            is_failed=row.status == group.FAILED,
            is_in_progress=row.status == group.IN_PROGRESS,
            reason=row.status_reason or '',
        )
        for row in (rows or {}).values()
        if row.name not in known or row.replaced_by is not None
    )


def _is_failed(row: Row) -> bool:
    return bool(row[rpc_api.RES_STATUS] == 'FAILED' and row[rpc_api.RES_ACTION] != 'DELETE')


def _update_failed(rows: Sequence[Row]) -> bool:
    unfit = [r[rpc_api.RES_ACTION] for r in rows if r[rpc_api.RES_STATUS] != 'COMPLETE']
    return bool(unfit) and set(unfit) == {'UPDATE'}


def _stack_of(row: Row) -> str:
    return str(row[rpc_api.RES_STACK_ID]['stack_id'])


def _is_server(group: Any, resource_type: str) -> bool:
    if resource_type in SERVER_TYPES:
        return True
    try:
        kind = group.stack.env.get_class_to_instantiate(resource_type)
    except heat_exception.HeatException:
        # The environment of a nested stack may know types that the parent's does not.
        return False
    return issubclass(kind, server.Server | instance.Instance)


def _nested_status(group: Any) -> tuple[str, str]:
    try:
        action, status, reason, _updated = stack_object.Stack.get_status(
            group.context, group.resource_id
        )
    except heat_exception.NotFound as exc:
        raise exceptions.Refused(
            f'the nested stack of group {group.name} is gone', 'Update the stack of the group'
        ) from exc
    if action == group.DELETE:
        # Heat keeps the row of a deleted stack.
        raise exceptions.Refused(f'group {group.name} is being deleted')
    return status, reason or ''


def _is_unlocked(group: Any) -> bool:
    """Whether the engine that changed a stack without convergence has let it go."""
    if group.stack.convergence:
        return True
    return stack_lock_object.StackLock.get_engine_id(group.context, group.resource_id) is None


def _template(group: Any, add: Sequence[str], remove: Sequence[str]) -> template.Template:
    try:
        old = template.Template(
            group.rpc_client().get_template(group.context, dict(group.nested_identifier()))
        )
    except Exception as exc:
        raise exceptions.CouldNotAsk('heat', f'the template of {group.name}', str(exc)) from exc
    definitions = {
        name: defn for name, defn in old.resource_definitions(None).items() if name not in remove
    }
    for name in add:
        if name not in definitions:
            definitions[name] = group._get_resource_definition()
    new = scaling_template.make_template(
        definitions.items(),
        version=old.version,
        child_env=environment.get_child_environment(
            group.stack.env, group.child_params(), item_to_remove=group.resource_info
        ),
    )
    get_attr = functools.partial(new.functions['get_attr'], None, 'get_attr')
    get_resource = functools.partial(new.functions['get_resource'], None, 'get_resource')
    for output in group._nested_output_defns(list(definitions), get_attr, get_resource):
        new.add_output(output)
    return new
