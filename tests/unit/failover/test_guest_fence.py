# SPDX-License-Identifier: Apache-2.0
"""What a policy asks of the agents, and when their record counts for it."""

import dataclasses
import json
import time
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud import clock, compute_hosts
from heat_ha.cloud.model import Host, HostState, Server, ServerStatus
from heat_ha.failover import fence_wait, guest_fence
from heat_ha.failover.model import StepKind, StepState
from heat_ha.fencing.rules import guests
from tests.unit.failover import worlds

OLD, HOST = 'server-a', 'hash-1'
NEITHER = 'its host does not answer'


class Policy:
    def __init__(self):
        self.entries = {}

    def data(self):
        return self.entries

    def data_set(self, key, value):
        self.entries[key] = value

    def data_delete(self, key):
        del self.entries[key]

    @property
    def request(self):
        text = self.entries.get(guests.REQUEST)
        return text and json.loads(text)


class World:
    """A policy whose old active is on a silent host, and what the agents have on record."""

    def __init__(self):
        self.policy, self.said, self.record = Policy(), [], None
        self.host, self.written, self.status = HOST, 5.0, ServerStatus.ACTIVE
        self.state = HostState.DOWN
        self.fence = self.made()

    def made(self, shuts_out=True):
        nova = types.SimpleNamespace(
            server=lambda one: Server(one, self.status, self.host),
            deleted_server=lambda one: Server(one, ServerStatus.GONE, self.host),
        )
        hosts = types.SimpleNamespace(all=self.all)
        emitter = types.SimpleNamespace(progress=lambda text, _plan: self.said.append(text))
        return guest_fence.GuestFence(
            self.policy, types.SimpleNamespace(nova=nova, hosts=hosts), emitter,
            time.monotonic() + 60, shuts_out=shuts_out, read=self.read,
        )  # fmt: skip

    def all(self):
        by_id = {HOST: Host(self.state, NEITHER, self.written)}
        return compute_hosts.HostTable(by_id, Host(HostState.UP, 'its host is up'))

    def read(self, server, host_id):
        found = self.record
        return found if found and (found.server, found.host_id) == (server, host_id) else None

    def answer(self, **more):
        now, asked = clock.epoch(), self.policy.request
        plain = guests.GuestFence(
            asked['server'], asked['host'], host='h1', volumes=tuple(asked['volumes']),
            clients=('192.0.2.1:0/1',), proved_for=(asked['request_id'],), written=5.0, at=now,
            until=now + 9999, seen_at=now,
        )  # fmt: skip
        self.record = dataclasses.replace(plain, **more)

    def seen(self, server=OLD, host=HOST):
        return self.fence.clients.hosts.all()(Server(server, self.status, host)).state


@pytest.fixture
def world():
    return World()


@pytest.fixture
def plan():
    group = [worlds.candidate('a'), worlds.candidate('b'), worlds.candidate('c')]
    return worlds.plan(worlds.seen(group, volumes=('v1', 'v2')))


def done(plan, kind, target):
    (step,) = (one for one in plan.steps if one.kind is kind and one.target == target)
    return plan.with_step(dataclasses.replace(step, state=StepState.DONE))


def ask(world, plan):
    world.fence.use_for(plan)
    world.fence.ask(OLD, plan, lambda: None)


def test_the_record_counts_for_the_old_active_at_its_host_alone(world, plan):
    ask(world, plan)
    assert world.seen() is HostState.DOWN
    world.answer()
    assert world.seen() is HostState.CONFIRMED_DOWN
    assert world.seen('server-b') is HostState.DOWN
    assert world.seen(host='hash-2') is HostState.UP
    # A server of which the host is not known.
    assert world.seen(host='') is HostState.UP
    world.state = HostState.UNKNOWN
    assert world.seen() is HostState.UNKNOWN


def test_a_host_that_was_heard_since_ends_it(world, plan):
    ask(world, plan)
    world.answer()
    world.written = 6.0
    assert world.seen() is HostState.DOWN


def test_volumes_that_were_given_up_before_are_not_asked_for(world, plan):
    half = done(plan, StepKind.DETACH, 'v1')
    ask(world, half)
    assert world.policy.request['volumes'] == ['v2']
    world.answer()
    # Its record counts until the end, also for another engine.
    world.fence = world.made()
    world.fence.use_for(done(half, StepKind.DETACH, 'v2'))
    assert world.seen() is HostState.CONFIRMED_DOWN


def test_the_same_failover_with_another_successor_goes_on_with_its_record(world, plan):
    ask(world, plan)
    world.answer()
    world.fence.use_for(dataclasses.replace(plan, plan_id='p2', new=worlds.holder('c')))
    assert world.seen() is HostState.CONFIRMED_DOWN and world.policy.request['plan'] == 'p2'


@pytest.mark.parametrize('changes', [{}, {'plan_id': 'p2', 'new': worlds.holder('c')}])
def test_a_plan_that_takes_more_than_was_asked_for_asks_anew(world, plan, changes):
    ask(world, done(plan, StepKind.DETACH, 'v1'))
    world.answer()
    more = dataclasses.replace(plan, **changes)
    world.fence.use_for(more)
    assert world.seen() is HostState.DOWN and world.policy.request is None
    world.fence.ask(OLD, more, lambda: None)
    assert world.policy.request['volumes'] == ['v1', 'v2'] and world.seen() is HostState.DOWN


def test_a_host_that_is_up_by_now_is_not_asked_about(world, plan):
    ask(world, plan)
    world.state, said = HostState.UP, list(world.said)
    world.fence.ask(OLD, plan, lambda: None)
    assert world.said == said


def test_what_another_failover_has_asked_for_is_taken_back(world, plan):
    ask(world, plan)
    world.answer()
    world.fence.use_for(dataclasses.replace(plan, plan_id='p2', old=worlds.holder('b')))
    assert world.policy.request is None and world.seen() is HostState.DOWN


@pytest.mark.parametrize(
    'change', [{'host': ''}, {'state': HostState.CONFIRMED_DOWN}, {'state': HostState.UNKNOWN}]
)
def test_nothing_is_asked_for_a_host_that_is_not_shown_as_silent(world, plan, change):
    vars(world).update(change)
    ask(world, plan)
    assert world.policy.request is None and world.said == []


def test_nothing_is_asked_for_what_volumes_alone_do_not_free(world, plan):
    fence = dataclasses.replace(plan.steps[0], name='fence', kind=StepKind.FENCE)
    ask(world, dataclasses.replace(plan, steps=(*plan.steps, fence)))
    assert world.policy.request is None and 'more than volumes' in world.said[0]
    world.fence.ask('server-b', plan, lambda: None)
    assert world.policy.request is None and 'not the old active' in world.said[1]


def test_a_policy_that_wants_no_such_fence_asks_for_nothing(world, plan):
    world.fence = world.made(shuts_out=False)
    ask(world, plan)
    world.fence.report(plan)
    assert world.policy.request is None and world.seen() is HostState.DOWN and not world.said


def test_each_thing_that_hinders_is_said_once(world, plan):
    ask(world, plan)
    answers = (world.policy.request['request_id'],)
    for _ in range(3):
        for text in ('it holds back', 'its host is up'):
            world.answer(proved_for=(), answers=answers, waits=text)
            world.fence.report(plan)
    assert len(world.said) == 3


def test_an_engine_that_has_lost_the_lock_asks_for_nothing(world, plan):
    def lost():
        raise exceptions.LostLock()

    world.fence.use_for(plan)
    emitter = types.SimpleNamespace(progress=lambda *_args: None)
    why = exceptions.FencingUnconfirmed('silent', 'wait', OLD)
    with pytest.raises(exceptions.LostLock):
        fence_wait.FenceWait(emitter, world.fence, lost).for_plan(plan, why, OLD, 0.0, None)
    assert world.policy.request is None


def test_who_stops_waiting_hears_of_a_guest_that_is_shut_out(world, plan):
    assert guest_fence.forget(world.policy, world.read) == ''
    ask(world, plan)
    assert guest_fence.forget(world.policy, world.read) == ''
    ask(world, plan)
    world.answer()
    assert 'reboot --hard' in guest_fence.forget(world.policy, world.read)
    assert world.policy.request is None
