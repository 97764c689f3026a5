# SPDX-License-Identifier: Apache-2.0
"""Which work the agent lets go on, and how often it signals for that."""

import threading
import types

import pytest

from heat_ha import exceptions
from heat_ha.agent import resumer
from heat_ha.agent.adapters import pending_regions, policy_index
from heat_ha.cloud import heat_rpc
from heat_ha.cloud import model as cloud
from tests.unit.agent.worlds import Inline


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


@pytest.mark.parametrize(
    ('state', 'engine', 'is_forced_down', 'is_resumed'),
    [
        ('running', 'living', False, False),
        ('running', 'dead', False, True),
        ('running', '', False, True),
        ('waiting_for_fence', '', False, False),
        ('waiting_for_fence', '', True, True),
        ('waiting_for_fence', 'living', True, False),
    ],
)
def test_a_plan_goes_on_when_its_engine_died_and_its_host_is_fenced(
    world, monkeypatch, state, engine, is_forced_down, is_resumed
):
    plan = policy_index.Unfinished(
        'policy', 'id', 's', 'p', engine, {'state': state, 'plan': {'old': {'server': 'old'}}}
    )
    sent = []
    monkeypatch.setattr(heat_rpc, 'signal', lambda *what: sent.append(what))
    monkeypatch.setattr(resumer.policy_index, 'unfinished_failovers', lambda: [plan])
    monkeypatch.setattr(resumer.policy_index, 'any_policy', lambda: None)
    monkeypatch.setattr(resumer.pending_regions, 'pending', lambda: [])
    made = resumer.Resumer(
        types.SimpleNamespace(host_of={'old': 'c1'}.get),
        types.SimpleNamespace(get_lock=lambda _name: threading.Lock()),
        types.SimpleNamespace(is_alive=lambda one: one == 'living'),
    )
    services = {'c1': cloud.ComputeService('c1', 'id', False, is_forced_down, False)}
    made.start(Inline(), services)
    assert sent == [('p', 's', 'id', 'policy', {'action': 'resume'})] * is_resumed
    # Not at once again.
    world.now += resumer.POLL_SECONDS
    made.start(Inline(), services)
    assert len(sent) == is_resumed
    world.now += resumer.RESUME_AGAIN_AFTER
    made.start(Inline(), services)
    assert len(sent) == 2 * is_resumed
