# SPDX-License-Identifier: Apache-2.0
"""One run from its first signal to its end, against a stack that answers each signal at once."""

import dataclasses
import threading

import pytest

# The campaign reads the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from chaos import check, choice, drive, pool, troubles, world
from chaos.choice import HostFault, Run, TakeUp
from heat_ha.failover import model

OLD, HEIR = model.MemberServer('a', 'server-a'), model.MemberServer('b', 'server-b')


def record(state, active, step, plan_id='p1', new=HEIR):
    steps = (model.Step('attach:v', model.StepKind.ATTACH, 'v', state=step),)
    plan = model.Plan(plan_id, model.Cause.FAILOVER, '', '', '2026-01-01', 2, '', OLD, new, steps)
    return model.Record(state, 2, active, plan, reason='why', seen=(OLD, HEIR))


BEFORE = model.Record(epoch=1, active=OLD, seen=(OLD, HEIR))
STOPPED = record(model.State.STOPPED, OLD, model.StepState.FAILED)
DONE = record(model.State.READY, HEIR, model.StepState.DONE)
BACK = record(model.State.READY, OLD, model.StepState.DONE, 'p2', OLD)


class Member:
    """After each signal that it knows of it has another record, and volumes elsewhere."""

    number, nested = 0, 'nested'
    shape = pool.PAIR

    def __init__(self, **answers):
        self.stack = self
        self.answers = {'alarm': (DONE, HEIR), **answers}
        self.now, self.at = BEFORE, OLD
        self.sent = []
        self.volumes = ['v']

    def record(self):
        return self.now

    def holders(self):
        return {'v': (self.at.server,) * 2 if self.at else ()}

    def alarm(self, body=None):
        if body is None:
            self.now, self.at = self.answers['alarm']

    def signal(self, _resource, body):
        self.sent.append(body)
        self.now, self.at = self.answers[body.get('action', 'alarm')]

    def servers(self):
        return ['server-a', 'server-b']


class Engines:
    def carrier(self, _nested):
        return None

    def at_work(self, _engine):
        return None


class Database:
    def server_states(self, servers):
        return dict.fromkeys(servers, 'active')


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in (('SETTLING', 0.0), ('SLOW', 0.001), ('LIMIT', 2.0)):
        monkeypatch.setattr(drive, name, value)
    monkeypatch.setattr(check, 'SLACK', 0.0)


def driven(member, take_up=TakeUp.RESUME, **changes):
    run = Run(1, 0, 2, 0.0, True, None, 0.0, take_up, 0.0)
    run = dataclasses.replace(run, **changes)
    around = troubles.World(None, None, Database(), None)
    return drive.drive(run, member, Engines(), around, threading.Event(), lambda _text: None)


def test_a_failover_that_is_done_needs_nobody():
    member = Member()
    outcome = driven(member)
    assert outcome.is_done and not member.sent and not outcome.wrong
    assert outcome.story == check.PLAIN


def test_signals_about_servers_of_others_come_all_the_time_and_are_counted():
    member = Member(alarm=(STOPPED, None))
    outcome = driven(member, foreign_every=0.01, take_up=TakeUp.ALARM)
    assert not outcome.is_done and outcome.foreign > 10


@pytest.mark.parametrize(
    ('take_up', 'answers', 'sent'),
    [
        (TakeUp.RESUME, {'resume': (DONE, HEIR)}, ['resume']),
        (TakeUp.SWITCHOVER, {'switchover': (DONE, HEIR)}, ['switchover']),
        (TakeUp.FAIL_BACK, {'fail_back': (BACK, OLD)}, ['fail_back']),
        # It is refused, so the plan stays.
        (TakeUp.FAIL_BACK, {'fail_back': (STOPPED, None), 'resume': (DONE, HEIR)},
         ['fail_back', 'resume']),
        (TakeUp.DROP, {'drop': (BEFORE, OLD)}, ['drop']),
        (TakeUp.DROP, {'drop': (BEFORE, None), 'switchover': (BACK, OLD)}, ['drop', 'switchover']),
    ],
)  # fmt: skip
def test_a_failover_that_stopped_is_brought_on_by_the_way_that_was_drawn(take_up, answers, sent):
    member = Member(alarm=(STOPPED, None), **answers)
    outcome = driven(member, take_up)
    assert outcome.is_done and outcome.stops == ['why'] and not outcome.wrong
    assert [body['action'] for body in member.sent] == sent
    assert set(outcome.ways) == set(sent) - ({'switchover'} if 'drop' in sent else set())
    assert outcome.story.may_stay is (take_up in (TakeUp.FAIL_BACK, TakeUp.DROP))


def test_a_policy_that_calls_itself_ready_and_is_not_is_told():
    outcome = driven(Member(alarm=(DONE, None)))
    assert outcome.is_done and outcome.wrong == [
        "ready, but volume v is held by (), on record is ('server-b', 'server-b')"
    ]


def test_a_host_that_dies_is_on_the_ledger_with_its_end(monkeypatch):
    verbs = []
    monkeypatch.setattr(world.hosts, 'run_lab', lambda *what: verbs.append(what))
    monkeypatch.setattr(world.hosts, 'until_up', lambda *_what: None)
    hosts = world.Hosts(None)
    with (
        hosts.dying('c1', HostFault.FROZEN, None, 0.01),
        hosts.dying('c2', HostFault.FROZEN, None, 0.02),
    ):
        pass
    assert {d.host for d in hosts.deaths} == {'c1', 'c2'}
    assert all(d.end is not None and d.fenced is None for d in hosts.deaths)
    assert sorted(v for v, _ in verbs) == ['freeze', 'freeze', 'thaw', 'thaw']


def test_troubles_of_the_shapes_are_those_that_can_be_drawn():
    assert {t for shape in pool.SHAPES for t in shape.troubles} == set(choice.Trouble)
