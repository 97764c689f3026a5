# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.agent import model
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import storm
from heat_ha.conf import agent as options
from heat_ha.fencing import model as fencing


# S6
@pytest.mark.parametrize('limit', range(1, options.MAX_FENCES + 1))
def test_each_limit_of_fences_that_may_be_set_is_reached(limit):
    incident = Incident('c1', Phase.FENCED, 0.0, 'down', 0.0)
    limits = storm.Limits(per_host=limit)
    for at in range(1, 2 * options.MAX_FENCES):
        of_hosts = storm.of_hosts('c1', [incident], [], 10, limits, float(at))
        assert bool(of_hosts) is (at > limit)
        assert incident.fenced_here >= limit or at <= limit
        proof = fencing.Proof('fake', 'off', float(at))
        incident = incident.fenced(proof, float(at), is_renewal=False)


def test_no_limit_of_fences_may_be_set_that_is_more_than_what_is_kept():
    limits = {o.name: o.type.max for o in options.OPTIONS if o.name in _LIMITS}
    assert limits == dict.fromkeys(_LIMITS, model.RETAINED_FENCES)


_LIMITS = ('fences_per_incident', 'storm_per_host')
