# SPDX-License-Identifier: Apache-2.0
"""The agent's signal beside the alarm of the same failure: one failover, and who was first."""

import datetime
import itertools
import time
from unittest import mock

import pytest

from heat_ha.cloud import clock
from tests.plugin import failover, scaling

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

MEMBER = """
heat_template_version: 2016-10-14
resources:
  server: {type: OS::Nova::Server}
outputs:
  OS::stack_id: {value: {get_resource: server}}
"""

ASKS = 'on_instance_failure: failover'


def alarm(server=None, **changes):
    """An alarm of Aodh, of an event about the server, or one that names none."""
    traits = {'event': {'traits': [['instance_id', 1, server]]}} if server else {}
    return {
        'alarm_id': 'b2c3d4e5-0000-4000-8000-000000000002', 'alarm_name': 'crashed',
        'previous': 'ok', 'current': 'alarm', 'reason': 'Event hits the query',
        'reason_data': {'type': 'event', **traits}, **changes,
    }  # fmt: skip


OK = {'previous': 'alarm', 'current': 'ok'}


@pytest.fixture
def waits(monkeypatch):
    """Let time pass while a thread waits for what is due; ``waits.at`` is called at each sleep."""
    from heat_ha.failover import work_loop

    made, real, passed = mock.Mock(at=lambda _seconds: None), clock.now, [0.0]
    monkeypatch.setattr(clock, 'now', lambda: real() + datetime.timedelta(seconds=passed[0]))

    def sleep(seconds):
        passed[0] += seconds
        made.at(passed[0])

    own = mock.Mock(wraps=time, sleep=sleep, monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr(work_loop, 'time', own)
    made.passed = passed
    return made


def of_agent(server):
    from heat_ha.failover.rules import instance_failure

    return {'member': server, 'reason': instance_failure.reason('compute-1')}


def found(engine, stack):
    """The targets of the servers of the group, by the id of the server."""
    from heat_ha.agent.adapters import failover_index

    servers = [one for (one,) in scaling.servers(engine, stack).values()]
    return failover_index.FailoverIndex().targets_of(servers)


def active(engine, stack):
    return failover.attribute(engine, stack, 'active_server')


def history(engine, stack):
    return failover.attribute(engine, stack, 'history')


def test_the_agent_finds_the_policy_in_front_of_each_member_of_a_policy_that_asks(engine):
    stack = engine.create(failover.template(ASKS))
    targets = found(engine, stack)
    assert len(targets) == 2
    for (one,) in targets.values():
        assert (one.name, one.policy, one.project) == ('policy', 'failover', 'project')
        assert (one.stack_id, one.stack_name) == (stack['stack_id'], 'stack')


def test_a_policy_that_does_not_ask_is_not_found_and_an_update_changes_that(engine):
    stack = engine.create(failover.template())
    assert found(engine, stack) == {}
    engine.update(stack, failover.template(ASKS))
    assert len(found(engine, stack)) == 2
    engine.update(stack, failover.template('on_instance_failure: none'))
    assert found(engine, stack) == {}


BESIDE = """
adjustment_type: replace_oldest
auto_scaling_group_id: {get_resource: group}
scaling_adjustment: 1
"""
SECOND = """
another:
  type: OS::Heat::ScalingPolicy
  properties:
    adjustment_type: replace_oldest
    auto_scaling_policy_id: {get_resource: failover}
    scaling_adjustment: 1
"""


def test_without_a_policy_in_front_the_failover_policy_itself_is_signalled(engine):
    stack = engine.create(failover.template(ASKS, policy=BESIDE))
    assert {one.name for (one,) in found(engine, stack).values()} == {'failover'}
    engine.update(stack, failover.template(ASKS))
    assert {one.name for (one,) in found(engine, stack).values()} == {'policy'}
    # Of several, the first by name.
    engine.update(stack, failover.template(ASKS, more=SECOND))
    assert {one.name for (one,) in found(engine, stack).values()} == {'another'}
    engine.update(stack, failover.template(ASKS, policy=BESIDE))
    assert {one.name for (one,) in found(engine, stack).values()} == {'failover'}


def test_a_server_beside_the_group_has_no_policy(engine):
    from heat_ha.agent.adapters import failover_index

    stack = engine.create(failover.template(ASKS, more='other: {type: OS::Nova::Server}'))
    other = engine.stack(stack)['other'].resource_id
    assert failover_index.FailoverIndex().targets_of([other, 'unknown']) == {}


def test_a_server_that_is_nested_in_a_member_leads_to_the_policy(engine):
    from heat_ha.agent.adapters import failover_index

    group = """
        min_size: 1
        max_size: 2
        desired_capacity: 2
        resource: {type: member.yaml}
    """
    stack = engine.create(failover.template(ASKS, group=group), files={'member.yaml': MEMBER})
    old = active(engine, stack)
    ((one,),) = failover_index.FailoverIndex().targets_of([old]).values()
    engine.signal(stack, one.name, of_agent(old))
    assert active(engine, stack) != old


class Pool:
    """A pool that works at once."""

    def submit(self, call, *args):
        call(*args)


# S6
@pytest.mark.parametrize('agents', [1, 3])
def test_from_the_notification_to_the_failover_however_many_agents_read_it(engine, agents):
    from heat_ha.agent import instance_failures
    from heat_ha.agent.adapters import failover_index
    from heat_ha.agent.rules import instance_failures as rules
    from heat_ha.agent.rules import instance_reports, storm

    stack = engine.create(failover.template(ASKS))
    old = active(engine, stack)
    (engine.servers / f'off-{old}').touch()

    def look(server):
        if server not in engine.servers_there():
            return None
        return rules.Shown('project', 'stopped', 4, '', rules.Wanted.RUNNING)

    for _agent in range(agents):
        made = instance_failures.InstanceFailures(
            failover_index.FailoverIndex().targets_of,
            look,
            lambda _project, _name, _id, resource, body: engine.signal(stack, resource, body),
            storm.Limits(),
        )
        failed = instance_reports.Meaning.FAILED
        made.report(instance_reports.InstanceReport(old, 'compute-1', failed))
        made.work(Pool())
    (line,) = history(engine, stack)
    assert line['old_server'] == old != active(engine, stack)
    assert line['outcome'] == 'done' and 'compute-1' in line['reason']


def test_of_the_two_paths_the_second_one_joins_and_the_history_shows_the_first(engine):
    stack = engine.create(failover.template(ASKS))
    old = active(engine, stack)
    (engine.servers / f'off-{old}').touch()
    engine.signal(stack, 'policy', of_agent(old))
    new = active(engine, stack)
    assert new != old
    engine.signal(stack, 'policy', alarm(old))
    engine.signal(stack, 'policy', of_agent(old))
    (line,) = history(engine, stack)
    assert line['cause'] == 'failover' and line['reason'].startswith('heat-ha-agent: ')
    assert line['requested_by'] == 'policy' and active(engine, stack) == new


# S3
@pytest.mark.parametrize('through', ['policy', 'failover'])
def test_an_alarm_that_names_nobody_and_says_ok_soon_after_joins(engine, waits, through):
    stack = engine.create(failover.template(ASKS))
    engine.signal(stack, 'policy', of_agent(active(engine, stack)))
    new, said = active(engine, stack), []

    def at(seconds):
        if seconds > 100 and not said:
            said.append(seconds)
            engine.call('resource_signal', stack, through, alarm(**OK))
            engine.step()

    waits.at = at
    engine.signal(stack, 'policy', alarm())
    assert said and waits.passed[0] > 290
    assert len(history(engine, stack)) == 1 and active(engine, stack) == new
    texts = [text for _status, text in engine.events(stack, 'failover')]
    assert any('is kept and decided again' in text or 'said ok' in text for text in texts)


def test_an_alarm_that_names_nobody_and_goes_on_counts_when_the_time_is_over(engine, waits):
    stack = engine.create(failover.template(ASKS))
    engine.signal(stack, 'policy', of_agent(active(engine, stack)))
    new = active(engine, stack)
    engine.signal(stack, 'policy', alarm())
    assert 280 < waits.passed[0] < 330
    assert [line['old_server'] for line in history(engine, stack)][1:] == [new]


def test_a_standby_that_crashes_as_well_ends_no_wait_of_an_alarm(engine, waits):
    stack = engine.create(failover.template(ASKS))
    engine.signal(stack, 'policy', of_agent(active(engine, stack)))
    new = active(engine, stack)
    (standby,) = {one for (one,) in scaling.servers(engine, stack).values()} - {new}
    engine.signal(stack, 'policy', of_agent(standby))
    engine.signal(stack, 'policy', alarm())
    assert waits.passed[0] > 280, 'it did not count at once'


def test_an_alarm_that_waits_counts_as_soon_as_the_active_is_down(engine, waits):
    stack = engine.create(failover.template(ASKS))
    engine.signal(stack, 'policy', of_agent(active(engine, stack)))
    new = active(engine, stack)

    def at(seconds):
        if seconds > 60:
            (engine.servers / f'off-{new}').touch()

    waits.at = at
    engine.signal(stack, 'policy', alarm())
    assert 60 < waits.passed[0] < 100
    assert [line['old_server'] for line in history(engine, stack)][1:] == [new]


def test_an_alarm_that_fires_anew_counts_at_once(engine, waits):
    stack = engine.create(failover.template(ASKS))
    engine.signal(stack, 'policy', of_agent(active(engine, stack)))
    new, moved = active(engine, stack), []
    bodies = {100: alarm(**OK), 150: alarm()}

    def at(seconds):
        for due in [due for due in bodies if due < seconds]:
            engine.call('resource_signal', stack, 'policy', bodies.pop(due))
            engine.step()
        if not moved and active(engine, stack) != new:
            moved.append(seconds)

    waits.at = at
    engine.signal(stack, 'policy', alarm())
    assert moved and moved[0] < 200 and len(history(engine, stack)) == 2


BOTH = ['agent', 'named', 'unnamed']


@pytest.mark.parametrize('order', [*itertools.permutations(BOTH, 2), tuple(BOTH)])
def test_an_agent_and_an_alarm_at_the_same_moment_lead_to_one_failover(engine, order):
    """The second one comes while the failover of the first one runs, and finds the lock taken."""
    from heat_ha.failover import failover_run

    stack = engine.create(failover.template(ASKS))
    old = active(engine, stack)
    (engine.servers / f'off-{old}').touch()
    bodies = {'agent': of_agent(old), 'named': alarm(old), 'unnamed': alarm()}
    first, *others = [bodies[one] for one in order]
    real = failover_run.FailoverRun.run

    def run(self, *args, **kwargs):
        # The plan is on record once a step of it begins.
        while others:
            engine.call('resource_signal', stack, 'policy', others.pop())
        return real(self, *args, **kwargs)

    with mock.patch.object(failover_run.FailoverRun, 'run', run):
        engine.signal(stack, 'policy', first)
    texts = [text for _status, text in engine.events(stack, 'failover')]
    joined = [text for text in texts if 'is running already' in text and 'joins it' in text]
    assert not others and len(joined) == len(order) - 1
    (line,) = history(engine, stack)
    assert line['old_server'] == old != active(engine, stack)
    servers = {one for (one,) in scaling.servers(engine, stack).values()}
    assert len(servers) == 2 and old not in servers


# --- what it costs ------------------------------------------------------------------------------


def test_a_server_of_no_policy_that_asks_is_not_looked_for(engine):
    import sqlalchemy

    from heat_ha.agent.adapters import failover_index, policy_index

    texts, now = [], [1000.0]
    index = failover_index.FailoverIndex(lambda: now[0])
    stack = engine.create(failover.template())
    servers = [one for (one,) in scaling.servers(engine, stack).values()]

    def note(_connection, _cursor, statement, *_rest):
        # Not the question whether the connection lives, which older releases ask.
        if 'FROM' in statement:
            texts.append(statement)

    listened = policy_index.engine(), 'before_cursor_execute', note
    sqlalchemy.event.listen(*listened)
    try:
        assert index.targets_of(servers) == {} and index.targets_of(['other']) == {}
        # One question for the policies that ask, in so many seconds.
        assert len([text for text in texts if 'resource_data' in text]) == 1
        assert not [text for text in texts if 'nova_instance IN' in text]
        engine.update(stack, failover.template(ASKS))
        now[0] += failover_index.CACHED
        del texts[:]
        assert set(index.targets_of(servers)) == set(servers)
        (scan,) = [text for text in texts if 'nova_instance IN' in text]
        assert 'root_stack_id IN' in scan and len(texts) == 4
    finally:
        sqlalchemy.event.remove(*listened)


def test_the_agents_signal_after_the_alarm_moves_nothing_more(engine):
    stack = engine.create(failover.template(ASKS))
    old = active(engine, stack)
    (engine.servers / f'off-{old}').touch()
    engine.signal(stack, 'policy', alarm(old))
    new = active(engine, stack)
    engine.signal(stack, 'policy', of_agent(old))
    (line,) = history(engine, stack)
    assert line['reason'] == 'alarm crashed: Event hits the query'
    assert active(engine, stack) == new != old


def test_a_crash_of_the_next_active_is_no_repeat(engine):
    stack = engine.create(failover.template(ASKS))
    for _crash in range(2):
        old = active(engine, stack)
        (engine.servers / f'off-{old}').touch()
        engine.signal(stack, 'policy', of_agent(old))
        assert active(engine, stack) != old
    assert len(history(engine, stack)) == 2


def test_an_alarm_that_names_nobody_counts_where_the_next_active_is_down_too(engine):
    stack = engine.create(failover.template(ASKS))
    old = active(engine, stack)
    engine.signal(stack, 'policy', of_agent(old))
    new = active(engine, stack)
    (engine.servers / f'off-{new}').touch()
    engine.signal(stack, 'policy', alarm())
    assert active(engine, stack) not in (old, new)


def test_the_crash_of_a_standby_replaces_it_and_moves_nothing(engine):
    stack = engine.create(failover.template(ASKS))
    old = active(engine, stack)
    servers = {one for (one,) in scaling.servers(engine, stack).values()}
    (standby,) = servers - {old}
    engine.signal(stack, 'policy', of_agent(standby))
    after = {one for (one,) in scaling.servers(engine, stack).values()}
    assert active(engine, stack) == old and standby not in after and len(after) == 2
