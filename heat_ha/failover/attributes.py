# SPDX-License-Identifier: Apache-2.0
"""Attributes of a FailoverPolicy that take more than the record alone."""

from collections.abc import Sequence
from typing import Any

from heat_ha.failover import model
from heat_ha.failover.rules import arrival, graph, ways_out, work
from heat_ha.groups.adapters import members as group_members


def names_of_standbys(group: Any, found: model.Record) -> list[str]:
    """The attribute ``standbys``: the members beside the active, oldest first."""
    active = found.active.member if found.active else None
    known = {one.member: one.server for one in found.seen}
    members = group_members.look(group, known, found.seen_rows).members
    return [m.name for m in members if m.name != active]


def reason(found: model.Record, waiting: Sequence[model.Remembered]) -> str:
    """The attribute ``reason``: why the policy is not ready, and what to do about it."""
    if found.reason:
        return f'{found.reason}. {found.remedy}'
    parts = [f'the signal about {arrival.subject(one)} waits: {one.why}' for one in waiting]
    for one in found.follow_ups:
        names = ', '.join(one.plan.replaces)
        if one.reason:
            parts.append(f'{names} could not be replaced yet: {one.reason}. {one.remedy}'.rstrip())
        else:
            parts.append(f'{names} is being replaced')
    parts += [
        f'{one.member} was kept long enough and could not be removed yet: {one.reason}. '
        f'{one.remedy}'.rstrip()
        for one in work.hindered(found)
    ]
    if found.left_over:
        text = '; '.join(found.left_over)
        parts.append(f'a dropped failover has left this: {text}. {ways_out.to_bring_there(found)}')
    return '; '.join(parts)


def pending(found: model.Record, waiting: Sequence[model.Remembered]) -> dict[str, Any]:
    """The attribute ``pending``: what is left to do, and when it is tried again."""
    return {
        'signals': [
            {
                'member': one.member,
                'server': one.server,
                'came': one.came,
                'reason': one.reason,
                'why': one.why,
                'due': one.due,
            }
            for one in waiting
        ],
        'replacements': [
            {
                'members': list(one.plan.replaces),
                'plan': one.plan.plan_id,
                'tries': one.tries,
                'reason': one.reason,
                'due': one.due,
            }
            for one in found.follow_ups
        ],
        'retained': [
            {
                'member': one.member,
                'server': one.server,
                'until': one.until,
                'tries': one.tries,
                'reason': one.reason,
                'due': one.due,
            }
            for one in found.retained
        ],
        'left_over': list(found.left_over),
        'suspects': list(found.suspects),
    }


def graph_attribute(found: model.Record) -> dict[str, Any] | None:
    """The attribute ``plan``: the last plan's graph as JSON, with Graphviz text beside it."""
    if found.plan is None:
        return None
    return graph.to_dict(found.plan) | {'graphviz': graph.to_dot(found.plan)}
