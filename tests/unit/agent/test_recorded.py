# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from heat_ha import exceptions, serialization
from heat_ha.agent import recorded
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from tests.unit.agent.worlds import World, make, phase, rounds, store

__all__ = ['store']


def value(of=Phase.CLOSED, **more):
    return serialization.encode(Incident('c9', of, 1000.0, 'down', 1000.0)) | more


# As an agent sees it that is older than a word about the fence: it must not let the host in.
PROOF = {'who': 'theirs by a2', 'how': 'shut out', 'at': 1000.0, 'newer': ['theirs']}

NOT_UNDERSTOOD = [
    value(newer=1), value(phase='paused'), value(Phase.QUARANTINED, proof=PROOF),
    {'phase': 'closed'}, 'x', None,
]  # fmt: skip


@pytest.mark.parametrize('poison', NOT_UNDERSTOOD)
def test_an_incident_that_is_not_understood_holds_no_other_host(store, caplog, poison):
    caplog.set_level(logging.INFO)
    world = World(hosts=12)
    agent = make(world, store)
    rounds(agent, world, 1)
    world.down('c1', 'c9')
    store.put(agent_store.INCIDENT, 'c9', poison, 0)
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'
    # About the host itself nothing is done, and its record stays as it is.
    assert world.power['c9'] == 'on' and store.get(agent_store.INCIDENT, 'c9').value == poison
    with pytest.raises(exceptions.HaError, match='the incident of host c9'):
        agent._observer.situation('c9')
    assert 'c9 is left alone: the incident of host c9' in agent.hosts()['c9']
    told = [r for r in caplog.records if 'c9 is left alone' in r.getMessage()]
    assert [r.levelname for r in told] == ['WARNING']


# S6
@pytest.mark.parametrize(
    ('poison', 'counts_as'),
    [
        (value(newer=1), Phase.CLOSED),
        (value(Phase.FENCED, newer=1), Phase.FENCED),
        # As a failure of just now, which a person is to look at.
        (value(phase='paused'), Phase.DEFERRED),
        ('x', Phase.DEFERRED),
    ],
)
def test_what_is_understood_of_an_incident_counts_for_the_storm_guard(poison, counts_as):
    entries = {'c9': agent_store.Entry(poison, 1), 'c1': agent_store.Entry(value(), 1)}
    found = recorded.read(entries, 5000.0)
    assert set(found.unreadable) == {'c9'} and found.incidents['c9'].phase is counts_as
    assert found.incidents['c9'].opened == (5000.0 if counts_as is Phase.DEFERRED else 1000.0)
    assert found.incidents['c1'].phase is Phase.CLOSED
