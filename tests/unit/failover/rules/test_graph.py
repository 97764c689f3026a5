# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import re

import pytest

from heat_ha import serialization, signals
from heat_ha.failover import model
from heat_ha.failover.rules import decide, graph
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

QUOTED = r'"(?:[^"\\\n]|\\.)*"'
ATTRIBUTES = rf'\[\w+=(?:{QUOTED}|\w+)(?:, \w+=(?:{QUOTED}|\w+))*\]'
LINE = re.compile(
    rf'digraph {QUOTED} {{|  (?:graph|node) {ATTRIBUTES};'
    rf'|  {QUOTED} {ATTRIBUTES};|  {QUOTED} -> {QUOTED} {ATTRIBUTES};|}}'
)


def a_plan(**of_steps):
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')), volumes=('v1', 'v2'))
    plan = decide.answer(signals.Signal(), world).plan
    for step in plan.steps:
        changes = of_steps.get(step.name.replace(':', '_'), {})
        plan = plan.with_step(dataclasses.replace(step, **changes))
    return plan


def test_whatever_a_service_answered_the_graph_stays_one_that_dot_can_read():
    reasons = ('plain', 'a "quoted" \\ reason', 'two\nlines', '\\', 'ünïcode "', 'ends with \\"')
    for reason in reasons:
        text = graph.to_dot(a_plan(detach_v1={'reason': reason}))
        for line in text.split('\n'):
            assert LINE.fullmatch(line), line
        assert text.count('->') == 4


SECRETS = {
    'password': 's3cret-1',
    'nested': {'token': 's3cret-2', 'list': ['s3cret-3', {'deep': 's3cret-4'}]},
    'number': 8675309,
    'nothing': None,
}


@pytest.mark.parametrize('which', ['quiesce_hook', 'activate_hook', 'both'])
def test_no_value_of_an_input_is_shown(which):
    hook = model.Hook('config-1', SECRETS, 60.0, 0.0, model.OnFailure.STOP)
    names = ('quiesce_hook', 'activate_hook') if which == 'both' else (which,)
    plan = dataclasses.replace(a_plan(), **dict.fromkeys(names, hook))

    shown = graph.to_dict(plan)

    text = json.dumps(shown) + graph.to_dot(plan)
    assert 's3cret' not in text and '8675309' not in text
    for name in names:
        assert shown[name]['input_values'] == dict.fromkeys(SECRETS, '******')
        assert shown[name]['config'] == 'config-1'
    # On record they are, for the engine that goes on with the plan.
    assert getattr(plan, names[0]).input_values == SECRETS


def test_a_plan_without_hooks_is_shown_as_it_is():
    plan = a_plan()
    shown = graph.to_dict(plan)
    assert shown.pop('edges') and shown == serialization.encode(plan)


def test_each_state_has_a_colour_and_each_step_its_seconds():
    for state in model.StepState:
        text = graph.to_dot(a_plan(detach_v1={'state': state, 'seconds': 1.25}))
        (line,) = [x for x in text.split('\n') if x.startswith('  "detach:v1" [')]
        assert '1.25 s' in line and state.value in line
        assert re.search(r'fillcolor="#[0-9a-f]{6}"', line)
    assert len({graph._COLOURS[s] for s in model.StepState}) == len(model.StepState)


def test_the_slowest_path_is_the_one_that_the_duration_is_made_of():
    plan = a_plan(
        detach_v1={'seconds': 1.0},
        attach_v1={'seconds': 1.0},
        detach_v2={'seconds': 3.0},
        attach_v2={'seconds': 0.5},
        hand_over={'seconds': 0.1},
    )
    assert graph.slowest_path(plan) == ('detach:v2', 'attach:v2', 'hand_over')
    assert graph.to_dot(plan).count('-> "attach:v2" [penwidth=3]') == 1


# S1
def test_a_server_that_was_shut_off_is_looked_at_again_while_a_volume_is_to_be_taken_from_it():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    world = worlds.seen(
        group,
        volumes=('v1', 'v2'),
        quiesce=model.Quiesce.STOP,
        quiesce_hook=model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP),
        keep_seconds=60.0,
        chained=groups.Chained('replace', 1, groups.Order.CREATE_FIRST),
    )
    plan = decide.answer(signals.Signal(), world).plan
    done = model.StepState.DONE
    for number in range(1, len(plan.steps) + 1):
        steps = [dataclasses.replace(s, state=done) for s in plan.steps[:number]]
        reached = dataclasses.replace(plan, steps=(*steps, *plan.steps[number:]))
        again = graph.with_fence_open(reached)
        is_left = any(s.state is not done for s in reached.steps if s.kind is model.StepKind.DETACH)
        for before, after in zip(reached.steps, again.steps, strict=True):
            is_aged = before.name == 'stop_server' and is_left
            assert after.state is (model.StepState.PENDING if is_aged else before.state), number
