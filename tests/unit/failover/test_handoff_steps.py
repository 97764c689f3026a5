# SPDX-License-Identifier: Apache-2.0
"""How often the steps of a plan look; what they do is tested with the executor."""

import collections
import dataclasses

import pytest

from heat_ha.failover import handoff_steps, model, moves_under_way
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import retry
from tests.unit.failover import test_executor


@pytest.mark.parametrize('others', [0, 6])
def test_among_many_failovers_only_the_end_is_looked_for_less_often(monkeypatch, others):
    moves, waits = moves_under_way.MovesUnderWay(), collections.defaultdict(set)
    for number in range(others + 1):
        moves.begin(f'policy-{number}')
    monkeypatch.setattr(moves_under_way, 'HERE', moves)
    monkeypatch.setattr(retry, 'FIRST_LOOK', 0.001)
    really_wait = handoff_steps.HandoffSteps._wait

    def wait(self, step, known, seconds, **more):
        waits[step.kind].add(round(seconds, 6))
        really_wait(self, step, known, seconds, **more)

    monkeypatch.setattr(handoff_steps.HandoffSteps, '_wait', wait)
    cloud, plan = test_executor.make(volumes=('v1',))
    test_executor.run(plan, test_executor.FakeShell(), cloud)
    assert waits[StepKind.DETACH] == {retry.FIRST_LOOK}
    assert waits[StepKind.ATTACH] == {retry.FIRST_LOOK * (others + 1)}


@pytest.mark.parametrize(
    ('detached', 'attached', 'asked'),
    [
        pytest.param('RRR', 'PPP', ['server-a'], id='nothing is free yet'),
        pytest.param('DRR', 'RPP', ['server-a', 'server-b'], id='some are on their way'),
        pytest.param('DDF', 'RRP', ['server-a', 'server-b'], id='one was left by a dead engine'),
        pytest.param('DDD', 'RRR', ['server-b'], id='the old active has given up all'),
        pytest.param('DDD', 'DDD', ['server-b'], id='all are there'),
    ],
)
def test_a_server_is_asked_for_its_attachments_only_while_they_change(detached, attached, asked):
    volumes = ('v1', 'v2', 'v3')
    cloud, plan = test_executor.make(volumes=volumes)
    letters = {state.name[0]: state for state in StepState}
    for kind, states in (('detach', detached), ('attach', attached)):
        for volume, letter in zip(volumes, states, strict=True):
            step = plan.step(f'{kind}:{volume}')
            plan = plan.with_step(dataclasses.replace(step, state=letters[letter]))
    questions = []
    cloud.attached = lambda servers: questions.append(list(servers))
    steps = handoff_steps.HandoffSteps(cloud, lambda: plan, lambda: None, {}, None)
    steps._attached(model.ThingKind.VOLUME, set(volumes))
    assert questions == [asked]
