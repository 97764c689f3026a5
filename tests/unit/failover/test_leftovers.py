# SPDX-License-Identifier: Apache-2.0
"""When a policy asks what is left of a dead guest, and that it waits for no answer for long."""

import dataclasses
import threading
import time
import types

import pytest

from heat_ha.cloud.model import Host, HostState, Server, ServerStatus
from heat_ha.failover import leftovers, model
from heat_ha.failover.adapters import leftover_questions
from tests.unit.failover import worlds

IS_OVER = threading.Event()
POLICY = types.SimpleNamespace(context=types.SimpleNamespace(project_id='p1'))


class Table:
    """The agents' table; ``answers`` are read from it one after the other."""

    def __init__(self, *answers):
        self.answers, self.asked, self.taken_away = list(answers), [], []

    def ask(self, question):
        self.asked.append(question)

    def answer(self, name):
        found = self.answers.pop(0) if self.answers else ''
        if isinstance(found, Exception):
            raise found
        return found

    def take_away(self, name):
        self.taken_away.append(name)


@pytest.fixture
def table(monkeypatch):
    made = Table()
    for name in ('ask', 'answer', 'take_away'):
        monkeypatch.setattr(leftover_questions, name, getattr(made, name))
    monkeypatch.setattr(leftovers, 'EVERY', 0.0)
    return made


def end(status=ServerStatus.SHUTOFF, host='hash-1', state=HostState.UP, successors='hash-2'):
    servers = {'s1': Server('s1', status, host)}
    servers['s2'] = Server('s2', ServerStatus.ACTIVE, successors)
    services = types.SimpleNamespace(
        nova=types.SimpleNamespace(server=servers.get),
        hosts=types.SimpleNamespace(state=lambda _server: Host(state, '')),
    )
    return leftovers.end(POLICY, services, 's1', 'v1', 's2', IS_OVER)


@pytest.mark.parametrize('status', [ServerStatus.SHUTOFF, ServerStatus.ERROR])
def test_the_answer_is_the_reason_and_the_question_is_taken_away(table, status):
    table.answers = ['', '', 'nobody has it open']
    assert end(status) == 'nobody has it open'
    (asked,) = table.asked
    assert (asked.project, asked.server, asked.host, asked.volume) == ('p1', 's1', 'hash-1', 'v1')
    assert table.taken_away == [asked.name]


@pytest.mark.parametrize(
    'change',
    [
        {'status': ServerStatus.OTHER},
        {'status': ServerStatus.GONE},
        {'status': ServerStatus.COULD_NOT_ASK},
        {'host': ''},
        {'state': HostState.DOWN},
        {'state': HostState.CONFIRMED_DOWN},
        {'state': HostState.UNKNOWN},
    ],
)
def test_a_server_that_changes_or_a_host_that_does_not_answer_is_not_asked_about(table, change):
    assert end(**change) == '' and not table.asked


def test_nobody_waits_for_the_answer_about_a_server_that_runs_for_nova(table):
    assert end(ServerStatus.ACTIVE) == '' and not table.taken_away
    (asked,) = table.asked
    assert not asked.is_awaited


@pytest.mark.parametrize('successors', ['hash-1', ''])
def test_no_agent_looks_while_the_next_guest_opens_the_volume_at_the_same_host(table, successors):
    table.answers = ['nobody has it open']
    assert end(ServerStatus.ACTIVE, successors=successors) == '' and not table.asked
    # Where the answer is waited for, the next guest gets the volume only afterwards.
    assert end(ServerStatus.SHUTOFF, successors=successors) == 'nobody has it open'
    assert table.asked[0].is_awaited


def test_without_an_agent_it_goes_on_after_a_moment(table, monkeypatch):
    monkeypatch.setattr(leftovers, 'LIMIT', 0.05)
    began = time.monotonic()
    assert 'no heat-ha-agent' in end() and time.monotonic() - began < 5
    assert len(table.taken_away) == 1


def test_a_database_that_fails_holds_nothing_up(table, monkeypatch):
    table.answers = [OSError('gone away')]
    assert end() == '' and len(table.taken_away) == 1

    def no_table(_question):
        raise OSError('no such table')

    monkeypatch.setattr(leftover_questions, 'ask', no_table)
    assert end() == ''


def test_a_failover_that_is_left_waits_no_longer(table, monkeypatch):
    monkeypatch.setattr(leftovers, 'EVERY', 20.0)
    IS_OVER.set()
    began = time.monotonic()
    try:
        assert 'no heat-ha-agent' in end() and time.monotonic() - began < 10
    finally:
        IS_OVER.clear()


def former(quiesce=model.Quiesce.NONE, thing=model.ThingKind.VOLUME, **changes):
    asked = []

    def given_up(*what):
        asked.append(what[:2])
        return 'nobody has it open'

    group = (worlds.candidate('a'), worlds.candidate('b'))
    plan = worlds.plan(worlds.seen(group, volumes=('v1',), quiesce=quiesce))
    step = dataclasses.replace(plan.step('attach:v1'), thing=thing)
    services = types.SimpleNamespace(given_up=given_up)
    plan = dataclasses.replace(plan, **changes)
    return leftovers.Former(services, plan, step, IS_OVER), asked


@pytest.mark.parametrize('quiesce', list(model.Quiesce))
def test_the_storage_is_asked_once_before_the_first_request(quiesce):
    one, asked = former(quiesce)
    assert one.told('done') == 'done'
    checks = []
    for _ in range(2):
        assert one.before(lambda: 'sent', lambda: checks.append(len(asked))) == 'sent'
    assert asked == [('server-a', 'v1')] and checks == [1], 'the lock may be lost by then'
    assert one.told('done') == 'nobody has it open; done'


@pytest.mark.parametrize(
    'changes',
    [
        {'old': None},
        {'new': worlds.holder('a')},
        {'thing': 'a later kind'},
        {'cause': model.Cause.SWITCHOVER},
        {'cause': model.Cause.SWITCHOVER, 'quiesce': model.Quiesce.STOP},
    ],
)
def test_where_nothing_can_be_left_the_storage_is_not_asked(changes):
    one, asked = former(**changes)
    assert one.before(lambda: 'sent', pytest.fail) == 'sent'
    assert not asked and one.told('done') == 'done'
