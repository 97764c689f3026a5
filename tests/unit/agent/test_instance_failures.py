# SPDX-License-Identifier: Apache-2.0
"""From the notification to the signal: once, bounded, and whatever Nova, Heat and others do."""

import itertools
import threading
import time

import pytest

from heat_ha import exceptions
from heat_ha.agent import instance_failures, metrics, sources
from heat_ha.agent.adapters import failover_index
from heat_ha.agent.rules import instance_failures as rules
from heat_ha.agent.rules import instance_reports, storm
from heat_ha.agent.rules.instance_failures import Outcome, Wanted
from heat_ha.cloud import heat_rpc

SERVER = '178b0921-8f85-4257-88b6-2e743b5a975c'
NO_LIMITS = storm.Limits()
ENDED = rules.Shown('project', 'stopped', 4, '', Wanted.RUNNING)


def target(name='policy', project='project'):
    return failover_index.Target(name, 'failover', 'id', 'pair', project, 'root')


def crash(server=SERVER, meaning=instance_reports.Meaning.FAILED):
    return instance_reports.InstanceReport(server, 'compute-1', meaning)


class Pool:
    """A pool that works at once."""

    def submit(self, call, *args):
        call(*args)


class World:
    """Heat's database, Nova and Heat as the tests say, and a clock that they turn."""

    def __init__(self, limits=NO_LIMITS):
        self.targets = {SERVER: (target(),)}
        self.shown = ENDED
        self.refuses = {}
        self.sent = []
        self.asked = []
        self.now = 1000.0
        self.made = instance_failures.InstanceFailures(
            self.find, self.look, self.signal, limits, lambda: self.now
        )

    def find(self, servers):
        if isinstance(self.targets, Exception):
            raise self.targets
        return {one: self.targets[one] for one in servers if one in self.targets}

    def look(self, server):
        self.asked.append(server)
        if isinstance(self.shown, Exception):
            raise self.shown
        return self.shown

    def signal(self, project, stack_name, stack_id, name, body):
        if name in self.refuses:
            raise self.refuses[name]
        self.sent.append((project, stack_name, stack_id, name, body))

    def work(self, turns=1):
        """Let time pass so that each has so many turns."""
        for _turn in range(turns):
            self.now += self.made.work(Pool())

    def names(self):
        return [name for _project, _stack, _id, name, _body in self.sent]


@pytest.fixture
def world():
    return World()


@pytest.fixture
def counted():
    """How many failures have come to each outcome since the test began."""

    def value(outcome):
        return metrics.INSTANCE_FAILURES.labels(outcome.value)._value.get()

    before = {outcome: value(outcome) for outcome in Outcome}
    return lambda: {o: value(o) - before[o] for o in Outcome if value(o) != before[o]}


def test_a_crash_is_signalled_once_through_the_policy_in_front(world, counted):
    world.made.report(crash())
    world.work(5)
    ((project, stack, stack_id, name, body),) = world.sent
    assert (project, stack, stack_id, name) == ('project', 'pair', 'id', 'policy')
    assert body['member'] == SERVER and set(body) == {'member', 'reason'}
    assert body['reason'].startswith('heat-ha-agent: ') and 'compute-1' in body['reason']
    assert counted() == {Outcome.SIGNALLED: 1} and world.asked == [SERVER]


def test_a_doubled_notification_changes_nothing_while_the_first_is_worked_on(world, counted):
    world.shown = exceptions.CouldNotAsk('nova', 'the server', 'busy')
    world.made.report(crash())
    world.work()
    world.made.report(crash())
    world.shown = ENDED
    world.made.report(crash())
    world.work(5)
    assert len(world.sent) == 1 and counted() == {Outcome.SIGNALLED: 1}


def test_what_somebody_asked_for_is_not_even_looked_at(world, counted):
    for meaning in (instance_reports.Meaning.ASKED_FOR, instance_reports.Meaning.UNKNOWN):
        world.made.report(crash(meaning=meaning))
    world.work(3)
    assert not world.asked and counted() == {Outcome.ASKED_FOR: 1, Outcome.UNKNOWN: 1}


@pytest.mark.parametrize(
    ('shown', 'outcome'),
    [
        (None, Outcome.GONE),
        (rules.Shown('project', 'active', 1, '', Wanted.RUNNING), Outcome.RUNNING),
        (rules.Shown('project', 'stopped', 4, '', Wanted.STOPPED), Outcome.ASKED_FOR),
        (rules.Shown('another', 'stopped', 4, '', Wanted.RUNNING), Outcome.FOREIGN),
    ],
)
def test_nothing_is_signalled_that_nova_does_not_confirm(world, counted, shown, outcome):
    world.shown = shown
    world.made.report(crash())
    world.work(3)
    assert not world.sent and counted() == {outcome: 1}


def test_a_server_of_no_policy_costs_no_question_to_nova(world, counted):
    world.targets = {}
    world.made.report(crash())
    world.work(3)
    assert not world.asked and counted() == {Outcome.NO_POLICY: 1}


# S7
def test_of_several_policies_only_those_of_the_owners_project_are_signalled(world):
    world.targets = {SERVER: (target(), target('theirs', 'another'), target('second'))}
    world.made.report(crash())
    world.work(3)
    assert world.names() == ['policy', 'second']


def test_what_nova_is_at_work_on_is_looked_at_again(world, counted):
    world.shown = rules.Shown('project', 'stopped', 4, 'powering-on', Wanted.RUNNING)
    world.made.report(crash())
    world.work(3)
    world.shown = rules.Shown('project', 'active', 1, '', Wanted.RUNNING)
    world.work(3)
    assert not world.sent and counted() == {Outcome.RUNNING: 1}


ERRORS = [
    heat_rpc.SignalRefused('heat', 'a signal', 'the stack is suspended'),
    exceptions.CouldNotAsk('heat', 'a signal', 'timeout'),
]


@pytest.mark.parametrize('error', ERRORS)
def test_a_signal_that_did_not_arrive_is_sent_again_and_the_others_are_not(world, counted, error):
    world.targets = {SERVER: (target(), target('second'))}
    world.refuses = {'policy': error}
    world.made.report(crash())
    world.work(3)
    assert world.names() == ['second'] and not counted()
    world.refuses = {}
    world.work(3)
    assert world.names() == ['second', 'policy'] and counted() == {Outcome.SIGNALLED: 1}


@pytest.mark.parametrize('broken', ['find', 'look', 'signal'])
def test_it_is_given_up_after_a_bound_with_what_a_person_can_do(world, counted, caplog, broken):
    error = ERRORS[1] if broken == 'signal' else RuntimeError('away')
    if broken == 'find':
        world.targets = error
    elif broken == 'look':
        world.shown = error
    else:
        world.refuses = {'policy': error}
    world.made.report(crash())
    began = world.now
    world.work(len(rules.PAUSES) + 3)
    assert not world.sent and counted() == {Outcome.GIVEN_UP: 1}
    assert world.now - began < 600
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert SERVER in warning and 'its alarm' in warning
    by_hand = f'openstack stack resource signal id policy --data \'{{"member": "{SERVER}"}}\''
    assert (by_hand in warning) is (broken != 'find')
    # The next crash of it counts.
    world.targets, world.shown, world.refuses = {SERVER: (target(),)}, ENDED, {}
    world.made.report(crash())
    world.work()
    assert len(world.sent) == 1


def test_no_more_failures_are_kept_than_there_is_room_for(world, counted, caplog):
    servers = [f'{n:08x}-8f85-4257-88b6-2e743b5a975c' for n in range(instance_failures.MAX_OPEN)]
    world.targets = dict.fromkeys([*servers, SERVER], (target(),))
    for server in servers:
        world.made.report(crash(server))
    world.made.report(crash())
    assert counted() == {Outcome.TOO_MANY: 1} and SERVER in caplog.text
    world.work()
    assert len(world.sent) == instance_failures.MAX_OPEN
    assert not world.made._waiting and not world.made._at_work


# S6
@pytest.mark.parametrize('limits', [storm.Limits(per_project=2), storm.Limits(per_stack=2)])
def test_more_than_the_storm_guard_allows_is_left_to_a_person(counted, caplog, limits):
    world = World(limits)
    servers = [f'{n:08x}-8f85-4257-88b6-2e743b5a975c' for n in range(3)]
    world.targets = dict.fromkeys(servers, (target(),))
    for server in servers:
        world.made.report(crash(server))
        # The same server crashes again: it counts once.
        world.work()
        world.made.report(crash(server))
        world.work()
    assert [body['member'] for *_to, body in world.sent] == [servers[0]] * 2 + [servers[1]] * 2
    assert counted() == {Outcome.SIGNALLED: 4, Outcome.HELD_BACK: 2}
    assert 'storm guard' in caplog.text and f'{{"member": "{servers[2]}"}}' in caplog.text
    world.now += limits.period
    world.made.report(crash(servers[2]))
    world.work()
    assert len(world.sent) == 5


def test_a_signal_that_is_sent_again_counts_once_for_the_storm_guard():
    world = World(storm.Limits(per_project=1))
    world.refuses = {'policy': ERRORS[0]}
    world.made.report(crash())
    world.work(3)
    world.refuses = {}
    world.work(3)
    assert world.names() == ['policy']


# --- what goes wrong ------------------------------------------------------------------------------

NOT_THERE = heat_rpc.NotThere('heat', 'a signal', 'ResourceNotAvailable')


def test_where_the_policy_in_front_is_not_there_the_failover_policy_is_signalled(world, counted):
    world.refuses = {'policy': NOT_THERE}
    world.made.report(crash())
    world.work()
    assert world.names() == ['failover'] and counted() == {Outcome.SIGNALLED: 1}
    assert world.sent[0][-1]['member'] == SERVER


def test_a_policy_in_front_that_refuses_to_the_end_holds_up_no_failover(world, counted):
    world.refuses = {'policy': ERRORS[0]}
    world.made.report(crash())
    world.work(len(rules.PAUSES))
    assert not world.sent
    world.work()
    assert world.names() == ['failover'] and counted() == {Outcome.SIGNALLED: 1}


@pytest.mark.parametrize('error', [NOT_THERE, *ERRORS])
def test_where_both_policies_refuse_it_is_tried_again_and_given_up(world, counted, error):
    world.refuses = {'policy': NOT_THERE, 'failover': error}
    world.made.report(crash())
    world.work(3)
    assert not counted()
    world.work(len(rules.PAUSES))
    assert not world.sent and counted() == {Outcome.GIVEN_UP: 1}


class NoThread:
    def submit(self, *_args):
        raise RuntimeError("can't start new thread")


def test_a_server_for_which_there_is_no_thread_has_its_turn_later(world, counted):
    world.made.report(crash())
    for _turn in range(2):
        world.now += world.made.work(NoThread())
    world.work()
    assert world.names() == ['policy'] and counted() == {Outcome.SIGNALLED: 1}
    assert not world.made._at_work and not world.made._waiting


def test_whatever_goes_wrong_the_next_failure_of_the_server_counts(world, monkeypatch):
    def fails(_tries):
        raise ZeroDivisionError

    for broken in ('look', 'find'):
        with monkeypatch.context() as patch:
            patch.setattr(rules, 'pause', fails)
            patch.setattr(world, 'shown' if broken == 'look' else 'targets', RuntimeError('away'))
            world.made.report(crash())
            world.work()
        assert not world.made._at_work and not world.made._waiting
    world.made.report(crash())
    world.work()
    assert len(world.sent) == 1


def test_the_thread_goes_on_after_an_error_that_nobody_expects(world, monkeypatch, caplog):
    monkeypatch.setattr(instance_failures, 'AFTER_ERROR', 0.01)
    real, tries, sent = world.made.work, [], threading.Event()

    def work(pool):
        tries.append(pool)
        if len(tries) < 3:
            raise MemoryError
        return real(pool)

    monkeypatch.setattr(world.made, 'work', work)
    world.made._signal = lambda *_args: sent.set()
    world.made.start()
    try:
        world.made.report(crash())
        assert sent.wait(20)
    finally:
        world.made.stop()
    assert 'MemoryError' in caplog.text


@pytest.mark.parametrize('wanted', [Wanted.STOPPED, Wanted.UNKNOWN])
def test_that_a_watched_server_is_not_signalled_is_a_warning(world, caplog, wanted):
    world.shown = rules.Shown('project', 'stopped', 4, '', wanted)
    world.made.report(crash())
    world.work()
    assert [r.levelname for r in caplog.records if 'not signalled' in r.getMessage()] == ['WARNING']


def test_a_report_does_not_wait_for_a_heat_that_hangs(world):
    hangs, began = threading.Event(), threading.Event()

    def signal(*_args):
        began.set()
        assert hangs.wait(20)

    made = instance_failures.InstanceFailures(world.find, world.look, signal, storm.Limits())
    made.start()
    try:
        made.report(crash())
        assert began.wait(20)
        at = time.monotonic()
        for _message in range(1000):
            made.report(crash())
        assert time.monotonic() - at < 5
    finally:
        hangs.set()
        made.stop()


# --- the source ----------------------------------------------------------------------------------


def message(**changes):
    data = {'uuid': SERVER, 'host': 'compute-1', 'state': 'stopped',
            'action_initiator_user': None, 'action_initiator_project': None}  # fmt: skip
    body = {'event_type': 'instance.power_off.end', 'payload': {'nova_object.data': data}}
    return body | changes


def source(heard, hosts):
    made = sources.NovaNotifications(lambda _source, one: hosts.append(one))
    made._valid = 300.0
    made.emit_instance = heard.append
    return made


def test_the_source_hands_over_guests_and_hosts_each_to_who_asked():
    heard, hosts = [], []
    made = source(heard, hosts)
    host = {'binary': 'nova-compute', 'host': 'c1', 'forced_down': True}
    service = {'event_type': 'service.update', 'payload': {'nova_object.data': host}}
    for one in (message(), service, message(event_type='instance.update')):
        made.read(one)
    assert heard == [crash()] and [one.host for one in hosts] == ['c1']


@pytest.mark.parametrize(
    ('timestamp', 'is_heard'),
    [('2020-01-01 00:00:00.1', False), ('9999-12-31 23:59:59', True), ('soon', True), (7, True)],
)
def test_what_the_broker_kept_for_long_is_left_to_the_alarm(timestamp, is_heard):
    heard = []
    source(heard, []).read(message(timestamp=timestamp))
    assert bool(heard) is is_heard


def test_a_source_that_nobody_listens_to_for_guests_reads_none():
    made = sources.NovaNotifications(lambda *_: pytest.fail('it is about no host'))
    made.read(message())


def test_every_way_out_is_counted_by_a_word_of_its_own():
    for one, other in itertools.combinations(Outcome, 2):
        assert one.value != other.value
