# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import storm

NOW = 10_000.0


def failed(host, ago=10.0, phase=Phase.SUSPECT):
    return Incident(host, phase, NOW - ago, 'down', NOW - ago)


def of_hosts(incidents, *, hosts=10, share=0.2, host='c1', down=()):
    limits = storm.Limits(period=3600, host_share=share)
    return storm.of_hosts(host, incidents, down, hosts, limits, NOW)


# S6
def test_one_host_may_always_fail():
    assert not of_hosts([failed('c1')], hosts=1, share=0.0)


def test_two_of_three_hosts_at_once_are_a_storm_for_both():
    both = [failed('c1'), failed('c2')]
    assert 'level cloud' in of_hosts(both, hosts=3, host='c1')
    assert 'level cloud' in of_hosts(both, hosts=3, host='c2')


# S6
@pytest.mark.parametrize('count', range(1, 7))
def test_the_share_bounds_how_many_may_fail(count):
    incidents = [failed(f'c{n}') for n in range(1, count + 1)]
    assert bool(of_hosts(incidents, hosts=20, share=0.2)) is (count > 4)


def test_a_slow_cascade_is_a_storm_although_each_host_is_done_before_the_next_fails():
    cascade = [failed(f'c{n}', ago=n * 600, phase=Phase.DONE) for n in (2, 3)]
    assert of_hosts([failed('c1'), *cascade])
    long_ago = [failed(f'c{n}', ago=3600 + n, phase=Phase.DONE) for n in (2, 3)]
    assert not of_hosts([failed('c1'), *long_ago])


def test_a_host_without_an_incident_yet_counts_and_a_false_alarm_does_not():
    assert of_hosts([failed('c1')], hosts=3, down=['c2'])
    assert not of_hosts([failed('c1'), failed('c2', phase=Phase.CLOSED)], hosts=3)


SCOPES = [
    storm.Scope(project, f'{project}-{stack}', f'{project}-{stack}-{policy}')
    for project in 'pq'
    for stack in 'st'
    for policy in 'xy'
]


@pytest.mark.parametrize('level', ['project', 'stack', 'policy'])
@pytest.mark.parametrize('limit', [0, 1, 2, 3, 5, 8])
def test_no_project_stack_or_policy_gets_more_than_its_limit(level, limit):
    limits = storm.Limits(**{f'per_{level}': limit})
    past = [storm.PastRescue(SCOPES[0], 1, NOW - 10), storm.PastRescue(SCOPES[0], 9, NOW - 9999)]
    refused = storm.of_rescues([(s, 2) for s in SCOPES], past, limits, NOW)
    counts = {getattr(SCOPES[0], level): 1}
    for scope in SCOPES:
        if scope.policy not in refused:
            name = getattr(scope, level)
            counts[name] = counts.get(name, 0) + 2
    if limit:
        assert all(count <= limit or count == 1 for count in counts.values())
        assert all(f'level {level}' in reason for reason in refused.values())
        of_first = [s for s in SCOPES if getattr(s, level) == getattr(SCOPES[0], level)]
        assert bool(refused) is (limit < 1 + 2 * len(of_first))
    else:
        assert not refused


def test_the_more_important_policy_uses_up_the_limit_first():
    wanted = [(SCOPES[0], 2), (SCOPES[1], 2)]
    assert list(storm.of_rescues(wanted, [], storm.Limits(per_stack=2), NOW)) == [SCOPES[1].policy]


def doubt(unheard, *, incidents=(), hosts=3, share=0.2, down=()):
    limits = storm.Limits(period=3600, host_share=share)
    return storm.doubt('c1', [failed('c1'), *incidents], down, unheard, hosts, limits, NOW)


def test_hosts_that_were_not_heard_of_count_as_if_they_had_failed():
    assert 'c2, c3' in doubt(['c3', 'c2'])
    assert not doubt([])
    # Four of twenty may fail.
    assert not doubt(['c2', 'c3', 'c4'], hosts=20)
    assert doubt(['c2', 'c3', 'c4', 'c5'], hosts=20)
    assert doubt(['c2', 'c3'], hosts=20, incidents=[failed('c8'), failed('c9')])


def test_hosts_that_are_down_are_in_no_doubt():
    assert not doubt(['c1', 'c2'], incidents=[failed('c2')])
    assert not doubt(['c2'], down=['c2'])
