# SPDX-License-Identifier: Apache-2.0
"""What is seen of the hosts while Heat hands over the rest, and what ends the wait for that."""

import dataclasses
import types

import pytest

from heat_ha import exceptions
from heat_ha.failover import hand_over_watch, heat_steps
from heat_ha.testing import clouds
from tests.unit.failover import worlds


@pytest.fixture
def made(monkeypatch):
    """A watch over the hand-over from a to b; c was tried before. ``told`` are its events."""
    world = clouds.FakeCloud()
    for name in 'abc':
        world.add_server(f'server-{name}')
    clock = [0.0]
    monkeypatch.setattr(hand_over_watch, 'time', types.SimpleNamespace(monotonic=lambda: clock[0]))
    asked = []
    look = hand_over_watch.former_holders.look
    monkeypatch.setattr(
        hand_over_watch.former_holders,
        'look',
        lambda services, server: asked.append(server) or look(services, server),
    )

    def make(*, by_host):
        candidates = (worlds.candidate('a'), worlds.candidate('b'))
        plan = worlds.plan(worlds.seen(candidates, volumes=(), asks_old_host=by_host))
        plan = dataclasses.replace(plan, tried=(worlds.holder('c'),))
        watch = hand_over_watch.HandOverWatch(world, plan, make.told.append)

        def look(after=hand_over_watch.LOOK_EVERY):
            clock[0] += after
            watch.look()

        return look

    make.world, make.told, make.asked = world, [], asked
    return make


def test_while_both_hosts_are_up_they_are_looked_at_now_and_then(made):
    look = made(by_host=True)
    for _ in range(100):
        look(after=0.2)
    assert made.asked == ['server-b', 'server-a', 'server-c'] and made.told == []


def test_nothing_is_asked_of_who_gives_nothing(made):
    made(by_host=False)()
    assert made.asked == ['server-b']


@pytest.mark.parametrize('by_host', [False, True])
@pytest.mark.parametrize('name', ['a', 'b', 'c'])
def test_a_host_that_dies_ends_the_wait_once_that_is_confirmed(made, name, by_host):
    look = made(by_host=by_host)
    look()
    made.world.let_die(f'server-{name}')
    for _ in range(3):
        look()
    concerns_heat = by_host or name == 'b'
    assert len(made.told) == concerns_heat
    assert all(f'server-{name}' in text and 'compute service set' in text for text in made.told)
    made.world.confirm()
    if not concerns_heat:
        look()
        return
    kind = exceptions.SuccessorFailed if name == 'b' else exceptions.FencingUnconfirmed
    with pytest.raises(kind, match='has died') as ended:
        look()
    assert 'send the signal resume' in ended.value.remedy
    assert getattr(ended.value, 'server', f'server-{name}') == f'server-{name}'
    # It is looked at again at once by who goes on with the same update.
    with pytest.raises(kind):
        look(after=0.0)


def test_what_is_not_known_and_who_is_gone_ends_nothing(made):
    look = made(by_host=True)
    for name in 'abc':
        made.world.let_die(f'server-{name}')
        made.world.confirm()
        made.world.owner_deletes(f'server-{name}')
        look()
    made.world._faults = 1.0
    look()


def test_the_hand_over_asks_at_each_look(monkeypatch, made):
    world, plan = (
        made.world,
        worlds.plan(worlds.seen((worlds.candidate('a'), worlds.candidate('b')), volumes=())),
    )
    world.let_die('server-b')
    world.confirm()
    monkeypatch.setattr(heat_steps.clients, 'StackClients', lambda _policy: world)
    monkeypatch.setattr(hand_over_watch, 'LOOK_EVERY', 0.0)
    asked = []
    policy = types.SimpleNamespace(
        child_template=None, stack=types.SimpleNamespace(timeout_secs=lambda: 3600)
    )

    def update(_policy, _template, *, timeout, still_wanted):
        assert timeout == 3600
        still_wanted()

    monkeypatch.setattr(heat_steps.nested_stack, 'update_nested', update)
    steps = heat_steps.HeatSteps(policy, None, None, None, lambda: asked.append(True))
    with pytest.raises(exceptions.SuccessorFailed):
        steps.hand_over(plan)
    assert asked == [True]
