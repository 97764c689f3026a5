# SPDX-License-Identifier: Apache-2.0
"""Failed resources that are shown to Heat as healthy while their group is changed.

Heat replaces whatever is failed at each update of a stack, under the same name and all at once.
A replacement masks such failures before it changes the group and unmasks them afterwards.
"""

from collections.abc import Sequence
from typing import Any

from heat.rpc import api as rpc_api

from heat_ha import exceptions
from heat_ha.cloud import heat_db
from heat_ha.groups import model
from heat_ha.groups.adapters import resource_rows
from heat_ha.groups.adapters.resource_rows import Row

# The reason of such a mark. It is no sign of health.
MASKED = 'not to be replaced while the group is changed'


def to_mask(
    group: Any, remove: Sequence[str], victims: Sequence[str]
) -> tuple[model.MaskedFailure, ...]:
    """Find what Heat would replace by itself, under the same name, were the group changed now.

    That is whatever is marked unhealthy or failed a check, and in the victims, which are to be
    gone afterwards, whatever failed in another way.

    Most groups have nothing of the kind, which Heat's database tells without Heat listing them.

    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    with heat_db.reading(group.context):
        rows = list(heat_db.below(group.context, group.resource_id))
    if not any(row.status == 'FAILED' and row.action != 'DELETE' for row in rows):
        return ()
    found = []
    for member, parts in resource_rows.by_member(group, resource_rows.of_group(group)):
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


def replaced_by_heat(group: Any) -> frozenset[str]:
    """The names of the members that Heat gives another server at whatever change comes next.

    :raises exceptions.CouldNotAsk: Heat did not answer.
    """
    return frozenset(one.member for one in to_mask(group, (), ()))


def mask(group: Any, masked: model.MaskedFailure) -> None:
    """Show Heat a failed resource as healthy.

    :raises exceptions.CouldNotAsk: Heat did not, or could not.
    """
    # Only from CHECK_FAILED does Heat let a resource become healthy.
    _set_unhealthy(group, masked, True, masked.reason)
    _set_unhealthy(group, masked, False, MASKED)


def unmask(group: Any, masked: model.MaskedFailure) -> None:
    """Show Heat the resource as failed again.

    :raises exceptions.CouldNotAsk: Heat did not, or could not.
    """
    _set_unhealthy(
        group, masked, True, masked.reason or 'it was failed before the group was changed'
    )


def mark_unhealthy(group: Any, member: str, reason: str) -> None:
    """Mark a member as failed, which Heat's own scaling removes before others.

    :raises exceptions.CouldNotAsk: Heat did not, or could not.
    """
    identity = tuple((k, str(v)) for k, v in sorted(dict(group.nested_identifier()).items()))
    _set_unhealthy(group, model.MaskedFailure(member, identity, member, reason), True, reason)


def _set_unhealthy(group: Any, masked: model.MaskedFailure, unhealthy: bool, reason: str) -> None:
    try:
        group.rpc_client().resource_mark_unhealthy(
            group.context, dict(masked.stack), masked.resource, unhealthy, reason
        )
    except Exception as exc:
        if type(exc).__name__.startswith(('ResourceNotFound', 'EntityNotFound')):
            return
        raise exceptions.CouldNotAsk(
            'heat', f'a mark on {masked.resource} of member {masked.member}', str(exc)
        ) from exc


def _would_be_replaced(row: Row, member: Row, parts: list[Row], victims: Sequence[str]) -> bool:
    if row[rpc_api.RES_STATUS] != 'FAILED' or row[rpc_api.RES_ACTION] == 'DELETE':
        return False
    if rpc_api.RES_NESTED_STACK_ID in row:
        # Heat updates a failed nested stack in place, unless a person marked it as a whole.
        inner = row[rpc_api.RES_NESTED_STACK_ID]['stack_id']
        cause = [
            p for p in parts if resource_rows.is_failed(p) and resource_rows.stack_of(p) == inner
        ]
        return row[rpc_api.RES_ACTION] == 'CHECK' and not cause
    if row[rpc_api.RES_ACTION] == 'CHECK':
        return True
    is_uncreated_member = row is member and not row[rpc_api.RES_PHYSICAL_ID]
    return member[rpc_api.RES_NAME] in victims and not is_uncreated_member
