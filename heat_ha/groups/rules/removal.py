# SPDX-License-Identifier: Apache-2.0
"""Which members a scaling or an update of a group takes first, and which change disturbs one.

Heat removes and changes members in one order: failed, then oldest. The active of a FailoverPolicy
often is the oldest. ``heat_ha.plugin.autoscaling_group`` asks here for another order.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

# What Heat changes of a server without touching its guest.
_HARMLESS = {'OS::Nova::Server': frozenset({'metadata', 'name', 'tags'})}


def order(
    names: Sequence[str],
    keep: Collection[str],
    outdated: Collection[str] = (),
    failed: Collection[str] = (),
) -> tuple[str, ...]:
    """The order in which members are removed, or changed: what has to stay comes last.

    :param names: of all members, in Heat's own order.
    :param keep: the members that something is handed over to.
    :param outdated: in a rolling update, those that have not got the new definition yet. They go
        before those that have it.
    :param failed: in a rolling update, those that are failed. But for those that something is
        handed over to they go before all others, as with Heat.
    """

    def place(name: str) -> tuple[bool, bool, bool]:
        is_useless = name in failed and name not in keep
        return not is_useless, bool(outdated) and name not in outdated, name in keep

    return tuple(sorted(names, key=place))


def left_of_batch(
    batch: int,
    staying: Collection[str],
    keep: Collection[str],
    outdated: Collection[str],
    failed: Collection[str],
) -> int:
    """How many members a batch of a rolling update gives the new definition.

    Heat tries again what failed, whatever else it changes. A member that failed with the new
    definition is one of the batch, so it is mended before the members are changed that come after
    it: the active, which nobody else may be able to take over from.

    :param batch: how many members Heat would give it.
    :param staying: the names of the members that are not removed; the others as in ``order``.
    """
    mended = [n for n in staying if n in failed and n not in outdated and n not in keep]
    return max(batch - len(mended), 0)


def largest_batch(batch: int, size: int, has_active: bool) -> int:
    """How many members may change at once, so that one is left to hand over to."""
    return max(min(batch, size - 1), 1) if has_active else batch


def disturbed(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> tuple[frozenset[str], frozenset[str]]:
    """The members that a change of a group removes, and those whose guests it may touch.

    :param old: the definition of each member as it is, in HOT's form; ``new`` is as it will be.
    """
    removed = frozenset(old.keys() - new.keys())
    changed = {
        name for name, defn in new.items() if name in old and not _is_harmless(old[name], defn)
    }
    return removed, frozenset(changed)


def _is_harmless(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if old == new:
        return True
    free = _HARMLESS.get(str(new.get('type')), frozenset())
    return _without(old, free) == _without(new, free)


def _without(definition: Mapping[str, Any], free: Collection[str]) -> dict[str, Any]:
    properties = definition.get('properties') or {}
    return {**definition, 'properties': {k: v for k, v in properties.items() if k not in free}}
