# SPDX-License-Identifier: Apache-2.0
"""What a part is to hold, in a canonical form, and the revision that names it.

The revision is SHA-256 over template, files, parameters and environment, and nothing else: a
change that means nothing to the region (comments, order, files of the parent that the part does
not use) is not a new revision, and so not a request.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from heat_ha.regions.rules import spec

REGISTRY, DEFAULTS, PARAMETERS = 'resource_registry', 'parameter_defaults', 'parameters'


def of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(
        value, sort_keys=True, separators=(',', ':'), ensure_ascii=False, default=str
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def content(
    template: Mapping[str, Any],
    files: Mapping[str, str],
    parameters: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> spec.Content:
    """Build what one region is sent, with no more of the parent in it than it uses.

    :param files: all files of the parent.
    :param environment: the environment of the parent, or the one that the template gives.
    """
    declared = template.get('parameters') or template.get('Parameters') or {}
    used = _used_files(template, files, environment)
    body = {
        'template': template,
        'files': used,
        'parameters': dict(parameters),
        'environment': _used_environment(template, used, environment, declared),
    }
    return spec.Content(of(body), body)


def _used_files(
    template: Mapping[str, Any], files: Mapping[str, str], environment: Mapping[str, Any]
) -> dict[str, str]:
    """The files that the template names, and those that these name."""
    used: dict[str, str] = {}
    # A name may come from a text that is built, so it is looked for anywhere in the template.
    new = [json.dumps(template, default=str)]
    while new:
        text = new.pop()
        named = {key for key in files if key in text}
        for kind, target in (environment.get(REGISTRY) or {}).items():
            if isinstance(target, str) and target in files and kind in text:
                named.add(target)
        for key in sorted(named - set(used)):
            used[key] = files[key]
            new.append(files[key])
    return used


def _used_environment(
    template: Mapping[str, Any],
    files: Mapping[str, str],
    environment: Mapping[str, Any],
    declared: Mapping[str, Any],
) -> dict[str, Any]:
    """The mappings of types that are used, and the defaults of parameters that are declared."""
    types = set(_types(template))
    text = '\n'.join(files.values())
    registry = {
        kind: target
        for kind, target in (environment.get(REGISTRY) or {}).items()
        if isinstance(target, str) and (kind in types or kind in text)
    }
    defaults = {
        name: value
        for name, value in (environment.get(DEFAULTS) or {}).items()
        if name in declared or name in text
    }
    return {key: v for key, v in ((REGISTRY, registry), (DEFAULTS, defaults)) if v}


def _types(value: Any) -> Iterator[str]:
    """All types of resources that are named in a template, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ('type', 'Type') and isinstance(inner, str):
                yield inner
            yield from _types(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _types(inner)


def problem(
    template: Any,
    parameters: Mapping[str, Any],
    peer_inputs: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> str:
    """What is wrong with a template and its parameters, as far as it shows without a region."""
    if not isinstance(template, Mapping):
        return 'the template is not a map'
    declared = template.get('parameters') or template.get('Parameters') or {}
    unknown = sorted((set(parameters) | set(peer_inputs)) - set(declared))
    if unknown:
        known = ', '.join(sorted(declared)) or 'none'
        return f'the template has no parameter {unknown[0]}; it has: {known}'
    given = {*parameters, *peer_inputs, *(environment.get(DEFAULTS) or {})}
    given |= set(environment.get(PARAMETERS) or {})
    for name in declared:
        if name not in given and not has_default(template, name):
            return f'parameter {name} has no default and no value: give it under parameters'
    return ''


def are_parameters(there: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a stack has the parameters of a request; Heat shows their values as texts."""
    template, environment = body['template'], body['environment']
    declared = template.get('parameters') or template.get('Parameters') or {}
    given = {**(environment.get(DEFAULTS) or {}), **body['parameters']}
    for name, schema in declared.items():
        defaults = {str(k).lower(): v for k, v in schema.items()}
        if not _is_same(there.get(name), given.get(name, defaults.get('default'))):
            return False
    return True


def _is_same(shown: Any, value: Any) -> bool:
    if shown is None or value is None:
        return shown is None and value is None
    text = str(shown)
    if isinstance(value, Mapping):
        with contextlib.suppress(ValueError):
            return bool(json.loads(text) == value)
        return False
    if isinstance(value, list):
        return text == ','.join(str(v) for v in value)
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    return text == str(value)


def has_default(template: Mapping[str, Any], name: str) -> bool:
    """Whether a parameter may be left out."""
    schema = (template.get('parameters') or template.get('Parameters') or {}).get(name) or {}
    return any(str(key).lower() == 'default' for key in schema)
