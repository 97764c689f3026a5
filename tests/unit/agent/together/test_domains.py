# SPDX-License-Identifier: Apache-2.0
"""Hosts of one failure domain that die in one moment, and are seen down one by one."""

from heat_ha.agent.rules import storm
from tests.unit.agent.worlds import begin, store  # noqa: F401


def test_of_hosts_of_one_failure_domain_that_die_together_none_is_fenced(begin):  # noqa: F811
    scene = begin(20)
    domains = storm.domains_of(['rack1=c1 c5 c9'], False)
    scene.agent._observer._limits = storm.Limits(per_domain=1, domains=domains)
    scene.tick(40)
    scene.clock.dead |= {'c1', 'c5'}
    # One has sent its last report a while before the other one.
    scene.world.down('c1')
    scene.tick(9)
    assert scene.world.services['c5'].is_up
    scene.tick(60)
    assert scene.world.tried == [] and {scene.phase(h) for h in ('c1', 'c5')} == {'deferred'}


def test_a_host_of_a_failure_domain_that_dies_alone_is_rescued(begin):  # noqa: F811
    scene = begin(20)
    domains = storm.domains_of(['rack1=c1 c5 c9'], False)
    scene.agent._observer._limits = storm.Limits(per_domain=1, domains=domains)
    scene.tick(40)
    scene.clock.dead.add('c1')
    scene.tick(60)
    assert scene.phase('c1') == 'done'
