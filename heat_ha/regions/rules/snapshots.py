# SPDX-License-Identifier: Apache-2.0
"""Choose what is done next for the snapshot of each part; all of them are kept, or none.

A decision follows from one look, as in ``decide``; ``snapshot_action`` carries it out.
"""

import dataclasses
from collections.abc import Collection

from heat_ha import exceptions
from heat_ha.regions import model
from heat_ha.regions.model import ErrorClass, PartSnapshot, State
from heat_ha.regions.rules import answers
from heat_ha.regions.rules.answers import Absent, Silent
from heat_ha.regions.rules.steps import Done, Fail, Request, Send, Step, Wait

ABANDON = 'or give the region up (signal abandon)'


def planned(record: model.Record, number: str) -> model.Snapshot:
    """The snapshots that are to be taken, one of each part that was not given up.

    Invariant: each is of a stack that was seen to hold what is wanted and nothing else, so that
    its revision says what a restore brings back.

    :param number: a part of their names that no other snapshot has.
    :raises exceptions.Refused: naming the region of which none can be taken.
    """
    found = []
    for part in record.parts:
        if part.state is State.ABANDONED:
            continue
        refuse_if_unfit(part)
        found.append(
            PartSnapshot(
                part.region, part.name, part.stack_id, f'heat-ha-{number}', part.applied, part.place
            )
        )
    if not found:
        raise exceptions.Refused('no region has a part', 'Resume one, and update the stack')
    return model.Snapshot(tuple(found))


def refuse_if_unfit(part: model.Part) -> None:
    """Refuse a part whose snapshot could not be restored.

    :raises exceptions.Refused: naming the region and the way out.
    """
    if part.paused:
        raise exceptions.Refused(
            f'{part.region} is paused, so nothing is sent there',
            f'Send it the signal resume, {ABANDON}',
        )
    if part.suspend_wanted or part.suspended:
        raise exceptions.Refused(f'{part.region} is suspended', 'Resume the stack first')
    if not part.is_settled or not part.stack_id or part.state is not State.READY:
        raise exceptions.Refused(
            f'{part.region} does not hold what is wanted ({part.state.value})',
            f'When it is back, update the stack or send it the signal sync, {ABANDON}',
        )
    if part.drifted:
        raise exceptions.Refused(
            f'somebody else has changed the stack in {part.region}',
            'Set drift to correct, and check the stack, to bring it back first',
        )


def next_step(
    part_snapshot: PartSnapshot,
    observed: answers.Observation,
    waited: float,
    patience: float,
    is_doubtful: bool,
) -> Step:
    """Choose the one step that brings a region's snapshot closer to its end.

    Invariant: the request is sent only when the region was seen to lack the snapshot.

    :param waited: for how many seconds the region was found silent.
    :param is_doubtful: whether it was sent so lately that a look may not show what it did.
    """
    if isinstance(observed, Silent):
        if observed.error_class is not ErrorClass.UNREACHABLE:
            return Fail(observed.error_class, observed.reason)
        if not observed.is_known and waited < patience:
            return Wait(observed.reason)
        return Fail(
            ErrorClass.UNREACHABLE, f'{observed.reason}; try again when it is back, {ABANDON}'
        )
    if isinstance(observed, Absent):
        if part_snapshot.sent_at and is_doubtful:
            return Wait('the request was sent')
        if part_snapshot.snapshot_id:
            return Fail(ErrorClass.CONFLICT, 'somebody else has deleted the snapshot there')
        return Send(Request.SNAPSHOT, 'the region has no such snapshot')
    if observed.status == 'IN_PROGRESS':
        return Wait('the region takes the snapshot')
    if observed.status == 'COMPLETE' and observed.action != 'DELETE':
        return Done()
    return Fail(
        ErrorClass.REMOTE_FAILED,
        f'the snapshot ended there in {observed.action}_{observed.status}: '
        f'{observed.reason or "no reason given"}',
    )


def deletes_of(snapshot: model.Snapshot, now: str) -> tuple[model.Tombstone, ...]:
    """The deletes that follow from giving a snapshot up, of all regions that may hold it."""
    return tuple(
        model.Tombstone(
            region=s.region,
            # Each tombstone has a mark that no other one has.
            mark=f'{s.snapshot.removeprefix("heat-ha-")}-{s.region}',
            name=s.name,
            stack_id=s.stack_id,
            since=now,
            place=s.place,
            snapshot=s.snapshot,
            snapshot_id=s.snapshot_id,
        )
        for s in snapshot.shots
        if s.sent_at
    )


def with_deletes(record: model.Record, snapshot: model.Snapshot, now: str) -> model.Record:
    """The record with the deletes of a snapshot, each once.

    Invariant: nothing is sent to a region that was given up. A stack that the record no longer has
    is not named: it has gone, or goes, with its snapshots.
    """
    there = {t.mark for t in record.tombstones}
    ours = {p.stack_id for p in record.parts if p.state is not State.ABANDONED}
    deletes = deletes_of(snapshot, now)
    new = (t for t in deletes if t.mark not in there and t.stack_id in ours)
    return dataclasses.replace(record, tombstones=(*record.tombstones, *new))


def given_up(record: model.Record, snapshot: model.Snapshot) -> list[str]:
    """The regions that keep their snapshot because nothing is sent there any more."""
    left = {p.stack_id for p in record.parts if p.state is State.ABANDONED}
    return [s.region for s in snapshot.shots if s.stack_id in left]


def without_doubles(tombstones: Collection[model.Tombstone]) -> tuple[model.Tombstone, ...]:
    """The tombstones without the snapshots of stacks that are deleted themselves."""
    stacks = {(t.region, t.stack_id) for t in tombstones if not t.snapshot and t.stack_id}
    return tuple(t for t in tombstones if not t.snapshot or (t.region, t.stack_id) not in stacks)
