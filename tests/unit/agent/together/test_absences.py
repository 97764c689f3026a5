# SPDX-License-Identifier: Apache-2.0
"""Hosts that are fenced in a storage whose OFF may also be that it never knew them."""

import dataclasses

import pytest

from heat_ha import serialization
from heat_ha.agent import model
from tests.unit.agent.worlds import Bmc, Died, Fences, World, make, phase, rounds, store

__all__ = ['store']


class Registered(Bmc):
    """Of which OFF is absence. ``fails_after`` it was switched off: its status is not clear."""

    name = 'command'
    cuts_power = False
    off_is_absence = True

    @property
    def target(self):
        return (self.name, f'key of {self.host} {self.world.key}')

    def power(self):
        found = super().power()
        if self.world.dies_at_look and ('off', self.host) in self.world.done:
            raise self.world.dies_at_look
        return found


class Broken(Bmc):
    name = 'ipmi'

    def power(self):
        return super().power() if self.world.works else (model.fencing.Power.UNKNOWN, 'no answer')

    def switch_off(self):
        if not self.world.works:
            raise RuntimeError('no answer')


@pytest.fixture
def scene(store, monkeypatch):
    """A world whose hosts are fenced by their registrations, and an agent that looks at it."""
    world = World()
    world.key, world.dies_at_look, world.works = 'one', None, True
    world.drivers = [Registered]
    monkeypatch.setattr(
        Fences, 'levels', lambda _self, host: (tuple(made(world, host) for made in world.drivers),)
    )
    agent = make(world, store)
    rounds(agent, world)
    return world, agent


def last(agent):
    return agent.hosts()['c1']


def incident(store):
    return serialization.decode(model.Incident, store.get('incident', 'c1').value, 'c1')


def test_off_from_before_the_fence_rescues_nothing_and_names_the_way_out(scene, store):
    world, agent = scene
    # The storage has lost its registrations, or never had one.
    world.power['c1'] = 'off'
    world.down('c1')
    rounds(agent, world)
    assert phase(store, 'c1') == 'confirmed' and not world.services['c1'].is_forced_down
    assert not world.tried and world.servers['c1'] == {'s1', 's2'}
    assert 'confirm c1 --by NAME' in last(agent)
    assert incident(store).removed == ()


def test_a_host_that_its_storage_knew_is_rescued_and_its_fence_is_on_record(scene, store):
    world, agent = scene
    world.down('c1')
    rounds(agent, world)
    assert phase(store, 'c1') == 'done' and not world.servers['c1']
    [removed] = incident(store).removed
    assert agent._watch._removed('c1') == (removed,) and agent._watch._removed('c2') == ()
    # It is over with the incident: the next failure needs a look of its own.
    closed = dataclasses.replace(incident(store), phase=model.Phase.CLOSED)
    store.put('incident', 'c1', serialization.encode(closed), store.get('incident', 'c1').version)
    rounds(agent, world, 1)
    assert agent._watch._removed('c1') == ()


def test_what_fences_have_removed_is_not_known_before_the_records_were_read(scene, store):
    world, _agent = scene
    begun = make(world, store)
    assert begun._watch._removed('c1') is None
    rounds(begun, world, 1)
    assert begun._watch._removed('c1') == ()
    store.put('incident', 'c2', {'no': 'incident'}, 0)
    rounds(begun, world, 1)
    assert begun._watch._removed('c2') is None and begun._watch._removed('c1') == ()


def test_an_agent_that_dies_after_the_fence_leaves_on_record_that_it_was_one(scene, store):
    world, agent = scene
    world.dies_at_look = Died()
    world.down('c1')
    with pytest.raises(Died):
        rounds(agent, world)
    assert phase(store, 'c1') == 'confirmed' and incident(store).removed
    world.dies_at_look = None
    rounds(make(world, store), world)
    assert phase(store, 'c1') == 'done'


def test_a_fence_of_which_a_part_was_done_goes_on_where_it_was(scene, store):
    world, agent = scene
    world.drivers, world.works = [Registered, Broken], False
    world.down('c1')
    rounds(agent, world, 3)
    assert phase(store, 'c1') == 'confirmed' and incident(store).removed
    world.works = True
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'


def test_another_entry_needs_a_look_of_its_own(scene, store):
    world, agent = scene
    world.drivers, world.works = [Registered, Broken], False
    world.down('c1')
    rounds(agent, world, 3)
    # Its key was corrected meanwhile, and the agents were started again.
    world.works, world.key = True, 'two'
    agent = make(world, store)
    rounds(agent, world)
    assert phase(store, 'c1') == 'confirmed' and 'no fence of this failure' in last(agent)
