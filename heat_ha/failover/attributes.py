# SPDX-License-Identifier: Apache-2.0
"""Attributes of a FailoverPolicy that take more than the record alone."""

from typing import Any

from heat_ha.failover import model
from heat_ha.failover.rules import graph
from heat_ha.groups.adapters import members as group_members


def names_of_standbys(group: Any, found: model.Record) -> list[str]:
    """The attribute ``standbys``: the members beside the active, oldest first."""
    active = found.active.member if found.active else None
    known = {one.member: one.server for one in found.seen}
    members = group_members.look(group, known, found.seen_rows).members
    return [m.name for m in members if m.name != active]


def graph_attribute(found: model.Record) -> dict[str, Any] | None:
    """The attribute ``plan``: the last plan's graph as JSON, with Graphviz text beside it."""
    if found.plan is None:
        return None
    return graph.to_dict(found.plan) | {'graphviz': graph.to_dot(found.plan)}
