# SPDX-License-Identifier: Apache-2.0
"""A cell whose database does not answer: Nova leaves its hosts out, and they cannot report."""

import dataclasses

import pytest

from heat_ha import exceptions
from heat_ha.agent import model, service_table
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import reports
from tests.unit.agent import worlds
from tests.unit.agent.worlds import begin, store  # noqa: F401

HOSTS, REPORTS_EVERY, DOWN_AFTER = 40, 10, 60


class World(worlds.World):
    """The first hosts are in a small cell, which may be hidden; some of them may die."""

    def __init__(self, count):
        super().__init__(HOSTS)
        self.edge = [f'c{n}' for n in range(1, count + 1)]
        self.is_hidden = False
        self.dead = set()
        self.reports_by_itself = False

    def nova_services(self):
        hidden = self.edge if self.is_hidden else ()
        return {host: one for host, one in self.services.items() if host not in hidden}

    def second(self, clock):
        clock.now += 1
        for number, (host, one) in enumerate(self.services.items()):
            can_report = host not in self.dead and not (self.is_hidden and host in self.edge)
            if can_report and (clock.now + number) % REPORTS_EVERY == 0:
                one = dataclasses.replace(one, heartbeat_at=clock.now)
            is_up = clock.now - (one.heartbeat_at or 0) < DOWN_AFTER and not one.is_forced_down
            self.services[host] = dataclasses.replace(one, is_up=is_up)


@pytest.fixture
def passes(monkeypatch, store):  # noqa: F811
    def make(world):
        clock = worlds.Clock(monkeypatch, world)
        agent = worlds.make(world, store, settle=5.0, mark_settle=15.0)

        def passes(seconds):
            for _ in range(seconds):
                world.second(clock)
                if clock.now % 3 == 0:
                    worlds.rounds(agent, world, 1)

        return passes

    return make


def fenced(world):
    return {host for what, host in world.done if what == 'off'}


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('seconds', [30, 90, 94, 97])
def test_hosts_that_are_shown_again_are_given_the_time_to_report(passes, count, seconds):
    world = World(count)
    go_on = passes(world)
    go_on(120)
    world.is_hidden = True
    go_on(seconds)
    world.is_hidden = False
    go_on(60)
    assert not fenced(world)


def test_a_host_that_died_meanwhile_is_fenced_once_it_would_have_reported(passes):
    world = World(3)
    go_on = passes(world)
    go_on(120)
    world.is_hidden, world.dead = True, {'c2'}
    go_on(90)
    assert not fenced(world)
    world.is_hidden = False
    go_on(60)
    assert fenced(world) == {'c2'}


def test_who_was_dead_long_before_the_agent_began_is_left_alone(passes):
    """No host reports at first, so the youngest report is as old as the dead host."""
    world = World(2)
    go_on = passes(world)
    long_ago = world.time() - 10 * 86400
    world.services = {
        host: dataclasses.replace(world.services[host], heartbeat_at=long_ago, is_up=False)
        for host in ('c1', 'c2', 'c3')
    }
    world.dead = {'c1'}
    go_on(120)
    assert not fenced(world)


def test_a_cell_that_is_all_of_the_cloud_may_be_hidden_too(passes):
    world = World(3)
    world.services = {host: world.services[host] for host in world.edge}
    go_on = passes(world)
    go_on(120)
    world.is_hidden = True
    go_on(94)
    world.is_hidden = False
    go_on(60)
    assert not fenced(world)


@pytest.mark.parametrize('is_shown_again', [True, False])
def test_the_name_of_a_host_that_nova_does_not_show_now_means_no_other_host(
    store,  # noqa: F811
    monkeypatch,
    is_shown_again,
):
    world = worlds.World(hosts=6)
    other = 'c1.cell2.example'
    world.services[other] = dataclasses.replace(world.services.pop('c6'), host=other)
    world.power[other] = 'on'
    clock = worlds.Clock(monkeypatch, world)
    agent = worlds.make(world, store, confirm=('webhook', 'nova_notifications'))
    clock.tick(agent, 30)
    hidden = world.services.pop('c1')
    clock.dead = {'c1'}
    clock.tick(agent, 1)
    for name in ('c1', 'C1:9100'):
        with pytest.raises(exceptions.CouldNotAsk, match='host c1'):
            agent.take('webhook', reports.ParsedReport(name, Claimed.DOWN))
    agent.report('nova_notifications', reports.ParsedReport('c1', Claimed.DOWN))
    agent.report('nova_notifications', reports.ParsedReport('c1.cell2', Claimed.DOWN))
    if is_shown_again:
        world.services['c1'] = hidden
    clock.tick(agent, 60)
    # What Nova itself has said of the host counts as soon as it is shown again.
    assert worlds.phase(store, other) is None
    assert world.tried == (['c1'] if is_shown_again else [])
    # After a day it is one of Nova's hosts no longer.
    monkeypatch.setattr(service_table, 'REMEMBERED', 30.0)
    agent.take('webhook', reports.ParsedReport('c1', Claimed.UP))
    assert agent._reports.has('c1') or not is_shown_again
    assert agent._reports.has(other) is not is_shown_again


@pytest.mark.parametrize(
    ('phase', 'ago', 'is_known'),
    [
        ('done', 10 * 86400.0, True),
        ('confirmed', 10.0, True),
        ('closed', 3600.0, True),
        ('closed', 2 * 86400.0, False),
        ('a phase of a newer version', 10.0, True),
    ],
)
def test_an_agent_that_begins_knows_the_hosts_on_record_before_nova_shows_them(
    begin,  # noqa: F811
    phase,
    ago,
    is_known,
):
    scene = begin(confirm=('webhook',))
    other = 'c1.cell2.example'
    gone = scene.world.services.pop('c1')
    scene.world.services[other] = dataclasses.replace(gone, host=other)
    scene.world.power[other] = 'on'
    scene.on_record('c1', model.Phase.DONE, ago)
    entry = scene.store.get('incident', 'c1')
    scene.store.put('incident', 'c1', {**entry.value, 'phase': phase}, entry.version)
    told = reports.ParsedReport('c1', Claimed.DOWN)
    scene.agent._table.refresh()
    with pytest.raises(exceptions.CouldNotAsk, match='not been read'):
        # Nova has answered, but what is on record is not read yet.
        scene.agent.take('webhook', told)
    scene.tick(1)
    if is_known:
        with pytest.raises(exceptions.CouldNotAsk, match='host c1'):
            scene.agent.take('webhook', told)
    else:
        scene.agent.take('webhook', told)
    assert scene.agent._reports.has(other) is not is_known
