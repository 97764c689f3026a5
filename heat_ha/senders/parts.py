# SPDX-License-Identifier: Apache-2.0
"""Parts of bodies that several senders have: lists of objects, texts, names of servers."""

import collections.abc
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

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
SURER_ID_KEYS = ('uuid', 'resource')
ID_KEYS = (*SURER_ID_KEYS, 'id')

# What a guest may be called in them, the surest first. Just as often it is somebody else.
HOST_KEYS = ('server', 'vm', 'vm_name', 'hostname', 'host_name', 'nodename', 'node', 'host')

# What was looked at, in labels.
_TARGET_KEYS = ('url', 'target', 'destination')

# How senders write that a flag is set, and that it is not.
_SET = ('true', 't', 'yes', 'y', 'on', '1', 'active', 'enabled')
_NOT_SET = (
    'false', 'f', 'no', 'n', 'off', '0', '', 'none', 'null', 'n/a', 'na', 'inactive', 'disabled',
)  # fmt: skip

_ID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', re.IGNORECASE)


_SPELLED_SERVER_KEYS = {key.replace('_', '') for key in SERVER_KEYS}


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


def spelled(key: object) -> str:
    """Return a key as it is compared: ``serverId`` and ``Server-ID`` mean ``server_id``."""
    return ''.join(character for character in str(key).lower() if character.isalnum())


def server(names: Body, keys: Sequence[str] = SERVER_KEYS) -> str | None:
    """Return the server that labels name, None if they name none. An empty label is no label.

    :raises exceptions.Refused: the name is not a text, or longer than any name, or several keys
        that are only spelled differently have different names.
    """
    for key, value in _said(names, keys):
        if not isinstance(value, str) and key in keys:
            raise exceptions.Refused(f'{key} is a {quoting.kind(value)}', 'Send a text')
        if not isinstance(value, str):
            # In another spelling it may be something of the sender's own.
            continue
        return quoting.within_length(value.strip(), key) or None
    return None


def identified(names: Body, keys: Sequence[str] = ID_KEYS) -> str | None:
    """Return the server that a key names only where it has an id, None without one."""
    for key, value in _said(names, keys):
        if isinstance(value, str) and _ID.fullmatch(value.strip()):
            return quoting.within_length(value.strip(), key)
    return None


def labelled(labels: Body) -> str | None:
    """Return the server that labels name, as ``server`` and by ``ID_KEYS``.

    An object under ``resource`` has labels as well.
    """
    inner = resource(labels)
    return (
        server(labels)
        or server(inner)
        or identified(labels, SURER_ID_KEYS)
        or identified(inner)
        or identified(labels)
    )


class Named(NamedTuple):
    """What labels name: a server, else perhaps a host."""

    member: str | None = None
    host: str | None = None


def named(*labels: Body) -> Named:
    """Return the server that labels name, else what they say of a host; the first ones decide."""
    if (found := next((one for of in labels if (one := labelled(of))), None)) is not None:
        return Named(found)
    # Beside what was looked at, the host is the one that has looked.
    own = [of for of in labels if not _has_target(of)]
    return Named(host=next((one for of in own if (one := host(of))), None))


def _has_target(labels: Body) -> bool:
    return any(spelled(key) in _TARGET_KEYS and host_name(labels[key]) for key in labels)


def named_beside(body: Body) -> Named:
    """Return what a body names that has more than labels: an id may be that of the event there."""
    found = server(body)
    return Named(found) if found is not None else Named(host=host(body) or identified(body))


def host(names: Body) -> str | None:
    """Return what may be the name or the address of a guest. It is no fault if there is none."""
    for key in HOST_KEYS:
        for sent, value in names.items():
            if spelled(sent) == spelled(key) and (found := host_name(value)) is not None:
                return found
    return None


def host_name(value: object) -> str | None:
    """Return a text that may be the name or the address of a host, else None."""
    text = value.strip() if isinstance(value, str) else ''
    return text if 0 < len(text) <= quoting.MAX_NAME_LENGTH else None


def resource(of: Body) -> Body:
    """Return the object under ``resource``, {} where there is none."""
    return next((mapping(value) for key, value in of.items() if spelled(key) == 'resource'), {})


def labels_of(value: object) -> Body:
    """Return labels: an object, or a list of texts such as ``server_id:ID``; {} without any.

    :raises exceptions.Refused: a list names several servers under one key.
    """
    if not isinstance(value, list):
        return mapping(value)
    found: dict[str, str] = {}
    for key, colon, said in (one.partition(':') for one in value if isinstance(one, str)):
        if not colon:
            continue
        if found.setdefault(key, said) != said and spelled(key) in _SPELLED_SERVER_KEYS:
            raise exceptions.Refused(
                f'{quoting.shown(key)} is there twice', 'Send the labels of one server'
            )
    return found


def tags(of: Body) -> Body:
    """Return the tags of something."""
    return labels_of(of.get('tags'))


def _said(names: Body, keys: Sequence[str]) -> Iterator[tuple[str, object]]:
    """Each of the keys that has something, as it was sent, and what it has.

    A key that is spelled as here is surer than any other spelling of it.
    """
    found: dict[str, list[str]] = {}
    for sent, value in names.items():
        if value is not None and value != '':
            found.setdefault(spelled(sent), []).append(sent)
    for key in keys:
        those = found.get(spelled(key), [])
        those = [key] if key in those else those
        if any(names[sent] != names[those[0]] for sent in those[1:]):
            raise exceptions.Refused(
                f'{key} is there in several spellings', 'Send the name of one server'
            )
        if those:
            yield quoting.shorten(str(those[0]), 60), names[those[0]]


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
    word = _word(value)
    if word not in _SET and word not in _NOT_SET:
        raise exceptions.Refused(f'{key} is {quoting.shown(value)}', 'Send true or false')
    return word in _SET


def counts(value: object, key: str) -> bool:
    """Whether a flag is set whose sender counts: how many downtimes there are, for example.

    :raises exceptions.Refused: as for any flag.
    """
    text = _word(value) or ''
    if text.isascii() and text.isdigit():
        return text.strip('0') != ''
    if isinstance(value, str) and text not in _SET:
        # Who has done it, or a macro that was not filled in.
        return False
    return flag(value, key)


def _word(value: object) -> str | None:
    """A text or a number as it is compared: Icinga writes 1 as 1.0."""
    if not isinstance(value, (str, int, float)):
        return None
    return str(value).strip().lower().removesuffix('.0')
