# SPDX-License-Identifier: Apache-2.0
"""Which RemoteStacks the agent lets write to their regions, and how often."""

import types

import pytest

from heat_ha import exceptions
from heat_ha.agent import resumer
from heat_ha.agent.adapters import pending_regions
from heat_ha.cloud import heat_rpc


@pytest.fixture
def world(monkeypatch):
    made = types.SimpleNamespace(now=1000.0, sent=[], refuses=set())

    def signal(project, stack_name, stack_id, name, body):
        assert body == {'action': 'sync'} and project == 'p'
        made.sent.append(stack_id)
        if stack_id in made.refuses:
            raise exceptions.CouldNotAsk('heat', 'a signal', 'no engine')

    monkeypatch.setattr(heat_rpc, 'signal', signal)
    monkeypatch.setattr(resumer, 'time', types.SimpleNamespace(monotonic=lambda: made.now))
    return made


def parts(count):
    return [pending_regions.Pending('remote', f'id{n}', f's{n}', 'p', ('B',)) for n in range(count)]


def test_a_pending_part_is_signalled_at_once_and_again_after_a_while(world):
    made = resumer.Resumer(None, None, None)
    world.refuses = {'id0'}
    for seconds in range(12):
        world.now = 1000.0 + seconds
        made._sync(parts(1))
    assert world.sent == ['id0'] * 3
    # What is done is forgotten, and signalled at once when it is pending again.
    made._sync([])
    made._sync(parts(1))
    assert len(world.sent) == 4


def test_with_many_each_has_its_turn(world):
    made = resumer.Resumer(None, None, None)
    for _ in range(3):
        before = len(world.sent)
        made._sync(parts(50))
        assert len(world.sent) - before <= resumer.MAX_SYNCS
        world.now += 2.0
    assert set(world.sent) == {f'id{n}' for n in range(50)}


def test_the_engines_are_made_ready_now_and_then_where_there_is_a_policy(world, monkeypatch):
    found, prepared = [None], []
    monkeypatch.setattr(resumer.policy_index, 'any_policy', lambda: found[0])
    monkeypatch.setattr(heat_rpc, 'prepare', lambda *policy: prepared.append(policy))
    made = resumer.Resumer(None, None, None)
    for seconds in range(0, 600, 2):
        world.now = 1000.0 + seconds
        if seconds == 100:
            found[0] = ('p', 's0', 'id0', 'rescue')
        made._prepare()
    assert prepared == [('p', 's0', 'id0', 'rescue')] * 3
