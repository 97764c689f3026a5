# SPDX-License-Identifier: Apache-2.0
"""Reading YAML files that options name, strictly."""

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that is there twice: the first one would be lost without a word."""


def load(text: str) -> Any:
    """Read the text of a file.

    :raises yaml.YAMLError: it is not valid, or has a key twice. Odd keys raise TypeError and
        ValueError.
    """
    return yaml.load(text, _Loader)


def _map(loader: Any, node: Any) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _value in node.value]
    if doubled := [key for key in keys if keys.count(key) > 1]:
        raise yaml.constructor.ConstructorError(
            None, None, f'the key {doubled[0]!r} is there twice', node.start_mark
        )
    loader.flatten_mapping(node)
    made: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return made


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _map)
