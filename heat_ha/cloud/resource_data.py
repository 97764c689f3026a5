# SPDX-License-Identifier: Apache-2.0
"""What is on record with a Heat resource: the entries of its data, and its metadata.

Heat's database holds the data apart from the resource's row, so an entry can be written while
Heat itself works on the resource. The last writer wins, unless ``compare_and_set`` writes. The
metadata are a part of the row, and are changed by compare-and-set: of two engines that write at
once, one looks again.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from heat.engine import resource as heat_resource
from heat.objects import resource as resource_object

from heat_ha import exceptions

# Seconds for which it is waited that Heat is done with a resource, and between two looks.
LOCKED_SECONDS, LOCKED_LOOK = 20.0, 0.5

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

    While Heat updates the resource, nothing may be written to its row: Heat would not find it as it
    was, and could neither end the update nor begin another one. So that is waited for.

    :param change: gets the metadata as they are, and raises to write nothing. It is called once
        more when another engine wrote in between.
    :raises exceptions.TryAgain: Heat goes on with the resource, and nothing was written.

    Source: ``Resource._store_with_lock`` of Heat, which names the row's ``atomic_key`` as it was
    when the action began; ``select_and_update`` counts it up.
    """
    end = time.monotonic() + LOCKED_SECONDS
    while True:
        row = resource_object.Resource.get_obj(
            resource.context, resource.id, refresh=True, fields=('engine_id',)
        )
        if row.engine_id is None or row.engine_id == _own_lock(resource):
            break
        if time.monotonic() > end:
            raise exceptions.TryAgain(f'Heat is at work on {resource.name} itself')
        time.sleep(LOCKED_LOOK)
    _write(resource, change)


def _own_lock(resource: Any) -> str | None:
    """The engine's id where this very object is the one that Heat acts on."""
    engine = getattr(resource, '_calling_engine_id', None)
    return engine if resource.status == resource.IN_PROGRESS else None


def _write(resource: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    # The type's own, for the group's comes here.
    heat_resource.Resource.metadata_set(
        resource, {}, merge_metadata=lambda _new, current: change(dict(current or {}))
    )
