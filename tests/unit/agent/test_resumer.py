# SPDX-License-Identifier: Apache-2.0
"""Which work the agent lets go on, and how often it signals for that."""

import dataclasses
import threading
import types

import pytest

from heat_ha import exceptions
from heat_ha.agent import metrics, resumer
from heat_ha.agent.adapters import pending_regions, policy_index
from heat_ha.cloud import heat_rpc
from heat_ha.cloud import model as cloud
from tests.unit.agent.worlds import Inline


@pytest.fixture
def world(monkeypatch):
    """What the agent finds to be done, which signals it sent, and which of them fail."""
    made = types.SimpleNamespace(
        now=1000.0, sent=[], refuses=set(), silent=set(), plans=[], parts=[], prepared=[]
    )

    def signal(project, stack_name, stack_id, name, body):
        assert project == 'p' and list(body) == ['action']
        made.sent.append((body['action'], stack_id))
        if stack_id in made.refuses:
            raise heat_rpc.SignalRefused('heat', 'a signal', 'HTTP 400: the stack is suspended')
        if stack_id in made.silent:
            made.now += made.limit
            raise exceptions.CouldNotAsk('heat', 'a signal', 'no engine')

    monkeypatch.setattr(heat_rpc, 'signal', signal)
    monkeypatch.setattr(heat_rpc, 'prepare', lambda *policy: made.prepared.append(policy))
    monkeypatch.setattr(resumer, 'time', types.SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(policy_index, 'unfinished_failovers', lambda: list(made.plans))
    monkeypatch.setattr(policy_index, 'any_policy', lambda: ('p', 's0', 'id0', 'rescue'))
    monkeypatch.setattr(pending_regions, 'pending', lambda: list(made.parts))
    made.services, made.limit = {}, 0.0
    made.resumer = resumer.Resumer(
        types.SimpleNamespace(host_of={'old': 'c1'}.get),
        types.SimpleNamespace(get_lock=lambda _name: threading.Lock()),
        types.SimpleNamespace(is_alive=lambda one: one == 'living'),
    )

    def rounds(seconds):
        """Let so many seconds pass. :returns: the ids of the stacks that were signalled."""
        before = len(made.sent)
        for _ in range(int(seconds / resumer.POLL_SECONDS)):
            made.resumer.start(Inline(), made.services)
            made.now += resumer.POLL_SECONDS
        return [stack for _action, stack in made.sent[before:]]

    made.rounds = rounds
    return made


def parts(count):
    return [pending_regions.Pending('remote', f'id{n}', f's{n}', 'p', ('B',)) for n in range(count)]


def left_plan(stack='id', state='running', engine='', **record):
    record = {'state': state, 'plan': {'old': {'server': 'old'}}, **record}
    return policy_index.Unfinished('policy', stack, 's', 'p', engine, record)


def test_a_pending_part_is_signalled_at_once_and_again_after_a_while(world):
    world.silent, world.parts = {'id0'}, parts(1)
    assert world.rounds(14) == ['id0'] * 3
    # What is done is forgotten, and signalled at once when it is pending again.
    world.parts = []
    world.rounds(2)
    world.parts = parts(1)
    assert world.rounds(2) == ['id0']


def test_with_many_each_has_its_turn(world):
    world.parts = parts(50)
    signalled = set()
    for _ in range(3):
        found = world.rounds(2)
        assert len(found) <= resumer.MAX_SYNCS
        signalled |= set(found)
    assert signalled == {f'id{n}' for n in range(50)}


def test_what_refuses_its_signals_holds_up_nobody_else(world):
    bad = [f'bad{n}' for n in range(30)]
    world.refuses = set(bad)
    world.plans = [left_plan(one) for one in bad] + [left_plan('good')]
    world.parts = [
        *(pending_regions.Pending('remote', one, 's', 'p', ('B',)) for one in bad), *parts(1)
    ]  # fmt: skip
    first = world.rounds(4)
    assert first.count('good') == 1 and 'id0' in first
    found = first + world.rounds(1800 - 4)
    # A good part gets its turns as without the others, and each bad one ever fewer.
    assert found.count('id0') >= 1800 / (resumer.SYNC_AGAIN_AFTER + resumer.POLL_SECONDS)
    assert 5 < max(found.count(one) for one in bad) < 30
    assert len(world.prepared) == 8


@pytest.mark.parametrize('broken', ['unfinished_failovers', 'pending', 'any_policy'])
def test_a_look_that_fails_holds_up_no_other(world, monkeypatch, broken):
    def fail():
        raise RuntimeError('a query that failed')

    module = pending_regions if broken == 'pending' else policy_index
    monkeypatch.setattr(module, broken, fail)
    world.plans, world.parts = [left_plan('plan')], parts(1)
    expected = {'unfinished_failovers': ['id0'], 'pending': ['plan'], 'any_policy': ['plan', 'id0']}
    before = metrics.REGISTRY.get_sample_value(*LOOKS_FAILED[broken]) or 0
    assert world.rounds(2) == expected[broken]
    assert bool(world.prepared) == (broken != 'any_policy')
    assert metrics.REGISTRY.get_sample_value(*LOOKS_FAILED[broken]) == before + 1


LOOKS_FAILED = {
    look: ('heat_ha_agent_looks_failed_total', {'kind': kind})
    for look, kind in (
        ('unfinished_failovers', 'plans of FailoverPolicies'),
        ('pending', 'regions of RemoteStacks'),
        ('any_policy', 'engines'),
    )
}


def test_a_plan_that_cannot_be_looked_at_holds_up_no_other(world):
    world.plans = [left_plan('bad', 'waiting_for_fence', plan='no plan'), left_plan('good')]
    assert world.rounds(2) == ['good']


def test_a_plan_that_no_signal_moves_is_signalled_ever_more_seldom(world):
    world.plans = [left_plan(epoch=1)]
    found = len(world.rounds(3600))
    assert 12 < found < 20
    # As soon as something has changed, it is signalled as often as before.
    world.plans = [left_plan(epoch=2)]
    assert len(world.rounds(12)) >= 1
    world.plans = [left_plan('other')]
    assert world.rounds(2) == ['other']


def test_a_paused_policy_is_left_alone(world):
    world.plans = [left_plan(is_paused=True)]
    assert world.rounds(600) == []


def test_a_plan_whose_engines_do_not_answer_keeps_its_pace(world):
    world.plans, world.silent = [left_plan()], {'id'}
    assert len(world.rounds(600)) == 60


def test_stacks_whose_signals_nobody_answers_hold_up_nobody_else(world):
    bad = [f'bad{n}' for n in range(20)]
    world.silent, world.limit = set(bad), 30.0
    world.plans = [left_plan(one) for one in bad] + [left_plan('good', 'stopped')]
    world.parts = [
        *(pending_regions.Pending('remote', one, 's', 'p', ('B',)) for one in bad), *parts(1)
    ]  # fmt: skip
    # Each has its first turn; from then on the good ones come first in each look.
    world.rounds(60)
    assert {stack for _action, stack in world.sent} == {*bad, 'good', 'id0'}
    began, before = world.now, len(world.sent)
    world.rounds(60)
    found = [stack for _action, stack in world.sent[before:]]
    for one in ('good', 'id0'):
        assert found.count(one) >= (world.now - began) / 70
    # No bad one is forgotten.
    assert {*bad} <= set(found)


def test_the_engines_are_made_ready_now_and_then_where_there_is_a_policy(world, monkeypatch):
    found = [None]
    monkeypatch.setattr(policy_index, 'any_policy', lambda: found[0])
    world.rounds(100)
    found[0] = ('p', 's0', 'id0', 'rescue')
    world.rounds(500)
    assert world.prepared == [('p', 's0', 'id0', 'rescue')] * 3


@pytest.mark.parametrize(
    ('state', 'engine', 'host', 'is_resumed'),
    [
        ('running', 'living', 'silent', False),
        ('running', 'dead', 'silent', True),
        ('running', '', 'silent', True),
        ('waiting_for_fence', '', 'silent', False),
        ('waiting_for_fence', '', 'forced_down', True),
        ('waiting_for_fence', 'living', 'forced_down', False),
        ('waiting_for_fence', '', 'up', True),
        ('waiting_for_fence', 'living', 'up', False),
        ('waiting_for_fence', '', 'not in Nova', False),
    ],
)
def test_a_plan_goes_on_when_its_engine_died_and_its_host_is_fenced_or_back(
    world, state, engine, host, is_resumed
):
    world.plans = [left_plan(state=state, engine=engine)]
    seen = cloud.ComputeService('c1', 'id', host == 'up', host == 'forced_down', False)
    world.services = {} if host == 'not in Nova' else {'c1': seen}
    assert world.rounds(2) == ['id'] * is_resumed
    # Not at once again.
    assert world.rounds(resumer.RESUME_AGAIN_AFTER - 2) == []
    assert world.rounds(2) == ['id'] * is_resumed
    assert {action for action, _stack in world.sent} <= {'resume'}


def test_a_plan_waits_for_each_of_those_who_had_something(world):
    """One host that is silent is enough, and one that is confirmed down is worth a look."""
    ends = {'plan': {'old': {'server': 'old'}, 'tried': [{'server': 'tried'}]}}
    world.plans = [left_plan(state='waiting_for_fence', **ends)]
    hosts = {'old': 'c1', 'tried': 'c2'}
    world.resumer._nova.host_of = hosts.get
    up = cloud.ComputeService('c1', 'id', True, False, False)
    world.services = {'c1': up, 'c2': dataclasses.replace(up, host='c2', is_up=False)}
    assert world.rounds(2) == []
    world.services['c2'] = dataclasses.replace(up, host='c2')
    assert world.rounds(2) == ['id']


@pytest.mark.parametrize('kind', [{'is_paused': True}, {'state': 'ready', 'active': None}])
def test_what_waits_for_a_person_is_signalled_each_hour(world, kind):
    world.plans = [left_plan(**kind)]
    assert len(world.rounds(4 * 3600)) == 3
