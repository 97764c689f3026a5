# SPDX-License-Identifier: Apache-2.0
"""Resources of one tree of stacks that stand for the connection of a thing to a server or port.

Read from Heat's database, where the rows of what an update has replaced or taken out are until Heat
has deleted it. ``rules.succession`` says what becomes of them.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from heat.common import exception as heat_exception
from heat.engine import stack as heat_stack
from heat.engine import template
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object

from heat_ha.failover.rules import succession

# The types that connect a thing to something, and their properties with the id of either. What is
# nested in a policy has the type of the user's template on record.
VOLUME, PORT, ADDRESS = (
    ('volume_id', 'instance_uuid'),
    ('port', 'server'),
    ('floatingip_id', 'port_id'),
)
TYPES: Mapping[str, tuple[str, str]] = {
    'OS::Cinder::VolumeAttachment': VOLUME,
    'OS::Heat::HandoffVolumeAttachment': VOLUME,
    'AWS::EC2::VolumeAttachment': ('VolumeId', 'InstanceId'),
    'OS::Heat::PortAttachment': PORT,
    'OS::Neutron::FloatingIPAssociation': ADDRESS,
    'OS::Heat::HandoffFloatingIPAssociation': ADDRESS,
}


@dataclasses.dataclass(frozen=True)
class Connection:
    """One resource that connects ``thing`` to ``holder``.

    ``physical`` is its physical resource id, empty when it stands for nothing any more;
    ``is_busy`` whether an engine works on it now.
    """

    row: int
    stack: str
    name: str
    thing: str
    holder: str
    physical: str
    is_busy: bool


class Tree:
    """The resources of all stacks below one root, as they are when they are first asked for."""

    def __init__(self, context: Any, root: str) -> None:
        self._context = context
        found = resource_object.Resource.get_all_by_root_stack(context, root, None)
        self._rows = {
            row.id: row
            for row in found.values()
            if (row.action, row.status) != ('DELETE', 'COMPLETE') and row.action != 'INIT'
        }
        self._stacks: dict[str, Any] = {}
        self._newest: dict[str, dict[str, str]] = {}
        self._templates: dict[int, dict[str, str]] = {}

    def connections(self) -> Iterator[Connection]:
        """All resources that connect a thing to something."""
        for row in self._rows.values():
            given = row.properties_data or {}
            thing, holder = TYPES.get(self._kind(row), ('', ''))
            if given.get(thing) and given.get(holder):
                yield Connection(
                    row=row.id,
                    stack=row.stack_id,
                    name=row.name,
                    thing=str(given[thing]),
                    holder=str(given[holder]),
                    physical=row.physical_resource_id or '',
                    is_busy=row.engine_id is not None,
                )

    def path(self, row: int) -> list[succession.Level]:
        """The way from a resource up to the root; as far as it is known."""
        levels: list[succession.Level] = []
        found = self._rows.get(row)
        while found is not None:
            levels.append(
                succession.Level(
                    stack=found.stack_id,
                    name=found.name,
                    kind=self._kind(found),
                    wanted=self._wanted(found.stack_id).get(found.name, ''),
                )
            )
            found = self._parent(found.stack_id)
        return levels

    def _parent(self, stack_id: str) -> Any:
        """The resource whose nested stack this is."""
        stack = self._stack(stack_id)
        if stack is None or stack.owner_id is None:
            return None
        beside = [row for row in self._rows.values() if row.stack_id == stack.owner_id]
        named = [row for row in beside if row.name == stack.parent_resource_name]
        for row in beside:
            if row.physical_resource_id == stack_id:
                return row
        # Its first parts may be at work before its own row has the id of the stack.
        fresh = [row for row in named if row.physical_resource_id is None]
        return max(fresh, key=lambda row: row.id, default=None)

    def _stack(self, stack_id: str) -> Any:
        if stack_id not in self._stacks:
            self._stacks[stack_id] = stack_object.Stack.get_by_id(self._context, stack_id)
        return self._stacks[stack_id]

    def _kind(self, row: Any) -> str:
        """The type of a resource in the template that it was made or updated with last."""
        key = row.current_template_id
        if key is None:
            return ''
        if key not in self._templates:
            try:
                text = template.Template.load(self._context, key).t
            except heat_exception.NotFound:
                text = {}
            written = text.get('resources', text.get('Resources')) or {}
            self._templates[key] = {
                name: str(one.get('type', one.get('Type', ''))) for name, one in written.items()
            }
        return self._templates[key].get(row.name, '')

    def _wanted(self, stack_id: str) -> dict[str, str]:
        """The types of the resources in the newest template of a stack."""
        if stack_id not in self._newest:
            stack = heat_stack.Stack.load(self._context, stack_id=stack_id, force_reload=True)
            self._newest[stack_id] = {
                name: str(stack.defn.resource_definition(name).resource_type)
                for name in stack.defn.enabled_rsrc_names()
            }
        return self._newest[stack_id]


def set_physical(context: Any, row: int, physical: str | None) -> bool:
    """Give a resource another physical id, unless an engine works on it.

    :returns: whether it has that id now; a row that is gone has not.
    """
    try:
        found = resource_object.Resource.get_obj(context, row, refresh=True)
    except heat_exception.NotFound:
        return False
    if found.physical_resource_id == physical:
        return True
    if found.engine_id is not None or (found.action, found.status) == ('DELETE', 'COMPLETE'):
        return False
    return bool(
        found.select_and_update(
            {'physical_resource_id': physical},
            expected_engine_id=None,
            atomic_key=found.atomic_key,
        )
    )
