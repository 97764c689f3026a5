# SPDX-License-Identifier: Apache-2.0
"""Hosts that were fenced in the storage by a driver of which only its own word is known."""

import dataclasses

import pytest

from heat_ha import exceptions
from heat_ha.agent.rules import decide
from tests.unit.agent.worlds import Bmc, Fences, World, make, phase, rounds, store

__all__ = ['store']


class Storage(Bmc):
    name = 'theirs'
    cuts_power = False

    def let_in(self):
        if self.world.refuses:
            self.world.refused += 1
            raise exceptions.Refused('its status is off')
        self.world.let_in.append(self.host)


def fenced_and_back(store, monkeypatch, *drivers):
    """A world whose host c1 was rescued after a fence by these drivers, and reports again."""
    world = World()
    world.refuses, world.refused, world.let_in = True, 0, []
    monkeypatch.setattr(
        Fences, 'levels', lambda _self, host: (tuple(made(world, host) for made in drivers),)
    )
    agent = make(world, store)
    # That nothing is left on it is believed at once.
    agent._observer._empty.is_believed = lambda *_: True
    rounds(agent, world)
    world.down('c1')
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'
    world.power['c1'] = 'on'
    world.services['c1'] = dataclasses.replace(world.services['c1'], is_up=True)
    rounds(agent, world, 2 * decide.HEARTBEATS_TO_RETURN)
    assert phase(store, 'c1') == 'quarantined'
    return world, agent


def test_a_host_that_was_left_on_is_not_let_in_although_nothing_is_left_on_it(store, monkeypatch):
    world, agent = fenced_and_back(store, monkeypatch, Storage)
    world.refuses = False
    rounds(agent, world)
    assert phase(store, 'c1') == 'quarantined' and world.services['c1'].is_forced_down
    assert world.let_in == [] and not world.refused
    assert 'unfence c1 --by NAME' in str(agent.hosts()['c1'])


@pytest.mark.parametrize('drivers', [(Bmc, Storage), (Storage, Bmc)], ids=['power', 'storage'])
def test_a_host_that_was_switched_off_as_well_is_let_in_once_its_storage_is(
    store, monkeypatch, drivers
):
    world, agent = fenced_and_back(store, monkeypatch, *drivers)
    assert world.refused and world.services['c1'].is_forced_down
    world.refuses = False
    rounds(agent, world)
    assert phase(store, 'c1') == 'closed' and not world.services['c1'].is_forced_down
    assert world.let_in == ['c1']
