# SPDX-License-Identifier: Apache-2.0
"""Parts of bodies that several senders have: lists of objects, texts, names of servers."""

import collections.abc
import re
from collections.abc import Callable, Sequence

from heat_ha import exceptions, quoting
from heat_ha.senders.model import Body

# Where labels, tags and the bodies that an operator writes may name the server, the surest first.
# Not ``instance``: in Prometheus that is the address of an exporter, which may run elsewhere.
SERVER_KEYS = (
    'server_id', 'instance_id', 'resource_id', 'member',
    # The exporters of Nova, libvirt and Ceilometer.
    'server_uuid', 'instance_uuid', 'vm_uuid', 'vm_id', 'vm_instance', 'server_name',
    'instance_name',
)  # fmt: skip

# They name a server only where they have an id: exporters also have others under these names.
ID_KEYS = ('uuid', 'resource', 'id')

# How senders write that a flag is set, and that it is not.
_SET = ('true', 't', 'yes', 'y', 'on', '1', 'active', 'enabled')
_NOT_SET = (
    'false', 'f', 'no', 'n', 'off', '0', '', 'none', 'null', 'n/a', 'na', 'inactive', 'disabled',
)  # fmt: skip

_ID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', re.IGNORECASE)


def objects(value: object, key: str) -> list[Body]:
    """Return a list of JSON objects.

    :raises exceptions.Refused: it is something else.
    """
    if not isinstance(value, collections.abc.Sequence) or isinstance(value, str):
        raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send a list of objects')
    return [object_of(item, f'an item of {key}') for item in value]


def object_of(value: object, key: str) -> Body:
    """Return a JSON object.

    :raises exceptions.Refused: it is something else.
    """
    if not isinstance(value, collections.abc.Mapping):
        raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send an object')
    return value


def optional(value: object, key: str) -> list[Body]:
    """Return a list of JSON objects, an empty one where there is none."""
    return [] if value is None else objects(value, key)


def mapping(value: object) -> Body:
    """Return an object that says nothing that has to be understood, {} where there is none."""
    return value if isinstance(value, collections.abc.Mapping) else {}


def server(names: Body, keys: Sequence[str] = SERVER_KEYS) -> str | None:
    """Return the server that labels name, None if they name none. An empty label is no label.

    :raises exceptions.Refused: the name is not a text, or longer than any name.
    """
    for key in keys:
        value = names.get(key)
        if value is None or value == '':
            continue
        if not isinstance(value, str):
            raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send a text')
        return quoting.within_length(value.strip(), key) or None
    return None


def labelled(labels: Body) -> str | None:
    """Return the server that the labels of a metric name, as ``server`` and by ``ID_KEYS``."""
    found = server(labels)
    ids = (labels.get(key) for key in ID_KEYS)
    return found or next((i for i in ids if isinstance(i, str) and _ID.fullmatch(i)), None)


def tags(of: Body) -> Body:
    """Return the tags of something."""
    return mapping(of.get('tags'))


def pairs(value: object) -> Body:
    """Return a list of objects with ``name`` and ``value`` as one object."""
    if not isinstance(value, collections.abc.Sequence) or isinstance(value, str):
        return {}
    found = [item for item in value if isinstance(item, collections.abc.Mapping)]
    return {i['name']: i.get('value') for i in found if isinstance(i.get('name'), str)}


def text(body: Body, *keys: str) -> str:
    """Return the first text of some, for people to read."""
    return next((found for key in keys if (found := quoting.readable(body.get(key)))), '')


def has(*keys: str) -> Callable[[Body], bool]:
    """Return what says whether a body has all of these keys."""
    return lambda body: all(body.get(key) is not None for key in keys)


def flag(value: object, key: str) -> bool:
    """Whether a flag is set, however its sender writes that.

    :raises exceptions.Refused: it is neither set nor not set. Many a key of this name has
        something else, such as how long a server was down, or the name of a check.
    """
    if value is None or value in ([], {}):
        return False
    word = str(value).strip().lower() if isinstance(value, (str, int)) else None
    if word not in _SET and word not in _NOT_SET:
        raise exceptions.Refused(f'{key} is {quoting.shown(value)}', 'Send true or false')
    return word in _SET


def counts(value: object, key: str) -> bool:
    """Whether a flag is set whose sender counts: how many downtimes there are, for example.

    :raises exceptions.Refused: as for any flag.
    """
    text = str(value).strip() if isinstance(value, (str, int)) else ''
    return (text.isascii() and text.isdigit() and int(text) > 0) or flag(value, key)
