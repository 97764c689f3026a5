# SPDX-License-Identifier: Apache-2.0
"""The agent's rounds in a world that can be told what to do: crashes, two agents, false alarms."""

import contextlib
import dataclasses
import types

import pytest

from heat_ha import exceptions
from heat_ha.agent import power_watch, service, service_table
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import confirmation, decide, reports
from heat_ha.cloud import model as cloud
from heat_ha.fencing import driver
from tests.unit.agent import worlds
from tests.unit.agent.worlds import Clock, Died, Inline, Locks, World, make, phase, rounds, store

__all__ = ['store']


def test_a_dead_host_is_fenced_marked_and_its_servers_are_rescued_in_this_order(store):
    world = World()
    agent = make(world, store)
    rounds(agent, world, 3)
    assert world.done == []
    world.down('c1')
    rounds(agent, world)
    assert world.done == [('off', 'c1'), ('mark', 'c1'), ('rescue', 'c1'), ('rescue', 'c1')]
    assert phase(store, 'c1') == 'done'


# S4
@pytest.mark.parametrize('call', range(1, 5))
def test_an_agent_that_dies_before_any_call_is_followed_by_another(store, call):
    world = World()
    world.down('c1')
    world.dies_before = call
    with contextlib.suppress(Died):
        rounds(make(world, store), world)
    assert phase(store, 'c1') != 'done'
    rounds(make(world, store), world)
    assert phase(store, 'c1') == 'done'
    assert world.done == [('off', 'c1'), ('mark', 'c1'), ('rescue', 'c1'), ('rescue', 'c1')]


# S1
@pytest.mark.parametrize('shows', driver.Power)
@pytest.mark.parametrize('call', [2, 3, 4])
def test_an_agent_that_takes_up_an_older_proof_looks_before_it_relies_on_it(
    store, monkeypatch, call, shows
):
    world = World()
    world.down('c1')
    world.dies_before = call
    with contextlib.suppress(Died):
        rounds(make(world, store), world)
    entry = store.get('incident', 'c1')
    assert entry.value['proof']['at'] > 0
    # As old as the first agent's death, which nobody has noticed for a while.
    entry.value['proof']['at'] -= 60
    store.put('incident', 'c1', entry.value, entry.version)
    before, looks = list(world.done), []
    if shows is driver.Power.UNKNOWN:
        monkeypatch.setattr(worlds.Bmc, 'power', lambda _self: (shows, 'it does not answer'))
    else:
        world.power['c1'] = shows.value
    other = make(world, store)
    other._observer._power = power_watch.PowerWatch(worlds.Fences(world), run=looks.append)
    rounds(other, world, 3)
    assert world.done == before and len(looks) == 1, 'nothing is done before its answer'
    looks.pop()()
    rounds(other, world)
    is_fenced_again = ('off', 'c1') in world.done[len(before) :]
    assert phase(store, 'c1') == 'done' and is_fenced_again is (shows is driver.Power.ON)


def test_two_agents_do_nothing_twice(store):
    world, locks = World(), Locks()
    world.down('c1')
    pair = [make(world, store, locks=locks) for _ in range(2)]
    for _ in range(12):
        for agent in pair:
            rounds(agent, world, 1)
    assert world.done == [('off', 'c1'), ('mark', 'c1'), ('rescue', 'c1'), ('rescue', 'c1')]


def test_an_agent_without_the_lock_does_nothing(store):
    world, locks = World(), Locks()
    world.down('c1')
    locks.get_lock(b'heat-ha-host-c1').acquire()
    rounds(make(world, store, locks=locks), world)
    assert world.done == [] and phase(store, 'c1') is None


def test_two_of_three_hosts_at_once_are_held_back_until_a_person_lets_them_pass(store):
    world = World()
    world.down('c1', 'c2')
    world.services['c4'] = cloud.ComputeService('c4', 'id-c4', True, False, False)
    agent = make(world, store)
    rounds(agent, world)
    assert world.done == []
    assert (phase(store, 'c1'), phase(store, 'c2')) == ('deferred', 'deferred')


def test_of_hosts_that_fail_together_the_first_that_is_seen_down_is_not_acted_on(store):
    world = World()
    world.services['c4'] = cloud.ComputeService('c4', 'id-c4', True, False, False)
    agent = make(world, store)
    rounds(agent, world, 3)
    # Nova shows c2 as up for as long as its last sign of life is young enough.
    world.silent = {'c2'}
    world.down('c1')
    rounds(agent, world)
    assert world.done == [] and phase(store, 'c1') == 'suspect'
    world.down('c2')
    rounds(agent, world)
    assert world.done == []
    assert (phase(store, 'c1'), phase(store, 'c2')) == ('deferred', 'deferred')


def test_a_host_that_is_disabled_need_not_give_a_sign_of_life(store):
    world = World()
    world.services['c2'] = dataclasses.replace(world.services['c2'], is_disabled=True)
    world.silent = {'c2'}
    world.down('c1')
    rounds(make(world, store), world)
    assert phase(store, 'c1') == 'done'


def test_an_agent_that_is_cut_off_begins_nothing(store):
    for cut in ('nova', 'broker', 'hosts'):
        world = World()
        agent = make(world, store)
        rounds(agent, world, 2)
        world.down('c1')
        if cut == 'nova':
            world.can_ask = False
        elif cut == 'broker':
            world.broker = False
            agent.monitor._broker_at = float('-inf')
        else:
            world.down('c1', 'c2', 'c3')
        rounds(agent, world)
        assert world.done == [], cut


def test_a_host_that_comes_back_before_it_is_believed_is_a_false_alarm(store):
    world = World()
    agent = make(world, store, settle=3600)
    for _ in range(5):
        world.down('c1')
        rounds(agent, world, 2)
        assert phase(store, 'c1') == 'suspect'
        world.services['c1'] = dataclasses.replace(world.services['c1'], is_up=True)
        rounds(agent, world, 2)
        assert phase(store, 'c1') == 'closed'
    assert world.done == []


def test_a_witness_that_lies_moves_nothing_where_two_must_agree(store):
    world = World()
    agent = make(world, store, confirm=('services_api+webhook',))
    rounds(agent, world, 1)
    for says in (Claimed.DOWN, Claimed.DOWN, Claimed.UP, Claimed.DOWN):
        agent.report('webhook', reports.ParsedReport('c1', says))
        rounds(agent, world, 3)
    assert world.done == []
    world.down('c1')
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'


def test_a_fenced_host_whose_record_somebody_writes_is_not_alive(store):
    world = World()
    agent = make(world, store)
    rounds(agent, world, 3)
    world.down('c1')
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'
    for number in range(3 * decide.HEARTBEATS_TO_RETURN):
        # Nova shows when the record was written, whoever wrote it: we, or an operator.
        world.services['c1'] = dataclasses.replace(
            world.services['c1'], heartbeat_at=1000.0 + number, is_disabled=bool(number % 2)
        )
        rounds(agent, world, 3)
        assert phase(store, 'c1') == 'done'
    # Its nova-compute writes it all the time.
    agent._observer._nova.leftovers = lambda _host: ('guest',)
    world.beats = 2000
    world.services['c1'] = dataclasses.replace(world.services['c1'], is_up=True)
    rounds(agent, world, 6)
    assert phase(store, 'c1') == 'quarantined'


@pytest.mark.parametrize('settle', [0.0, 5.0, 20.0])
@pytest.mark.parametrize('others', [2, 3, 9])
def test_where_all_others_went_on_reporting_a_silent_host_is_acted_on_at_once(
    store, monkeypatch, settle, others
):
    world = World(hosts=others + 1)
    clock = Clock(monkeypatch, world)
    agent = make(world, store, settle=settle)
    clock.tick(agent, 40)
    last = world.services['c1'].heartbeat_at
    clock.dead = {'c1'}
    while 'c1' not in store.all('incident'):
        clock.tick(agent, 1)
        assert clock.now < 1100
    while phase(store, 'c1') != 'done':
        clock.tick(agent, 1)
        assert clock.now < 1100
    # As long as it must be down it was, but not for longer because of others.
    assert max(12, settle) <= clock.now - last <= max(12, settle) + 2


@pytest.mark.parametrize('late', range(0, 9, 2))
def test_an_agent_that_began_after_the_host_had_died_need_not_wait_for_longer(
    store, monkeypatch, late
):
    world = World()
    clock = Clock(monkeypatch, world)
    clock.tick(make(world, store), 40)
    clock.dead = {'c1'}
    clock.tick(make(world, store), late)
    began = clock.now
    agent = make(world, store, settle=5.0)
    while phase(store, 'c1') != 'done':
        clock.tick(agent, 1)
        # Each other host has reported three times since, or once since it was shown as down.
        assert clock.now <= began + max(12 - late, 9) + 3 + 1
    assert clock.now >= began + 5.0


@pytest.mark.parametrize('others_die', [False, True])
def test_a_certain_witness_is_believed_at_once_but_not_about_two_of_three(
    store, monkeypatch, others_die
):
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',), certain=('webhook',), settle=30.0)
    clock.tick(agent, 40)
    clock.dead = {'c1', 'c2'} if others_die else {'c1'}
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    clock.tick(agent, 1)
    if others_die:
        # The other report comes later than the first one is believed.
        clock.tick(agent, 1)
        agent.report('webhook', reports.ParsedReport('c2', Claimed.DOWN))
        clock.tick(agent, 40)
        assert world.done == []
        assert (phase(store, 'c1'), phase(store, 'c2')) == ('deferred', 'deferred')
    else:
        # As long as it takes until both others have reported.
        clock.tick(agent, 4)
        assert world.done == [('off', 'c1')]
        # Nova shows it as up, so it must be missed before anything is begun elsewhere.
        clock.tick(agent, 14)
        assert phase(store, 'c1') == 'done'


@pytest.mark.parametrize('answer', [True, False])
def test_what_nova_answers_to_the_mark_counts_and_no_look_that_began_before_it(store, answer):
    world = World()
    agent = make(world, store)
    rounds(agent, world, 3)
    before = dict(world.services)
    agent._table.note_one(dataclasses.replace(before['c1'], is_forced_down=answer))
    agent._table.note_all(2, before)
    assert agent._table.services['c1'].is_forced_down is answer


@pytest.mark.parametrize('apart', range(0, 13))
def test_a_second_host_that_dies_before_the_first_is_seen_down_makes_a_storm(
    store, monkeypatch, apart
):
    world = World(hosts=4)
    clock = Clock(monkeypatch, world)
    agent = make(world, store, settle=1.0)
    clock.tick(agent, 40)
    clock.dead = {'c1'}
    clock.tick(agent, apart)
    is_too_late = phase(store, 'c1') is not None
    clock.dead.add('c2')
    clock.tick(agent, 40)
    # One whose next report is not overdue yet is taken for alive; but it is not acted on as well.
    assert apart > 6 or world.done == []
    assert ('off', 'c2') not in world.done
    if is_too_late:
        assert ('off', 'c1') in world.done


def test_what_was_seen_during_a_cut_must_be_seen_anew_after_it(store, monkeypatch):
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, settle=5.0)
    clock.tick(agent, 40)
    world.down('c1', 'c2')
    clock.tick(agent, 10)
    assert world.done == []
    # Both come back, one a little after the other.
    world.services['c1'] = dataclasses.replace(world.services['c1'], is_up=True)
    clock.tick(agent, 4)
    assert world.done == [] and phase(store, 'c2') == 'suspect'
    clock.tick(agent, 4)
    assert phase(store, 'c2') == 'done'


def test_a_report_does_not_become_true_by_the_silence_of_a_nova_compute(store, monkeypatch):
    world = World(hosts=4)
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',), settle=5.0)
    clock.tick(agent, 40)
    # Nobody asks Nova: its service on the host may be silent for long.
    clock.dead = {'c1'}
    clock.tick(agent, 40)
    assert world.done == []
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    clock.tick(agent, 4)
    assert phase(store, 'c1') == 'suspect'
    agent.report('webhook', reports.ParsedReport('c1', Claimed.UP))
    clock.tick(agent, 4)
    assert phase(store, 'c1') == 'closed' and world.done == []


def test_a_host_that_is_marked_as_fenced_need_not_settle(store):
    world = World()
    agent = make(world, store, settle=3600.0)
    agent.monitor._trusted_since = 0.0
    rounds(agent, world, 3)
    world.services['c1'] = dataclasses.replace(
        world.services['c1'], is_up=False, is_forced_down=True
    )
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'


def test_looks_that_are_answered_in_another_order_count_a_sign_of_life_once(store):
    world = World()
    agent = make(world, store)

    def at(beat):
        return {'c1': dataclasses.replace(world.services['c1'], heartbeat_at=beat)}

    for number, beat in ((1, 10.0), (3, 13.0), (2, 10.0), (4, 13.0), (5, 12.0), (6, 16.0)):
        agent._table.note_all(number, at(beat))
    assert len(agent._table.heartbeat_times()['c1']) == 2


def test_a_heartbeat_is_as_old_as_the_look_that_was_answered_before(store, monkeypatch):
    """Nova did not answer from 20 to 100; then it took 9 seconds."""
    world = World()
    table = make(world, store)._table
    for number, beat, began, answered in (
        (1, 1.0, 10.0, 11.0), (2, 9.0, 20.0, 21.0), (3, 50.0, 100.0, 109.0), (4, 50.0, 112.0, 113.0)
    ):  # fmt: skip
        monkeypatch.setattr(
            service_table, 'time', types.SimpleNamespace(time=lambda at=answered: at)
        )
        shown = dataclasses.replace(world.services['c1'], heartbeat_at=beat)
        table.note_all(number, {'c1': shown}, began)
    assert table.heartbeats_of('c1') == ((10.0, 21.0), (20.0, 109.0))
    assert table.written('c1') == (20.0, 109.0) and table.looked_at == 112.0
    # It may have been sent before that time, and it may still be sent after it.
    assert table.heartbeats_since('c1', 30.0) == 0 and table.last_heartbeat('c1') == 20.0
    assert table.heartbeats_since('c1', 15.0) == 1 and table.written_at('c1') == 109.0


def test_a_report_of_a_failure_that_is_over_does_not_fence_the_host_again(store):
    world = World()
    agent = make(world, store, confirm=('webhook',))
    rounds(agent, world, 1)
    world.down('c1')
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    rounds(agent, world)
    assert phase(store, 'c1') == 'done'
    # An operator lets it in again; the report is still young.
    world.services['c1'] = dataclasses.replace(
        world.services['c1'], is_forced_down=False, is_disabled=False, is_up=True
    )
    world.power['c1'] = 'on'
    rounds(agent, world)
    assert phase(store, 'c1') == 'closed' and world.power['c1'] == 'on'
    world.down('c1')
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    rounds(agent, world)
    assert phase(store, 'c1') == 'done' and world.power['c1'] == 'off'


def test_reports_about_hosts_that_nobody_knows_take_no_room(store):
    world = World()
    agent = make(world, store)
    rounds(agent, world, 1)
    for number in range(1000):
        agent.report('webhook', reports.ParsedReport(f'x{number}', Claimed.DOWN))
    rounds(agent, world, 1)
    assert len(agent._reports) == 0 and world.done == []


def test_a_sender_that_was_restarted_does_not_end_the_incident_of_a_dead_host(store, monkeypatch):
    world = World(hosts=4)
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',), settle=5.0)
    clock.tick(agent, 40)
    clock.dead = {'c1'}
    agent.take('webhook', reports.ParsedReport('c1', Claimed.DOWN, thing='a'))
    clock.tick(agent, 2)
    agent.take('webhook', reports.ParsedReport('c1', Claimed.RESOLVED, thing='a'))
    clock.tick(agent, 1)
    # Nova still shows it as up, by its last heartbeat.
    assert world.services['c1'].is_up and phase(store, 'c1') == 'suspect'
    # The alert of a host that lives is resolved as well.
    clock.dead = set()
    clock.tick(agent, 15)
    assert phase(store, 'c1') == 'closed' and world.done == []


def test_a_host_is_found_by_the_name_that_its_monitor_has(store):
    world = World()
    agent = make(world, store, confirm=('webhook',))
    with pytest.raises(exceptions.CouldNotAsk):
        agent.take('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    rounds(agent, world, 1)
    world.down('c1')
    agent.take('webhook', reports.ParsedReport('C1.example.org:9100', Claimed.DOWN))
    with pytest.raises(exceptions.Refused, match="'c9' is not one of the 3 hosts"):
        agent.take('webhook', reports.ParsedReport('c9', Claimed.DOWN))
    rounds(agent, world)
    assert phase(store, 'c1') == 'done' and world.power['c2'] == 'on'


def test_an_agent_that_finishes_no_round_says_so(store, monkeypatch):
    world = World()
    agent = make(world, store)
    assert agent.health() == ''
    agent._finished_at -= service.LONGEST_ROUND + 5
    assert 'no round has been finished for 65 s' in agent.health()
    monkeypatch.setattr(agent, 'round', lambda quick, slow: agent.stop() or 0.0)
    agent.run()
    assert agent.health() == ''


def test_a_value_is_written_only_over_the_one_that_was_read(store):
    first = store.put('incident', 'c1', {'a': 1}, 0)
    store.put('incident', 'c1', {'a': 2}, first.version)
    for version in (0, first.version):
        with pytest.raises(agent_store.Changed):
            store.put('incident', 'c1', {'a': 3}, version)
    assert store.get('incident', 'c1').value == {'a': 2}


@pytest.mark.parametrize('failed', [1, 8])
def test_what_all_hosts_mean_is_found_out_once_in_a_round_however_many_have_failed(
    store, monkeypatch, failed
):
    world = World(hosts=40)
    agent = make(world, store, settle=1000.0)
    rounds(agent, world, 3)
    world.down(*sorted(world.services)[:failed])
    # Each has an incident now, and another host fails beside them.
    rounds(agent, world, 1)
    world.down('c9')
    agent._table.refresh()
    judged, read = [], []
    of_judge, of_table = confirmation.judge, agent._table.heartbeat_times
    monkeypatch.setattr(confirmation, 'judge', lambda *given: judged.append(1) or of_judge(*given))
    monkeypatch.setattr(agent._table, 'heartbeat_times', lambda: read.append(1) or of_table())
    monkeypatch.setattr(agent._worker, 'start', lambda *_: None)
    agent.round(Inline())
    assert len(judged) == len(world.services) + 1, 'each host once, and c9 for those that failed'
    assert len(read) == 1
