# SPDX-License-Identifier: Apache-2.0
"""What a host does after its fence decides what the agent goes on with; so do other hosts."""

import dataclasses
import time
import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.agent import model as agent_model
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import reports
from heat_ha.cloud import model as cloud
from heat_ha.fencing import inventory, none, nova_forced_down
from tests.unit.agent.worlds import Clock, World, make, phase, rounds, store

__all__ = ['store']


def rescuing(world, store, **options):
    """An agent whose host c1 was fenced and marked, and whose rescues are not done."""
    world.servers['c1'] = {f's{n}' for n in range(100)}
    agent = make(world, store, **options)
    rounds(agent, world, 3)
    world.down('c1')
    rounds(agent, world, 3)
    assert phase(store, 'c1') == 'rescuing'
    world.done.clear()
    return agent


def beat(world, host, ahead=40.0):
    """The nova-compute of a host writes its record, later than any mark."""
    world.services[host] = dataclasses.replace(
        world.services[host], heartbeat_at=time.time() + ahead
    )


# S1
def test_a_host_that_comes_back_while_it_is_rescued_is_fenced_again_before_anything_else(store):
    world = World()
    agent = rescuing(world, store)
    # It was fenced and marked 100 seconds ago.
    entry = store.get('incident', 'c1')
    proof = {**entry.value['proof'], 'at': entry.value['proof']['at'] - 100}
    store.put('incident', 'c1', {**entry.value, 'proof': proof}, entry.version)
    world.services['c1'] = dataclasses.replace(
        world.services['c1'], disabled_reason=cloud.reason_of_mark('fake', proof['at'])
    )
    world.power['c1'] = 'on'
    beat(world, 'c1', 0.0)
    rounds(agent, world, 1)
    kinds = [kind for kind, _host in world.done]
    assert kinds[:2] == ['off', 'mark'] and world.power['c1'] == 'off'
    incident = store.get('incident', 'c1').value
    assert len(incident['fences']) == 2 and incident['proof']['at'] == incident['fences'][-1]


# S1
def test_a_host_that_is_switched_on_again_is_fenced_before_it_sends_any_heartbeat(
    store, monkeypatch
):
    world = World()
    clock = Clock(monkeypatch, world)
    world.servers['c1'] = {f's{n}' for n in range(100)}
    agent = make(world, store)
    clock.tick(agent, 10)
    clock.dead.add('c1')
    clock.tick(agent, 20)
    assert phase(store, 'c1') == 'rescuing' and world.power['c1'] == 'off'
    world.done.clear()
    # Its guests start at once, its nova-compute only later.
    world.power['c1'] = 'on'
    clock.tick(agent, 12)
    assert world.power['c1'] == 'off'
    kinds = [kind for kind, _host in world.done]
    assert kinds.count('off') == 1
    incident = store.get('incident', 'c1').value
    assert len(incident['fences']) == 2 and phase(store, 'c1') == 'rescuing'
    # Once it is off again, its rescues go on and it is not fenced any more.
    clock.tick(agent, 20)
    assert [kind for kind, _host in world.done].count('off') == 1


# S1
def test_a_host_that_lives_after_each_fence_is_held_for_a_person(store):
    """Its entry in the fencing file is that of another host."""
    world = World()
    agent = rescuing(world, store)
    signals = []
    for number in range(12):
        beat(world, 'c1', 40.0 * (number + 1))
        rounds(agent, world, 1)
        signals.append(('rescue', 'c1') in world.done)
        world.done.clear()
    assert phase(store, 'c1') == 'deferred' and not any(signals[3:])
    incident = store.get('incident', 'c1').value
    assert len(incident['fences']) == 3 and 'another host' in incident['reason']
    # Nothing is done about it until somebody decides.
    rounds(agent, world, 5)
    assert world.done == []


# S1
@pytest.mark.parametrize('driver', [nova_forced_down.NovaForcedDown, none.Unfenced])
def test_where_others_fence_a_sign_of_life_is_for_a_person(store, driver):
    world = World()
    agent = rescuing(world, store)
    can_fence = driver('c1', {}).is_power_control
    agent._observer._fences = types.SimpleNamespace(
        switches_off=lambda _host: can_fence, takes_word=lambda _host, _who: not can_fence
    )
    beat(world, 'c1')
    rounds(agent, world, 3)
    assert phase(store, 'c1') == 'deferred' and world.done == []


def with_fences(agent, text):
    agent._observer._fences = agent._worker._steps._fences = inventory.parse(text)


def mark(world, host, at):
    """An operator marks a host, which writes its record."""
    world.services[host] = dataclasses.replace(
        world.services[host], is_forced_down=True, is_up=False, heartbeat_at=at
    )


# S1
@pytest.mark.parametrize('began', ['before the mark', 'after the mark'])
@pytest.mark.parametrize('lives', [True, False], ids=['lives', 'dead'])
def test_a_mark_of_others_on_a_host_that_lives_is_no_proof(store, monkeypatch, lives, began):
    """As one that was left after maintenance. The agent must not make its own mark of it."""
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, mark_settle=15.0)
    with_fences(agent, '')
    if began == 'before the mark':
        clock.tick(agent, 40)
    world.power['c1'] = 'on' if lives else 'off'
    clock.dead = set() if lives else {'c1'}
    mark(world, 'c1', clock.now)
    clock.tick(agent, 10)
    assert phase(store, 'c1') == 'confirmed' and world.done == []
    clock.tick(agent, 50)
    assert phase(store, 'c1') == ('confirmed' if lives else 'done')
    assert (('mark', 'c1') in world.done) is not lives
    if lives:
        assert 'unset forced_down' in agent.hosts()['c1']
        world.services['c1'] = dataclasses.replace(
            world.services['c1'], is_forced_down=False, is_up=True
        )
        clock.tick(agent, 5)
        assert phase(store, 'c1') == 'closed'


# S1
@pytest.mark.parametrize('silent', ['agent', 'nova'], ids=['no answers', 'nothing is written'])
@pytest.mark.parametrize('seconds', [12, 25, 50])
def test_a_gap_in_what_the_agent_sees_makes_no_proof_of_a_mark_on_a_host_that_lives(
    store, monkeypatch, silent, seconds
):
    """A mark was left after maintenance. For a while no host can be heard; all of them live."""
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, mark_settle=4.0)
    with_fences(agent, '')
    mark(world, 'c1', clock.now)
    clock.tick(agent, 40)
    assert phase(store, 'c1') == 'confirmed' and world.done == []
    for start in range(3):
        clock.tick(agent, start)
        if silent == 'agent':
            world.can_ask = False
            clock.tick(agent, seconds)
            world.can_ask = True
        else:
            # Nova shows a host as down later than that.
            clock.are_written = False
            clock.tick(agent, seconds)
            clock.are_written = True
        clock.tick(agent, 20)
        assert world.done == [] and phase(store, 'c1') == 'confirmed'


# S1
@pytest.mark.parametrize('lives', [True, False], ids=['lives', 'dead'])
@pytest.mark.parametrize('is_power', [True, False], ids=['power', 'mark'])
def test_what_was_written_in_a_gap_around_the_fence_is_neither_life_nor_death(
    store, monkeypatch, lives, is_power
):
    """Nova stops answering as the host is fenced; its last report came just before that."""
    world = World()
    world.servers['c1'] = {f's{n}' for n in range(1000)}
    clock = Clock(monkeypatch, world)
    agent = make(world, store, mark_settle=4.0)
    clock.tick(agent, 40)
    world.down('c1')
    clock.dead = {'c1'}
    while ('off', 'c1') not in world.done:
        clock.tick(agent, 1)
    agent._observer._fences = types.SimpleNamespace(
        switches_off=lambda _host: is_power, takes_word=lambda _host, _who: False
    )
    world.done.clear()
    world.can_ask = False
    # It had sent a report, which Nova has written by now.
    world.services['c1'] = dataclasses.replace(world.services['c1'], heartbeat_at=clock.now)
    clock.tick(agent, 40)
    world.can_ask = True
    clock.dead = set() if lives else {'c1'}
    clock.tick(agent, 4)
    if not lives:
        assert world.done == [] and phase(store, 'c1') == 'rescuing', 'it is no sign of life'
    clock.tick(agent, 20)
    kinds = [kind for kind, _host in world.done]
    if not lives:
        assert 'rescue' in kinds and 'off' not in kinds
    elif is_power:
        assert kinds[0] == 'off', 'nothing is begun before'
    else:
        assert phase(store, 'c1') == 'deferred' and not kinds


def test_a_host_that_was_silent_for_long_is_rescued_as_soon_as_others_mark_it(store, monkeypatch):
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, mark_settle=4.0)
    with_fences(agent, '')
    clock.tick(agent, 40)
    clock.dead, world.power['c1'] = {'c1'}, 'off'
    clock.tick(agent, 20)
    assert phase(store, 'c1') == 'confirmed'
    mark(world, 'c1', clock.now)
    clock.tick(agent, 2)
    assert ('mark', 'c1') in world.done


# S1
def test_the_word_of_a_second_level_stands_while_the_first_one_cannot_be_asked(store, monkeypatch):
    """Nobody could give it anew: the mark is the agent's own by then."""
    world = World()
    world.servers['c1'] = {f's{n}' for n in range(1000)}
    clock = Clock(monkeypatch, world)
    agent = make(world, store)
    broken = '{driver: command, program: "false"}'
    with_fences(agent, f'hosts: {{c1: {{levels: [{broken}, {{driver: nova_forced_down}}]}}}}')
    clock.tick(agent, 10)
    clock.dead, world.power['c1'] = {'c1'}, 'off'
    mark(world, 'c1', clock.now)
    clock.tick(agent, 400)
    # Later than proof_valid its policies are still signalled.
    assert phase(store, 'c1') == 'rescuing' and world.done[-1] == ('rescue', 'c1')
    assert len(store.get('incident', 'c1').value['fences']) == 1
    world.done.clear()
    clock.tick(agent, 5)
    assert ('rescue', 'c1') in world.done
    # It lives: the word was given for a failure that is over.
    clock.dead = set()
    clock.tick(agent, 5)
    world.done.clear()
    clock.tick(agent, 5)
    assert world.done == [] and phase(store, 'c1') == 'rescuing'
    assert '--by NAME' in agent.hosts()['c1']


def test_an_entry_that_cannot_be_used_any_more_holds_no_other_host(store):
    world = World()
    agent = rescuing(world, store)
    with_fences(agent, 'hosts: {c1: {driver: command, program: /no/such/program}}')
    rounds(agent, world, 2)
    assert phase(store, 'c1') == 'rescuing' and ('rescue', 'c1') in world.done
    world.services['c1'] = dataclasses.replace(world.services['c1'], is_forced_down=False)
    rounds(agent, world, 1)
    assert phase(store, 'c1') == 'closed'


def test_an_operator_who_lets_nova_use_the_host_again_ends_its_rescues(store):
    world = World()
    agent = rescuing(world, store)
    world.power['c1'] = 'on'
    world.services['c1'] = cloud.ComputeService(
        'c1', 'id-c1', True, False, False, heartbeat_at=time.time()
    )
    rounds(agent, world, 3)
    assert phase(store, 'c1') == 'closed' and world.done == []
    # Its next failure is a new one, which is fenced.
    world.down('c1')
    rounds(agent, world, 3)
    assert phase(store, 'c1') == 'rescuing'
    assert [kind for kind, _host in world.done][:2] == ['off', 'mark']


def test_an_incident_can_be_left_although_its_rescues_cannot_be_read(store):
    world = World()
    agent = rescuing(world, store)

    def fail(_incident, _services):
        raise exceptions.Unreadable('the rescue of a server', 'a newer version wrote it')

    agent._observer._rescues.unfinished = fail
    rounds(agent, world, 2)
    assert phase(store, 'c1') == 'rescuing' and world.done == []
    world.services['c1'] = dataclasses.replace(world.services['c1'], is_forced_down=False)
    rounds(agent, world, 1)
    assert phase(store, 'c1') == 'closed'


@pytest.mark.parametrize('says_up', [False, True])
def test_a_failure_that_was_believed_stays_until_somebody_says_up(store, monkeypatch, says_up):
    """The only report of it fades long before its power control answers."""
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',))
    world.fails = True
    clock.tick(agent, 5)
    clock.dead = {'c1'}
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    clock.tick(agent, 6)
    assert phase(store, 'c1') == 'confirmed'
    clock.now += 360
    clock.tick(agent, 6)
    assert phase(store, 'c1') == 'confirmed'
    if says_up:
        agent.report('webhook', reports.ParsedReport('c1', Claimed.UP))
    world.fails = False
    clock.tick(agent, 6)
    assert phase(store, 'c1') == ('closed' if says_up else 'done')


# S1
@pytest.mark.parametrize('dies', [False, True])
def test_nothing_is_begun_elsewhere_before_a_host_that_nova_shows_as_up_is_missed(
    store, monkeypatch, dies
):
    """Its power control shows another machine as off, or it: only its silence tells which."""
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',), certain=('webhook',))
    clock.tick(agent, 20)
    clock.dead = {'c1'} if dies else set()
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN))
    clock.tick(agent, 8)
    # Its last heartbeat is too young to be missed.
    assert set(world.done) == {('off', 'c1')}
    clock.tick(agent, 200)
    kinds = [kind for kind, _host in world.done]
    if dies:
        assert kinds == ['off', 'mark', *['rescue'] * (len(kinds) - 2)] and len(kinds) > 2
        assert phase(store, 'c1') == 'done'
    else:
        assert set(kinds) == {'off'} and phase(store, 'c1') == 'deferred'


# S1
def test_an_alert_that_is_resolved_before_the_fence_takes_back_what_it_claimed(store, monkeypatch):
    """The host is healthy, and its next heartbeat is yet to come."""
    world = World()
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',))
    world.fails = True
    clock.tick(agent, 5)
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN, thing='a'))
    clock.tick(agent, 6)
    assert phase(store, 'c1') == 'confirmed'
    clock.dead = {'c1'}
    agent.report('webhook', reports.ParsedReport('c1', Claimed.RESOLVED, thing='a'))
    world.fails = False
    clock.tick(agent, 3)
    assert phase(store, 'c1') == 'confirmed' and world.done == []
    clock.dead = set()
    clock.tick(agent, 6)
    assert phase(store, 'c1') == 'closed' and world.done == []


def test_an_alert_that_is_resolved_after_the_fence_stops_no_rescue(store, monkeypatch):
    """Its sender may have been restarted, and have forgotten; the host was fenced."""
    world = World()
    world.servers['c1'] = {f's{n}' for n in range(1000)}
    clock = Clock(monkeypatch, world)
    agent = make(world, store, confirm=('webhook',))
    clock.tick(agent, 5)
    clock.dead = {'c1'}
    agent.report('webhook', reports.ParsedReport('c1', Claimed.DOWN, thing='a'))
    clock.tick(agent, 25)
    assert phase(store, 'c1') == 'rescuing'
    clock.tick(agent, 200)
    agent.report('webhook', reports.ParsedReport('c1', Claimed.RESOLVED, thing='a'))
    # Until its proof is too old, and the host is fenced again.
    clock.tick(agent, 110)
    assert phase(store, 'c1') == 'rescuing' and ('rescue', 'c1') in world.done[-3:]
    incident = store.get('incident', 'c1').value
    # That is the same failure, and counts once.
    assert incident['proof']['at'] > incident['fences'][0] and len(incident['fences']) == 1


@pytest.mark.parametrize('again', ['proof too old', 'released', 'alive', 'failed again'])
def test_a_fence_that_is_renewed_counts_for_no_limit_and_one_of_a_host_that_lived_does(
    store, monkeypatch, again
):
    world = World()
    world.servers['c1'] = {f's{n}' for n in range(300)}
    clock = Clock(monkeypatch, world)
    agent = make(world, store)
    clock.tick(agent, 5)
    clock.dead = {'c1'}
    clock.tick(agent, 30)
    for _ in range(2):
        world.done.clear()
        if again == 'proof too old':
            clock.now += 310
        elif again == 'released':
            decide_by_hand(store, clock, agent_model.Phase.CONFIRMED)
        elif again == 'alive':
            clock.dead = set()
            while ('off', 'c1') not in world.done:
                clock.tick(agent, 1)
            clock.dead = {'c1'}
        else:
            let_in(world, 'c1')
            clock.dead = set()
            clock.tick(agent, 10)
            clock.dead = {'c1'}
        clock.tick(agent, 25)
        assert ('off', 'c1') in world.done
    incident = store.get('incident', 'c1').value
    is_counted = again in ('alive', 'failed again')
    assert len(incident['fences']) == (3 if is_counted else 1), incident
    # Its next failure is held back only where it failed again and again.
    let_in(world, 'c1')
    clock.dead = set()
    clock.tick(agent, 10)
    clock.dead = {'c1'}
    clock.tick(agent, 25)
    assert phase(store, 'c1') == ('deferred' if is_counted else 'rescuing')


def let_in(world, host):
    world.services[host] = dataclasses.replace(
        world.services[host], is_up=True, is_forced_down=False, is_disabled=False,
        disabled_reason='',
    )  # fmt: skip


def decide_by_hand(store, clock, phase):
    entry = store.get('incident', 'c1')
    old = serialization.decode(agent_model.Incident, entry.value, 'it')
    new = dataclasses.replace(old, phase=phase, released_by='ann', changed=clock.now, proof=None)
    store.put('incident', 'c1', serialization.encode(new), entry.version)


def test_of_sixty_hosts_a_rack_of_ten_that_falls_silent_is_not_fenced(store, monkeypatch):
    world = World(hosts=60)
    clock = Clock(monkeypatch, world)
    agent = make(world, store, settle=5.0)
    clock.tick(agent, 30)
    clock.dead = {f'c{n}' for n in range(1, 11)}
    clock.tick(agent, 30)
    assert world.done == []
    assert {phase(store, host) for host in clock.dead} <= {'deferred', 'suspect'}


def test_hosts_that_a_person_releases_together_are_fenced_two_at_a_time(store, monkeypatch):
    world = World(hosts=60)
    clock = Clock(monkeypatch, world)
    agent = make(world, store, settle=5.0)
    clock.tick(agent, 30)
    clock.dead = {f'c{n}' for n in range(1, 11)}
    clock.tick(agent, 40)
    for host in clock.dead:
        entry = store.get('incident', host)
        old = serialization.decode(agent_model.Incident, entry.value, 'it')
        new = dataclasses.replace(
            old, phase=agent_model.Phase.CONFIRMED, released_by='ann', changed=clock.now
        )
        store.put('incident', host, serialization.encode(new), entry.version)
    world.fails = True
    world.tried.clear()
    clock.tick(agent, 1)
    assert len(world.tried) == 2
    world.fails = False
    clock.tick(agent, 30)
    assert {phase(store, host) for host in clock.dead} == {'done'}


def test_of_a_cloud_in_maintenance_the_share_is_of_the_hosts_that_work(store, monkeypatch):
    world = World(hosts=100)
    for number in range(21, 101):
        world.services[f'c{number}'] = dataclasses.replace(
            world.services[f'c{number}'], is_disabled=True
        )
    clock = Clock(monkeypatch, world)
    agent = make(world, store, settle=5.0)
    clock.tick(agent, 30)
    for number in range(1, 21):
        clock.dead.add(f'c{number}')
        clock.tick(agent, 60)
    # A fifth of twenty, and not of a hundred.
    assert len({host for kind, host in world.done if kind == 'off'}) == 4
