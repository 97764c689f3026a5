# SPDX-License-Identifier: Apache-2.0
"""How often the steps of a plan look; what they do is tested with the executor."""

import collections

import pytest

from heat_ha.failover import handoff_steps, moves_under_way
from heat_ha.failover.model import StepKind
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
