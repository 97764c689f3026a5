# SPDX-License-Identifier: Apache-2.0
"""Hosts that died long ago, and what they mean for one that fails now."""

import dataclasses

import pytest

from heat_ha.agent import isolation
from heat_ha.agent.model import Phase
from heat_ha.agent.rules import heartbeats
from heat_ha.fencing import driver
from tests.unit.agent.worlds import Bmc, World, begin, store  # noqa: F401

DAY = 86400.0


def first(count, begun_with=1):
    return [f'c{number}' for number in range(begun_with, begun_with + count)]


@pytest.mark.parametrize(
    ('hosts', 'dead'), [(3, 1), (4, 1), (5, 1), (6, 2), (10, 3), (10, 6), (60, 3)]
)
def test_hosts_that_died_before_anybody_watched_hold_up_no_rescue(begin, hosts, dead):  # noqa: F811
    old = first(dead, 2)
    scene = begin(hosts, dict.fromkeys(old, 400 * DAY))
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.tick(60)
    assert scene.phase('c1') == 'done'
    assert not any(scene.phase(host) for host in old)


@pytest.mark.parametrize('resting', [Phase.DROPPED, Phase.CONFIRMED])
@pytest.mark.parametrize(('hosts', 'dead'), [(5, 1), (20, 3)])
def test_hosts_whose_incident_rests_or_cannot_go_on_hold_up_no_rescue(
    begin, monkeypatch, hosts, dead, resting  # noqa: F811
):  # fmt: skip
    old = first(dead, 2)
    scene = begin(hosts, dict.fromkeys(old, 7200.0))
    switch_off = Bmc.switch_off

    def fails(self):
        if self.host in old:
            raise driver.NotFenced('the power control does not answer')
        switch_off(self)

    monkeypatch.setattr(Bmc, 'switch_off', fails)
    for host in old:
        scene.on_record(host, resting, 7200.0, released_by='ann')
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.tick(60)
    assert scene.phase('c1') == 'done'
    assert {scene.phase(host) for host in old} == {resting.value}


# S6
def test_who_was_suspect_for_longer_than_the_guard_looks_back_counts_when_it_goes_on(
    begin,  # noqa: F811
):
    suspects = first(10)
    scene = begin(20, dict.fromkeys(suspects, 8000.0))
    for number, host in enumerate(suspects):
        # Not in one moment.
        scene.on_record(host, Phase.SUSPECT, 7200.0 + 60 * number)
    scene.tick(60)
    assert 'cut off' not in scene.agent.monitor.problem()
    assert {scene.phase(host) for host in suspects} == {'deferred'}
    assert scene.world.tried == []


def service_of(host, silent, is_up=False):
    at = None if silent is None else 10_000.0 - silent
    return dataclasses.replace(World().services['c1'], host=host, is_up=is_up, heartbeat_at=at)


def test_who_was_silent_long_before_the_others_is_not_expected_to_be_heard():
    services = {
        'c1': service_of('c1', 0.0, is_up=True),
        'c2': service_of('c2', 3599.0),
        'c3': service_of('c3', 3601.0),
        'c4': service_of('c4', None),
    }
    assert heartbeats.long_silent(services, 3600.0) == {'c3', 'c4'}
    assert 'only 1 of 4' in isolation.quorum_problem(services)
    assert not isolation.quorum_problem(services, {'c3', 'c4'})


def test_while_nobody_is_heard_nobody_was_silent_before_the_others():
    services = {host: service_of(host, 400 * DAY) for host in first(2)}
    assert not heartbeats.long_silent(services, 3600.0)


def test_a_host_that_has_never_reported_is_left_alone(begin):  # noqa: F811
    scene = begin()
    mark = scene.world.services['c1']
    scene.world.services['c1'] = dataclasses.replace(mark, is_up=False, heartbeat_at=None)
    scene.clock.dead.add('c1')
    scene.tick(60)
    assert scene.phase('c1') is None and scene.world.tried == []
