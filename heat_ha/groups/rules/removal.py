# SPDX-License-Identifier: Apache-2.0
"""Which members a scaling of a group takes first, and which change disturbs one.

Heat removes members in one order: failed, then oldest. The active of a FailoverPolicy
often is the oldest. ``heat_ha.plugin.autoscaling_group`` asks here for another order.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

# What Heat changes of a server without touching its guest.
_HARMLESS = {'OS::Nova::Server': frozenset({'metadata', 'name', 'tags'})}


def order(names: Sequence[str], keep: Collection[str]) -> tuple[str, ...]:
    """The order in which members are removed: what has to stay comes last.

    :param names: of all members, in Heat's own order.
    :param keep: the members that something is handed over to.
    """
    return tuple(sorted(names, key=lambda n: n in keep))


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
