# SPDX-License-Identifier: Apache-2.0
"""The plan as a graph: for the executor an order, for people JSON and Graphviz."""

import dataclasses
import graphlib
import itertools
from typing import Any

import networkx

from heat_ha import serialization
from heat_ha.failover import model
from heat_ha.failover.model import StepKind, StepState

# What Heat shows in the place of the value of a hidden parameter.
MASK = '******'

_START = ''

_COLOURS = {
    StepState.PENDING: '#e0e0e0',
    StepState.RUNNING: '#ffe08a',
    StepState.DONE: '#a8dca8',
    StepState.FAILED: '#f2a3a3',
}


def of(plan: model.Plan) -> 'networkx.DiGraph[str]':
    """The steps as nodes, an edge from each step to those that wait for it."""
    found: networkx.DiGraph[str] = networkx.DiGraph()
    for step in plan.steps:
        found.add_node(step.name, step=step)
    for step in plan.steps:
        found.add_edges_from((earlier, step.name) for earlier in step.after)
    return found


def with_fence_open(plan: model.Plan) -> model.Plan:
    """The plan as it is carried on with: what was seen of a host or of a server has aged (S1).

    A host may have died since, and a server that was shut off may have been started again: both
    are looked at once more, as long as something is to be taken from there.
    """
    if any(s.kind is StepKind.HAND_OVER and s.state is StepState.DONE for s in plan.steps):
        return plan
    is_taken = all(s.state is StepState.DONE for s in plan.steps if s.kind is StepKind.DETACH)
    aged = {StepKind.FENCE} if is_taken else {StepKind.FENCE, StepKind.STOP_SERVER}
    return dataclasses.replace(
        plan,
        steps=tuple(
            dataclasses.replace(s, state=StepState.PENDING)
            if s.kind in aged and not s.is_follow_up
            else s
            for s in plan.steps
        ),
    )


def sorter(plan: model.Plan, *, of_follow_up: bool = False) -> 'graphlib.TopologicalSorter[str]':
    """A prepared sorter over the steps of the failover, or of its follow-up, that are not done."""
    open_steps = {
        s.name
        for s in plan.steps
        if s.state is not StepState.DONE and s.is_follow_up is of_follow_up
    }
    found: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for step in plan.steps:
        if step.name in open_steps:
            found.add(step.name, *(a for a in step.after if a in open_steps))
    found.prepare()
    return found


def to_dict(plan: model.Plan) -> dict[str, Any]:
    """The graph as JSON can hold it: nodes with their state, edges, and the plan's facts.

    Invariant: no value of an input of a hook is in it, at any depth. Such a value may be a secret,
    which Heat shows nobody, and whoever may look at the stack may read this.
    """
    plain = serialization.encode(_without_values(plan))
    plain['edges'] = [[earlier, step.name] for step in plan.steps for earlier in step.after]
    return plain


def _without_values(plan: model.Plan) -> model.Plan:
    def masked(hook: model.Hook | None) -> model.Hook | None:
        if hook is None:
            return None
        return dataclasses.replace(hook, input_values=dict.fromkeys(hook.input_values, MASK))

    return dataclasses.replace(
        plan,
        quiesce_hook=masked(plan.quiesce_hook),
        activate_hook=masked(plan.activate_hook),
    )


def slowest_path(plan: model.Plan) -> tuple[str, ...]:
    """The steps that the plan's duration is made of: what to make quicker first."""
    seconds = {s.name: s.seconds or 0.0 for s in plan.steps}
    weighted: networkx.DiGraph[str] = networkx.DiGraph()
    weighted.add_nodes_from(seconds)
    for step in plan.steps:
        weighted.add_weighted_edges_from((e, step.name, seconds[step.name]) for e in step.after)
        if not step.after:
            # The weight of a path is in its edges, so each first step needs one as well.
            weighted.add_edge(_START, step.name, weight=seconds[step.name])
    path = networkx.dag_longest_path(weighted) if weighted.edges else []
    return tuple(name for name in path if name != _START)


def to_dot(plan: model.Plan) -> str:
    """The graph in Graphviz' language, for ``dot -Tsvg``.

    A step is a box in the colour of its state, with its seconds and, as tooltip, its reason.
    What the duration is made of has a bold frame and bold arrows.
    """
    slowest = slowest_path(plan) if any(s.seconds for s in plan.steps) else ()
    on_path = set(itertools.pairwise(slowest))
    title = f'plan {plan.plan_id}, epoch {plan.epoch}: {plan.cause.value}'
    lines = [
        f'digraph {_quoted(plan.plan_id)} {{',
        f'  graph [rankdir=LR, labelloc=t, fontname="sans-serif", label={_quoted(title)}];',
        '  node [shape=box, style="filled,rounded", fontname="sans-serif"];',
    ]
    for step in plan.steps:
        kind, _, what = step.name.partition(':')
        seconds = f'{step.seconds:.2f} s' if step.seconds is not None else ''
        label = '\n'.join(part for part in (kind, what, step.state.value, seconds) if part)
        width = 3 if step.name in slowest else 1
        lines.append(
            f'  {_quoted(step.name)} [label={_quoted(label)}, penwidth={width}, '
            f'fillcolor="{_COLOURS[step.state]}", tooltip={_quoted(step.reason or step.name)}];'
        )
    for earlier, later in of(plan).edges:
        width = 3 if (earlier, later) in on_path else 1
        lines.append(f'  {_quoted(earlier)} -> {_quoted(later)} [penwidth={width}];')
    return '\n'.join([*lines, '}'])


def _quoted(text: str) -> str:
    """A text as Graphviz takes it: a reason may hold whatever a service has answered."""
    escaped = text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n')
    return f'"{escaped}"'
