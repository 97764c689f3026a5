# SPDX-License-Identifier: Apache-2.0
"""How a text of an unknown sender is shown to people, and which names of it are taken.

``heat_ha.signals`` and ``heat_ha.senders`` use it for what they refuse, and the policies for what
they write into events.
"""

import re

from heat_ha import exceptions

# Heat's names of resources have at most 255 characters, server ids 36.
MAX_NAME_LENGTH = 255

# The reference of a nested stack has its name, its id and the id of the project.
NESTED_REFERENCE = 'arn:openstack:heat:'
MAX_REFERENCE_LENGTH = MAX_NAME_LENGTH + 100

_SHOWN_LENGTH = 60

_ID = re.compile('-?'.join(['([0-9a-f]{8})', *['([0-9a-f]{4})'] * 3, '([0-9a-f]{12})']), re.I)


def shorten(text: str, length: int = 250) -> str:
    """Cut what an unknown sender wrote, so that it fits an event and stays on its line."""
    printable = ''.join(c if c.isprintable() else ' ' for c in text)
    return printable if len(printable) <= length else printable[: length - 1] + '…'


def shown(value: object) -> str:
    """Quote what an unknown sender wrote."""
    try:
        return shorten(repr(value), _SHOWN_LENGTH)
    except RecursionError:
        # JSON may be nested as deeply as it can just be read.
        return kind(value)


def readable(value: object) -> str:
    """Take over a text that is only shown to people; anything else becomes ''."""
    return shorten(value) if isinstance(value, str) else ''


def kind(value: object) -> str:
    """Name the JSON type of a value."""
    kinds = {
        str: 'text',
        bool: 'boolean',
        int: 'number',
        float: 'number',
        list: 'list',
        type(None): 'null',
    }
    return kinds.get(type(value), type(value).__name__)


def within_length(value: str, key: str) -> str:
    """Return a name of a member as it is, and an id as Nova and Heat write it.

    Others write ids in capitals, or without dashes.

    :raises exceptions.Refused: it is longer than any name of Heat's, naming the key.
    """
    is_reference = value.startswith(NESTED_REFERENCE)
    limit = MAX_REFERENCE_LENGTH if is_reference else MAX_NAME_LENGTH
    if len(value) > limit:
        raise exceptions.Refused(
            f'{key} has {len(value)} characters, more than {limit}',
            'Send a member name, a reference or a server id',
        )
    found = _ID.fullmatch(value)
    return '-'.join(found.groups()).lower() if found else value
