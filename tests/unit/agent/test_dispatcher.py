# SPDX-License-Identifier: Apache-2.0
"""Which RemoteStacks the agent lets tell their regions, and how often."""

import itertools
import types

import pytest

from heat_ha import exceptions
from heat_ha.agent import dispatcher as rescuing
from heat_ha.agent.adapters import pending_regions
from heat_ha.agent.rules import dispatch_rules, storm
from heat_ha.cloud import heat_rpc
from heat_ha.cloud import model as cloud


@pytest.fixture
def world(monkeypatch):
    made = types.SimpleNamespace(now=1000.0, sent=[], refuses=set())

    def signal(project, stack_name, stack_id, name, body):
        assert body == {'action': 'sync'} and project == 'p'
        made.sent.append(stack_id)
        if stack_id in made.refuses:
            raise exceptions.CouldNotAsk('heat', 'a signal', 'no engine')

    monkeypatch.setattr(heat_rpc, 'signal', signal)
    monkeypatch.setattr(rescuing, 'time', types.SimpleNamespace(monotonic=lambda: made.now))
    return made


def parts(count):
    return [pending_regions.Pending('remote', f'id{n}', f's{n}', 'p', ('B',)) for n in range(count)]


def test_a_pending_part_is_told_at_once_and_again_after_a_while(world):
    dispatcher = rescuing.Dispatcher(None, None, None, storm.Limits(), 8, 0)
    world.refuses = {'id0'}
    for seconds in range(12):
        world.now = 1000.0 + seconds
        dispatcher._take_up_parts(parts(1))
    assert world.sent == ['id0'] * 3
    # What is done is forgotten, and told at once when it is pending again.
    dispatcher._take_up_parts([])
    dispatcher._take_up_parts(parts(1))
    assert len(world.sent) == 4


def test_with_many_each_has_its_turn(world):
    dispatcher = rescuing.Dispatcher(None, None, None, storm.Limits(), 8, 0)
    for _ in range(3):
        before = len(world.sent)
        dispatcher._take_up_parts(parts(50))
        assert len(world.sent) - before <= rescuing.MAX_CONCURRENT_PARTS
        world.now += 2.0
    assert set(world.sent) == {f'id{n}' for n in range(50)}


def test_the_engines_are_made_ready_now_and_then_where_there_is_a_policy(world, monkeypatch):
    found, prepared = [None], []
    monkeypatch.setattr(rescuing.policy_index, 'any_policy', lambda: found[0])
    monkeypatch.setattr(heat_rpc, 'prepare', lambda *policy: prepared.append(policy))
    dispatcher = rescuing.Dispatcher(None, None, None, storm.Limits(), 8, 0)
    for seconds in range(0, 600, 2):
        world.now = 1000.0 + seconds
        if seconds == 100:
            found[0] = ('p', 's0', 'id0', 'rescue')
        dispatcher._prepare()
    assert prepared == [('p', 's0', 'id0', 'rescue')] * 3


class Nova:
    """Counts how often it is asked what is built anew."""

    def __init__(self, arriving):
        self.found = arriving
        self.asked = 0

    def arriving(self):
        self.asked += 1
        return self.found


def row(number, turn):
    return dispatch_rules.PolicyDispatch(
        number, f'p{number}', 'st', 's', 'p', 'r', 0, (f's{number}',), turn
    )


def test_nova_is_asked_what_arrives_where_only_while_a_policy_waits_for_others():
    marks = {
        'c1': cloud.ComputeService('c1', 'id', False, True, True),
        'c2': cloud.ComputeService('c2', 'id', True, False, False),
        'c3': cloud.ComputeService('c3', 'id', True, False, True),
    }
    for turns in itertools.product(dispatch_rules.DispatchState, repeat=2):
        for per_destination in (0, 2):
            nova = Nova({'s1': 'c2'})
            dispatcher = rescuing.Dispatcher(None, nova, None, storm.Limits(), 8, per_destination)
            found = dispatcher._bound([row(n, turn) for n, turn in enumerate(turns)], marks)
            waiting = turns.count(dispatch_rules.DispatchState.WAITING)
            is_asked = waiting == 2 or (waiting and dispatch_rules.DispatchState.SIGNALLED in turns)
            assert nova.asked == bool(is_asked and per_destination), turns
            if nova.asked:
                # Only c2 takes servers, and one of its two places is taken.
                assert found == 1 + (turns[1] is dispatch_rules.DispatchState.SIGNALLED), turns
            else:
                assert found == 8
