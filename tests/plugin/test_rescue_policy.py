# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::RescuePolicy in Heat's engine, and how the agent finds it in Heat's database."""

import dataclasses
import time
import types

import pytest
import sqlalchemy
import yaml

from heat_ha import serialization
from heat_ha.cloud.model import Host, HostState, ServerStatus
from heat_ha.rescue import model

pytestmark = pytest.mark.engine

MEMBER = """
heat_template_version: 2016-10-14
resources:
  server: {type: OS::Nova::Server}
outputs:
  OS::stack_id: {value: {get_resource: server}}
"""

TEMPLATE = """
heat_template_version: 2016-10-14
resources:
  database: {type: OS::Nova::Server}
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 2
      max_size: 3
      resource: {type: member.yaml}
  bystander: {type: OS::Nova::Server}
  policy:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: database}, {get_resource: group}]
      methods: METHODS
      priority: 3
"""


def template(methods='[{method: recreate}]'):
    return TEMPLATE.replace('METHODS', methods)


class Nova:
    """A Nova of which the tests say where servers are and which hosts are dead."""

    def __init__(self, engine):
        self.engine = engine
        self.state = HostState.UP
        self.lost = set()
        self.moved = set()
        self.begun = []

    def begin_to_look(self):
        pass

    def look_at_many(self, servers):
        return {}

    def hosts(self):
        hosts = {'dead': Host(self.state, self.state.value), 'well': Host(HostState.UP, 'up')}
        unknown = Host(HostState.UNKNOWN, 'unknown')
        return lambda host: hosts.get(host, unknown)

    def look(self, server):
        if server not in self.engine.servers_there():
            return model.Server(server, ServerStatus.GONE)
        host = 'dead' if server in self.lost - self.moved else 'well'
        return model.Server(server, ServerStatus.ACTIVE, host)

    def migration(self, server):
        return model.Migration(model.Migration.ABSENT)

    def begin(self, method, server, is_reset=False):
        self.begun.append((method, server.server))
        self.moved.add(server.server)

    def delete(self, server):
        (self.engine.servers / server).unlink(missing_ok=True)


@pytest.fixture
def nova(engine, monkeypatch):
    from heat_ha.rescue import executor, observer
    from heat_ha.rescue.adapters import heat_servers
    from heat_ha.rescue.adapters import nova as rescue_nova

    clock = types.SimpleNamespace(sleep=engine.sleep, monotonic=engine.monotonic, time=time.time)
    monkeypatch.setattr(heat_servers, 'time', clock)
    monkeypatch.setattr(executor, 'time', clock)
    monkeypatch.setattr(observer, 'time', clock)
    made = Nova(engine)
    monkeypatch.setattr(rescue_nova, 'RescueNova', lambda _policy: made)
    return made


def make(engine, methods='[{method: recreate}]'):
    return engine.create(template(methods), files={'member.yaml': MEMBER})


def servers(engine, stack):
    loaded = engine.stack(stack)
    found = {name: loaded[name].resource_id for name in ('database', 'bystander')}
    for member in engine.members(stack).members:
        found[member.name] = member.servers[0]
    return found


def attribute(engine, stack, name):
    return engine.stack(stack)['policy']._resolve_attribute(name)


def test_servers_of_a_confirmed_dead_host_are_recreated_and_no_others(engine, nova):
    stack = make(engine)
    before = servers(engine, stack)
    member = next(n for n in before if n not in ('database', 'bystander'))
    nova.state = HostState.CONFIRMED_DOWN
    nova.lost = {before['database'], before[member], before['bystander']}
    engine.signal(stack, 'policy', {'action': 'rescue'})
    after = servers(engine, stack)
    assert before['database'] not in after.values()
    assert before[member] not in after.values() and len(after) == len(before)
    assert after['bystander'] == before['bystander']
    assert engine.servers_there() == set(after.values())
    assert attribute(engine, stack, 'state') == 'ready'
    assert {line['outcome'] for line in attribute(engine, stack, 'history')} == {'done'}


@pytest.mark.parametrize(
    'order',
    ['{get_resource: database}, {get_resource: group}',
     '{get_resource: group}, {get_resource: database}'],
)  # fmt: skip
def test_servers_are_rescued_in_the_order_in_which_the_policy_names_them(engine, nova, order):
    written = '{get_resource: database}, {get_resource: group}'
    text = template('[{method: evacuate}]').replace(written, order)
    stack = engine.create(text, files={'member.yaml': MEMBER})
    nova.state, nova.lost = HostState.CONFIRMED_DOWN, set(servers(engine, stack).values())
    engine.signal(stack, 'policy', {'action': 'rescue'})
    reasons = [reason for _status, reason in engine.events(stack, 'policy')]
    begun = [reason.partition(':')[0] for reason in reasons if 'evacuate because' in reason]
    assert len(begun) == 3
    assert ['database' in name for name in begun] == sorted(
        ['database' in name for name in begun], reverse=order == written
    )


@pytest.mark.parametrize('state', [HostState.UP, HostState.DOWN, HostState.UNKNOWN])
def test_a_signal_is_believed_by_nobody_while_nova_does_not_confirm(engine, nova, state):
    stack = make(engine)
    before = servers(engine, stack)
    nova.state, nova.lost = state, set(before.values())
    for body in (None, {'action': 'rescue', 'reason': 'a lie'}, {'member': before['database']}):
        engine.signal(stack, 'policy', body)
    assert servers(engine, stack) == before and not nova.begun
    events = engine.events(stack, 'policy')[2:]
    assert len(events) == 3 and all('confirmed down' in reason for _, reason in events)


def test_a_signal_can_name_only_what_the_policy_protects(engine, nova):
    stack = make(engine)
    before = servers(engine, stack)
    nova.state, nova.lost = HostState.CONFIRMED_DOWN, set(before.values())
    for named in (before['bystander'], 'bystander', 'x' * 36):
        engine.signal(stack, 'policy', {'member': named})
        assert 'is not protected' in engine.events(stack, 'policy')[-1][1]
    assert servers(engine, stack) == before


def test_an_engine_is_made_ready_without_a_trace(engine, nova):
    from heat_ha.agent.adapters import policy_index

    assert policy_index.any_policy() is None
    stack = make(engine)
    before = servers(engine, stack)
    nova.state, nova.lost = HostState.CONFIRMED_DOWN, set(before.values())
    found = policy_index.any_policy()
    assert found[1:] == (stack['stack_name'], stack['stack_id'], 'policy')
    events = engine.events(stack, 'policy')
    engine.signal(stack, 'policy', {'action': 'prepare'})
    assert engine.events(stack, 'policy') == events and not engine.errors
    assert servers(engine, stack) == before and not nova.begun


def test_the_engines_are_made_ready_by_one_policy_and_then_by_another(engine, nova):
    from heat_ha.agent.adapters import policy_index

    stacks = {
        engine.create(template(), name=name, files={'member.yaml': MEMBER})['stack_id']
        for name in ('one', 'two', 'three')
    }
    assert {policy_index.any_policy()[2] for _ in range(100)} == stacks


def test_a_doubled_signal_does_nothing_twice(engine, nova):
    stack = make(engine, '[{method: evacuate}]')
    before = servers(engine, stack)
    nova.state, nova.lost = HostState.CONFIRMED_DOWN, {before['database']}
    for _ in range(3):
        engine.call('resource_signal', stack, 'policy', {'action': 'rescue'})
    engine.run()
    assert nova.begun == [(model.Method.EVACUATE, before['database'])]
    assert len(attribute(engine, stack, 'history')) == 1


@pytest.mark.parametrize('write', range(2, 30, 3))
def test_another_engine_goes_on_where_one_died(engine, nova, write):
    stack = make(engine)
    before = servers(engine, stack)
    nova.state = HostState.CONFIRMED_DOWN
    nova.lost = {before['database']}
    engine.dies(write, engine.signal, stack, 'policy', {'action': 'rescue'})
    for _ in range(3):
        engine.signal(stack, 'policy', {'action': 'rescue'})
    after = servers(engine, stack)
    seen = '\n'.join(map(str, engine.events(stack, 'policy') + engine.errors))
    assert before['database'] not in after.values(), seen
    assert attribute(engine, stack, 'state') == 'ready', seen


@pytest.mark.parametrize(
    ('wrong', 'named'),
    [
        (('{get_resource: database}', 'some-servers-id'), 'own stack only'),
        (('[{method: recreate}]', '[{method: failover}]'), 'failover_policy'),
        (('[{method: recreate}]', '[{method: none}, {method: recreate}]'), 'none'),
        (('[{method: recreate}]', '[{method: evacuate}, {method: evacuate}]'), 'twice'),
        (('[{method: recreate}]', '[{method: explode}]'), 'explode'),
        (('[{method: recreate}]', '[{method: recreate, attempts: 0}]'), 'attempts'),
        (('[{method: recreate}]', '[]'), 'methods'),
    ],
)
def test_what_cannot_work_is_refused_by_name(engine, nova, wrong, named):
    text = template().replace('type: member.yaml', 'type: OS::Nova::Server')
    assert named in engine.refusal(text.replace(*wrong))


@pytest.fixture
def queries():
    """The statements that Heat's database is asked."""
    from heat.db import api as db_api

    seen = []

    def note(_connection, _cursor, statement, *_args):
        seen.append(statement)

    sqlalchemy.event.listen(db_api.get_engine(), 'before_cursor_execute', note)
    yield seen
    sqlalchemy.event.remove(db_api.get_engine(), 'before_cursor_execute', note)


def test_the_policies_of_many_servers_are_found_with_as_few_queries_as_those_of_one(
    engine, nova, queries
):
    from heat_ha.agent.adapters import policy_index

    stacks = [
        engine.create(template(), name=f's{n}', files={'member.yaml': MEMBER}) for n in range(3)
    ]
    mine = {s: stack['stack_id'] for stack in stacks for s in servers(engine, stack).values()}
    bystanders = {servers(engine, stack)['bystander'] for stack in stacks}
    counts = []
    for asked in ([next(iter(mine))], [*mine, 'unknown']):
        queries.clear()
        found = policy_index.policies_of(asked, lambda _project: list(mine))
        # Older releases of oslo.db see first whether the connection works.
        asked_for = [q for q in queries if q.startswith('SELECT') and q != 'SELECT 1']
        counts.append(len(asked_for))
    assert counts[0] == counts[1] == 4
    assert set(found) == set(mine) - bystanders
    assert all(found[s].stack_id == mine[s] and found[s].protection.priority == 3 for s in found)
    assert {p.project for p in found.values()} == {'project'}


GHOST = """
heat_template_version: 2017-09-01
resources:
  ghost: {type: OS::Heat::None, external_id: SERVER}
  policy:
    type: OS::Heat::RescuePolicy
    properties: {methods: [{method: none}], priority: 99}
"""


# S7
@pytest.mark.parametrize('is_external', [True, False])
@pytest.mark.parametrize('project', ['project', 'another'])
@pytest.mark.parametrize('is_last', [True, False])
def test_a_server_is_protected_by_no_policy_of_a_stack_that_only_names_it(
    engine, nova, is_external, project, is_last
):
    from heat.db import models

    from heat_ha.agent.adapters import policy_index

    if is_last:
        mine = engine.create(template(), name='mine', files={'member.yaml': MEMBER})
        database = servers(engine, mine)['database']
        ghost = engine.create(GHOST.replace('SERVER', database), name='ghost')
    else:
        ghost = engine.create(GHOST.replace('SERVER', 'later'), name='ghost')
        mine = engine.create(template(), name='mine', files={'member.yaml': MEMBER})
        database = servers(engine, mine)['database']
    resource, stack = models.Resource.__table__, models.Stack.__table__
    with policy_index.engine().begin() as connection:
        of_ghost = (resource.c.stack_id == ghost['stack_id']) & (resource.c.name == 'ghost')
        connection.execute(resource.update().where(of_ghost).values(nova_instance=database))
        if not is_external:
            # Adopted: the template says nothing of it.
            raw = models.RawTemplate.__table__
            text = yaml.safe_load(GHOST)
            del text['resources']['ghost']['external_id']
            used = sqlalchemy.select(resource.c.current_template_id).where(of_ghost)
            connection.execute(
                raw.update().where(raw.c.id == used.scalar_subquery()).values(template=text)
            )
        connection.execute(
            stack.update().where(stack.c.id == ghost['stack_id']).values(tenant=project)
        )
    owned = {'project': [database], 'another': []}
    found = policy_index.policies_of([database], owned.__getitem__)
    # Of the owner's own stacks the one that names the server, however they are listed.
    assert found[database].stack_id == mine['stack_id']


def test_the_agent_sees_how_far_a_policy_is(engine, nova):
    from heat_ha.agent.adapters import policy_index

    stack = make(engine, '[{method: evacuate}]')
    before = servers(engine, stack)
    mine = [before['database']]
    number = policy_index.policies_of(mine, lambda _project: mine)[mine[0]].number
    assert policy_index.states_of([number])[number] == policy_index.State('', {})
    nova.state, nova.lost = HostState.CONFIRMED_DOWN, {before['database']}
    engine.signal(stack, 'policy', {'action': 'rescue'})
    state = policy_index.states_of([number])[number]
    assert state.engine == '' and state.rescues[before['database']].state is model.State.DONE


# S6
@pytest.mark.parametrize(
    ('level', 'body', 'is_rescued'),
    [
        ('project', {'action': 'rescue'}, False),
        ('project', {}, False),
        ('stack', {'action': 'rescue'}, False),
        ('stack', {'member': 'database'}, False),
        ('policy', {}, False),
        ('policy', {'action': 'rescue'}, True),
        (None, {}, True),
    ],
)
def test_a_signal_passes_no_limit_of_the_agent(engine, nova, level, body, is_rescued):
    from heat_ha.agent.adapters import policy_index
    from heat_ha.agent.adapters import store as agent_store
    from heat_ha.agent.model import Incident, Phase
    from heat_ha.agent.rules import dispatch_rules
    from heat_ha.rescue.rules import held_back

    stack = make(engine, '[{method: evacuate}]')
    policy = engine.stack(stack)['policy']
    server = servers(engine, stack)['database']
    nova.state, nova.lost = HostState.CONFIRMED_DOWN, {server}
    reason = held_back.said_by_guard(level, 'too many') if level else 'given up'
    row = dispatch_rules.PolicyDispatch(
        policy.id, 'policy', stack['stack_id'], 'stack', 'p', 'r', 0, (server,),
        dispatch_rules.DispatchState.DEFERRED, reason=reason,
    )  # fmt: skip
    incident = Incident('c1', Phase.DONE, 1000.0, 'down', 1000.0)
    store = agent_store.Store(policy_index.engine())
    store.create()
    for kind, value in (
        (agent_store.INCIDENT, incident),
        (agent_store.RESCUE, dispatch_rules.Dispatches(1000.0, (row,))),
    ):
        old = store.get(kind, 'c1')
        store.put(kind, 'c1', serialization.encode(value), old.version)
    engine.signal(stack, 'policy', {'action': 'plan'})
    assert ('would be rescued' in str(engine.events(stack, 'policy')[-1])) and not nova.begun
    assert ('plan: database' in str(engine.events(stack, 'policy')[-1])) is (
        is_rescued and not (level and body)
    )
    engine.signal(stack, 'policy', body)
    assert bool(nova.begun) is is_rescued
    if not is_rescued:
        assert f'refused: database: storm guard, level {level}' in str(
            engine.events(stack, 'policy')
        )
    # Without what the agent has on record, as after its end, nothing is held back.
    store.put(
        agent_store.INCIDENT,
        'c1',
        serialization.encode(dataclasses.replace(incident, phase=Phase.CLOSED)),
        store.get(agent_store.INCIDENT, 'c1').version,
    )
    engine.signal(stack, 'policy', {'action': 'rescue'})
    assert nova.begun


def test_the_bench_of_the_look_up_still_calls_what_it_measures(tmp_path, monkeypatch):
    from heat.db import models

    from bench import lookup
    from heat_ha.agent.adapters import policy_index

    # The bench lets it use its own database, for good.
    monkeypatch.setattr(policy_index, 'engine', policy_index.engine)
    database = sqlalchemy.create_engine(f'sqlite:///{tmp_path}/bench.sqlite')
    models.BASE.metadata.create_all(database)
    by_stack = lookup.fill(database, 400)
    figures = lookup.measure(database, by_stack, 10, 2)
    assert figures['servers'] == 10 and figures['ours_queries'] == figures['ours_queries_for_5']
    database.dispose()
