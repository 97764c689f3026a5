# SPDX-License-Identifier: Apache-2.0
"""What an operator decides by hand about what the storm guard holds back."""

import contextlib
import http.client
import json
import signal
import socket
import types

import pytest
import sqlalchemy
from oslo_config import cfg

from heat_ha import exceptions, serialization
from heat_ha.agent import report_table
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from heat_ha.cli import agent, decisions
from heat_ha.cloud import heat_rpc
from heat_ha.cloud import model as cloud
from heat_ha.conf import agent as options
from heat_ha.fencing import model as fencing
from heat_ha.rescue.rules import held_back


@pytest.fixture
def store(tmp_path, monkeypatch):
    engine = sqlalchemy.create_engine(f'sqlite:///{tmp_path}/agent.sqlite')
    made = agent_store.Store(engine)
    made.create()
    monkeypatch.setattr(agent, '_store', lambda: made)
    yield made
    engine.dispose()


def put(store, phase, turns=(), reason=''):
    proof = fencing.Proof('fake', 'switched off', 1000.0)
    incident = Incident('c1', phase, 1000.0, 'down', 1000.0, proof)
    store.put(agent_store.INCIDENT, 'c1', serialization.encode(incident), 0)
    if turns:
        rows = [
            {'name': f'p{n}', 'stack_name': 's', 'servers': [], 'reason': reason, 'turn': turn}
            for n, turn in enumerate(turns)
        ]
        store.put(agent_store.RESCUE, 'c1', {'opened': 1000.0, 'rows': rows}, 0)


def put_turns(store, turn):
    entry = store.get(agent_store.RESCUE, 'c1')
    rows = [row | {'turn': turn} for row in entry.value['rows']]
    store.put(agent_store.RESCUE, 'c1', entry.value | {'rows': rows}, entry.version)


def now(store):
    rescues = store.get(agent_store.RESCUE, 'c1')
    turns = [row['turn'] for row in rescues.value['rows']] if rescues.value else []
    return store.get(agent_store.INCIDENT, 'c1').value['phase'], turns


@pytest.mark.parametrize('verb', ['release', 'drop', 'end'])
def test_who_decides_is_on_record_also_where_the_user_has_no_name(store, monkeypatch, verb):
    def nameless():
        raise KeyError('getpwuid(): uid not found: 42')

    monkeypatch.setattr(agent.getpass, 'getuser', nameless)
    monkeypatch.setattr(agent.os, 'getuid', lambda: 42)
    for by, shown in (('', 'user 42'), ('Ada', 'Ada')):
        entry = store.get(agent_store.INCIDENT, 'c1')
        incident = Incident('c1', Phase.DEFERRED, 1000.0, 'down', 1000.0)
        store.put(agent_store.INCIDENT, 'c1', serialization.encode(incident), entry.version)
        assert agent._by_hand(verb, 'c1', by) == 0
        assert f'by {shown}' in store.get(agent_store.INCIDENT, 'c1').value['reason']


@pytest.mark.parametrize(('verb', 'phase'), [('release', 'confirmed'), ('drop', 'dropped')])
def test_a_host_that_is_held_back_is_released_or_dropped(store, capsys, verb, phase):
    put(store, Phase.DEFERRED)
    assert agent._by_hand(verb, 'c1') == 0
    assert now(store) == (phase, [])
    assert capsys.readouterr().out == f'c1: {phase}\n'


@pytest.mark.parametrize(
    ('verb', 'phase', 'turn'), [('release', 'confirmed', 'waiting'), ('drop', 'done', 'dropped')]
)
def test_only_rescues_that_are_held_back_are_released_or_dropped(store, verb, phase, turn):
    put(store, Phase.DONE, ('done', 'deferred'))
    assert agent._by_hand(verb, 'c1') == 0
    assert now(store) == (phase, ['done', turn])


@pytest.mark.parametrize('phase', Phase)
def test_what_is_released_is_what_somebody_will_signal(store, phase):
    put(store, phase, ('deferred',))
    is_over = phase in (Phase.QUARANTINED, Phase.CLOSED, Phase.DROPPED)
    if is_over:
        with pytest.raises(exceptions.Refused, match=f'c1 is {phase.value}, so nobody rescues'):
            agent._by_hand('release', 'c1')
        assert now(store) == (phase.value, ['deferred'])
    else:
        assert agent._by_hand('release', 'c1') == 0
        assert now(store)[1] == ['waiting']
    # What was held back may be dropped in each phase.
    put_turns(store, 'deferred')
    assert agent._by_hand('drop', 'c1') == 0
    assert now(store)[1] == ['dropped']


# S6
@pytest.mark.parametrize('level', [*held_back.Level, None])
@pytest.mark.parametrize('phase', Phase)
def test_a_drop_of_what_a_limit_holds_back_can_be_taken_back_while_it_has_a_use(
    store, phase, level
):
    reason = held_back.said_by_guard(level.value, 'too many') if level else 'given up'
    put(store, phase, ('done', 'deferred'), reason)
    assert agent._by_hand('drop', 'c1') == 0
    before = now(store)
    with contextlib.suppress(exceptions.Refused):
        agent._by_hand('release', 'c1')
    if level and phase in (Phase.RESCUING, Phase.DONE):
        again = 'confirmed' if phase is Phase.DONE else phase.value
        assert now(store) == (again, ['done', 'waiting'])
    else:
        assert now(store) == before


@pytest.mark.parametrize(('verb', 'reason'), [('release', ''), ('drop', 'too many')])
def test_why_a_rescue_was_held_back_is_kept_unless_it_is_released(store, verb, reason):
    put(store, Phase.DONE, ('deferred',), 'too many')
    assert agent._by_hand(verb, 'c1') == 0
    [row] = store.get(agent_store.RESCUE, 'c1').value['rows']
    assert row['reason'] == reason


@pytest.mark.parametrize('verb', ['release', 'drop'])
def test_where_nothing_is_held_back_that_is_said_and_nothing_changes(store, verb):
    put(store, Phase.DONE, ('done',))
    with pytest.raises(exceptions.Refused, match='nothing of host c1 is held back: it is done'):
        agent._by_hand(verb, 'c1')
    with pytest.raises(exceptions.Refused, match="'c2' has no incident"):
        agent._by_hand(verb, 'c2')
    assert now(store) == ('done', ['done'])


def test_what_is_shown_names_the_policies_of_this_incident(store, capsys):
    put(store, Phase.DONE, ('deferred',))
    assert agent._by_hand('show', '') == 0
    shown = capsys.readouterr().out
    assert '"phase": "done"' in shown and '"turn": "deferred"' in shown
    assert agent._by_hand('show', 'c2') == 0 and capsys.readouterr().out == ''


def test_a_person_confirms_that_a_host_is_off_and_is_on_record(store, capsys, monkeypatch):
    services = {'c1': cloud.ComputeService('c1', 'id', False, False, False)}
    monkeypatch.setattr(agent, '_services', lambda: services)
    put(store, Phase.CONFIRMED)
    assert agent._by_hand('confirm', 'c1', 'Ada') == 0
    assert now(store) == ('fenced', []) and capsys.readouterr().out == 'c1: fenced\n'
    assert store.get(agent_store.INCIDENT, 'c1').value['proof']['who'] == 'Ada by hand'
    with pytest.raises(exceptions.Refused, match='--by NAME'):
        agent._by_hand('confirm', 'c1')
    with pytest.raises(exceptions.Refused, match="'c2' has no incident"):
        agent._by_hand('confirm', 'c2', 'Ada')


def test_nothing_is_confirmed_while_nova_does_not_answer(store, monkeypatch):
    def services():
        raise exceptions.CouldNotAsk('nova', 'its hosts', 'timeout')

    monkeypatch.setattr(agent, '_services', services)
    put(store, Phase.CONFIRMED)
    with pytest.raises(exceptions.CouldNotAsk):
        agent._by_hand('confirm', 'c1', 'Ada')
    assert now(store) == ('confirmed', [])


@pytest.mark.parametrize(
    ('sources', 'tokens', 'is_by_keystone', 'refused'),
    [
        (['services_api'], {}, False, None),
        (['webhook'], {'a': 'x'}, False, None),
        (['webhook'], {}, True, None),
        (['webhook'], {}, False, 'tokens_file'),
        (['services_api'], {'a': 'x'}, True, 'Add webhook to sources'),
        (['webhook'], {'masakari': 'x'}, False, None),
        (['webhook'], {'masakari': 'x'}, True, 'another name in tokens_file'),
    ],
)
def test_the_webhook_needs_somebody_who_may_post(sources, tokens, is_by_keystone, refused):
    own = types.SimpleNamespace(sources=sources, masakari_notifications=is_by_keystone)
    if refused is None:
        agent._check_senders(own, tokens)
        return
    with pytest.raises(exceptions.Refused, match=refused):
        agent._check_senders(own, tokens)


# S1
def test_an_agent_with_a_name_that_means_something_else_does_not_start(monkeypatch):
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf([])
    for name in ('hand', ''):
        conf.set_override('name', name, options.GROUP)
        monkeypatch.setattr(agent.socket, 'gethostname', lambda: 'hand')
        with pytest.raises(exceptions.Refused, match=r'Set name in \[heat_ha_agent\]'):
            agent._run(conf)


@pytest.mark.parametrize('start', [agent._run, agent._check])
@pytest.mark.parametrize(
    'line', ['[heat_ha_agent]\nsettle =', '[heat_ha_agent]\nproof_valid = nan',
             '[heat_ha_agent]\npoll_interval = inf', '[heat_ha_agent]\nstorm_period = an hour',
             '[heat_ha_rescue]\nmark_settle ='],
)  # fmt: skip
def test_a_number_that_a_round_would_stumble_over_is_refused_at_the_start(tmp_path, line, start):
    (tmp_path / 'agent.conf').write_text(line + '\n')
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf(['--config-file', str(tmp_path / 'agent.conf')])
    with pytest.raises(exceptions.Refused, match=line.partition('\n')[2].split()[0]):
        start(conf)


def test_turns_of_an_earlier_failure_are_left_as_they_are(store):
    put(store, Phase.DROPPED, ('deferred',))
    entry = store.get(agent_store.RESCUE, 'c1')
    store.put(agent_store.RESCUE, 'c1', {**entry.value, 'opened': 5.0}, entry.version)
    for verb in ('end', 'release', 'drop'):
        with pytest.raises(exceptions.Refused):
            agent._by_hand(verb, 'c1')
    assert now(store) == ('dropped', ['deferred'])


def test_operators_decide_by_http_what_they_decide_by_the_program(store):
    put(store, Phase.DEFERRED)
    desk = agent._desk(types.SimpleNamespace(health=str, hosts=dict))
    assert tuple(desk.verbs) == agent.BY_HAND
    assert desk.verbs['drop']('c1', 'anna') == 'dropped'
    incident = store.get(agent_store.INCIDENT, 'c1').value
    assert incident['reason'] == 'dropped by anna'
    with pytest.raises(exceptions.Refused, match='no incident'):
        desk.verbs['release']('c9', 'anna')


def test_an_operator_confirms_by_http_under_the_own_name(store, monkeypatch):
    services = {'c1': cloud.ComputeService('c1', 'id', False, False, False)}
    monkeypatch.setattr(agent, '_services', lambda: services)
    put(store, Phase.CONFIRMED)
    desk = agent._desk(types.SimpleNamespace(health=str, hosts=dict))
    assert desk.verbs['confirm']('c1', 'anna') == 'fenced'
    assert store.get(agent_store.INCIDENT, 'c1').value['proof']['who'] == 'anna by hand'


class Running:
    """An agent whose work is one round of asking itself by HTTP."""

    def __init__(self, work):
        self.work = work
        self.taken = []

    def run(self):
        self.work(self)

    def take(self, source, parsed):
        self.taken.append((source, parsed.sender, parsed.host))
        return report_table.Arrival.NEWS

    def health(self):
        return ''

    def hosts(self):
        return {'c1': 'up'}

    def use(self, found):
        self.sources = sorted(found)

    report = stop = take


def test_the_program_answers_on_all_its_addresses_while_it_works(store, tmp_path, monkeypatch):
    with socket.create_server(('127.0.0.1', 0)) as free:
        place = free.getsockname()
    (tmp_path / 'tokens').write_text('am:a-token-of-a-sender\n')
    (tmp_path / 'operators').write_text('anna:a-token-of-an-operator\n')
    (tmp_path / 'senders').write_text('am: {down_alerts: [HostDown]}\n')
    (tmp_path / 'agent.conf').write_text(
        '[heat_ha_agent]\n'
        'sources = services_api, webhook\n'
        f'listen = {place[0]}:{place[1]}\n'
        f'coordination_url = file://{tmp_path}\n'
        + ''.join(
            f'{name}_file = {tmp_path}/{name}\n' for name in ('tokens', 'operators', 'senders')
        )
    )
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf(['--config-file', str(tmp_path / 'agent.conf')])

    def ask(method, path, token, body=None):
        connection = http.client.HTTPConnection(*place, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, {'Authorization': f'Bearer {token}'})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def work(running):
        labels = {'alertname': 'HostDown', 'host': 'c1'}
        alerts = {'alerts': [{'status': 'firing', 'labels': labels}]}
        body = json.dumps(alerts)
        assert ask('POST', '/v1/reports', 'a-token-of-a-sender', body)[0] == 202
        assert running.taken == [('webhook', 'am', 'c1')]
        assert ask('GET', '/healthz', '')[0] == 200
        assert ask('GET', '/v1/hosts', 'a-token-of-an-operator') == (200, {'c1': 'up'})
        put(store, Phase.DEFERRED)
        found = ask('POST', '/v1/hosts/c1/drop', 'a-token-of-an-operator')
        assert found == (200, {'host': 'c1', 'phase': 'dropped'})

    running = Running(work)
    monkeypatch.setattr(agent, '_agent', lambda *_parts: running)
    monkeypatch.setattr(agent, '_report_on_demand', lambda *_parts: None)
    monkeypatch.setattr(heat_rpc, 'setup', lambda: None)
    monkeypatch.setattr(signal, 'signal', lambda *_parts: None)
    assert agent._run(conf) == 0
    assert running.sources == ['services_api', 'webhook']
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place)


class Racing:
    """A store in which an agent writes a record just before some of the writes of a person."""

    def __init__(self, store, kind, times):
        self._store, self._kind, self._times = store, kind, times

    def __getattr__(self, name):
        return getattr(self._store, name)

    def put(self, kind, name, value, version):
        if kind == self._kind and self._times:
            self._times -= 1
            old = self._store.get(kind, name)
            self._store.put(kind, name, old.value, old.version)
        return self._store.put(kind, name, value, version)


@pytest.mark.parametrize('kind', [agent_store.INCIDENT, agent_store.RESCUE])
@pytest.mark.parametrize(
    ('verb', 'phase', 'turns', 'ends'),
    [
        ('end', Phase.RESCUING, ('done', 'signalled'), ('dropped', ['done', 'dropped'])),
        ('drop', Phase.DEFERRED, ('done', 'deferred'), ('dropped', ['done', 'dropped'])),
        ('drop', Phase.DONE, ('done', 'deferred'), ('done', ['done', 'dropped'])),
        ('release', Phase.DEFERRED, ('done', 'deferred'), ('confirmed', ['done', 'waiting'])),
        ('release', Phase.DONE, ('done', 'deferred'), ('confirmed', ['done', 'waiting'])),
        ('confirm', Phase.CONFIRMED, ('waiting',), ('fenced', ['waiting'])),
    ],
)
def test_a_decision_that_races_an_agent_is_made_again_in_full(
    store, monkeypatch, kind, verb, phase, turns, ends
):
    put(store, phase, turns)
    monkeypatch.setattr(agent, '_services', dict)
    monkeypatch.setattr(decisions, 'PAUSE', 0.0)
    monkeypatch.setattr(agent, '_store', lambda: Racing(store, kind, 2))
    assert agent._by_hand(verb, 'c1', 'Ada') == 0
    assert now(store) == ends


@pytest.mark.parametrize('kind', [agent_store.INCIDENT, agent_store.RESCUE])
@pytest.mark.parametrize('verb', ['end', 'drop', 'release'])
def test_a_decision_that_agents_outrun_each_time_says_what_to_do(store, monkeypatch, verb, kind):
    put(store, Phase.DEFERRED, ('deferred',))
    monkeypatch.setattr(decisions, 'PAUSE', 0.0)
    monkeypatch.setattr(agent, '_store', lambda: Racing(store, kind, 100))
    with pytest.raises(exceptions.TryAgain, match=f'{verb} c1 is not done.*show c1.*again'):
        agent._by_hand(verb, 'c1')
    # Done once more it is done in full, also where one of two records was written.
    monkeypatch.setattr(agent, '_store', lambda: store)
    assert agent._by_hand(verb, 'c1') == 0
    phase, turns = now(store)
    assert (phase, turns) == (
        ('confirmed', ['waiting']) if verb == 'release' else ('dropped', ['dropped'])
    )


@pytest.mark.parametrize('phase', Phase)
def test_a_person_ends_an_incident_in_any_phase(store, phase):
    put(store, phase, ('done', 'waiting', 'signalled', 'deferred', 'dropped'))
    if phase is Phase.CLOSED:
        with pytest.raises(exceptions.Refused, match='is over'):
            agent._by_hand('end', 'c1')
        return
    # One that is dropped, and has open turns, was not ended in full.
    assert agent._by_hand('end', 'c1') == 0
    with pytest.raises(exceptions.Refused, match='is over'):
        agent._by_hand('end', 'c1')
    assert now(store) == ('dropped', ['done', *['dropped'] * 4])
    with pytest.raises(exceptions.Refused, match="'c2' has no incident"):
        agent._by_hand('end', 'c2')


# S1
@pytest.mark.parametrize(
    ('phase', 'turns'),
    [(Phase.DEFERRED, ()), (Phase.DEFERRED, ('deferred',)), (Phase.DONE, ('deferred',))],
)
def test_what_is_released_has_no_proof_of_an_earlier_day(store, phase, turns):
    put(store, phase, turns)
    agent._by_hand('release', 'c1')
    found = store.get(agent_store.INCIDENT, 'c1').value
    assert found['phase'] == 'confirmed' and found['proof'] is None
