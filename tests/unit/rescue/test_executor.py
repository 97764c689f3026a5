# SPDX-License-Identifier: Apache-2.0
"""The rounds of a rescue in a Nova that can be told what to do."""

import contextlib
import dataclasses
import types

import pytest

from heat_ha.cloud.model import Host, HostState, ServerStatus
from heat_ha.rescue import executor, model, observer, record
from heat_ha.rescue.adapters import heat_servers
from heat_ha.rescue.model import Method
from heat_ha.rescue.rules import decide, waiting


class Nova:
    """Evacuates each server within a few looks at it.

    ``dead``: hosts that are confirmed down, beside the old one while ``state`` says so.
    """

    def __init__(self, servers):
        self.left = dict.fromkeys(servers, 0)
        self.at_work = {}
        self.most = 0
        self.looked_at = set()
        self.looks = self.looks_at_hosts = 0
        self.state = HostState.CONFIRMED_DOWN
        self.takes = 3
        self.dead, self.to, self.begun, self.stopped = set(), 'new', [], []

    def hosts(self):
        self.looks_at_hosts += 1
        state = self.state
        dead = Host(HostState.CONFIRMED_DOWN, 'dead')
        others = {'new': Host(HostState.UP, 'up'), 'newer': Host(HostState.UP, 'up')}
        return lambda host: (
            dead if host in self.dead else others.get(host) or Host(state, state.value)
        )

    def look_at_many(self, servers):
        # As a project's list that is too long to show all.
        return {s: self.look(s) for s in servers[::2]} if len(servers) > 3 else {}

    def look(self, server):
        self.looks += 1
        self.looked_at.add(server)
        if server in self.at_work:
            self.at_work[server] -= 1
            if not self.at_work[server]:
                del self.at_work[server]
                return model.Server(server, ServerStatus.ACTIVE, self.to)
            return model.Server(
                server, ServerStatus.OTHER, 'old', 'rebuilding', detail='REBUILD'
            )  # fmt: skip
        return model.Server(server, ServerStatus.ACTIVE, 'old' if server in self.left else self.to)

    def migration(self, server):
        status = 'pre-migrating' if server in self.at_work else 'done'
        return model.Migration(status, 'evacuation', 1e9, self.to)

    def stop(self, server):
        self.stopped.append(server)

    def begin(self, method, server, is_reset=False):
        assert method is Method.EVACUATE
        self.begun.append(is_reset)
        self.to = 'newer' if self.dead else 'new'
        self.left.pop(server.server, None)
        self.at_work[server.server] = self.takes
        self.most = max(self.most, len(self.at_work))


@pytest.fixture
def world(monkeypatch):
    made = types.SimpleNamespace(now=1000.0, records={})

    def sleep(seconds):
        made.now += seconds

    clock = types.SimpleNamespace(
        sleep=sleep, monotonic=lambda: made.now, time=lambda: made.now
    )  # fmt: skip
    monkeypatch.setattr(executor, 'time', clock)
    monkeypatch.setattr(observer, 'time', clock)
    monkeypatch.setattr(record, 'read', lambda _policy: dict(made.records))
    monkeypatch.setattr(record, 'drop', lambda _policy, server: made.records.pop(server))
    monkeypatch.setattr(
        record, 'write', lambda _policy, one: made.records.update({one.server: one})
    )
    # What the record says of a server when its line is written.
    made.at_the_line = {}
    monkeypatch.setattr(
        record,
        'add_to_history',
        lambda _policy, one: made.at_the_line.update({one.server: made.records.get(one.server)}),
    )
    return made


def protected(count):
    return [
        heat_servers.Protected(f's{n}', f'web/{n}', 'web', str(n), (), 'server')
        for n in range(count)
    ]


def rescue(world, nova):
    return executor.Rescue(
        None, nova, None,
        executor.Options((model.Rule(Method.EVACUATE),), model.Verify()),
        lambda _status, _text: None, lambda: world.now,
    )  # fmt: skip


LEASE = types.SimpleNamespace(check=lambda: None)


@pytest.mark.parametrize('count', [1, executor.MOVED_AT_ONCE, 3 * executor.MOVED_AT_ONCE + 1])
def test_all_servers_have_their_turn_and_nova_never_moves_too_many(world, count):
    places = protected(count)
    nova = Nova(p.server for p in places)
    # Looks: long enough for time to have made all the room that there is.
    nova.takes = 40
    one = rescue(world, nova)
    found, others = one.affected(places, None)
    assert not others
    one.run(found, places, LEASE)
    assert not nova.left and not nova.at_work
    assert nova.most == min(count, executor.MOVED_AT_ONCE)
    assert {p.state for p in world.records.values()} == {model.State.DONE}
    assert set(world.at_the_line) == set(world.records)
    assert not any(known.state.is_final for known in world.at_the_line.values())


def test_the_first_are_begun_alone_and_who_waits_is_not_looked_at(world):
    places = protected(20)
    nova = Nova(p.server for p in places)
    one = rescue(world, nova)
    found, _others = one.affected(places, None)
    nova.looked_at.clear()
    with pytest.raises(StopIteration):
        # Ended after three rounds, which are over before Nova is asked for more at once.
        one.run(found, places, types.SimpleNamespace(check=iter([None] * 3).__next__))
    first = {p.server for p in places[: decide.FIRST_AT_ONCE]}
    assert set(nova.at_work) == first
    assert nova.looked_at == first


def test_of_whom_nova_tells_nothing_keeps_nobody_from_the_turn(world, monkeypatch):
    places = protected(20)
    mute = {p.server for p in places[: 2 * decide.FIRST_AT_ONCE]}
    nova = Nova(p.server for p in places)
    one = rescue(world, nova)
    # Another engine had put them on record, and died.
    world.records = {
        p.server: model.Progress(p.server, p.name, nova.look(p.server)) for p in places
    }
    monkeypatch.setattr(nova, 'look_at_many', lambda _servers: {})
    look, rounds = nova.look, iter(range(60))

    def looks(server):
        if server in mute:
            return model.Server(server, ServerStatus.COULD_NOT_ASK)
        return look(server)

    monkeypatch.setattr(nova, 'look', looks)
    with pytest.raises(StopIteration):
        # They are never told of, so it would never end.
        one.run([], places, types.SimpleNamespace(check=lambda: next(rounds)))
    left = {p.server for p in world.records.values() if not p.state.is_final}
    assert left == mute


def test_what_a_dead_engine_had_begun_and_never_ends_keeps_nobody_waiting(world):
    places = protected(20)
    stuck = {p.server for p in places[: decide.FIRST_AT_ONCE]}
    nova = Nova(p.server for p in places)
    one = rescue(world, nova)
    for place in places:
        known = model.Progress(place.server, place.name, nova.look(place.server))
        if place.server in stuck:
            nova.begin(Method.EVACUATE, known.before)
            nova.at_work[place.server] = 10_000
            known = dataclasses.replace(
                known, state=model.State.RUNNING, method=Method.EVACUATE, attempt=1,
                started=world.now,
            )  # fmt: skip
        world.records[place.server] = known
    # Fewer seconds than an attempt may take.
    rounds = iter(range(60))
    with pytest.raises(StopIteration):
        one.run([], places, types.SimpleNamespace(check=lambda: next(rounds)))
    left = {p.server for p in world.records.values() if not p.state.is_final}
    assert left == stuck


def test_a_look_is_not_kept_for_those_that_wait(world):
    places = protected(decide.FIRST_AT_ONCE + 1)
    nova = Nova(p.server for p in places)
    one = rescue(world, nova)
    found, _others = one.affected(places, None)
    # Its owner, or another signal, has moved it meanwhile.
    last = places[-1].server
    del nova.left[last]
    one.run(found, places, LEASE)
    assert world.records[last].state is model.State.LEFT_ALONE
    assert not nova.left


def test_a_rescue_has_one_line_even_if_its_end_is_written_twice():
    data = {}
    policy = types.SimpleNamespace(data=lambda: data, data_set=data.__setitem__)
    before = model.Server('s0', ServerStatus.ACTIVE, 'old')
    first = model.Progress(
        's0', 'web/0', before, began=1000.0, state=model.State.DONE, ended=1001.0
    )
    for one in (first, dataclasses.replace(first, ended=1002.0)):
        record.add_to_history(policy, one)
    record.add_to_history(policy, dataclasses.replace(first, began=2000.0, ended=2001.0))
    lines = record.read_history(policy)
    assert [(line['began'], line['seconds']) for line in lines] == [(1000.0, 2.0), (2000.0, 1.0)]


def test_a_look_at_the_hosts_serves_the_first_round_if_it_is_young(world):
    for pause, looks in ((0.0, 1), (observer.HOSTS_VALID, 2)):
        nova = Nova(['s0'])
        one = rescue(world, nova)
        found, _others = one.affected(protected(1), None)
        world.records.clear()
        world.now += pause
        with pytest.raises(StopIteration):
            # Ended after the first round.
            one.run(found, protected(1), types.SimpleNamespace(check=iter([None]).__next__))
        assert nova.looks_at_hosts == looks and not nova.left


def test_a_look_at_the_hosts_serves_later_rounds_only_while_it_is_young(world):
    nova = Nova(['s0'])
    one = rescue(world, nova)
    began = world.now
    found, _others = one.affected(protected(1), None)
    one.run(found, protected(1), LEASE)
    # Three looks until Nova is through with it, one round after the other.
    assert world.now - began >= 3 * executor.ROUND
    assert nova.looks_at_hosts == 1 + int((world.now - began) / observer.HOSTS_VALID)


@pytest.mark.parametrize(('ended_ago', 'looks'), [(None, 1), (20.0, 1), (5.0, 2)])
def test_what_was_seen_counts_unless_another_engine_may_have_acted_meanwhile(
    world, ended_ago, looks
):
    nova = Nova(['s0'])
    one = rescue(world, nova)
    found, _others = one.affected(protected(1), None)
    if ended_ago is not None:
        before = model.Server('s0', ServerStatus.ACTIVE, 'older')
        world.records['s0'] = model.Progress(
            's0', 'web/0', before, state=model.State.DONE, ended=world.now - ended_ago
        )
    with pytest.raises(StopIteration):
        one.run(found, protected(1), types.SimpleNamespace(check=iter([None]).__next__))
    assert nova.looks == looks and not nova.left


def test_a_host_that_is_let_in_again_before_the_first_round_is_left_alone(world):
    nova = Nova(['s0'])
    one = rescue(world, nova)
    found, _others = one.affected(protected(1), None)
    nova.state = HostState.DOWN
    world.now += observer.HOSTS_VALID
    with pytest.raises(StopIteration):
        one.run(found, protected(1), types.SimpleNamespace(check=iter([None]).__next__))
    assert nova.left == {'s0': 0}
    assert world.records['s0'].state is model.State.PENDING


def begin_one(world, nova):
    one = rescue(world, nova)
    found, _others = one.affected(protected(1), None)
    return one, found


def test_a_server_whose_new_host_dies_while_it_is_built_there_is_evacuated_again(world):
    nova = Nova(['s0'])
    nova.takes = 10_000

    def happens():
        # After a minute, the host that Nova builds it on dies as well, and is fenced.
        if world.now > 1060 and not nova.dead:
            nova.dead, nova.takes = {'new'}, 3

    one, found = begin_one(world, nova)
    one.run(found, protected(1), types.SimpleNamespace(check=happens))
    # The second time the task that the first has left is taken away.
    assert nova.begun == [False, True]
    assert world.records['s0'].state is model.State.DONE and world.records['s0'].cut_off == 1


def test_a_wait_of_hours_is_told_and_ends_with_a_question(world):
    nova, told = Nova(['s0']), []
    nova.takes = 10_000_000
    one = executor.Rescue(
        None, nova, None,
        executor.Options(
            (model.Rule(Method.EVACUATE), model.Rule(Method.RECREATE)), model.Verify()
        ),
        lambda status, text: told.append((status, text)), lambda: world.now,
    )  # fmt: skip
    found, _others = one.affected(protected(1), None)

    def hurry():
        world.now += 60

    one.run(found, protected(1), types.SimpleNamespace(check=hurry))
    assert nova.begun == [False]
    assert world.records['s0'].state is model.State.FAILED
    reminders = [text for _status, text in told if 'still waiting' in text]
    assert len(reminders) == waiting.LONGEST // waiting.REMIND - 1
    assert told[-1][0] == 'FAILED' and 'Ask the operator' in told[-1][1]


def test_a_server_that_was_paused_is_stopped_on_its_new_host(world, monkeypatch):
    nova = Nova(['s0'])
    look = nova.look

    def paused(server):
        seen = look(server)
        if seen.host == 'old':
            return dataclasses.replace(seen, status=ServerStatus.OTHER, vm_state='paused')
        if nova.stopped:
            return dataclasses.replace(seen, status=ServerStatus.SHUTOFF)
        return seen

    monkeypatch.setattr(nova, 'look', paused)
    nova.migration = lambda _server: model.Migration(model.Migration.ABSENT)
    one, found = begin_one(world, nova)
    one.run(found, protected(1), LEASE)
    assert nova.begun == [True] and nova.stopped == ['s0']
    assert world.records['s0'].state is model.State.DONE


class Heat:
    """Replaces servers, and fails over for an hour."""

    def __init__(self, world, meanwhile):
        self.world, self.meanwhile, self.replaced = world, meanwhile, []

    def fail_over(self, _server):
        self.world.now += 3600
        self.meanwhile()

    def recreate(self, servers, _timeout, is_dead):
        assert is_dead
        self.replaced += [one.server for one in servers]


@pytest.mark.parametrize('what', ['nothing', 'moved', 'locked', 'host is up', 'gone'])
def test_a_server_is_looked_at_again_before_it_is_replaced(world, monkeypatch, what):
    nova = Nova(['s0'])
    nova.migration = lambda _server: model.Migration(model.Migration.ABSENT)
    seen = {'now': model.Server('s0', ServerStatus.ACTIVE, 'old')}
    monkeypatch.setattr(nova, 'look', lambda _server: seen['now'])

    def change():
        changes = {'moved': {'host': 'new'}, 'locked': {'is_locked': True},
                   'gone': {'status': ServerStatus.GONE, 'host': ''}}  # fmt: skip
        seen['now'] = dataclasses.replace(seen['now'], **changes.get(what, {}))
        if what == 'host is up':
            nova.state = HostState.UP

    heat = Heat(world, change)
    one = executor.Rescue(
        None, nova, heat,
        executor.Options((model.Rule(Method.RECREATE),), model.Verify()),
        lambda _status, _text: None, lambda: world.now,
    )  # fmt: skip
    found, _others = one.affected(protected(1), None)
    still = one._still

    def late(servers):
        # As after the failover of another server in the same round.
        heat.fail_over(None)
        return still(servers)

    monkeypatch.setattr(one, '_still', late)
    rounds = iter(range(40))
    with contextlib.suppress(StopIteration):
        one.run(found, protected(1), types.SimpleNamespace(check=lambda: next(rounds)))
    assert heat.replaced == (['s0'] if what in ('nothing', 'gone') else [])
