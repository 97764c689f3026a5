# SPDX-License-Identifier: Apache-2.0
import itertools

from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.rules import standbys
from tests.unit.failover import worlds


def test_the_dead_and_the_sick_are_not_eligible_and_the_unproved_come_last():
    states = [None, *cloud.HostState]
    healths = [None, *model.HealthState]
    members = {
        name: (state, health)
        for name, (state, health) in zip(
            'abcdefghijklmnopqrst', itertools.product(states, healths), strict=True
        )
    }
    group = [
        worlds.candidate(name, host_state=state, health=health)
        for name, (state, health) in members.items()
    ]
    successors, reasons = standbys.eligible(group, None)
    down = (cloud.HostState.DOWN, cloud.HostState.CONFIRMED_DOWN)
    for name, (state, health) in members.items():
        unfit = state in down or health is model.HealthState.SICK
        assert (name in reasons) is unfit, (state, health)
        if state in down:
            assert reasons[name] == state.value
    order = [members[h.member][1] is model.HealthState.COULD_NOT_ASK for h in successors]
    assert order == sorted(order), 'who could not be asked comes last'
    texts = standbys.considered(group, None, (), successors[0])
    assert texts.keys() == members.keys()
    assert [n for n, text in texts.items() if text.startswith('chosen')] == [successors[0].member]


def test_a_standby_on_another_host_than_the_active_comes_first():
    group = (
        worlds.candidate('a', host='h1'),
        worlds.candidate('b', host='h1'),
        worlds.candidate('c', host='h2'),
    )
    successors, reasons = standbys.eligible(group, worlds.holder('a'))
    assert [h.member for h in successors] == ['c', 'b'] and reasons == {'a': 'it is the active'}


def test_a_member_with_another_server_than_the_actives_is_not_the_active():
    active = worlds.holder('a')
    same, other = worlds.member('a'), worlds.member('a', servers=('server-new',))
    assert standbys.is_active(same, active) and not standbys.is_active(other, active)
    assert standbys.is_active(worlds.member('a', servers=('x', 'server-a')), active)
    # Heat has lost its server, or has yet to write it down: that is no other one.
    assert standbys.is_active(worlds.member('a', servers=()), active)
    assert not standbys.is_active(worlds.member('b', servers=('server-a',)), active)
    assert not standbys.is_active(same, None)
    candidate = worlds.candidate('a', servers=('server-new',))
    assert standbys.limitation(candidate, active, ()) is None


def test_the_actives_server_is_gone_only_where_that_was_seen():
    active = worlds.holder('a')
    several = worlds.member('a', servers=('server-a', 'sidecar'))
    unclear = model.Candidate(several, None, 'it has 2 servers')
    assert not standbys.is_gone(active, [unclear]), 'not looked at is not gone'
    assert standbys.is_gone(active, [])
    for status in cloud.ServerStatus:
        seen = worlds.candidate('a', status=status)
        assert standbys.is_gone(active, [seen]) is (status is cloud.ServerStatus.GONE), status
    # Its template says now that the other one may be the active.
    other = model.Candidate(several, cloud.Server('sidecar', cloud.ServerStatus.ACTIVE))
    assert standbys.is_gone(active, [other])
