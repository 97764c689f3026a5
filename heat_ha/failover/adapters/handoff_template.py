# SPDX-License-Identifier: Apache-2.0
"""What a FailoverPolicy hands over, read from and written as Heat's templates."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from heat.common import environment_format
from heat.engine import environment, function, rsrc_defn, template

from heat_ha.failover import model
from heat_ha.failover.handoff import drivers

ACTIVE = '%active%'
HANDOFF = 'handoff'
ASSOCIATION_TYPE = 'OS::Neutron::FloatingIPAssociation'
OWN_ASSOCIATION_TYPE = 'OS::Heat::HandoffFloatingIPAssociation'

# Types without a driver whose update asks the host of the old active for something, each with the
# properties that have the thing and the server.
_BY_HOST = {'OS::Heat::PortAttachment': ('port', 'server')}

_REFERENCES = ('get_attr', 'Fn::GetAtt')

# %active.port%, %active.networks.private.0%: an attribute of the active member, by its path.
_OF_ACTIVE = re.compile(r'%active\.([A-Za-z0-9_:-]+(?:\.[A-Za-z0-9_:-]+)*)%')

Attribute = Callable[[str], Any]


def _member_reference(snippet: Mapping[str, Any], group: str) -> str | None:
    """What stands for a snippet that names one member of the group by its place, or None.

    Stock Heat ignores the index in ``[group, refs, 1]`` and gives the whole list, so what is
    meant is read from the template as written.
    """
    if len(snippet) != 1:
        return None
    ((key, args),) = snippet.items()
    if key not in _REFERENCES or not isinstance(args, list) or len(args) < 2:
        return None
    if args[0] != group or not isinstance(args[1], str):
        return None
    if args[1] in ('refs', 'refs_map'):
        return ACTIVE if len(args) == 3 else None
    kind, _, rest = args[1].partition('.')
    place, _, attribute = rest.partition('.')
    if kind != 'resource' or not place:
        return None
    path = [attribute] * bool(attribute) + [str(a) for a in args[2:]]
    return f'%active.{".".join(path)}%' if path else ACTIVE


def mark_active(snippet: Any, group: str) -> Any:
    """The snippet with every reference to a member of ``group`` turned into ``%active%``."""
    if isinstance(snippet, Mapping):
        reference = _member_reference(snippet, group)
        if reference is not None:
            return reference
        return {k: mark_active(v, group) for k, v in snippet.items()}
    if isinstance(snippet, list):
        return [mark_active(v, group) for v in snippet]
    return snippet


def put_active(snippet: Any, server: str, attribute: Attribute | None = None) -> Any:
    """The snippet with ``%active%`` turned into the id of the active's server.

    :param attribute: gives the value of ``%active.PATH%`` for a path; without it they stay.
    """
    if isinstance(snippet, Mapping):
        return {k: put_active(v, server, attribute) for k, v in snippet.items()}
    if isinstance(snippet, (list, tuple)):
        return [put_active(v, server, attribute) for v in snippet]
    if not isinstance(snippet, str):
        return snippet
    if attribute is not None:
        whole = _OF_ACTIVE.fullmatch(snippet)
        if whole:
            # A list or a map stays what it is.
            return attribute(whole[1])
        snippet = _OF_ACTIVE.sub(lambda found: str(attribute(found[1])), snippet)
    return snippet.replace(ACTIVE, server)


def _texts(snippet: Any) -> Iterator[str]:
    if isinstance(snippet, Mapping):
        snippet = list(snippet.values())
    if isinstance(snippet, (list, tuple)):
        for one in snippet:
            yield from _texts(one)
    elif isinstance(snippet, str):
        yield snippet


def active_attributes(snippet: Any) -> frozenset[str]:
    """The paths of all ``%active.PATH%`` in the snippet."""
    return frozenset(path for text in _texts(snippet) for path in _OF_ACTIVE.findall(text))


def mentions_active(snippet: Any) -> bool:
    """Whether ``%active%``, or an attribute of the active, stands anywhere in the snippet."""
    return any(ACTIVE in text for text in _texts(snippet)) or bool(active_attributes(snippet))


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
    """Let what is connected below the policy be made by types of ours.

    The quick path moves volumes by Nova and Cinder directly; the nested stack's own update then
    finds the work done instead of undoing it. And what failed once is mended where it is.
    """
    return {
        environment_format.PARAMETERS: {},
        environment_format.RESOURCE_REGISTRY: {
            **drivers.stand_ins(),
            ASSOCIATION_TYPE: OWN_ASSOCIATION_TYPE,
        },
    }


def nested_template(
    resource: Any,
    definition: Mapping[str, Any],
    server: str | None,
    attribute: Attribute | None = None,
) -> Any:
    """The template of the nested stack while ``server`` is the active; empty without one."""
    child_env = environment.get_child_environment(
        resource.stack.env, child_environment(), item_to_remove=resource.resource_info
    )
    tmpl = template.Template({'heat_template_version': '2016-10-14'}, env=child_env)
    if server is None or not definition:
        return tmpl
    filled = put_active(definition, server, attribute)
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


def attachments(
    nested: Any, servers: frozenset[str], of_active: frozenset[str] = frozenset()
) -> tuple[model.Attachment, ...]:
    """The things that the nested stack, at any depth, has attached to one of ``servers``.

    More than one are given while a failover is not over: part of the nested stack may be with the
    new active already.

    An attachment that waits for another resource which itself names the server, or another
    thing of the active, is left out: the order is then Heat's to keep, so its update moves
    that thing.

    :param of_active: the values that stand for attributes of the active, such as its port.
    """
    return _attachments(nested, servers, of_active, frozenset())[0]


def _attachments(
    nested: Any, servers: frozenset[str], of_active: frozenset[str], before: frozenset[str]
) -> tuple[tuple[model.Attachment, ...], frozenset[str]]:
    if nested is None:
        return (), frozenset()
    found: list[model.Attachment] = []
    things_of: dict[str, frozenset[str]] = {}
    left_to_heat: set[str] = set()
    graph = nested.dependencies.graph()
    for res in nested.dependencies:
        needed = [r.name for r in graph[res]] if res in graph else []
        earlier = before.union(*(things_of.get(n, frozenset()) for n in needed))
        is_late = any(n in left_to_heat for n in needed)
        props = _properties(res)
        handler = drivers.of_type(res.type())
        if handler is not None:
            target, holder, detail = (props.get(name) for name in handler.properties)
            if holder in servers and target and not is_late:
                found.append(
                    model.Attachment(target, detail, tuple(sorted(earlier)), handler.thing)
                )
                things_of[res.name] = frozenset({target})
            elif is_late:
                left_to_heat.add(res.name)
            continue
        if callable(getattr(res, 'nested', None)) and res.nested() is not None:
            if is_late:
                left_to_heat.add(res.name)
                continue
            inner, _ = _attachments(res.nested(), servers, of_active, frozenset(earlier))
            found.extend(inner)
            things_of[res.name] = frozenset(a.target for a in inner) | earlier
            continue
        things_of[res.name] = earlier
        if is_late or any(mentions(props, text) for text in (*servers, *of_active)):
            left_to_heat.add(res.name)
    return tuple(found), frozenset().union(*things_of.values())


def things(nested: Any) -> tuple[tuple[model.ThingKind, str], ...]:
    """Each thing that the nested stack connects to any server, at any depth: its kind and id."""
    found: list[tuple[model.ThingKind, str]] = []
    for res in nested.values() if nested is not None else ():
        handler = drivers.of_type(res.type())
        if handler is not None:
            target = _properties(res).get(handler.properties[0])
            found += [(handler.thing, target)] if target else []
        elif callable(getattr(res, 'nested', None)):
            found += things(res.nested())
    return tuple(found)


def is_taken_by_host(kind: str | None) -> bool:
    """Whether things of a type are given up by the old active's host, and are no volumes."""
    return kind in _BY_HOST


def has_more(nested: Any, texts: frozenset[str], moved: frozenset[str]) -> bool:
    """Whether something but the things in ``moved`` hangs on the active in the nested stack.

    :param texts: the id of the active's server and the values of its attributes.
    """
    if nested is None:
        return False
    for res in nested.dependencies:
        if callable(getattr(res, 'nested', None)) and res.nested() is not None:
            if has_more(res.nested(), texts, moved):
                return True
            continue
        props = _properties(res)
        handler = drivers.of_type(res.type())
        if handler is not None and props.get(handler.properties[0]) in moved:
            continue
        if any(mentions(props, text) for text in texts):
            return True
    return False


def asks_host(nested: Any, servers: frozenset[str], moved: frozenset[str]) -> bool:
    """Whether an update of the nested stack takes something from one of the servers by its host.

    :param moved: the ids of the things that are taken on the quick path before.
    """
    if nested is None or not servers:
        return False
    for res in nested.dependencies:
        kind = res.type()
        handler = drivers.of_type(kind)
        if handler is not None or kind in _BY_HOST:
            thing, holder = handler.properties[:2] if handler is not None else _BY_HOST[kind]
            props = _properties(res)
            if props.get(holder) in servers and props.get(thing) not in moved:
                return True
        elif callable(getattr(res, 'nested', None)) and asks_host(res.nested(), servers, moved):
            return True
    return False


def others(
    nested: Any, holders: Mapping[str, str], moved: frozenset[str], path: str = ''
) -> dict[str, frozenset[str] | None]:
    """Where everything is that the nested stack gives to a member, but for what drivers hand over.

    :param holders: the server that stands behind a text: its own id, or an attribute's value.
    :param moved: the ids of what drivers hand over.
    :returns: for each resource, by its type and path, the servers that it was given to last; None
        where that did not come to its end.
    """
    found: dict[str, frozenset[str] | None] = {}
    for res in nested.values() if nested is not None else ():
        name = f'{path}{res.name}'
        if callable(getattr(res, 'nested', None)) and res.nested() is not None:
            found |= others(res.nested(), holders, moved, f'{name}.')
            continue
        props = _properties(res)
        handler = drivers.of_type(res.type())
        if handler is not None and props.get(handler.properties[0]) in moved:
            continue
        servers = frozenset(holders[text] for text in _texts(props) if text in holders)
        if res.action == res.INIT or res.status != res.COMPLETE:
            found[f'{res.type()} {name}'] = None
        elif servers:
            found[f'{res.type()} {name}'] = servers
    return found


def mentions(snippet: Any, text: str) -> bool:
    """Whether a text stands in any value of the snippet."""
    return any(text in found for found in _texts(snippet))


def _properties(res: Any) -> dict[str, Any]:
    try:
        found = res.frozen_definition().properties(res.properties_schema, res.context)
        return {k: found[k] for k in found.props if k in found.data}
    except Exception:
        # A resource that was never made has nothing to hand over.
        return {}
