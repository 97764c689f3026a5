# SPDX-License-Identifier: Apache-2.0
"""Choose what is done next for a part that goes back to a snapshot that its region holds.

That takes three steps. The region is asked to restore; the stack loses its tags by that. It gets
the tags of the snapshot's revision. Then it goes on as any other part: where that revision is the
one that is wanted, nothing more is sent.
"""

import dataclasses

from heat_ha.regions import model
from heat_ha.regions.model import ErrorClass, Part
from heat_ha.regions.rules import spec
from heat_ha.regions.rules.answers import Present
from heat_ha.regions.rules.steps import Fail, Request, Send, Step, Wait

# How far a part is: the restore was sent, the tags were sent.
RESTORE_SENT, TAGS_SENT = 'told', 'tagged'


def ordered(record: model.Record, restore: model.Restore) -> model.Record:
    """Accept a request to go back to a snapshot; the same request again changes nothing.

    Invariant: a part is restored only from a snapshot of the stack that it has now. Where that is
    another one, the part is sent what the template of then wants, as by any update.
    """
    if record.restored == restore.request_id:
        return record
    by_region = {s.region: s for s in restore.snapshot.shots}
    parts = tuple(
        _with_restore(p, by_region[p.region])
        if p.region in by_region and p.state is not model.State.ABANDONED
        else p
        for p in record.parts
    )
    return dataclasses.replace(record, parts=parts, restored=restore.request_id)


def _with_restore(part: Part, part_snapshot: model.PartSnapshot) -> Part:
    if not part.stack_id or part.stack_id != part_snapshot.stack_id:
        return part
    return dataclasses.replace(
        part,
        restore=part_snapshot.snapshot_id,
        restore_revision=part_snapshot.revision,
        restoring='',
        applied='',
        state=model.State.PENDING,
        reason='the restore is not sent to the region yet',
    )


def without(part: Part) -> Part:
    """The part without a snapshot to go back to: that has ended, or something newer is wanted."""
    return dataclasses.replace(part, restore='', restore_revision='', restoring='')


def step(
    part: Part, observed: Present, rules: spec.Rules, attempt: str, is_doubtful: bool
) -> Step | None:
    """Choose the next step of a restore; None if the part goes on as any other.

    Invariant: a restore that was seen to begin is not sent again, unless it has failed and a new
    action asks for it.

    :param is_doubtful: whether an answer was lost so lately that a look may not show what it did.
    """
    if not part.restore:
        return None
    if observed.status == 'IN_PROGRESS':
        return Wait(f'{observed.action} is in progress there')
    is_restored = observed.action == 'RESTORE' and observed.changed != part.changed
    if part.restoring == TAGS_SENT and observed.action == 'UPDATE':
        return _after_tags(part, observed, rules, attempt)
    if part.restoring and is_restored:
        if observed.status == 'COMPLETE':
            return Send(Request.TAG, 'the snapshot is restored; the tags are sent')
        if part.attempt == attempt or not rules.may_repair:
            return _failed(observed)
    elif part.restoring and is_doubtful:
        return Wait('the answer to a request was lost; looking for what it did')
    return Send(Request.RESTORE, 'the stack goes back to its snapshot')


def _after_tags(part: Part, observed: Present, rules: spec.Rules, attempt: str) -> Step | None:
    if observed.status == 'COMPLETE':
        # The revision says what it holds, and whether somebody else has updated it meanwhile.
        return None
    if part.attempt == attempt or not rules.may_repair:
        return _failed(observed)
    return Send(Request.TAG, 'the tags were not accepted')


def _failed(observed: Present) -> Fail:
    return Fail(
        ErrorClass.REMOTE_FAILED,
        f'{observed.action}_{observed.status} there: {observed.reason or "no reason given"}',
    )


def intended(part: Part, request: Request, observed: Present) -> Part:
    """The part as it is put on record before a request of a restore is sent (S4)."""
    if request is Request.RESTORE:
        # A change after this time is our restore.
        return dataclasses.replace(
            part, sent=part.restore_revision, restoring=RESTORE_SENT, changed=observed.changed
        )
    return dataclasses.replace(part, sent=part.restore_revision, restoring=TAGS_SENT)
