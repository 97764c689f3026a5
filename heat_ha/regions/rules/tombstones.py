# SPDX-License-Identifier: Apache-2.0
"""Choose what is done next for each delete whose end was not seen yet."""

from heat_ha.regions.model import ErrorClass, Part, State, Tombstone
from heat_ha.regions.rules import answers, spec
from heat_ha.regions.rules.answers import Absent, Present
from heat_ha.regions.rules.spec import OnDelete
from heat_ha.regions.rules.steps import Defer, Fail, Forget, Request, Send, Step, Wait


def needs_tombstone(part: Part) -> bool:
    """Whether something has to be deleted when this part leaves the template."""
    return part.may_exist and part.state is not State.ABANDONED


def tombstone_of(part: Part, now: str) -> Tombstone:
    """The delete that follows from the end of a part."""
    return Tombstone(part.region, part.mark, part.name, part.stack_id, now, part.place)


def next_step(
    tombstone: Tombstone,
    observed: answers.Observation,
    rules: spec.Rules,
    attempt: str,
    waited: float,
) -> Step:
    """Choose the one step that brings a delete closer to its end.

    Invariant: a delete is sent only for a stack with the id or the mark of the tombstone.

    :param waited: for how many seconds this action has found the region silent.
    """
    if isinstance(observed, Absent):
        return Forget('the region has no such stack')
    if isinstance(observed, Present):
        return _of_present(tombstone, observed, attempt)
    if observed.error_class is not ErrorClass.UNREACHABLE:
        return Fail(observed.error_class, observed.reason)
    if not observed.is_known and waited < rules.patience:
        return Wait(observed.reason)
    if rules.on_delete is OnDelete.RETAIN:
        return Forget('on_delete is retain: the stack stays where it is')
    if rules.on_delete is OnDelete.FAIL:
        return Fail(ErrorClass.UNREACHABLE, observed.reason)
    return Defer(observed.reason)


def _of_present(tombstone: Tombstone, observed: Present, attempt: str) -> Step:
    if tombstone.stack_id != observed.stack_id and tombstone.mark != observed.mark:
        return Forget('what the region shows is another stack')
    if observed.action == 'DELETE' and observed.status == 'COMPLETE':
        return Forget('the region has deleted it')
    if observed.action == 'DELETE' and observed.status == 'IN_PROGRESS':
        if tombstone.attempt in ('', attempt):
            return Wait('the region deletes it')
        # A new action asks again: the engine that worked on it there may have died.
        return Send(Request.DELETE, 'the delete is sent again')
    if tombstone.snapshot and observed.status == 'IN_PROGRESS':
        # Heat refuses to delete it before its end.
        return Wait('the region still takes the snapshot')
    if tombstone.attempt == attempt and observed.action == 'DELETE':
        return Fail(ErrorClass.REMOTE_FAILED, f'DELETE_FAILED there: {observed.reason}')
    if tombstone.attempt == attempt and tombstone.error_class is None:
        return Wait('the request was sent')
    return Send(Request.DELETE, 'the template no longer has it')
