# SPDX-License-Identifier: Apache-2.0
"""The plan as a graph: for the executor an order, for people JSON and Graphviz."""

import graphlib
from typing import Any

import networkx

from heat_ha.failover import model

_COLOURS = {
    model.StepState.PENDING: '#e0e0e0',
    model.StepState.RUNNING: '#ffe08a',
    model.StepState.DONE: '#a8dca8',
    model.StepState.FAILED: '#f2a3a3',
}


def of(plan: model.Plan) -> 'networkx.DiGraph[str]':
    """The steps as nodes, an edge from each step to those that wait for it."""
    found: networkx.DiGraph[str] = networkx.DiGraph()
    for step in plan.steps:
        found.add_node(step.name, step=step)
    for step in plan.steps:
        found.add_edges_from((earlier, step.name) for earlier in step.after)
    return found


def sorter(plan: model.Plan) -> 'graphlib.TopologicalSorter[str]':
    """A prepared sorter over the steps that are not done yet."""
    open_steps = {s.name for s in plan.steps if s.state is not model.StepState.DONE}
    found: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for step in plan.steps:
        if step.name in open_steps:
            found.add(step.name, *(a for a in step.after if a in open_steps))
    found.prepare()
    return found


def to_dict(plan: model.Plan) -> dict[str, Any]:
    """The graph as JSON can hold it: nodes with their state, edges, and the plan's facts."""
    plain = plan.to_dict()
    plain['edges'] = [[earlier, step.name] for step in plan.steps for earlier in step.after]
    return plain


def to_dot(plan: model.Plan) -> str:
    """The graph in Graphviz' language, coloured by state, with the seconds of each step."""
    lines = [f'digraph "{plan.plan_id}" {{', '  rankdir=LR; node [shape=box, style=filled];']
    for step in plan.steps:
        seconds = f'\\n{step.seconds:.2f} s' if step.seconds is not None else ''
        label = f'{step.name}\\n{step.state.value}{seconds}'
        lines.append(f'  "{step.name}" [label="{label}", fillcolor="{_COLOURS[step.state]}"];')
    lines += [f'  "{a}" -> "{b}";' for a, b in of(plan).edges]
    return '\n'.join([*lines, '}'])
