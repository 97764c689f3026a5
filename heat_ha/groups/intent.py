# SPDX-License-Identifier: Apache-2.0
"""The intent to replace members, as one run has it on record in the group.

It is durable before anything is done, so that another engine can go on with it (S4). A run checks
before each step that the intent is still its own.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import lease
from heat_ha.groups import lease as group_lease
from heat_ha.groups import model
from heat_ha.groups.adapters import failure_masks
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.rules import decide, pairs

LOG = logging.getLogger(__name__)


class TakenOver(exceptions.Stopped):
    """Another engine took this one for dead, and took over its work."""


class Intent:
    """The replacement that a run carries out, and its record.

    :param held: the lease under which the run works; its mark tells whose the intent is.
    :ivar wanted: the replacement, as it is on record after each change of it.
    """

    def __init__(self, group: Any, held: group_lease.Lease, wanted: model.Replacement) -> None:
        self._group = group
        self._mark = held.mark
        # A mark that nobody stands behind is there still where none could be set.
        self._stale = frozenset({held.over.id}) if held.over else frozenset()
        # What is there now, before the lease is looked at once more: who has it wrote after.
        self._text = group_store.replacement_text(group)
        # From here on the work is this engine's.
        self.wanted = dataclasses.replace(wanted, id=held.mark.id, engine=lease.own_engine_id())

    def take(self) -> None:
        """Put the intent on record for the first time. :raises TakenOver: the lease is lost."""
        if group_store.is_marked_by_another(self._group, self._mark, self._stale):
            raise self._taken_over()
        self._record()

    def _record(self) -> None:
        """Make the intent durable. :raises TakenOver: another engine has written since."""
        text = group_store.write_replacement(self._group, self._text, self.wanted)
        if text is None:
            raise self._taken_over()
        self._text = text

    def _drop(self) -> None:
        if not group_store.drop_replacement(self._group, self._text):
            raise self._taken_over()
        self._text = None

    def check(self) -> None:
        """See that the work is still this run's. :raises TakenOver: another engine has it."""
        if not self._is_on_record():
            raise self._taken_over()

    def check_between_runs(self) -> None:
        """See that nobody has taken over the group since a run ended. :raises TakenOver: so."""
        mark = group_store.read_mark(self._group)
        left = group_store.read_replacement(self._group)
        own = {self.wanted.id, *self._stale}
        if (mark and mark.id not in own) or (left and left.id != self.wanted.id):
            raise self._taken_over()

    def give_up(self, new: str) -> None:
        """Put on record that this new member cannot be had."""
        self.wanted = dataclasses.replace(self.wanted, given_up=(*self.wanted.given_up, new))
        self._record()

    def mask_failures(self, change: decide.Change) -> None:
        """Show Heat as healthy what it would replace by itself in this change.

        :raises exceptions.CouldNotAsk: Heat did not answer.
        """
        known = {(m.stack, m.resource) for m in self.wanted.masked}
        for masked in failure_masks.to_mask(self._group, change.remove, self.wanted.victims):
            if (masked.stack, masked.resource) in known:
                continue
            self.wanted = dataclasses.replace(self.wanted, masked=(*self.wanted.masked, masked))
            # On record first: a look takes the member for failed all the while.
            self._record()
            failure_masks.mask(self._group, masked)

    def _unmask_failures(self, seen: model.Group | None) -> None:
        """Unmask all; of members that ``seen`` does not have any more nothing is left to unmask."""
        left = []
        for masked in self.wanted.masked:
            if seen is not None and seen.member(masked.member) is None:
                continue
            try:
                failure_masks.unmask(self._group, masked)
            except exceptions.CouldNotAsk as exc:
                LOG.warning('Group %s: %s', self._group.name, exc)
                left.append(masked)
        self.wanted = dataclasses.replace(self.wanted, masked=tuple(left))

    def release(self) -> None:
        """Leave the intent on record for the next signal, as nobody's."""
        if not self._is_on_record():
            return
        self._unmask_failures(None)
        self.wanted = dataclasses.replace(self.wanted, engine='')
        self._record()

    def forget(self) -> None:
        """Take the intent off the record, done or not."""
        self.take()
        self._unmask_failures(None)
        self._drop()

    def settle(self, seen: model.Group, keep: Collection[str]) -> None:
        """Take the intent off the record after the last step, unless something is left of it."""
        self.check()
        self._unmask_failures(seen)
        left = pairs.left_over(seen, self.wanted)
        is_short = pairs.is_short(seen, self.wanted, keep)
        if left.pairs and not is_short:
            self.wanted = left
        if self.wanted.masked or left.pairs or is_short:
            # The next signal finds nothing to do but this.
            self.wanted = dataclasses.replace(self.wanted, engine='')
            self._record()
        else:
            self._drop()

    def _is_on_record(self) -> bool:
        found = group_store.read_replacement(self._group)
        return found is not None and found.id == self.wanted.id

    def _taken_over(self) -> TakenOver:
        return TakenOver(
            f"the replacement in group {self._group.name} is another engine's now",
            'There is nothing to do',
        )
