# SPDX-License-Identifier: Apache-2.0
"""The definitions that the members of a group have, which may be older than its template's.

An update that fails stops at once. The template of the group's nested stack is the new one then,
also for members that Heat had not come to, and Heat changes those at whatever is done next.
"""

from typing import Any

from heat.engine import template
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from oslo_log import log as logging

from heat_ha.cloud import heat_db

LOG = logging.getLogger(__name__)


def as_they_are(group: Any, current: template.Template) -> dict[str, Any]:
    """The ``ResourceDefinition`` of each member in the template, as the member has it.

    :param current: the template of the group's nested stack.

    A member whose update in place failed has the properties of before: with those Heat goes back to
    what is there still.

    Source: of Heat's resources, ``properties_data``, written when an update is through, and
    ``current_template_id``, the template that one was brought to last
    (``heat.engine.stack.Stack._resource_from_db_resource``). Heat without convergence has none, and
    writes each change into the template as it is made.
    """
    found = dict(current.resource_definitions(None))
    with heat_db.reading(group.context):
        newest = stack_object.Stack.get_by_id(group.context, group.resource_id)
        rows = resource_object.Resource.get_all_active_by_stack(group.context, group.resource_id)
    templates: dict[int, dict[str, Any]] = {}
    for name, row in _rows_by_name((rows or {}).values()).items():
        own = row.current_template_id
        if name not in found or own is None or newest is None:
            continue
        if own != newest.raw_template_id:
            if own not in templates:
                templates[own] = _definitions(group, own)
            found[name] = templates[own].get(name, found[name])
        if (row.action, row.status) == ('UPDATE', 'FAILED'):
            found[name] = found[name].freeze(properties=dict(row.properties_data or {}))
    return found


def files(group: Any) -> dict[str, Any]:
    """The files that came with the templates that the group's members have their definitions of.

    Heat looks for them in the parent's last template only, where a member's file may be gone.
    """
    found: dict[str, Any] = {}
    if group.resource_id is None:
        return found
    with heat_db.reading(group.context):
        newest = stack_object.Stack.get_by_id(group.context, group.resource_id)
        rows = resource_object.Resource.get_all_active_by_stack(group.context, group.resource_id)
    if newest is None:
        return found
    own = {row.current_template_id for row in (rows or {}).values()} - {None}
    for template_id in sorted(own | {newest.raw_template_id}):
        loaded = _load(group, template_id)
        if loaded is not None:
            found.update(dict(loaded.files))
    return found


def _rows_by_name(rows: Any) -> dict[str, Any]:
    """Of each member the row that Heat would go on with, where it is being replaced."""
    found: dict[str, Any] = {}
    for row in sorted(rows, key=_suitability):
        if row.action != 'DELETE':
            found[row.name] = row
    return found


def _suitability(row: Any) -> tuple[bool, bool, int]:
    # As Stack._get_best_existing_rsrc_db of Heat orders them.
    return row.status != 'FAILED', not row.replaced_by, row.id


def _definitions(group: Any, template_id: int) -> dict[str, Any]:
    loaded = _load(group, template_id)
    # Heat keeps what a resource refers to. Without it the newest template's counts.
    return {} if loaded is None else dict(loaded.resource_definitions(None))


def _load(group: Any, template_id: int) -> Any:
    try:
        return template.Template.load(group.context, template_id)
    except Exception:
        LOG.exception('%s: template %s of a member could not be read', group.name, template_id)
        return None
