# SPDX-License-Identifier: Apache-2.0
"""Servers in the stacks that they are in, by Heat's database.

The agent runs beside the engines and has their ``heat.conf``; through Heat's API it would take a
request for each stack. ``policy_index`` and ``failover_index`` find the policies there.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy
from heat.db import models

_RESOURCE, _STACK = models.Resource.__table__, models.Stack.__table__
_TEMPLATE = models.RawTemplate.__table__


@dataclasses.dataclass(frozen=True)
class StackRow:
    """A stack; ``owner`` and ``parent_resource`` are what it is nested in, None for a root."""

    name: str
    project: str
    owner: str | None
    parent_resource: str | None
    template: int | None = None


def of_servers(
    connection: Any, servers: Collection[str], roots: Collection[str] | None = None
) -> list[Any]:
    """The rows of resources that have these ids and are not being deleted.

    Heat has no index of the ids.

    :param roots: look below these root stacks only, by an index.
    """
    query = sqlalchemy.select(
        _RESOURCE.c.name,
        _RESOURCE.c.nova_instance,
        _RESOURCE.c.stack_id,
        _RESOURCE.c.root_stack_id,
        _RESOURCE.c.current_template_id,
    ).where(_RESOURCE.c.nova_instance.in_(list(servers)), _RESOURCE.c.action != 'DELETE')
    if roots is not None:
        query = query.where(_RESOURCE.c.root_stack_id.in_(list(roots)))
    return list(connection.execute(query).all())


def stacks_of(connection: Any, roots: Collection[str]) -> dict[str, StackRow]:
    """The stacks below these roots by their ids, and the roots."""
    inner = sqlalchemy.select(_RESOURCE.c.stack_id).where(
        _RESOURCE.c.root_stack_id.in_(list(roots))
    )
    rows = connection.execute(
        sqlalchemy.select(
            _STACK.c.id, _STACK.c.name, _STACK.c.tenant, _STACK.c.owner_id,
            _STACK.c.parent_resource_name, _STACK.c.raw_template_id,
        ).where(_STACK.c.id.in_(inner.distinct()), _STACK.c.deleted_at.is_(None))
    ).all()  # fmt: skip
    return {
        r.id: StackRow(r.name, r.tenant, r.owner_id, r.parent_resource_name, r.raw_template_id)
        for r in rows
    }


def external_of(
    connection: Any, rows: Iterable[Any], stacks: Mapping[str, StackRow]
) -> set[tuple[str, str]]:
    """Which of the rows have an ``external_id`` in their template, by stack and name."""
    templates: dict[int, set[tuple[str, str]]] = {}
    for row in rows:
        # Without convergence only the stack has a template.
        stack = stacks.get(row.stack_id)
        number = row.current_template_id or (stack.template if stack is not None else None)
        if number is not None:
            templates.setdefault(number, set()).add((row.stack_id, row.name))
    found = connection.execute(
        sqlalchemy.select(_TEMPLATE.c.id, _TEMPLATE.c.template).where(
            _TEMPLATE.c.id.in_(list(templates))
        )
    ).all()
    return {
        (stack_id, name)
        for number, text in found
        for stack_id, name in templates[number]
        if _has_external_id(text, name)
    }


def _has_external_id(template: Any, name: str) -> bool:
    resources = template.get('resources') if isinstance(template, dict) else None
    definition = resources.get(name) if isinstance(resources, dict) else None
    return isinstance(definition, dict) and definition.get('external_id') is not None


def path_of(name: str, stack: str, stacks: Mapping[str, StackRow]) -> list[tuple[str, str]]:
    """The resource and what it is nested in, each with its stack, from the inside out."""
    path = [(name, stack)]
    while (inner := stacks.get(stack)) is not None and inner.owner and inner.parent_resource:
        stack = inner.owner
        path.append((inner.parent_resource, stack))
        if len(path) > 100:
            break
    return path
