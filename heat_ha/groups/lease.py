# SPDX-License-Identifier: Apache-2.0
"""The right to change the members of a group: one engine at a time has it.

``heat_ha.groups.replacing`` takes it for as long as it works. Whether somebody stands behind a
mark that is there already is decided in ``heat_ha.groups.rules.marks``.
"""

import functools
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock, lease
from heat_ha.groups import model
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.rules import marks

LOG = logging.getLogger(__name__)

# Seconds between two looks at a mark of which it is not known whether it is somebody's.
WATCH_SECONDS = 2.0


def begin(holder: str) -> model.Mark:
    """Make a mark that this thread stands behind until it calls ``end``."""
    engine = lease.own_engine_id()
    return model.Mark(engine, clock.now_text(), holder, lease.own_new_mark())


def end(mark: model.Mark) -> None:
    """Stand behind the mark no more."""
    lease.disown(mark.id)


def wait_until_free(group: Any) -> model.Mark | None:
    """Return the mark that may be taken over, None when there is none.

    :raises exceptions.TryAgain: somebody stands behind the mark.
    """
    while True:
        mark = group_store.read_mark(group)
        verdict = marks.who_holds(_evidence(group, mark))
        if isinstance(verdict, marks.Held):
            raise exceptions.TryAgain(f'group {group.name} is busy: {verdict.reason}')
        if isinstance(verdict, marks.Free):
            if verdict.reason:
                LOG.info('Group %s is taken over: %s', group.name, verdict.reason)
            return mark
        LOG.info('Group %s: %s; looking on', group.name, verdict.reason)
        time.sleep(min(WATCH_SECONDS, verdict.seconds))


def _evidence(group: Any, mark: model.Mark | None) -> marks.MarkEvidence:
    is_nested_in_progress, changed_ago = group_store.nested_state(group)
    is_alive = None
    if mark is not None and mark.engine is not None:
        is_alive = lease.is_owner_alive(group.context, mark.engine, mark.id)
    return marks.MarkEvidence(
        mark=mark,
        is_holder_alive=is_alive,
        is_nested_in_progress=is_nested_in_progress,
        changed_ago=changed_ago,
        seen_for=group_store.seen_for(group) if mark is not None and is_alive is None else 0.0,
        timeout=group.stack.timeout_secs(),
    )


class Lease(lease.Lease):
    """The right to change one group, as a mark that Heat's own scaling respects as well.

    :param reason: what Heat notes beside the cooldown.
    :param cooldown: seconds that must have passed since the last change; None asks for none.
    :param next_cooldown: seconds for which the group rests afterwards, if it was scaled.
    :ivar over: the mark that was taken over, None where there was none.
    :ivar has_scaled: set it when the cooldown is to begin.
    """

    def __init__(
        self,
        group: Any,
        holder: str,
        *,
        reason: str,
        cooldown: float | None = None,
        next_cooldown: float | None = None,
    ) -> None:
        self._group = group
        self._holder = holder
        self._reason = reason
        self._cooldown = cooldown
        self._next_cooldown = next_cooldown
        self.over: model.Mark | None = None
        self.has_scaled = False

    def acquire(self) -> None:
        """Set the mark.

        :raises exceptions.TryAgain: somebody else has it.
        :raises exceptions.Refused: the group is in its cooldown.
        """
        self.over = wait_until_free(self._group)
        self.mark = begin(self._holder)
        try:
            group_store.acquire(self._group, self.mark, self.over, self._cooldown)
        except group_store.MarkChanged as exc:
            end(self.mark)
            raise exceptions.TryAgain(str(exc)) from exc
        except BaseException:
            end(self.mark)
            raise

    def release(self) -> None:
        """Take the mark back, unless it is another engine's by now, and begin the cooldown."""
        end(self.mark)
        lease.give_back(
            functools.partial(
                group_store.release,
                self._group,
                self.mark,
                self._next_cooldown,
                self._reason,
                self.has_scaled,
            ),
            f'group {self._group.name}',
        )


class WithinUpdate(Lease):
    """The same right while an update of the group waits for who has it.

    Nobody else may change the members of a group that Heat updates, so it needs no mark, and none
    can be set: see ``resource_data.change_metadata``.
    """

    def acquire(self) -> None:
        """Begin. :raises exceptions.TryAgain: somebody has set a mark before."""
        self.over = wait_until_free(self._group)
        self.mark = begin(self._holder)

    def release(self) -> None:
        """Be done; a cooldown does not begin."""
        end(self.mark)
