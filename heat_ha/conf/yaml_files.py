# SPDX-License-Identifier: Apache-2.0
"""Reading YAML files that options name, strictly."""

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads what is not in quotes as it is written.

    By the rules of YAML 1.1, 010 is 8, 1:2 is 62, 2_1 is 21 and off is false: an outlet of that
    name would be another one. So only what nobody can mean otherwise is a number or a boolean here.
    A key that is there twice is refused: the first one would be lost without a word. What ``<<``
    merges is there to be overridden.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}


# By kind of value, how it looks, and with what it begins.
_KINDS = {
    'bool': ('true|True|TRUE|false|False|FALSE', 'tTfF'),
    'int': ('-?(0|[1-9][0-9]*)', '-0123456789'),
    'float': (r'-?(0|[1-9][0-9]*)\.[0-9]+', '-0123456789'),
    'null': ('~|null|Null|NULL|', ['~', 'n', 'N', '']),
    'merge': ('<<', '<'),
}

_MERGE = 'tag:yaml.org,2002:merge'

for _kind, (_form, _first) in _KINDS.items():
    _Loader.add_implicit_resolver(
        f'tag:yaml.org,2002:{_kind}', re.compile(f'^(?:{_form})$'), list(_first)
    )


def load(text: str) -> Any:
    """Read the text of a file.

    :raises yaml.YAMLError: it is not valid, or has a key twice. Odd keys raise TypeError and
        ValueError.
    """
    return yaml.load(text, _Loader)


def _map(loader: Any, node: Any) -> dict[Any, Any]:
    keys = [
        key.value if key.tag == _MERGE else loader.construct_object(key, deep=True)
        for key, _value in node.value
    ]
    if doubled := [key for key in keys if keys.count(key) > 1]:
        raise yaml.constructor.ConstructorError(
            None, None, f'the key {doubled[0]!r} is there twice', node.start_mark
        )
    loader.flatten_mapping(node)
    made: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return made


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _map)
