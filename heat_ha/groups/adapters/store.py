# SPDX-License-Identifier: Apache-2.0
"""What a scaling group carries with it about its own scaling.

Heat marks a group that it scales by ``scaling_in_progress`` in the group's metadata. Ours is the
same mark, so that Heat's scaling and ours exclude one another; but its value names the engine,
which Heat takes for true as any other. The mark is set by compare-and-set on the group's row.
Intents are kept in the group's resource data, which no action of Heat's on the group touches.
"""

import contextlib
import datetime
import json
from collections.abc import Collection, Iterator
from typing import Any

from heat.common import exception as heat_exception
from heat.engine import resource as heat_resource
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from heat.scaling import cooldown as heat_cooldown
from oslo_log import log as logging
from oslo_utils import timeutils

from heat_ha import exceptions, serialization
from heat_ha.cloud import clock, compare_and_set, resource_data
from heat_ha.groups import model

LOG = logging.getLogger(__name__)

MARK = 'scaling_in_progress'
REPLACEMENT = 'ha_replacement'
ADJUSTMENT = 'ha_adjustment'
SEEN = 'ha_mark_seen'
ASKED_FOR = 'ha_asked_for'
WAITS = 'ha_waits_for_failover'

# Seconds for which it is remembered that somebody waits for the group: longer than any of them
# waits until it asks again.
ASKED_SECONDS = 60.0


class MarkChanged(exceptions.HaError):
    """The mark is not what it was when it was read."""


class _Cooldown(heat_cooldown.CooldownMixin):  # type: ignore[misc]
    """Heat's own rules of the cooldown, on metadata that are a value."""

    def __init__(self, name: str, metadata: dict[str, Any]) -> None:
        self.name = name
        self.metadata = metadata

    def metadata_get(self) -> dict[str, Any]:
        return dict(self.metadata)

    def metadata_set(self, metadata: dict[str, Any]) -> None:
        self.metadata = metadata


def read_mark(group: Any) -> model.Mark | None:
    """Read who scales the group, None when nobody does."""
    mark = _mark_of(resource_data.metadata(group))
    if mark == model.Mark():
        # Heat's own code set it; if our policy called that code, it left its name.
        return _adjustment(group) or mark
    if mark is None:
        # An update of the group takes the mark back while a replacement is at work.
        running = read_replacement(group)
        if running is not None and running.engine:
            return model.Mark(running.engine, running.since, running.requested_by, running.id)
    return mark


def is_marked_by_another(group: Any, mark: model.Mark, stale: Collection[str] = ()) -> bool:
    """Whether somebody of ours has set another mark since; one that Heat took back is none.

    :param stale: the ids of marks that were nobody's before.
    """
    found = _mark_of(resource_data.metadata(group))
    return found is not None and found.id not in ('', mark.id, *stale)


def acquire(group: Any, mark: model.Mark, over: model.Mark | None, cooldown: float | None) -> None:
    """Mark the group as being scaled.

    :param over: the mark that was read and found to be nobody's.
    :param cooldown: seconds that must have passed since the last change; None asks for none.
    :raises MarkChanged: somebody was faster.
    :raises exceptions.Refused: the group is in its cooldown.
    """

    def merged(current: dict[str, Any]) -> dict[str, Any]:
        rules = _Cooldown(group.name, {**current, MARK: False})
        if _mark_of(current) not in (None, over, model.Mark() if over else None):
            raise MarkChanged(f'group {group.name} is marked by another engine')
        if cooldown is not None:
            rules._check_scaling_allowed(cooldown)
        return {**rules.metadata, MARK: serialization.encode(mark)}

    try:
        resource_data.change_metadata(group, merged)
    except heat_resource.NoActionRequired as exc:
        end = next(iter((group.metadata_get() or {}).get('cooldown_end') or ()), None)
        until = f' until {end} UTC' if end else ''
        raise exceptions.Refused(
            f'group {group.name} is in its cooldown{until}', 'Signal again afterwards'
        ) from exc


def release(
    group: Any, mark: model.Mark, cooldown: float | None, reason: str, changed: bool
) -> None:
    """Take the mark back, and begin the cooldown if the group was changed."""

    def merged(current: dict[str, Any]) -> dict[str, Any]:
        found = _mark_of(current)
        rules = _Cooldown(group.name, current)
        rules._finished_scaling(cooldown, reason, size_changed=changed)
        if found not in (None, mark):
            # Another engine took the group over; the mark is its own now.
            return {**rules.metadata, MARK: current[MARK]}
        return rules.metadata

    try:
        resource_data.change_metadata(group, merged)
    except (heat_exception.NotFound, heat_exception.ResourceNotAvailable):
        LOG.info('Group %s is gone', group.name)


def clear_stale(group: Any, stale: model.Mark) -> None:
    """Take back a mark that a dead engine left. :raises MarkChanged: it was somebody's."""

    def merged(current: dict[str, Any]) -> dict[str, Any]:
        found = _mark_of(current)
        if found not in (None, stale, model.Mark()):
            raise MarkChanged(f'group {group.name} is marked by another engine')
        return {**current, MARK: False} if found else current

    resource_data.change_metadata(group, merged)


def _mark_of(metadata: dict[str, Any]) -> model.Mark | None:
    value = metadata.get(MARK)
    if not value:
        return None
    if isinstance(value, dict):
        try:
            return serialization.decode(model.Mark, value, 'the mark of a group')
        except exceptions.Unreadable:
            LOG.warning('A mark of unknown form: %s', value)
    return model.Mark()


# --- resource data -------------------------------------------------------------------------


def replacement_text(group: Any) -> str | None:
    """Read the text of the intent on record, None without one: what a change of it names."""
    return resource_data.fresh(group).get(REPLACEMENT)


def read_replacement(group: Any) -> model.Replacement | None:
    """Read the intent on record, None without one.

    :raises Unreadable: another version wrote it; to begin again would do its work twice.
    """
    stored = replacement_text(group)
    if stored is None:
        return None
    return serialization.read(
        model.Replacement, stored, f'the replacement on record in group {group.name}'
    )


def write_replacement(group: Any, before: str | None, wanted: model.Replacement) -> str | None:
    """Put an intent on record in the place of the one that was read.

    :param before: the text that was read.
    :returns: the text of the new one, None where another engine has written since.
    """
    text = json.dumps(serialization.encode(wanted))
    return text if compare_and_set.swap(group, REPLACEMENT, before, text) else None


def drop_replacement(group: Any, before: str | None) -> bool:
    """Take the intent that was read off the record; whether it was there as it was read."""
    return compare_and_set.swap(group, REPLACEMENT, before, None)


def masked_failures(group: Any) -> tuple[model.MaskedFailure, ...]:
    """Read which failed resources Heat is shown as healthy for now."""
    running = read_replacement(group)
    return running.masked if running else ()


def ask_for(group: Any) -> None:
    """Leave word that somebody waits for whoever only sees to the deletion of former members."""
    group.data_set(ASKED_FOR, clock.now_text())


def is_asked_for(group: Any) -> bool:
    """Whether somebody waits for the group."""
    stored = resource_data.fresh(group).get(ASKED_FOR)
    if stored is None:
        return False
    return timeutils.delta_seconds(_time(stored), _time(clock.now_text())) <= ASKED_SECONDS


def drop_asking(group: Any) -> None:
    """Nobody waits for the group any more."""
    group.data_delete(ASKED_FOR)


@contextlib.contextmanager
def waiting_for_failover(group: Any, engine: str) -> Iterator[None]:
    """Show that an update of the group has not begun with the members yet: it waits for a failover.

    :param engine: the one that updates the group.
    """
    group.data_set(WAITS, engine)
    try:
        yield
    finally:
        group.data_delete(WAITS)


def update_under_way(group: Any) -> str | None:
    """What Heat itself does with the group now, None where it does nothing.

    The resource as it was loaded may be older.
    """
    row = _row(group)
    return f'{row.action}_{row.status}' if row.status == group.IN_PROGRESS else None


def is_waiting_for_failover(group: Any) -> bool:
    """Whether an update of the group is under way, and waits for a failover."""
    row = _row(group)
    waits = resource_data.fresh(group).get(WAITS)
    # Without convergence Heat has no engine on record; the failover waits for the update then.
    return bool(row.status == group.IN_PROGRESS and waits and waits == row.engine_id)


def forget_waiting(group: Any) -> None:
    """An update begins: whatever an earlier one has left of its waiting does not count."""
    if WAITS in resource_data.fresh(group):
        group.data_delete(WAITS)


def is_updating(group: Any) -> bool:
    """Whether it is this very object by which Heat updates the group."""
    return group.status == group.IN_PROGRESS and bool(group._calling_engine_id)


def _row(group: Any) -> Any:
    return resource_object.Resource.get_obj(
        group.context, group.id, refresh=True, fields=('action', 'status', 'engine_id')
    )


def write_adjustment(group: Any, mark: model.Mark) -> None:
    """Leave a name for a mark that Heat's own code is about to set."""
    group.data_set(ADJUSTMENT, json.dumps(serialization.encode(mark)))


def drop_adjustment(group: Any) -> None:
    """Take that name back."""
    group.data_delete(ADJUSTMENT)


def seen_for(group: Any) -> float:
    """Count the seconds for which the very same mark is there, from the first look at it on."""
    row = resource_object.Resource.get_obj(
        group.context, group.id, refresh=True, fields=('atomic_key',)
    )
    # Each write of the group's row, and so each new mark, counts this key up.
    key = str(row.atomic_key)
    stored = resource_data.fresh(group).get(SEEN, '').split(' ')
    if len(stored) == 2 and stored[0] == key:
        return max(timeutils.delta_seconds(_time(stored[1]), _time(clock.now_text())), 0.0)
    group.data_set(SEEN, f'{key} {clock.now_text()}')
    return 0.0


def nested_state(group: Any) -> tuple[bool, float]:
    """Whether the nested stack is in progress, and how many seconds ago a change of it began."""
    _action, status, _reason, updated = stack_object.Stack.get_status(
        group.context, group.resource_id
    )
    age = float('inf') if updated is None else timeutils.delta_seconds(updated, timeutils.utcnow())
    return status == group.IN_PROGRESS, age


def _adjustment(group: Any) -> model.Mark | None:
    stored = resource_data.fresh(group).get(ADJUSTMENT)
    if stored is None:
        return None
    try:
        return serialization.read(model.Mark, stored, 'the mark of a group')
    except exceptions.Unreadable:
        return None


def _time(stored: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(stored)
