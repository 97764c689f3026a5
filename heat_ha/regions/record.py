# SPDX-License-Identifier: Apache-2.0
"""Keep the record of a RemoteStack, and its outputs, where every engine can read them.

Both are entries in the resource's data, which Heat's database holds and which, unlike the
resource's row, can be written while Heat itself works on the resource.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

from heat_ha import serialization
from heat_ha.cloud import resource_data
from heat_ha.regions import model

RECORD, OUTPUTS, SNAPSHOT = 'ha_regions', 'ha_outputs_', 'ha_snapshot'


@dataclasses.dataclass(frozen=True)
class Outputs:
    """One part's outputs as they were read last: when (UTC, ISO), and of which revision."""

    values: Mapping[str, Any]
    read_at: str
    revision: str
    errors: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Store:
    """The entries of one Heat resource."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource
        # Each look at a region would be a write to the database otherwise.
        self._entries = resource_data.ChangesOnly(resource)

    def _write(self, key: str, value: Any, what: str) -> None:
        text = serialization.compact(value)
        resource_data.check_size(text, f'{what} take', 'Spread them over several resources')
        self._entries.write(key, text)

    def read(self) -> model.Record | None:
        """The record as it is in the database now; None before the first write."""
        text = resource_data.fresh(self._resource).get(RECORD)
        return None if text is None else record_of(text)

    def write(self, record: model.Record) -> None:
        """Write the record; durable on return. :raises Refused: it is too large to be kept."""
        self._write(RECORD, serialization.encode(record), 'the records of all regions')

    def snapshot(self) -> model.Snapshot | None:
        """The snapshot that was begun last, whole or not."""
        return snapshot_in(resource_data.fresh(self._resource))

    def write_snapshot(self, found: model.Snapshot) -> None:
        """Keep the snapshot. Heat copies it, with all else, into the parent's when that ends."""
        self._write(SNAPSHOT, serialization.encode(found), 'the snapshots of all regions')

    def outputs(self, region: str) -> Outputs | None:
        """The outputs of one region's part as they were read last."""
        text = resource_data.fresh(self._resource).get(_key(region))
        if text is None:
            return None
        return serialization.read(Outputs, text, f'the outputs of {region}')

    def write_outputs(self, region: str, outputs: Outputs) -> None:
        """Keep the outputs of one region. :raises Refused: they are too large to be kept."""
        self._write(_key(region), serialization.encode(outputs), f'the outputs of {region}')


def record_of(text: str) -> model.Record:
    """Read the record. :raises Unreadable: another version wrote it."""
    return serialization.read(model.Record, text, 'the record of the regions')


def snapshot_in(data: Mapping[str, str]) -> model.Snapshot | None:
    """Read the snapshot out of a resource's data, or out of what Heat copied of that."""
    text = data.get(SNAPSHOT)
    if text is None:
        return None
    return serialization.read(model.Snapshot, text, 'the snapshot of the regions')


def _key(region: str) -> str:
    return OUTPUTS + hashlib.sha256(region.encode()).hexdigest()[:12]
