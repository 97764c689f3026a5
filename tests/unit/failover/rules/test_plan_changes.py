# SPDX-License-Identifier: Apache-2.0
"""A plan that an update has changed is the one that the new template would have led to."""

import dataclasses
import itertools

import pytest

from heat_ha import signals
from heat_ha.failover import model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import decide, graph, ways_out
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)
HOOK = model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP)
NONE, STOP = model.Quiesce.NONE, model.Quiesce.STOP

# Quiesce, its config, activate, how long the old active is retained.
TEMPLATES = list(itertools.product((NONE, STOP), (None, HOOK), (None, HOOK), (0.0, 60.0)))


def plan_by(template, signal=signals.Signal()):  # noqa: B008
    quiesce, quiesce_hook, activate_hook, keep_seconds = template
    world = worlds.seen(
        [worlds.candidate(name) for name in 'abc'],
        chained=CHAINED,
        quiesce=quiesce,
        quiesce_hook=quiesce_hook,
        activate_hook=activate_hook,
        keep_seconds=keep_seconds,
    )
    return decide.answer(signal, world).plan


def updated(plan, template):
    quiesce, quiesce_hook, activate_hook, keep_seconds = template
    update = ways_out.PlanUpdate(
        plan.revision, frozenset(), quiesce_hook, activate_hook, plan.on_dead_host, quiesce,
        keep_seconds,
    )  # fmt: skip
    return ways_out.updated(plan, update)


def graph_of(plan):
    return {step.name: (step.kind, step.target, set(step.after)) for step in plan.steps}


def without_quiesce(plan):
    """The graph without what runs on the old active: that is not begun anew by an update."""
    return {
        name: (kind, target, after - {'quiesce', 'stop_server'})
        for name, (kind, target, after) in graph_of(plan).items()
        if name not in ('quiesce', 'stop_server')
    }


@pytest.mark.parametrize(('before', 'now'), list(itertools.product(TEMPLATES, TEMPLATES)))
def test_what_is_left_of_a_plan_is_what_the_template_of_now_wants(before, now):
    found, wanted = updated(plan_by(before), now), plan_by(now)
    # A config that is taken out runs nowhere; its step finds nothing to do.
    shaped = plan_by((*now[:2], now[2] or before[2], now[3]))
    assert without_quiesce(found) == without_quiesce(shaped)
    assert (found.activate_hook, found.keep_seconds) == (wanted.activate_hook, wanted.keep_seconds)
    names = [step.name for step in found.steps]
    assert ('stop_server' in names) is (before[0] is now[0] is STOP)
    assert found.quiesce_hook is (now[1] if before[1] else None)
    assert set().union(*(step.after for step in found.steps)) <= set(names)
    assert list(graph.sorter(found).get_ready())
    assert updated(found, now) == found
    if before == now:
        # A plan by which nothing changes is as it was.
        assert found == plan_by(before)


def test_the_volumes_wait_for_what_a_shutdown_that_is_taken_out_has_waited_for():
    plan = updated(plan_by((STOP, HOOK, None, 0.0)), (NONE, HOOK, None, 0.0))
    assert plan.step('detach:v1').after == ('quiesce',)


def test_a_shutdown_that_nova_refuses_hinders_nothing_once_the_template_has_none():
    plan = plan_by((STOP, None, None, 0.0))
    stop = dataclasses.replace(plan.step('stop_server'), state=StepState.FAILED)
    found = updated(plan.with_step(stop), (NONE, None, None, 0.0))
    assert graph.sorter(found).get_ready() == ('detach:v1',)


def test_nothing_is_retained_of_a_switchover():
    asked = signals.Signal(model.Action.SWITCHOVER, 'b')
    plan = updated(plan_by((NONE, None, None, 0.0), asked), (NONE, None, HOOK, 60.0))
    assert plan.keep_seconds == 0.0
    assert [s.kind for s in plan.steps] == [
        StepKind.DETACH, StepKind.ATTACH, StepKind.HAND_OVER, StepKind.ACTIVATE,
    ]  # fmt: skip
