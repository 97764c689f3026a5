# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from heat_ha import exceptions
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import storm

NOW = 10_000.0


def failed(host, ago=10.0, phase=Phase.SUSPECT):
    return Incident(host, phase, NOW - ago, 'down', NOW - ago)


def of_hosts(incidents, *, hosts=10, share=0.2, host='c1', down=(), **limits):
    limits = storm.Limits(period=3600, host_share=share, **{'together': 0, **limits})
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


def doubt(unheard, *, incidents=(), hosts=3, share=0.2, down=(), together=0):
    limits = storm.Limits(period=3600, host_share=share, together=together)
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


@pytest.mark.parametrize('count', range(1, 11))
@pytest.mark.parametrize('apart', [0.0, 3.0, 60.0])
def test_hosts_that_fall_silent_in_one_moment_are_a_storm_however_many_there_are(count, apart):
    rack = [failed(f'c{n}', ago=700 - n * apart) for n in range(1, count + 1)]
    for one in rack:
        found = of_hosts(rack, hosts=60, host=one.host, together=3)
        near = sum(abs(one.opened - other.opened) <= 30 for other in rack)
        assert bool(found) is (near > 3), (one, found)
        assert not found or 'level moment' in found


def test_before_the_others_of_a_rack_are_seen_down_the_first_one_is_in_doubt():
    assert doubt(['c2', 'c3', 'c4'], hosts=60, together=3)
    assert not doubt(['c2', 'c3'], hosts=60, together=3)


def test_a_host_that_was_fenced_and_let_in_again_still_counts():
    def back(number, ago=100.0):
        return dataclasses.replace(failed(f'c{number}', ago, Phase.CLOSED), fences=(NOW - ago,))

    assert of_hosts([failed('c1'), back(2), back(3)])
    assert not of_hosts([failed('c1'), back(2, 3601.0), back(3, 3601.0)])


@pytest.mark.parametrize('count', range(6))
def test_one_host_is_not_fenced_for_ever(count):
    again = dataclasses.replace(
        failed('c1'), fences=(NOW - 4000, *(NOW - 100 * n for n in range(count)))
    )
    found = of_hosts([again], per_host=3)
    assert bool(found) is (count >= 3) and (not found or 'level host' in found)


ZONES = {'c1': 'a', 'c2': 'a', 'c3': 'b', 'gpu-1': 'b'}


@pytest.mark.parametrize(
    ('texts', 'zones', 'is_held'),
    [
        ([], False, False),
        ([], True, True),
        (['rack=c1 c2'], False, True),
        (['rack=c?'], False, True),
        (['one=c1', 'two=c2'], False, False),
        (['gpu=gpu-*'], False, False),
    ],
)
def test_two_hosts_of_one_failure_domain_are_a_storm_where_one_may_fail(texts, zones, is_held):
    domains = storm.domains_of(texts, zones)
    found = storm.of_hosts(
        'c1', [failed('c1'), failed('c2', ago=2000.0)], (), 20,
        storm.Limits(per_domain=1, domains=domains), NOW, domains.of(ZONES),
    )  # fmt: skip
    assert bool(found) is is_held and (not found or 'level domain' in found)


@pytest.mark.parametrize(
    ('per_domain', 'incidents', 'is_doubt'),
    [(0, (), False), (1, (), True), (2, (), False), (2, (failed('c3'),), True)],
)
def test_before_the_others_of_a_failure_domain_were_heard_the_first_one_is_in_doubt(
    per_domain, incidents, is_doubt
):
    domains = {'rack': ['c1', 'c2', 'c3'], 'other': ['c4', 'c5', 'c6']}
    limits = storm.Limits(per_domain=per_domain, together=0)
    found = storm.doubt(
        'c1', [failed('c1'), *incidents], (), ['c2', 'c4'], 60, limits, NOW, domains
    )
    assert bool(found) is is_doubt
    assert not found or ('c2' in found and 'c4' not in found)


@pytest.mark.parametrize('text', ['rack1', 'rack1=', '=c1', ' = '])
def test_a_domain_without_a_name_or_without_hosts_is_refused(text):
    with pytest.raises(exceptions.Refused, match='storm_domains'):
        storm.domains_of([text], zones=False)
    with pytest.raises(exceptions.Refused, match='storm_domains'):
        storm.domains_of(['rack=c1', 'rack=c2'], zones=False)


def test_hosts_are_fenced_in_turn_and_none_that_is_stuck_keeps_the_others_waiting():
    all_ = [
        dataclasses.replace(failed(f'c{n}', 100.0 - n, Phase.CONFIRMED), changed=NOW - 10)
        for n in range(1, 5)
    ]
    before = [storm.fenced_before(one, all_, NOW) for one in all_]
    assert before == [[], ['c1'], ['c1', 'c2'], ['c1', 'c2', 'c3']]
    later = NOW + storm.STUCK_AFTER
    assert all(storm.fenced_before(one, all_, later) == [] for one in all_)
