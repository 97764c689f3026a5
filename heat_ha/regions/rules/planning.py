# SPDX-License-Identifier: Apache-2.0
"""Bring the record of a RemoteStack in line with what its owner wants; no region is asked."""

import dataclasses
from collections.abc import Callable, Mapping

from heat_ha.regions import model
from heat_ha.regions.model import Part, State
from heat_ha.regions.rules import restores, snapshots, spec, tombstones


def plan(
    record: model.Record,
    wanted: Mapping[str, spec.Wanted],
    base_name: str,
    is_single: bool,
    now: str,
    new_mark: Callable[[], str],
) -> model.Record:
    """Bring the record in line with what the template wants now; no region is asked.

    Invariant: a part that leaves the template leaves a tombstone if its region may hold a stack. A
    part that comes back gets a mark and a name of its own, so that the tombstone is not for it.
    """
    parts: list[Part] = []
    generations = dict(record.generations)
    for region, content in wanted.items():
        part = record.part(region)
        if part is None:
            count = generations.get(region, 0) + 1
            generations[region] = count
            name = base_name if is_single else f'{base_name}-{_as_name(region)}'
            part = Part(region, new_mark(), name if count == 1 else f'{name}-{count}')
        parts.append(_with_wanted(part, content))
    gone = (p for p in record.parts if p.region not in wanted)
    left = [
        *record.tombstones,
        *(tombstones.tombstone_of(p, now) for p in gone if tombstones.needs_tombstone(p)),
    ]
    return dataclasses.replace(
        record,
        parts=tuple(parts),
        tombstones=snapshots.without_doubles(left),
        generations=generations,
    )


def _as_name(region: str) -> str:
    """A region's name with nothing in it that a stack's name may not have."""
    return ''.join(c if c.isascii() and (c.isalnum() or c in '_.-') else '-' for c in region)


def _with_wanted(part: Part, content: spec.Wanted) -> Part:
    if part.state is State.ABANDONED:
        return part
    if isinstance(content, spec.MissingInput):
        # What the region has stays as it is until the input is known.
        if part.may_exist:
            return dataclasses.replace(part, reason=content.reason)
        return dataclasses.replace(part, state=State.WAITING, reason=content.reason)
    if part.desired == content.revision:
        return part
    return dataclasses.replace(
        # Something newer is wanted than a snapshot that is still to be restored.
        restores.without(part),
        desired=content.revision,
        state=State.READY if part.applied == content.revision else State.PENDING,
        reason='' if part.applied == content.revision else 'nothing is sent to the region yet',
    )


def abandoned(record: model.Record, region: str) -> model.Record:
    """Give up one region: nothing is sent there any more, and its tombstones go."""
    parts = tuple(
        dataclasses.replace(
            p,
            state=State.ABANDONED,
            error_class=None,
            reason=f'given up; stack {p.name} may be left there. The signal resume takes it back',
        )
        if p.region == region
        else p
        for p in record.parts
    )
    left = tuple(t for t in record.tombstones if t.region != region)
    return dataclasses.replace(record, parts=parts, tombstones=left)


def paused(record: model.Record, region: str | None, is_paused: bool) -> model.Record:
    """Hold back a region, or resume it; to resume a region that was given up takes it back."""
    parts = []
    for part in record.parts:
        if region in (None, part.region):
            part = dataclasses.replace(part, paused=is_paused)
            if not is_paused and part.state is State.ABANDONED:
                part = dataclasses.replace(
                    part,
                    state=State.PENDING,
                    desired='',
                    reason='nothing is sent to the region yet',
                )
        parts.append(part)
    return dataclasses.replace(record, parts=tuple(parts))
