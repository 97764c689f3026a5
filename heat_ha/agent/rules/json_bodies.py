# SPDX-License-Identifier: Apache-2.0
"""JSON as senders post it: strictly, so that nothing in it hides anything else. Pure.

Of a key that is there twice, parsers keep the last value, and what the first one said is lost. Such
an object is kept apart, because a body may have other parts that are in order.
"""

import json

from heat_ha import exceptions, quoting


class Doubled(dict[str, object]):
    """An object in which a key is there twice; ``key`` says which one."""

    key: str = ''


def parse(raw: bytes) -> object:
    """Read a body, in UTF-8, UTF-16 or UTF-32.

    :raises exceptions.Refused: it is no JSON.
    """
    try:
        return json.loads(raw, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as exc:
        raise exceptions.Refused(
            'the body is not valid JSON', 'Send a JSON object, not compressed and not as a form'
        ) from exc


def refuse_doubled(value: object, where: str) -> None:
    """Look into all that is in a value.

    :raises exceptions.Refused: some object in it has a key twice.
    """
    rest = [value]
    while rest:
        found = rest.pop()
        if isinstance(found, Doubled):
            raise exceptions.Refused(
                f'{where} has the key {quoting.shown(found.key)} twice', 'Send each key once'
            )
        if isinstance(found, dict):
            rest.extend(found.values())
        elif isinstance(found, list):
            rest.extend(found)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = Doubled(found)
    seen: set[str] = set()
    for name, _value in pairs:
        if name in seen:
            doubled.key = name
            break
        seen.add(name)
    return doubled


def _no_number(text: str) -> float:
    """Python reads NaN and the like, which are not JSON."""
    raise ValueError(text)
