# SPDX-License-Identifier: Apache-2.0
"""The agent observes without an effect, decides, and executes every kind of step."""

import dataclasses
import time
import types

import pytest

from heat_ha import exceptions, serialization
from heat_ha.agent import dispatcher, empty_answers, engines, metrics, model
from heat_ha.agent.adapters import policy_index
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import decide, dispatch_rules, storm
from heat_ha.cli import decisions
from heat_ha.cloud import heat_rpc
from heat_ha.fencing import driver, inventory
from heat_ha.fencing import model as fencing
from heat_ha.rescue import record
from heat_ha.rescue.model import Progress, Server, ServerStatus
from heat_ha.rescue.model import State as RescueState
from tests.unit.agent.worlds import World, begin, make, phase, rounds, store  # noqa: F401

PROOF = fencing.Proof('fake', 'switched off', 1000.0)


def executor_of(agent):
    return agent._worker._steps


def with_real_dispatcher(world, store, made):  # noqa: F811
    agent = make(world, store)
    agent._observer._rescues = executor_of(agent)._rescues = made
    rounds(agent, world, 1)
    world.services['c1'] = dataclasses.replace(
        world.services['c1'], is_up=False, is_forced_down=True, is_disabled=True
    )
    agent._table.refresh()
    return agent


def all_steps(of=decide.Step):
    for step in of.__subclasses__():
        yield step
        yield from all_steps(step)


@pytest.mark.parametrize('of', Phase)
def test_what_is_observed_has_no_effect(store, of):  # noqa: F811
    world = World()
    agent = make(world, store)
    rounds(agent, world, 1)
    world.down('c1')
    world.services['c1'] = dataclasses.replace(world.services['c1'], is_forced_down=True)
    rounds(agent, world, 0)
    incident = Incident('c1', of, 1000.0, 'down', 1000.0, PROOF)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(incident), 0)
    before = {kind: store.all(kind) for kind in (agent_store.INCIDENT, agent_store.RESCUE)}
    found = agent._observer.situation('c1')
    assert found.observation.incident == incident
    assert world.done == [] and world.servers == {'c1': {'s1', 's2'}}
    assert {kind: store.all(kind) for kind in before} == before
    # Only where servers are rescued does it matter how many policies are left.
    assert found.observation.rescues_left == (2 if of is Phase.RESCUING else None)


@pytest.mark.parametrize('proof', [None, PROOF], ids=['first', 'again'])
@pytest.mark.parametrize('disabled', ['', 'maintenance', 'heat-ha: ipmi by a'])
@pytest.mark.parametrize('is_declared', [True, False], ids=['declared', 'ipmi only'])
@pytest.mark.parametrize('is_settled', [True, False], ids=['settled', 'new'])
def test_only_a_declared_foreign_mark_counts(
    store,  # noqa: F811
    proof,
    disabled,
    is_declared,
    is_settled,
):
    world = World()
    agent = make(world, store, mark_settle=0.0 if is_settled else 15.0)
    rounds(agent, world, 1)
    world.down('c1')
    world.services['c1'] = dataclasses.replace(
        world.services['c1'], is_forced_down=True, disabled_reason=disabled
    )
    rounds(agent, world, 0)
    agent._table.refresh()
    old = Incident('c1', Phase.CONFIRMED, 1000.0, 'down', 1000.0, proof)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(old), 0)
    second = ', {driver: nova_forced_down}' if is_declared else ''
    broken = '{driver: command, program: "false"}'
    steps = executor_of(agent)
    steps._fences = inventory.parse(f'hosts: {{c1: {{levels: [{broken}{second}]}}}}')
    found = agent._observer.situation('c1')
    is_foreign = proof is None and not disabled.startswith('heat-ha')
    if is_declared and is_foreign and is_settled:
        assert steps.execute(found, decide.Fence('x')) and phase(store, 'c1') == 'fenced'
        return
    why = 'no level has the driver nova_forced_down'
    if is_declared:
        why = 'within mark_settle seconds' if is_foreign else 'after another fence'
    with pytest.raises(driver.NotFenced, match=why):
        steps.execute(found, decide.Fence('x'))
    assert phase(store, 'c1') == 'confirmed'


def test_a_host_with_a_wrong_entry_is_not_switched_off(store):  # noqa: F811
    world = World()
    agent = make(world, store)
    world.down('c1')
    executor_of(agent)._wrong = lambda host: 'wrong: x' if host == 'c1' else ''
    rounds(agent, world)
    assert phase(store, 'c1') == 'confirmed' and world.done == [] and world.power['c1'] == 'on'
    found = agent._observer.situation('c1')
    with pytest.raises(driver.NotFenced, match=r'wrong: x.*heat-ha-agent confirm c1 --by NAME'):
        executor_of(agent).execute(found, decide.Fence('x'))


@pytest.mark.parametrize('after', [Phase.CLOSED, Phase.DEFERRED])
@pytest.mark.parametrize('before', [Phase.SUSPECT, Phase.CONFIRMED])
def test_the_fences_of_a_host_that_is_let_be_are_asked_where_one_may_have_shut_it_out(
    store,  # noqa: F811
    before,
    after,
):
    agent = make(World(), store)
    rounds(agent, World(), 1)
    old = Incident('c1', before, 1000.0, 'down', 1000.0)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(old), 0)
    executor_of(agent).execute(agent._observer.situation('c1'), decide.Enter('x', after))
    assert agent._watch._wanted == (set() if before is Phase.SUSPECT else {'c1'})


def test_each_kind_of_step_is_executed(store):  # noqa: F811
    assert set(executor_of(make(World(), store))._methods) == set(all_steps())


def test_a_step_that_nobody_executes_is_an_error(store):  # noqa: F811
    class Dance(decide.Step):
        pass

    agent = make(World(), store)
    with pytest.raises(TypeError, match='Dance'):
        executor_of(agent).execute(agent._observer.situation('c1'), Dance('x'))


def test_a_host_is_counted_as_held_back_once_that_is_on_record(store, monkeypatch, caplog):  # noqa: F811
    world = World(hosts=5)
    agent = make(world, store)
    rounds(agent, world, 1)
    world.down('c1', 'c2')
    put, left = store.put, [3]

    def overtaken(kind, name, value, version):
        if value.get('phase') == 'deferred' and left[0]:
            left[0] -= 1
            raise agent_store.Changed('another agent wrote')
        return put(kind, name, value, version)

    monkeypatch.setattr(store, 'put', overtaken)
    before = metrics.HELD_BACK._value.get()
    rounds(agent, world)
    assert left == [0] and phase(store, 'c1') == phase(store, 'c2') == 'deferred'
    assert metrics.HELD_BACK._value.get() == before + 2
    assert sum('is held back for a person' in r.getMessage() for r in caplog.records) == 2


@pytest.fixture
def policies(store, monkeypatch):  # noqa: F811
    """Two policies with a server each on c1, in Heat's database, and what was sent to them."""
    made = types.SimpleNamespace(sent=[], states={}, on_host={'s1', 's2'}, is_on=set())
    found = {
        server: types.SimpleNamespace(
            number=number, name=f'p{number}', stack_id='st', stack_name='s', project='p', root='r',
            protection=types.SimpleNamespace(priority=0, max_rescues=0, period=0.0),
        )
        for number, server in ((1, 's1'), (2, 's2'))
    }  # fmt: skip

    def signal(_project, _stack_name, _stack_id, name, body):
        assert body['action'] == 'rescue'
        turns = {r['name']: r['turn'] for r in store.get(agent_store.RESCUE, 'c1').value['rows']}
        assert turns[name] == 'signalled', 'signalled before it was on record'
        made.sent.append(name)

    monkeypatch.setattr(heat_rpc, 'signal', signal)
    monkeypatch.setattr(heat_rpc, 'is_alive', lambda _engine: True)
    index = types.SimpleNamespace(
        policies_of=lambda servers, _owned_by: {s: found[s] for s in servers},
        states_of=lambda numbers: {n: made.states[n] for n in numbers if n in made.states},
    )
    monkeypatch.setattr(dispatcher, 'policy_index', index)

    def is_on(server, _host):
        if made.is_on is None:
            raise exceptions.CouldNotAsk('nova', server, '500')
        return server in made.is_on

    nova = types.SimpleNamespace(
        servers_on=lambda _host, _project='': made.on_host, arriving=lambda: {},
        is_on=is_on,
    )  # fmt: skip
    made.dispatcher = dispatcher.Dispatcher(
        store, nova, engines.EngineLiveness(), storm.Limits(), 8, 0
    )
    proof = dataclasses.replace(PROOF, at=time.time())
    made.incident = Incident('c1', Phase.RESCUING, 1000.0, 'down', 1000.0, proof)
    return made


def ended(server):
    before = Server(server, ServerStatus.ACTIVE)
    progress = Progress(server, server, before, state=RescueState.DONE, ended=2000.0)
    return policy_index.State('', {server: progress})


def test_looking_for_what_is_left_sends_and_writes_nothing(policies, store):  # noqa: F811
    for _ in range(3):
        plan = policies.dispatcher.unfinished(policies.incident, {})
        assert plan.left == 2 and len(plan.due) == 2
    assert policies.sent == [] and not store.all(agent_store.RESCUE)


def test_who_is_signalled_is_on_record_before(policies):
    plan = policies.dispatcher.unfinished(policies.incident, {})
    policies.dispatcher.signal_due(policies.incident, plan)
    assert sorted(policies.sent) == ['p1', 'p2']
    again = policies.dispatcher.unfinished(policies.incident, {})
    assert again.is_recorded and not again.due and again.left == 2


def test_a_plan_that_another_agent_has_overtaken_sends_nothing(policies):
    both = [policies.dispatcher.unfinished(policies.incident, {}) for _ in range(2)]
    policies.dispatcher.signal_due(policies.incident, both[0])
    policies.sent.clear()
    with pytest.raises(agent_store.Changed):
        policies.dispatcher.signal_due(policies.incident, both[1])
    assert policies.sent == []


def test_how_the_rescues_ended_is_on_record_when_the_incident_is_done(
    policies,
    store,  # noqa: F811
):
    world = World()
    agent = with_real_dispatcher(world, store, policies.dispatcher)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(policies.incident), 0)
    rounds(agent, world, 1)
    assert phase(store, 'c1') == 'rescuing' and sorted(policies.sent) == ['p1', 'p2']
    policies.states, policies.on_host = {1: ended('s1'), 2: ended('s2')}, set()
    # As soon as that is seen, in the same round.
    agent._worker.step('c1')
    assert phase(store, 'c1') == 'done'
    rows = store.get(agent_store.RESCUE, 'c1').value['rows']
    assert {r['turn'] for r in rows} == {dispatch_rules.DispatchState.DONE.value}


def test_a_host_whose_servers_nobody_protects_is_done_and_leaves_no_older_rows(
    policies,
    store,  # noqa: F811
):
    old = {'opened': 1.0, 'rows': []}
    store.put(agent_store.RESCUE, 'c1', old, 0)
    policies.on_host = set()
    world = World()
    agent = with_real_dispatcher(world, store, policies.dispatcher)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(policies.incident), 0)
    # Nova may have left the host's cell out of its answer, so it is asked again.
    with pytest.raises(exceptions.CouldNotAsk, match='shows none'):
        agent._worker.step('c1')
    assert phase(store, 'c1') == 'rescuing'
    policies.dispatcher._empty = empty_answers.EmptyAnswers(0.0)
    assert agent._worker.step('c1') is False
    assert phase(store, 'c1') == 'done'
    assert store.get(agent_store.RESCUE, 'c1').value['opened'] == policies.incident.opened


def test_a_list_without_the_hosts_cell_ends_no_rescue(policies, store):  # noqa: F811
    world = World()
    agent = with_real_dispatcher(world, store, policies.dispatcher)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(policies.incident), 0)
    agent._worker.step('c1')
    before = store.get(agent_store.RESCUE, 'c1').value
    there, policies.on_host = policies.on_host, set()
    # Nova does not show a server by itself either while its cell does not answer.
    for policies.is_on in (set(there), None):
        agent._worker.step('c1')
        assert phase(store, 'c1') == 'rescuing'
        assert store.get(agent_store.RESCUE, 'c1').value == before
    # Deleted by their owner, or elsewhere.
    policies.is_on = set()
    agent._worker.step('c1')
    assert phase(store, 'c1') == 'done'


def test_where_the_agent_lets_no_host_in_it_says_what_does(begin):  # noqa: F811
    scene = begin()
    scene.agent._observer._audits = False
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.tick(60)
    scene.clock.dead.clear()
    scene.tick(60)
    assert scene.phase('c1') == 'quarantined'
    assert 'unset forced_down' in scene.agent._log.last('c1')


def signalled_for(policies, monkeypatch, seconds):
    """Signal whoever is due in each second, until nobody is left; what was due."""
    clock = types.SimpleNamespace(now=time.time())
    monkeypatch.setattr(dispatcher, 'time', types.SimpleNamespace(
        time=lambda: clock.now, monotonic=lambda: clock.now
    ))  # fmt: skip
    due = []
    for _ in range(seconds):
        plan = policies.dispatcher.unfinished(policies.incident, {})
        if not plan.left:
            break
        policies.dispatcher.signal_due(policies.incident, plan)
        due += [(clock.now, d.name) for d in plan.due]
        clock.now += 1
    return due


def test_a_policy_that_is_given_up_is_shown_to_a_person_until_one_decides(
    policies,
    store,  # noqa: F811
    monkeypatch,
    caplog,
):
    signalled_for(policies, monkeypatch, 1800)
    world = World()
    agent = with_real_dispatcher(world, store, policies.dispatcher)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(policies.incident), 0)
    agent._worker.step('c1')
    told = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert len(told) == 1 and 'heat-ha-agent show c1' in told[0] and 'given up' in told[0]
    done = agent._observer.recorded().incidents['c1']
    assert done.phase is Phase.DONE and 'held back for a person: 2' in done.reason
    seen = dataclasses.replace(agent._observer.situation('c1').observation, incident=done)
    for hours in (0, 3):
        step = decide.next_step(
            dataclasses.replace(seen, now=done.changed + 3601 * hours), model.Settings()
        )
        assert 'held back for a person: 2' in step.reason
        assert ('heat-ha-agent release, drop or end c1' in step.reason) is bool(hours)
    assert decisions.decided(store, 'drop', 'c1', 'Ada', dict) == 'done'
    known = agent._observer.recorded().incidents['c1']
    seen = dataclasses.replace(seen, incident=known, now=done.changed + 7300.0)
    assert decide.next_step(seen, model.Settings()).reason == 'it stays fenced'


def test_signals_that_no_engine_answers_give_no_policy_up(policies, store, monkeypatch):  # noqa: F811
    def fails(*_given):
        raise exceptions.CouldNotAsk('heat', 'a signal', 'no engine answers')

    monkeypatch.setattr(heat_rpc, 'signal', fails)
    due = signalled_for(policies, monkeypatch, 1800)
    plan = policies.dispatcher.unfinished(policies.incident, {})
    assert plan.left == 2 and not plan.held
    # As soon as one answers, each is signalled.
    assert {name for at, name in due if at > due[-1][0] - 10} == {'p1', 'p2'}


def test_without_a_proof_on_record_nobody_is_signalled(policies, store):  # noqa: F811
    world = World()
    agent = with_real_dispatcher(world, store, policies.dispatcher)
    without = dataclasses.replace(policies.incident, proof=None)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(without), 0)
    agent._worker.step('c1')
    # It is fenced anew.
    assert policies.sent == [] and phase(store, 'c1') == 'fenced' and world.power['c1'] == 'off'


def test_a_policy_whose_record_is_not_understood_keeps_no_other_one_waiting(policies, caplog):
    odd = {record.SERVER + 's2': '{"server":"s2","state":"of a newer version"}'}
    policies.states = {2: policy_index.State('', *record.understood_of(odd))}
    for _ in range(3):
        plan = policies.dispatcher.unfinished(policies.incident, {})
        policies.dispatcher.signal_due(policies.incident, plan)
    assert sorted(policies.sent) == ['p1', 'p2']
    told = [r for r in caplog.records if 'policy=p2' in r.getMessage() and r.levelname == 'WARNING']
    assert len(told) == 1 and 'the rescue of a server' in told[0].getMessage()
    # Where its server is says nothing about its rescue.
    policies.states[1], policies.on_host = ended('s1'), set()
    plan = policies.dispatcher.unfinished(policies.incident, {})
    assert {d.name: d.state.value for d in plan.dispatches} == {'p1': 'done', 'p2': 'signalled'}
