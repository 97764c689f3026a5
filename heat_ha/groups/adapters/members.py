# SPDX-License-Identifier: Apache-2.0
"""A scaling group's members, read from Heat.

The members of a group are the resources of a nested stack. ``look`` reads them in one request.
"""

import dataclasses
import functools
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from heat.common import exception as heat_exception
from heat.common import timeutils
from heat.engine.resources.openstack.heat import autoscaling_group
from heat.objects import stack as stack_object
from heat.rpc import api as rpc_api

from heat_ha import exceptions
from heat_ha.cloud import heat_db
from heat_ha.groups import model
from heat_ha.groups.adapters import resource_rows, work_under_way
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.adapters.resource_rows import Row


def is_group(resource: Any) -> bool:
    """Whether the resource is an OS::Heat::AutoScalingGroup, or made to be one."""
    return isinstance(resource, autoscaling_group.AutoScalingResourceGroup)


def look(
    group: Any, known: Mapping[str, str] = types.MappingProxyType({}), known_rows: str = ''
) -> model.Group:
    """Read the group's members with all that is nested in them.

    An engine has to load all of their templates to list them, which takes the most of the time
    until a failover's first step. So they are listed only when Heat's database has anything else
    than when they were listed last, by the caller's record or with this very group.

    :param known: the server of each member at an earlier look.
    :param known_rows: what that look gave as ``rows``.
    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    if group.resource_id is None:
        return model.Group(group.name, ())
    with heat_db.reading(group.context):
        status, reason = nested_status(group)
        found = list(heat_db.below(group.context, group.resource_id))
        digest = heat_db.digest(found)
        listed: model.Group | None = getattr(group, '_ha_listed', None)
        if listed is not None and listed.rows != digest:
            listed = None
        is_known = status == group.COMPLETE and (listed is not None or digest == known_rows)
        if is_known and not group_store.masked_failures(group):
            return listed or _as_known(group, found, known, digest)
    seen = _as_group(group, resource_rows.of_group(group), status, reason)
    is_well = status == group.COMPLETE and not seen.being_deleted
    is_plain = all(m.is_in_service and len(m.servers) == 1 for m in seen.members)
    seen = dataclasses.replace(seen, rows=digest if is_well and is_plain else '')
    group._ha_listed = seen
    return seen


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


def nested_status(group: Any) -> tuple[str, str]:
    """The status of the nested stack that holds the members, and the reason for it.

    :raises exceptions.Refused: there is no such stack any more.
    """
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


def _as_group(group: Any, rows: list[Row], status: str, reason: str) -> model.Group:
    masked = {m.member: m for m in reversed(group_store.masked_failures(group))}
    is_server = functools.cache(functools.partial(resource_rows.is_server, group))
    # After what Heat lists, so that no deletion that has ended by then looks as if nobody did it.
    shown = work_under_way.read(group)
    running = work_under_way.being_deleted(group.context, shown.rows)
    members, being_deleted = [], []
    for row, parts in resource_rows.by_member(group, rows):
        servers = tuple(
            r[rpc_api.RES_PHYSICAL_ID]
            for r in (row, *parts)
            if r[rpc_api.RES_PHYSICAL_ID] and is_server(r[rpc_api.RES_TYPE])
        )
        member = _as_member(row, parts, servers, masked.get(row[rpc_api.RES_NAME]))
        if row[rpc_api.RES_ACTION] != 'DELETE':
            members.append(member)
        elif row[rpc_api.RES_STATUS] != 'COMPLETE':
            being_deleted.append(
                dataclasses.replace(
                    member,
                    reason=row[rpc_api.RES_STATUS_DATA] or '',
                    is_failed=row[rpc_api.RES_STATUS] == 'FAILED',
                    is_in_progress=member.name in running,
                )
            )
    unlisted = _unlisted(group, shown.rows, {m.name for m in members + being_deleted}, running)
    return model.Group(
        name=group.name,
        members=tuple(sorted(members, key=lambda m: (not m.is_failed, m.created_at, m.name))),
        being_deleted=(*being_deleted, *unlisted),
        is_in_progress=status == group.IN_PROGRESS,
        reason=reason,
        at_work=work_under_way.names(group.context, shown, {m.name for m in members}),
    )


def _as_member(
    row: Row, parts: list[Row], servers: tuple[str, ...], masked: model.MaskedFailure | None
) -> model.Member:
    """The member of a row. A masked failure counts as one, though Heat shows it as healthy."""
    failed = next((r for r in (row, *parts) if resource_rows.is_failed(r)), None)
    if failed is not None:
        reason = failed[rpc_api.RES_STATUS_DATA] or ''
    else:
        reason = masked.reason if masked else ''
    is_in_progress = row[rpc_api.RES_STATUS] == 'IN_PROGRESS'
    return model.Member(
        name=row[rpc_api.RES_NAME],
        reference=row[rpc_api.RES_PHYSICAL_ID] or None,
        servers=servers,
        created_at=row[rpc_api.RES_CREATION_TIME],
        is_failed=failed is not None or masked is not None,
        is_in_progress=is_in_progress or row[rpc_api.RES_ACTION] == 'INIT',
        reason=reason,
        update_failed=masked is None and _update_failed((row, *parts)),
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


def _unlisted(
    group: Any, found: Iterable[Any], known: set[str], running: Collection[str]
) -> tuple[model.Member, ...]:
    """Find former members that Heat keeps without listing them.

    Their template is gone; or Heat replaced them under the same name, after an engine had died
    in their creation, and deletes them only at the next update.

    :param running: the names of those that an engine deletes now.
    """
    return tuple(
        model.Member(
            name=row.name,
            reference=row.physical_resource_id,
            servers=(),
            created_at='',
            is_failed=row.status == group.FAILED,
            is_in_progress=row.name in running,
            reason=row.status_reason or '',
        )
        for row in found
        if row.name not in known or row.replaced_by is not None
    )


def _update_failed(rows: Sequence[Row]) -> bool:
    unfit = [r[rpc_api.RES_ACTION] for r in rows if r[rpc_api.RES_STATUS] != 'COMPLETE']
    return bool(unfit) and set(unfit) == {'UPDATE'}
