# SPDX-License-Identifier: Apache-2.0
"""What an agent shows and tells operators of all hosts together."""

from heat_ha.agent.rules import storm
from tests.unit.agent.worlds import World, make, rounds, store

__all__ = ['store']


def test_a_failed_host_is_shown_to_operators_although_nova_does_not_show_it(store):
    world = World(hosts=6)
    agent = make(world, store)
    rounds(agent, world, 1)
    world.fails = True
    world.down('c1')
    rounds(agent, world)
    del world.services['c1']
    rounds(agent, world, 2)
    assert list(agent.hosts()) == ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'this agent']
    assert 'host=c1 ' in agent.hosts()['c1']
    # An agent that has not seen it fail shows it as well.
    other = make(world, store)
    rounds(other, world, 1)
    assert 'host=c1 ' in other.hosts()['c1']


def test_a_failure_domain_without_hosts_is_named_once(store, caplog):
    world = World()
    agent = make(world, store)
    domains = storm.domains_of(['r1=c1', 'r2=compute-*'], zones=True)
    agent._observer._limits = storm.Limits(per_domain=1, domains=domains)
    world.can_ask = False
    rounds(agent, world, 1)
    assert 'storm_domains' not in caplog.text
    world.can_ask = True
    rounds(agent, world, 3)
    told = [r.getMessage() for r in caplog.records if 'storm_domains' in r.getMessage()]
    assert told == ["storm_domains: none of the hosts that Nova shows now is in 'r2'"]
