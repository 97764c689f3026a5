# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import networkx
import pytest

from heat_ha import serialization, signals
from heat_ha.failover import model
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import decide, graph
from heat_ha.groups import model as groups
from tests.unit.failover import worlds

ALARM = signals.Signal()
CHAINED = groups.Chained('replace', 1, groups.Order.CREATE_FIRST)


@pytest.mark.parametrize('quiesce', list(model.Quiesce))
@pytest.mark.parametrize('chained', [None, CHAINED])
@pytest.mark.parametrize('size', [1, 2, 5])
@pytest.mark.parametrize('volumes', [0, 1, 3])
def test_every_plan_takes_before_it_gives_and_replaces_last(quiesce, chained, size, volumes):
    group = tuple(worlds.candidate(n) for n in 'abcde'[:size])
    after = {0: (), 1: ('v0',), 2: ('v0', 'v1')}
    attachments = tuple(model.Attachment(f'v{i}', None, after[i]) for i in range(volumes))
    world = worlds.seen(group, volumes=attachments, quiesce=quiesce, chained=chained)
    plan = decide.answer(ALARM, world).plan
    edges = graph.of(plan)
    assert networkx.is_directed_acyclic_graph(edges)
    attaches = [s.name for s in plan.steps if s.kind is StepKind.ATTACH]
    assert len(attaches) == volumes
    for name in attaches:
        assert networkx.has_path(edges, name.replace('attach', 'detach'), name)
        assert networkx.has_path(edges, name, 'hand_over')
    for earlier, later in itertools.pairwise(sorted(attaches)):
        assert networkx.has_path(edges, earlier, later)
        assert networkx.has_path(
            edges, later.replace('attach', 'detach'), earlier.replace('attach', 'detach')
        )
    assert ('replace' in edges) is (chained is not None or size == 1)
    assert ('add_member' in edges) is (size == 1)
    assert ('stop_server' in edges) is (quiesce is model.Quiesce.STOP)
    assert serialization.decode(model.Plan, serialization.encode(plan), 'it') == plan
    assert plan.plan_id in graph.to_dot(plan)


HOOK = model.Hook('c1', {}, 60.0, 0.0, model.OnFailure.STOP)
ORDER = ('add_member', 'quiesce', 'stop_server', 'detach', 'attach', 'hand_over')
# Beside the volumes.
FENCED = ('add_member', 'quiesce', 'stop_server', 'fence', 'hand_over')


def test_a_plan_keeps_the_order_of_its_steps_whatever_the_template_asks_for():
    walked = 0
    flags = (False, True)
    for hooks, quiesce, chained, size, more, retained, by_host in itertools.product(
        (None, HOOK), model.Quiesce, (None, CHAINED), (1, 2), flags, (0.0, 60.0), flags
    ):
        world = worlds.seen(
            tuple(worlds.candidate(n) for n in 'ab'[:size]),
            volumes=('v1', 'v2'),
            quiesce=quiesce,
            quiesce_hook=hooks,
            activate_hook=hooks,
            chained=chained,
            moves_more_than_volumes=more,
            keep_seconds=retained,
            asks_old_host=by_host,
        )
        edges = graph.of(decide.answer(ALARM, world).plan)
        kinds = [(name, name.partition(':')[0]) for name in edges]
        for (earlier, one), (later, other) in itertools.permutations(kinds, 2):
            if one in ORDER and other in ORDER and ORDER.index(one) < ORDER.index(other):
                is_other_volume = ':' in earlier and ':' in later and earlier[-2:] != later[-2:]
                assert is_other_volume or networkx.has_path(edges, earlier, later)
            if one in FENCED and other in FENCED and FENCED.index(one) < FENCED.index(other):
                assert networkx.has_path(edges, earlier, later)
            if one == 'attach' and other == 'activate':
                assert networkx.has_path(edges, earlier, later)
            if other == 'replace' and one != 'replace':
                assert networkx.has_path(edges, earlier, later)
            if one == 'hand_over' and other == 'activate':
                assert networkx.has_path(edges, earlier, later) is more
        has_replacer = chained is not None or size == 1
        assert ('replace' in edges) is has_replacer
        assert ('shut_off_kept' in edges) is (bool(retained) and has_replacer)
        assert ('fence' in edges) is by_host
        walked += 1
    assert walked == 128


def test_a_plan_whose_fence_is_older_than_its_engine_looks_at_the_host_again():
    world = worlds.seen((worlds.candidate('a'), worlds.candidate('b')), asks_old_host=True)
    plan = decide.answer(ALARM, world).plan
    done = dataclasses.replace(plan.step('fence'), state=model.StepState.DONE)
    taken_up = graph.with_fence_open(plan.with_step(done))
    assert taken_up == plan
    over = dataclasses.replace(plan.step('hand_over'), state=model.StepState.DONE)
    ended = plan.with_step(done).with_step(over)
    assert graph.with_fence_open(ended) == ended


def test_a_group_without_an_active_has_nobody_to_fence():
    group = (worlds.candidate('a'), worlds.candidate('b'))
    world = worlds.seen(group, active=None, asks_old_host=True)
    assert 'fence' not in {s.name for s in decide.answer(ALARM, world).plan.steps}
