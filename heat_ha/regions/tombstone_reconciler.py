# SPDX-License-Identifier: Apache-2.0
"""What one action does about tombstones: decide upon a look, and take the answer to a delete.

The record is ``reconciler``'s: this gives back the tombstone as it is to be on record.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable

from oslo_log import log as logging

from heat_ha.regions import calls, model
from heat_ha.regions.rules import answers, spec, steps, tombstones

LOG = logging.getLogger(__name__)


class TombstoneReconciler:
    """The tombstones of one action.

    ``has_left_stacks`` is whether a stack was left in a region because the template wants that.

    :param attempt: names the action in the record.
    :param emit: takes an event's text, and whether it is of a failure.
    """

    def __init__(self, rules: spec.Rules, attempt: str, emit: Callable[[str, bool], None]) -> None:
        self._rules = rules
        self._attempt = attempt
        self._emit = emit
        # When each was looked at first, by its mark; monotonic.
        self._since: dict[str, float] = {}
        # Those on which this action has ended its work.
        self._closed: set[model.Tombstone] = set()
        self.has_left_stacks = False

    def open_ones(self, found: Iterable[model.Tombstone]) -> list[model.Tombstone]:
        """Those on which the action has not ended its work."""
        return [t for t in found if t not in self._closed]

    def decide(
        self, tombstone: model.Tombstone, observed: answers.Observation, took: float
    ) -> tuple[model.Tombstone | None, list[calls.Delete]]:
        """Decide upon a look that took so many seconds.

        :returns: the tombstone for the record, or None if nothing is left to delete; and the
            calls after it.
        """
        since = self._since.setdefault(tombstone.mark, time.monotonic() - took)
        waited = time.monotonic() - since
        step = tombstones.next_step(tombstone, observed, self._rules, self._attempt, waited)
        LOG.debug('%s: %s', _name_of(tombstone), step)
        match step:
            case steps.Send():
                sent = self._sent(tombstone, observed, step)
                return sent, [calls.Delete(sent)]
            case steps.Forget():
                self.has_left_stacks |= isinstance(observed, answers.Silent)
                self._emit(f'{_name_of(tombstone)}: {step.reason}', False)
                return None, []
            case steps.Defer():
                error, word = model.ErrorClass.UNREACHABLE, 'is left as a tombstone'
                return self._close(tombstone, error, step.reason, word, False), []
            case steps.Fail():
                return self._close(tombstone, step.error_class, step.reason, 'failed', True), []
            case _:
                return tombstone, []

    def _sent(
        self, tombstone: model.Tombstone, observed: answers.Observation, step: steps.Send
    ) -> model.Tombstone:
        sent = dataclasses.replace(
            tombstone, attempt=self._attempt, error_class=None, reason=step.reason
        )
        if not isinstance(observed, answers.Present):
            return sent
        return dataclasses.replace(
            sent,
            stack_id=observed.stack_id,
            name=observed.name,
            snapshot_id=observed.snapshot_id or sent.snapshot_id,
        )

    def _close(
        self,
        tombstone: model.Tombstone,
        error: model.ErrorClass,
        reason: str,
        word: str,
        is_failure: bool,
    ) -> model.Tombstone:
        retained = dataclasses.replace(tombstone, error_class=error, reason=reason)
        self._closed.add(retained)
        self._emit(f'{_name_of(tombstone)} {word}: {reason}', is_failure)
        return retained

    def take(self, call: calls.Delete, reply: answers.Reply) -> model.Tombstone:
        """Take the answer to a delete. :returns: the tombstone for the record."""
        found = call.after(reply)
        if reply.answer is answers.Answer.REFUSED:
            self._closed.add(found)
        return found


def _name_of(tombstone: model.Tombstone) -> str:
    """What is deleted, and where, for a log or an event."""
    what = tombstone.name
    if tombstone.snapshot:
        what = f'snapshot {tombstone.snapshot} of {what}'
    return f'{tombstone.region}, delete of {what}'
