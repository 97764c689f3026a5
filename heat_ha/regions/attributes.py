# SPDX-License-Identifier: Apache-2.0
"""The attributes of a RemoteStack, read from its record; no region is asked."""

import datetime
from collections.abc import Mapping
from typing import Any

from heat_ha.regions import model, record
from heat_ha.regions.model import State


def state(part: model.Part) -> str:
    """The part's state in a word."""
    if part.paused and part.state is not State.ABANDONED:
        return 'paused'
    if part.suspended and part.state is State.READY:
        return 'suspended'
    return part.state.value


def pending(found: model.Record) -> list[str]:
    """The regions that something is still to be sent to."""
    unsettled = [
        p.region for p in found.parts if not p.is_settled and p.state is not State.ABANDONED
    ]
    return sorted({*unsettled, *(t.region for t in found.tombstones)})


def attribute(found: model.Record, name: str) -> Any:
    """One attribute of the type, by its name."""
    if name == 'pending':
        return pending(found)
    if name == 'owner':
        return {'region': found.owner, 'epoch': found.epoch, 'manifest': found.manifest}
    if name == 'tombstones':
        return [
            {
                'region': t.region,
                'stack': t.stack_id or t.name,
                'since': t.since,
                'reason': t.reason,
            }
            for t in found.tombstones
        ]
    return {p.region: _of_part(p, name) for p in found.parts}


def _of_part(part: model.Part, name: str) -> Any:
    return {
        'state': state(part),
        'reachable': part.reachable,
        'last_seen': part.last_seen,
        'still_since': part.still_since,
        'revision': {'desired': part.desired, 'applied': part.applied},
        'reason': part.reason,
        'error_class': part.error_class.value if part.error_class else '',
        'stack_ids': part.stack_id,
    }[name]


def output_details(
    found: model.Record, outputs: Mapping[str, record.Outputs | None], now: str
) -> dict[str, dict[str, Any]]:
    """When the outputs of each part were read, and whether they may be out of date."""
    details = {}
    for part in found.parts:
        known = outputs.get(part.region)
        details[part.region] = {
            'read_at': known.read_at if known else '',
            'age': _age(known.read_at, now) if known else None,
            'revision': known.revision if known else '',
            'stale': not (
                known
                and part.is_current
                and known.revision == part.applied
                and part.reachable
                and not part.drifted
            ),
        }
    return details


def _age(since: str, now: str) -> int:
    then, here = datetime.datetime.fromisoformat(since), datetime.datetime.fromisoformat(now)
    return max(0, int((here - then).total_seconds()))
