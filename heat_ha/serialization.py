# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as JSON, and back: what the records of heat-ha are kept as.

Each version keeps to this: a field that is added to a record has a default, so a newer version
reads what an older one wrote. The other way round nothing is guessed: a plan of which a part is
not understood is neither carried on nor written over.

The fields of a class become the keys of an object, enums their values, tuples lists, and nested
dataclasses objects. A class whose record differs from that says so by a :class:`Form` in ``FORM``.
"""

import collections.abc
import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from heat_ha import exceptions

T = TypeVar('T')

_Convert: typing.TypeAlias = Callable[[Any], Any]

VERSION = 'version'


@dataclasses.dataclass(frozen=True)
class Form:
    """How the record of a class differs from its fields.

    :ivar keys: by name of a field, the key that stands for it on record.
    :ivar always: fields that every version has written, so that a record without one of them is
        not understood, although the class has a default for it.
    :ivar omits: fields that are not written while they have their default, so that a version
        without them reads a record that has no use for them.
    :ivar omits_defaults: no field that has its default is written.
    :ivar version: is written under the key ``version``; a record of a higher one is not read.
    """

    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    always: tuple[str, ...] = ()
    omits: tuple[str, ...] = ()
    omits_defaults: bool = False
    version: int | None = None


def encode(value: Any) -> dict[str, Any]:
    """Return the object that JSON can hold for a dataclass, its keys in the order of its fields."""
    kind: Any = type(value)
    plain: dict[str, Any] = _writer(kind)(value)
    return plain


def compact(plain: Any) -> str:
    """Return JSON without spaces and with sorted keys: the same text for the same value."""
    return json.dumps(plain, separators=(',', ':'), sort_keys=True)


def read(kind: type[T], text: str, what: str) -> T:
    """Make a value of this type of a JSON text. :raises Unreadable: see :func:`decode`."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError) as exc:
        raise exceptions.Unreadable(what, f'{type(exc).__name__}: {exc}') from exc
    return decode(kind, found, what)


def decode(kind: type[T], found: Any, what: str) -> T:
    """Make a value of this type of what ``encode`` made, by this version or by an older one.

    :param what: names it for a person.
    :raises Unreadable: a field is not known or is missing, or its value is not of its type.
    """
    try:
        value: T = _reader(typing.cast(Any, kind))(found)
    except (TypeError, ValueError) as exc:
        raise exceptions.Unreadable(what, str(exc)) from exc
    return value


def pruned(kind: Any, found: Any) -> Any:
    """Leave out the fields, at every depth, that this version does not know.

    For what is only counted: what is left must never be carried on or written.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if found is None:
        return None
    if origin in (typing.Union, types.UnionType):
        return pruned(_not_none(args), found)
    if origin is tuple and args[-1] is Ellipsis and isinstance(found, (list, tuple)):
        return [pruned(args[0], one) for one in found]
    if not dataclasses.is_dataclass(kind) or not isinstance(found, collections.abc.Mapping):
        return found
    keys = _form(kind).keys
    hints = {keys.get(field.name, field.name): hint for field, hint in _fields(kind)}
    return {key: pruned(hints[key], one) for key, one in found.items() if key in hints}


class _Unknown(ValueError):
    """What was found, with the field in which it was."""


# --- writing -------------------------------------------------------------------------------


def _as_it_is(value: Any) -> Any:
    return value


def _value_of(member: enum.Enum) -> Any:
    return member.value


# Types are looked at once: a record is written with every step of a failover.
@functools.cache
def _writer(kind: Any) -> _Convert:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(_writer(_not_none(args)))
    if origin is tuple:
        return _list_writer(args)
    if origin in (dict, collections.abc.Mapping):
        write = _writer(args[1])
        return lambda value: {key: write(one) for key, one in value.items()}
    if dataclasses.is_dataclass(kind):
        return _object_writer(kind)
    return _value_of if isinstance(kind, type) and issubclass(kind, enum.Enum) else _as_it_is


def _list_writer(args: tuple[Any, ...]) -> _Convert:
    if args[-1] is Ellipsis:
        write = _writer(args[0])
        return list if write is _as_it_is else lambda value: [write(one) for one in value]
    writers = [_writer(arg) for arg in args]
    return lambda value: [write(one) for write, one in zip(writers, value, strict=True)]


def _object_writer(kind: Any) -> _Convert:
    form = _form(kind)
    first = {} if form.version is None else {VERSION: form.version}
    fields = [
        (
            field.name,
            form.keys.get(field.name, field.name),
            _writer(hint),
            # A marker that no value is equal to.
            field.default
            if form.omits_defaults or field.name in form.omits
            else dataclasses.MISSING,
        )
        for field, hint in _fields(kind)
    ]

    def write_object(value: Any) -> dict[str, Any]:
        plain: dict[str, Any] = first.copy()
        for name, key, write, default in fields:
            found = getattr(value, name)
            if found != default:
                plain[key] = write(found)
        return plain

    return write_object


# --- reading -------------------------------------------------------------------------------


@functools.cache
def _reader(kind: Any) -> _Convert:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return _as_it_is
    if origin in (typing.Union, types.UnionType):
        return _optional(_reader(_not_none(args)))
    if origin is tuple:
        return _tuple_reader(args)
    if origin in (dict, collections.abc.Mapping):
        return _mapping_reader(args[1])
    if dataclasses.is_dataclass(kind):
        return _object_reader(kind)
    if issubclass(kind, enum.Enum):
        # Its constructor finds the member of a value.
        return typing.cast(_Convert, kind)
    if kind is str:
        return _text
    # JSON does not tell whole seconds from an integer.
    return _checked(kind, (int, float) if kind is float else (kind,))


def _text(found: Any) -> str:
    """A text; earlier versions put a null or a number of a template on record as it was."""
    if isinstance(found, bool) or not isinstance(found, (str, int, float, types.NoneType)):
        raise ValueError(f'{found!r:.40} is not a text')
    return '' if found is None else str(found)


def _checked(kind: type, accepted: tuple[type, ...]) -> _Convert:
    def check(found: Any) -> Any:
        # A bool is an int for Python, but not for JSON.
        if isinstance(found, accepted) and (kind is bool or not isinstance(found, bool)):
            return found
        raise ValueError(f'{found!r:.40} is not of type {kind.__name__}')

    return check


def _tuple_reader(args: tuple[Any, ...]) -> _Convert:
    check = _checked(list, (list, tuple))
    if args[-1] is Ellipsis:
        read_one = _reader(args[0])
        return lambda found: tuple(map(read_one, check(found)))
    readers = [_reader(arg) for arg in args]
    return lambda found: tuple(r(one) for r, one in zip(readers, check(found), strict=True))


def _mapping_reader(of: Any) -> _Convert:
    check, read_one = _checked(dict, (collections.abc.Mapping,)), _reader(of)
    return lambda found: {key: read_one(one) for key, one in check(found).items()}


def _object_reader(kind: Any) -> _Convert:
    check, form = _checked(kind, (collections.abc.Mapping,)), _form(kind)
    fields = {
        form.keys.get(field.name, field.name): (field.name, _reader(hint))
        for field, hint in _fields(kind)
    }
    required = {
        key
        for field, _hint in _fields(kind)
        if field.name in form.always
        or (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)
        for key in (form.keys.get(field.name, field.name),)
    }

    def read_object(found: Any) -> Any:
        plain = check(found)
        if form.version is not None:
            plain = _without_version(plain, form.version)
        if missing := required - plain.keys():
            raise _Unknown(f'{kind.__name__} lacks the field {min(missing)!r}')
        values = {}
        for key, one in plain.items():
            if key not in fields:
                raise _Unknown(f'{kind.__name__} has the unknown field {key!r:.80}')
            name, read_one = fields[key]
            try:
                values[name] = read_one(one)
            except _Unknown:
                raise
            except (TypeError, ValueError) as exc:
                raise _Unknown(f'{kind.__name__}.{key}: {exc}') from exc
        return kind(**values)

    return read_object


def _without_version(plain: Mapping[str, Any], newest: int) -> dict[str, Any]:
    rest = dict(plain)
    found = rest.pop(VERSION, None)
    if not isinstance(found, int) or found > newest:
        raise _Unknown(f'{VERSION} {found!r:.40}')
    return rest


# --- types ---------------------------------------------------------------------------------


def _optional(convert: _Convert) -> _Convert:
    return lambda value: None if value is None else convert(value)


def _not_none(args: tuple[Any, ...]) -> Any:
    [kind] = [arg for arg in args if arg is not types.NoneType]
    return kind


def _form(kind: Any) -> Form:
    form: Form = getattr(kind, 'FORM', Form())
    return form


def _fields(kind: Any) -> list[tuple[Any, Any]]:
    """Return the fields of a dataclass, each with its type."""
    hints = typing.get_type_hints(kind)
    return [(field, hints[field.name]) for field in dataclasses.fields(kind)]
