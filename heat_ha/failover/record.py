# SPDX-License-Identifier: Apache-2.0
"""Keep the record of a FailoverPolicy where every engine can read it.

The record and the history are two entries in the resource's data, which Heat's database holds
and which, unlike the resource's row, can be written while Heat itself works on the resource.
"""

import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from heat_ha import exceptions, serialization
from heat_ha.cloud import compare_and_set, resource_data
from heat_ha.failover import model
from heat_ha.failover.rules import room

RECORD, HISTORY, DEFINITION = 'ha_record', 'ha_history', 'ha_definition'

# When the failovers began, apart from the history: that is for people, holds what else changed
# members, and is cut by its size. How often the active may change depends on this.
FAILOVERS = 'ha_failovers'

# How many lines the history has at most, and how many times of failovers are kept (about 30 kB).
MAX_PAST, MAX_TIMES = 50, 1000


class Data(Protocol):
    """A Heat resource's data: texts under keys, in the database."""

    def data(self) -> Mapping[str, str]:
        """All entries, as they were when first asked for in this object's life."""

    def data_set(self, key: str, value: str) -> None:
        """Write one entry; it is durable on return."""


def read(resource: Any) -> model.Record:
    """The record as it is in the database now; an empty one before the first write.

    :raises Unreadable: another version wrote it.
    """
    return record_of(resource_data.fresh(resource))


def record_of(data: Mapping[str, str]) -> model.Record:
    """The record among the entries ``data``; an empty one before the first write."""
    return parsed(data.get(RECORD))


def parsed(text: str | None) -> model.Record:
    """The record as a text of it says; an empty one where there is none."""
    if text is None:
        return model.Record()
    return serialization.read(model.Record, text, 'the record of the failover')


def write(resource: Data, record: model.Record) -> None:
    """Write the first record, while the policy is made; ``held_record`` has the later writes.

    :raises Refused: it is larger than the database's column.
    """
    resource.data_set(RECORD, _text(record))


def replace(
    resource: Any, before: str | None, record: model.Record, lock: compare_and_set.Guard
) -> str:
    """Write the record in the place of the one that was read; returns the text of the new one.

    :param before: the text that was read, None for none.
    :raises Refused: it is larger than the database's column.
    :raises LostLock: another engine has written since, or has the lock.
    """
    after = _text(record)
    _put(resource, RECORD, before, after, lock)
    return after


def _put(
    resource: Any, key: str, before: str | None, after: str, lock: compare_and_set.Guard
) -> None:
    if not compare_and_set.swap(resource, key, before, after, lock):
        raise exceptions.LostLock


def check_room(record: model.Record, spare: int) -> None:
    """See that there is room for the record, and for so many more bytes, before anything is done.

    :raises Refused: there is not.
    """
    _text(record, spare)


def _text(record: model.Record, spare: int = 0) -> str:
    """The record as a text, without what can be left out where it takes too much room."""
    text = ''
    for one in room.briefer(record):
        text = serialization.compact(serialization.encode(one))
        if resource_data.size_of(text) + spare <= resource_data.MAX_BYTES:
            return text
    resource_data.check_size(
        text + ' ' * spare, 'the plan takes', 'Hand over fewer things with one policy'
    )
    return text


def read_history(resource: Any) -> list[dict[str, Any]]:
    """The failovers so far, oldest first."""
    return history_of(resource_data.fresh(resource))


def history_of(data: Mapping[str, str]) -> list[dict[str, Any]]:
    """The failovers among the entries ``data``, oldest first."""
    found: list[dict[str, Any]] = json.loads(data.get(HISTORY, '[]'))
    return found


def failover_times(data: Mapping[str, str]) -> tuple[datetime.datetime, ...]:
    """When the failovers among the entries ``data`` began, oldest first.

    Switchovers and the like do not count.
    """
    return tuple(datetime.datetime.fromisoformat(one) for one in _times_of(data))


def _times_of(data: Mapping[str, str]) -> list[str]:
    # A version before wrote them into the history only.
    in_history = {
        line['time'] for line in history_of(data) if line['cause'] == model.Cause.FAILOVER.value
    }
    counted: list[str] = json.loads(data.get(FAILOVERS, '[]'))
    return sorted(in_history.union(counted), key=datetime.datetime.fromisoformat)


def _count(
    resource: Any, data: Mapping[str, str], past: model.Past, lock: compare_and_set.Guard
) -> None:
    """Put down when a failover began, once for each, however many plans it has."""
    if past.cause != model.Cause.FAILOVER.value:
        return
    found = {*_times_of(data), past.time}
    newest = sorted(found, key=datetime.datetime.fromisoformat)[-MAX_TIMES:]
    text = json.dumps(newest, separators=(',', ':'))
    if text != data.get(FAILOVERS):
        _put(resource, FAILOVERS, data.get(FAILOVERS), text, lock)


def add_to_history(resource: Any, past: model.Past, lock: compare_and_set.Guard) -> None:
    """Append one line, or replace the plan's own; the oldest go when there are too many.

    It goes before the record of the plan's end: an engine that finds the end finds the line, and
    what an engine left between the two is ended, and reported, once more.

    :raises LostLock: another engine has the lock.
    """
    data = resource_data.fresh(resource)
    _count(resource, data, past, lock)
    new, known = serialization.encode(past), history_of(data)
    if any(line['plan_id'] == past.plan_id and line['outcome'] == 'done' for line in known):
        # Only the first knows how long it took.
        return
    lines = [*(line for line in known if line['plan_id'] != past.plan_id), new][-MAX_PAST:]
    while len(text := json.dumps(lines, separators=(',', ':'))) > resource_data.MAX_BYTES:
        lines.pop(0)
    _put(resource, HISTORY, data.get(HISTORY), text, lock)


def complete_history(resource: Any, done: model.Plan, lock: compare_and_set.Guard) -> None:
    """Add the steps of the follow-up work to the line of its failover, if that is still there.

    :raises LostLock: another engine has the lock.
    """
    data = resource_data.fresh(resource)
    lines = history_of(data)
    seconds = {s.name: s.seconds for s in done.steps if s.is_follow_up and s.seconds is not None}
    for line in lines:
        if line['plan_id'] == done.plan_id:
            line['steps'] = {**line['steps'], **seconds}
            text = json.dumps(lines, separators=(',', ':'))
            _put(resource, HISTORY, data.get(HISTORY), text, lock)
            return


def read_definition(resource: Any) -> dict[str, Any] | None:
    """What is to be handed over, with ``%active%`` where the active's server belongs."""
    return definition_of(resource_data.fresh(resource))


def definition_of(data: Mapping[str, str]) -> dict[str, Any] | None:
    """What is to be handed over by the entries ``data``."""
    text = data.get(DEFINITION)
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found


def write_definition(resource: Data, definition: Mapping[str, Any]) -> None:
    """Keep what is to be handed over as the creation of the stack resolved it."""
    resource.data_set(DEFINITION, json.dumps(definition, sort_keys=True))


def replace_definition(
    resource: Any, definition: Mapping[str, Any], lock: compare_and_set.Guard
) -> None:
    """Keep what is to be handed over as an update of the stack resolved it.

    :raises LostLock: another engine has the lock.
    """
    before = resource_data.fresh(resource).get(DEFINITION)
    _put(resource, DEFINITION, before, json.dumps(definition, sort_keys=True), lock)


def revision(definition: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical form of what is to be handed over."""
    return hashlib.sha256(serialization.compact(definition).encode()).hexdigest()
