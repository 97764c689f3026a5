# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy hands over, read from and written as Heat's templates."""

import copy
from collections.abc import Mapping
from typing import Any

from heat.common import environment_format
from heat.engine import environment, function, rsrc_defn, template

from heat_ha.failover import model

ACTIVE = '%active%'
HANDOFF = 'handoff'
ATTACHMENT_TYPE = 'OS::Cinder::VolumeAttachment'
OWN_ATTACHMENT_TYPE = 'OS::Heat::HandoffVolumeAttachment'

_REFERENCES = ('get_attr', 'Fn::GetAtt')


def _is_member_reference(snippet: Mapping[str, Any], group: str) -> bool:
    """Whether a template's snippet names one member of the group by its place.

    Stock Heat ignores the index in ``[group, refs, 1]`` and gives the whole list, so what is
    meant is read from the template as written.
    """
    if len(snippet) != 1:
        return False
    ((key, args),) = snippet.items()
    if key not in _REFERENCES or not isinstance(args, list) or len(args) < 2:
        return False
    if args[0] != group or not isinstance(args[1], str):
        return False
    if args[1] in ('refs', 'refs_map'):
        return len(args) == 3
    return args[1].startswith('resource.') and args[1].count('.') == 1 and len(args) == 2


def mark_active(snippet: Any, group: str) -> Any:
    """The snippet with every reference to a member of ``group`` turned into ``%active%``."""
    if isinstance(snippet, Mapping):
        if _is_member_reference(snippet, group):
            return ACTIVE
        return {k: mark_active(v, group) for k, v in snippet.items()}
    if isinstance(snippet, list):
        return [mark_active(v, group) for v in snippet]
    return snippet


def put_active(snippet: Any, server: str) -> Any:
    """The snippet with ``%active%`` turned into the id of the active's server."""
    if isinstance(snippet, Mapping):
        return {k: put_active(v, server) for k, v in snippet.items()}
    if isinstance(snippet, (list, tuple)):
        return [put_active(v, server) for v in snippet]
    if isinstance(snippet, str):
        return snippet.replace(ACTIVE, server)
    return snippet


def mentions_active(snippet: Any) -> bool:
    """Whether ``%active%`` stands anywhere in the snippet."""
    return bool(put_active(snippet, '') != put_active(snippet, ACTIVE))


def wanted_definition(resource: Any, prop: str, group: str) -> dict[str, Any]:
    """The resource definition under the property ``prop``, resolved but for the active.

    Read from the stack's template as written, because the parent's resolved view of the group
    is of its own last action and not of now.
    """
    tmpl = resource.stack.t
    written = tmpl.t.get('resources', tmpl.t.get('Resources', {})).get(resource.name, {})
    raw = written.get('properties', written.get('Properties', {})).get(prop)
    marked = mark_active(copy.deepcopy(raw), group)
    found = function.resolve(tmpl.parse(resource.stack.defn, marked))
    return found if isinstance(found, dict) else {}


def child_environment() -> dict[str, Any]:
    """Let attachments below the policy be made by the type that takes what is attached as done.

    The quick path moves volumes by Nova and Cinder directly; the nested stack's own update then
    finds the work done instead of undoing it.
    """
    return {
        environment_format.PARAMETERS: {},
        environment_format.RESOURCE_REGISTRY: {ATTACHMENT_TYPE: OWN_ATTACHMENT_TYPE},
    }


def nested_template(resource: Any, definition: Mapping[str, Any], server: str | None) -> Any:
    """The template of the nested stack while ``server`` is the active; empty without one."""
    child_env = environment.get_child_environment(
        resource.stack.env, child_environment(), item_to_remove=resource.resource_info
    )
    tmpl = template.Template({'heat_template_version': '2016-10-14'}, env=child_env)
    if server is None or not definition:
        return tmpl
    filled = put_active(definition, server)
    tmpl.add_resource(
        rsrc_defn.ResourceDefinition(
            HANDOFF,
            filled['type'],
            filled.get('properties') or {},
            metadata=filled.get('metadata'),
            deletion_policy=filled.get('deletion_policy'),
            update_policy=filled.get('update_policy'),
        ),
        HANDOFF,
    )
    return tmpl


def attachments(nested: Any, server: str) -> tuple[model.Attachment, ...]:
    """The volumes that the nested stack, at any depth, has attached to ``server``.

    An attachment that waits for another resource which itself names the server is left out:
    the order is then Heat's to keep, so its update moves that volume.
    """
    return _attachments(nested, server, frozenset())[0]


def _attachments(
    nested: Any, server: str, before: frozenset[str]
) -> tuple[tuple[model.Attachment, ...], frozenset[str]]:
    if nested is None:
        return (), frozenset()
    found: list[model.Attachment] = []
    volumes_of: dict[str, frozenset[str]] = {}
    left_to_heat: set[str] = set()
    graph = nested.dependencies.graph()
    for res in nested.dependencies:
        needed = [r.name for r in graph[res]] if res in graph else []
        earlier = before.union(*(volumes_of.get(n, frozenset()) for n in needed))
        is_late = any(n in left_to_heat for n in needed)
        props = _properties(res)
        if res.type() in (ATTACHMENT_TYPE, OWN_ATTACHMENT_TYPE):
            volume = props.get('volume_id')
            if props.get('instance_uuid') == server and volume and not is_late:
                found.append(
                    model.Attachment(volume, props.get('mountpoint'), tuple(sorted(earlier)))
                )
                volumes_of[res.name] = frozenset({volume})
            elif is_late:
                left_to_heat.add(res.name)
            continue
        if callable(getattr(res, 'nested', None)) and res.nested() is not None:
            if is_late:
                left_to_heat.add(res.name)
                continue
            inner, _ = _attachments(res.nested(), server, frozenset(earlier))
            found.extend(inner)
            volumes_of[res.name] = frozenset(a.volume for a in inner) | earlier
            continue
        volumes_of[res.name] = earlier
        if is_late or mentions(props, server):
            left_to_heat.add(res.name)
    return tuple(found), frozenset().union(*volumes_of.values())


def mentions(snippet: Any, text: str) -> bool:
    """Whether a text stands in any value of the snippet."""
    if isinstance(snippet, Mapping):
        return any(mentions(v, text) for v in snippet.values())
    if isinstance(snippet, (list, tuple)):
        return any(mentions(v, text) for v in snippet)
    return isinstance(snippet, str) and text in snippet


def _properties(res: Any) -> dict[str, Any]:
    try:
        found = res.frozen_definition().properties(res.properties_schema, res.context)
        return {k: found[k] for k in found.props if k in found.data}
    except Exception:
        # A resource that was never made has nothing to hand over.
        return {}
