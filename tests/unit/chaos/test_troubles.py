# SPDX-License-Identifier: Apache-2.0
"""What is done to a stack is taken back, whatever becomes of the failover."""

import contextlib
import types

import pytest

# The campaign reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from chaos import choice, owner, pool, servers, troubles
from chaos.choice import Trouble
from heat_ha.failover import model

OLD, HEIR = model.MemberServer('a', 'server-a'), model.MemberServer('b', 'server-b')
BEFORE = model.Record(epoch=1, active=OLD, seen=(OLD, HEIR))


class Nova:
    """Servers with a state and a lock; as Nova, it knows nothing of servers that are gone."""

    def __init__(self):
        self.states = {'server-a': 'active', 'server-b': 'active'}
        self.locked = set()
        self.asked = []
        self.compute = types.SimpleNamespace(post=self.post)

    def post(self, path, json):
        server = path.split('/')[2]
        (action,) = json
        self.asked.append((server, action))
        if server not in self.states:
            return types.SimpleNamespace(status_code=404)
        if action == 'lock':
            self.locked.add(server)
        elif action == 'unlock':
            self.locked.discard(server)
        else:
            self.states[server] = {'os-stop': 'stopped', 'os-start': 'active'}[action]
        return types.SimpleNamespace(status_code=202)

    def server_states(self, wanted):
        return {s: self.states[s] for s in wanted if s in self.states}

    def hosts_of(self, wanted):
        return dict.fromkeys(wanted, 'c2')


class Stack:
    def __init__(self):
        self.sent = []
        self.group = ['a', 'b']
        self.statuses = []
        self.updates = 0

    def servers(self):
        return ['server-a', 'server-b']

    def members(self, _group):
        return self.group

    def signal(self, resource, body=None):
        self.sent.append((resource, body))
        if resource == pool.MORE:
            self.group = ['a', 'b', 'c']
        if resource == pool.LESS:
            self.group = ['b', 'c']


class Member:
    def __init__(self):
        self.shape = pool.PAIR
        self.stack = Stack()
        self.alarms = []
        self.changed = []
        self.records = [BEFORE]

    def record(self):
        return self.records.pop(0) if len(self.records) > 1 else self.records[0]

    def alarm(self, body=None):
        self.alarms.append(body)

    def change(self, trouble):
        self.changed.append(trouble)

    def update(self):
        self.stack.updates += 1

    def status(self):
        return self.stack.statuses.pop(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module, name in ((servers, 'SLOW'), (troubles, 'SLOW'), (owner, 'LOOK')):
        monkeypatch.setattr(module, name, 0.001)


class Hosts:
    def __init__(self):
        self.died = []

    @contextlib.contextmanager
    def dying(self, *what):
        self.died.append(what)
        yield


def meddler(trouble, member, nova, lasts=0.05):
    run = choice.Run(1, 0, 1, 0.0, False, None, 0.0, choice.TakeUp.RESUME, 0.0, trouble, 0.0, lasts)
    world = troubles.World(nova, nova, nova, Hosts())
    return troubles.Meddler(run, member, BEFORE, world, lambda _text: None)


def moving(state=model.StepState.DONE):
    steps = (model.Step('detach:v', model.StepKind.DETACH, 'v', state=state),)
    plan = model.Plan('p', model.Cause.FAILOVER, '', '', '2026-01-01', 2, '', OLD, HEIR, steps)
    return model.Record(state=model.State.RUNNING, epoch=1, active=OLD, plan=plan)


def test_without_a_trouble_nothing_is_done():
    member, nova = Member(), Nova()
    with meddler(None, member, nova) as made:
        assert made.is_through
    assert (nova.asked, member.stack.sent, made.trouble, made.problems) == ([], [], None, [])


@pytest.mark.parametrize('trouble', [Trouble.HEIR_LOCKED, Trouble.NOBODY_CAN])
def test_the_heirs_are_locked_before_the_first_signal_and_unlocked_after_their_time(trouble):
    nova = Nova()
    with meddler(trouble, Member(), nova, lasts=0.3) as made:
        assert nova.locked == {'server-b'}
        assert nova.states['server-a'] == ('stopped' if trouble is Trouble.NOBODY_CAN else 'active')
        made._thread.join(5)
        assert not nova.locked and made.is_through
    assert made.trouble is trouble and made.ended and not made.problems
    made.mend()
    assert nova.states == {'server-a': 'active', 'server-b': 'active'} and not made.unwell


def test_a_run_that_is_over_takes_back_at_once_what_would_last_longer():
    nova = Nova()
    with meddler(Trouble.HEIR_LOCKED, Member(), nova, lasts=3600.0):
        pass
    assert not nova.locked


@pytest.mark.parametrize('is_there', [True, False])
def test_the_old_active_is_locked_only_once_it_has_given_everything_up(is_there):
    member, nova = Member(), Nova()
    if not is_there:
        del nova.states['server-a']
    member.records = [BEFORE, moving(model.StepState.RUNNING), moving()]
    with meddler(Trouble.OLD_LOCKED, member, nova) as made:
        made._thread.join(5)
    assert len(member.records) == 1, 'it has waited'
    assert ('server-a', 'lock') in nova.asked and not nova.locked
    assert made.trouble is (Trouble.OLD_LOCKED if is_there else None) and not made.problems


def test_a_scaled_group_has_its_size_again_when_the_run_is_over():
    member = Member()
    with meddler(Trouble.SCALED, member, Nova()) as made:
        while len(member.stack.group) != 3:
            pass
        assert not made.is_through
    assert [resource for resource, _body in member.stack.sent] == [pool.MORE, pool.LESS]
    assert len(member.stack.group) == 2 and made.is_through and not made.problems


@pytest.mark.parametrize('trouble', [Trouble.UPDATED, Trouble.ROLLED])
def test_a_stack_update_that_failed_is_sent_again(trouble):
    member = Member()
    member.stack.statuses = ['UPDATE_IN_PROGRESS', 'UPDATE_FAILED', 'UPDATE_COMPLETE']
    with meddler(trouble, member, Nova()) as made:
        made._thread.join(5)
    assert member.changed == [trouble] and member.stack.updates == 2
    assert made.trouble is trouble and not made.problems


def test_what_fails_is_told_and_the_rest_is_taken_back():
    member, nova = Member(), Nova()
    nova.states = {'server-b': 'active'}
    with meddler(Trouble.NOBODY_CAN, member, nova) as made:
        made._thread.join(5)
    assert made.problems and 'does not shut off' in made.problems[0]
    assert not nova.locked


@pytest.mark.parametrize(
    'trouble', [Trouble.SECOND_ALARM, Trouble.SECOND_STOPPED, Trouble.SECOND_FROZEN]
)
def test_the_successor_of_the_running_failover_falls_sick_and_is_well_again(trouble):
    member, nova = Member(), Nova()
    member.records = [BEFORE, moving()]
    with meddler(trouble, member, nova) as made:
        made._thread.join(5)
    assert member.alarms == [{'current': 'alarm', 'member': 'server-b'}]
    assert made.trouble is trouble and not made.problems and not made.unwell
    assert nova.states['server-b'] == 'active'
    assert (('server-b', 'os-stop') in nova.asked) is (trouble is Trouble.SECOND_STOPPED)
    died = made._world.hosts.died
    assert died == (
        [('c2', choice.HostFault.FROZEN, None, 0.05)] if 'frozen' in trouble.value else []
    )
