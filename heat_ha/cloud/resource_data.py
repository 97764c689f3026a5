# SPDX-License-Identifier: Apache-2.0
"""What is on record with a Heat resource: the entries of its data, and its metadata.

Heat's database holds the data apart from the resource's row, so an entry can be written while
Heat itself works on the resource. The last writer wins, unless ``compare_and_set`` writes. The
metadata are a part of the row, and are changed by compare-and-set: of two engines that write at
once, one looks again.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from heat.objects import resource as resource_object

from heat_ha import exceptions

# Heat keeps one entry in a TEXT column: 65,535 bytes in MySQL.
MAX_BYTES = 60_000


def fresh(resource: Any) -> Mapping[str, str]:
    """All entries as the database has them now; another engine may have written meanwhile.

    Several threads may ask at once: the steps of a plan do.
    """
    with _reading(resource):
        resource._data = None
        found: Mapping[str, str] = resource.data()
        return found


def forget(resource: Any) -> None:
    """Have the resource read its entries anew when it is asked for them next."""
    with _reading(resource):
        resource._data = None


def _reading(resource: Any) -> Any:
    """A lock of this object's own: what one thread reads, Heat keeps where another resets it."""
    return vars(resource).setdefault('_ha_reading', threading.RLock())


def size_of(text: str) -> int:
    """Bytes that an entry takes in the database."""
    return len(text.encode())


def check_size(text: str, subject: str, remedy: str) -> None:
    """Refuse an entry that the database's column does not hold.

    :param subject: begins the reason, verb and all: 'the plan takes'.
    :raises exceptions.Refused: it has more than ``MAX_BYTES``.
    """
    if size_of(text) > MAX_BYTES:
        raise exceptions.Refused(
            f'{subject} {size_of(text)} bytes and {MAX_BYTES} can be kept', remedy
        )


class ChangesOnly:
    """Writes entries of one resource, but not a text that this object wrote there last."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource
        self._written: dict[str, str] = {}

    def write(self, key: str, text: str) -> None:
        """Write one entry unless it was written so; durable on return."""
        if self._written.get(key) != text:
            self._resource.data_set(key, text)
            self._written[key] = text


def metadata(resource: Any) -> dict[str, Any]:
    """The resource's metadata as the database has them now."""
    return dict(resource.metadata_get(refresh=True) or {})


def change_metadata(resource: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Replace the metadata by what ``change`` makes of them, by compare-and-set.

    :param change: gets the metadata as they are, and raises to write nothing. It is called once
        more when another engine wrote in between.
    :raises exceptions.TryAgain: Heat has the row locked, and nothing was written.
    """

    def merged(_new: Any, current: Any) -> dict[str, Any]:
        # Called between a read of the row and a write that names what was read.
        refuse_if_locked(resource)
        return change(dict(current or {}))

    resource.metadata_set({}, merge_metadata=merged)


def refuse_if_locked(resource: Any) -> None:
    """Refuse to write to a resource's row that Heat has locked for something else.

    Heat would not find the row as it was, and could neither end what it does nor begin anything
    else until its engine is started again.

    :raises exceptions.TryAgain: it has.

    Source: ``Resource._store_with_lock`` of Heat, which names the row's ``atomic_key`` as it was
    when the action began; ``metadata_set`` counts it up, whoever has locked the row.
    """
    row = resource_object.Resource.get_obj(
        resource.context, resource.id, refresh=True, fields=('engine_id', 'atomic_key')
    )
    # Whoever has locked the row by this very object knows what is written by it.
    own = getattr(resource, '_calling_engine_id', None), resource._atomic_key
    if row.engine_id is not None and (row.engine_id, row.atomic_key) != own:
        raise exceptions.TryAgain(f'Heat is at work on {resource.name} itself')
