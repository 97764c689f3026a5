# SPDX-License-Identifier: Apache-2.0
"""A host is marked as down and disabled in one request, and let in again in one."""

import types

import pytest
from novaclient import exceptions as nova_exceptions

from heat_ha import exceptions
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.rules import instance_failures
from heat_ha.cloud import clock
from heat_ha.cloud import model as cloud

NOW = 1764280800.0


class Nova:
    """Nova's answer to a change of a host, and what was asked of it."""

    def __init__(self):
        self.asked = []

    def put(self, path, body):
        self.asked.append((path, body))
        shown = {
            'host': 'c1', 'id': 'id', 'state': 'down', 'disabled_reason': None,
            'updated_at': '2025-11-27T22:00:00.000000', 'status': 'enabled', **body,
        }  # fmt: skip
        return None, {'service': shown}


@pytest.fixture
def nova(monkeypatch):
    made = Nova()
    client = types.SimpleNamespace(client=made)
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    monkeypatch.setattr(clock, 'epoch', lambda: NOW)
    return made


AT = ' at 2025-11-27T22:00:00Z'


@pytest.mark.parametrize(
    ('disabled', 'before', 'is_ours'),
    [
        (False, '', True),
        (True, 'AUTO: Connection to libvirt lost', True),
        (True, 'set by vmwareapi host_state', True),
        (True, 'heat-ha: redfish at 2025-11-26T22:00:00Z', True),
        # An operator's reason stays.
        (True, '', False),
        (True, 'a fan is replaced', False),
    ],
)
def test_a_host_is_marked_and_disabled_at_once_with_the_time(nova, disabled, before, is_ours):
    shown = cloud.ComputeService('c1', 'id', False, False, disabled, before)
    marked = nova_admin.NovaAdmin(None).mark_down(shown, 'redfish: off')
    wanted = {'forced_down': True}
    if is_ours:
        wanted |= {'status': 'disabled', 'disabled_reason': 'heat-ha: redfish: off' + AT}
    assert nova.asked == [('/os-services/id', wanted)]
    assert marked.is_forced_down and marked.marked_at == (NOW if is_ours else None)
    assert marked.heartbeat_at == NOW


@pytest.mark.parametrize(
    ('disabled', 'reason', 'is_enabled'),
    [(False, '', False), (True, 'heat-ha: redfish', True), (True, 'a fan is replaced', False)],
)
def test_a_host_is_let_in_again_as_it_was_before(nova, disabled, reason, is_enabled):
    shown = cloud.ComputeService('c1', 'id', False, True, disabled, reason)
    nova_admin.NovaAdmin(None).reopen(shown)
    wanted = {'forced_down': False} | ({'status': 'enabled'} if is_enabled else {})
    assert nova.asked == [('/os-services/id', wanted)]


@pytest.mark.parametrize('length', [0, 10, 300])
def test_the_time_of_a_mark_is_read_again_however_long_its_reason_is(length):
    text = cloud.reason_of_mark('x' * length, NOW)
    assert len(text) <= cloud.REASON_LENGTH and cloud.time_of_mark(text) == NOW


@pytest.mark.parametrize(
    'reason',
    [None, '', 'a fan' + AT, 'heat-ha: redfish', 'heat-ha: x at 2025-99-27T22:00:00Z'],
)
def test_no_other_reason_has_the_time_of_a_mark(reason):
    assert cloud.time_of_mark(reason) is None


@pytest.mark.parametrize(
    ('shown', 'deleted', 'host'),
    [
        ('c1', [], 'c1'),
        ('c2', [], 'c2'),
        (None, [('s', 'c1')], 'c1'),
        (None, [('other', 'c3')], ''),
        (None, [], ''),
    ],
)
def test_the_host_of_a_server_is_found_also_when_it_is_deleted(monkeypatch, shown, deleted, host):
    def server(name, on):
        return types.SimpleNamespace(id=name, **{'OS-EXT-SRV-ATTR:host': on})

    def get(name):
        if shown is None:
            raise nova_exceptions.NotFound(404)
        return server(name, shown)

    def find(search_opts):
        assert search_opts == {'all_tenants': True, 'deleted': True, 'uuid': 's'}
        return [server(*one) for one in deleted]

    client = types.SimpleNamespace(servers=types.SimpleNamespace(get=get, list=find))
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    assert nova_admin.NovaAdmin('one').host_of('s') == host
    # Where it was says nothing of one that is deleted.
    assert nova_admin.NovaAdmin('one').is_on('s', 'c1') is (shown == 'c1')


@pytest.mark.parametrize('order', [1, -1], ids=['live first', 'live last'])
@pytest.mark.parametrize(
    ('lively', 'other'),
    [
        ({'state': 'up'}, {'forced_down': True}),
        ({'state': 'up'}, {'updated_at': '2025-11-27T23:00:00.000000'}),
        ({}, {'forced_down': True}),
        ({'updated_at': '2025-11-27T22:00:01.000000'}, {}),
    ],
)
def test_of_several_records_of_a_host_the_one_that_shows_most_life_counts(
    monkeypatch, lively, other, order
):
    shown = {
        'host': 'c1', 'state': 'down', 'disabled_reason': None, 'forced_down': False,
        'updated_at': '2025-11-27T22:00:00.000000', 'status': 'enabled',
    }  # fmt: skip
    records = [
        types.SimpleNamespace(**shown | {'id': name} | changes)
        for name, changes in (('lively', lively), ('other', other))
    ][::order]
    client = types.SimpleNamespace(services=types.SimpleNamespace(list=lambda binary: records))
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    assert nova_admin.NovaAdmin(None).compute_services()['c1'].service_id == 'lively'


@pytest.mark.parametrize('order', [1, -1], ids=['stale first', 'stale last'])
@pytest.mark.parametrize(
    ('stale', 'counts'),
    [
        ({'updated_at': '2024-11-27T22:00:00.000000'}, 'marked'),
        ({'updated_at': None}, 'marked'),
        ({'updated_at': '2025-11-27T22:00:30.000000'}, 'marked'),
        # It was written after the mark, or is still called up.
        ({'updated_at': '2025-11-27T22:00:31.000000'}, 'stale'),
        ({'state': 'up'}, 'stale'),
        # Of others nobody knows when they marked the host.
        ({}, 'stale'),
    ],
)
def test_a_stale_record_of_a_host_does_not_take_back_the_mark_on_its_other_one(
    monkeypatch, stale, counts, order
):
    shown = {
        'host': 'c1', 'state': 'down', 'disabled_reason': None, 'forced_down': False,
        'updated_at': '2025-11-27T21:00:00.000000', 'status': 'enabled',
    }  # fmt: skip
    mark = {
        'forced_down': True, 'status': 'disabled', 'updated_at': '2025-11-27T22:00:00.000000',
        'disabled_reason': 'heat-ha: redfish: off' + AT if stale else 'burnt',
    }  # fmt: skip
    records = [
        types.SimpleNamespace(**shown | {'id': name} | changes)
        for name, changes in (('stale', stale), ('marked', mark))
    ][::order]
    client = types.SimpleNamespace(services=types.SimpleNamespace(list=lambda binary: records))
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    assert nova_admin.NovaAdmin(None).compute_services()['c1'].service_id == counts


@pytest.mark.parametrize('vm_state', ['active', 'error', 'soft-delete', 'deleted'])
def test_a_server_that_was_deleted_and_may_be_restored_is_nowhere(monkeypatch, vm_state):
    shown = types.SimpleNamespace(
        id='s', **{'OS-EXT-SRV-ATTR:host': 'c1', 'OS-EXT-STS:vm_state': vm_state}
    )
    client = types.SimpleNamespace(servers=types.SimpleNamespace(get=lambda _name: shown))
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    is_there = vm_state in ('active', 'error')
    assert nova_admin.NovaAdmin('one').is_on('s', 'c1') is is_there


class Servers:
    """Nova's servers and their actions; ``missing`` is what it does not find."""

    def __init__(self, missing='', **fields):
        self.missing = missing
        self.fields = fields
        self.actions = [('stop', None), ('attach_volume', 'owner'), ('create', 'owner')]
        self.pages = 0
        self.servers = types.SimpleNamespace(get=self.get)
        self.instance_action = types.SimpleNamespace(list=self.list)

    def get(self, server):
        if self.missing == 'server':
            raise nova_exceptions.NotFound(404)
        if self.missing == 'answer':
            raise nova_exceptions.ClientException(503)
        shown = {'OS-EXT-STS:vm_state': 'stopped', 'OS-EXT-STS:power_state': 4,
                 'OS-EXT-STS:task_state': None, 'tenant_id': 'p', 'id': server}  # fmt: skip
        return types.SimpleNamespace(**shown | self.fields)

    def list(self, server, limit, marker):
        """As Nova does: at most so many as its max_limit, from behind the marker on."""
        if self.missing == 'actions':
            raise nova_exceptions.NotFound(404)
        assert server == 's' and limit == nova_admin.ACTIONS
        self.pages += 1
        begin = 0 if marker is None else int(marker.removeprefix('req-')) + 1
        found = list(enumerate(self.actions))[begin : begin + 40]
        return [
            types.SimpleNamespace(
                action=name, user_id=user, request_id=f'req-{number}',
                message=error[0] if error else None,
            )
            for number, (name, user, *error) in found
        ]  # fmt: skip


def shown_by(monkeypatch, client):
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    return nova_admin.NovaAdmin(None).shown('s')


def test_a_server_is_shown_with_what_was_last_asked_of_it(monkeypatch):
    wanted = instance_failures.Wanted.RUNNING
    found = shown_by(monkeypatch, Servers())
    assert found == instance_failures.Shown('p', 'stopped', 4, '', wanted)
    odd = Servers(**{'OS-EXT-STS:power_state': None, 'OS-EXT-STS:task_state': 'powering-on'})
    assert shown_by(monkeypatch, odd) == instance_failures.Shown(
        'p', 'stopped', None, 'powering-on', wanted
    )


@pytest.mark.parametrize('missing', ['server', 'actions'])
def test_a_server_that_nova_has_no_more_is_none(monkeypatch, missing):
    assert shown_by(monkeypatch, Servers(missing)) is None


def test_a_nova_that_does_not_answer_says_nothing_of_a_server(monkeypatch):
    with pytest.raises(exceptions.CouldNotAsk):
        shown_by(monkeypatch, Servers('answer'))


SNAPSHOT = ('createImage', 'owner')


@pytest.mark.parametrize('count', [0, 39, 99, 1000])
def test_a_server_with_many_backups_is_still_known_to_be_wanted(monkeypatch, count):
    client = Servers()
    client.actions = [('stop', None), *[SNAPSHOT] * count, ('start', 'owner'), ('create', 'owner')]
    assert shown_by(monkeypatch, client).wanted is instance_failures.Wanted.RUNNING
    assert client.pages == (count + 1) // 40 + 1
    client.actions[count + 1] = ('stop', 'owner')
    assert shown_by(monkeypatch, client).wanted is instance_failures.Wanted.STOPPED


def test_the_actions_of_a_server_are_read_up_to_a_bound(monkeypatch):
    client = Servers()
    client.actions = [SNAPSHOT] * 100_000
    assert shown_by(monkeypatch, client).wanted is instance_failures.Wanted.UNKNOWN
    assert client.pages == nova_admin.ACTION_PAGES
    client.actions, client.pages = [SNAPSHOT], 0
    assert shown_by(monkeypatch, client).wanted is instance_failures.Wanted.UNKNOWN
    assert client.pages == 2


def test_an_action_that_failed_has_not_stopped_a_server(monkeypatch):
    client = Servers()
    client.actions.insert(1, ('suspend', 'owner', 'Error'))
    assert shown_by(monkeypatch, client).wanted is instance_failures.Wanted.RUNNING


def server_at_c1(**more):
    found = {'OS-EXT-SRV-ATTR:host': 'c1', 'OS-EXT-STS:vm_state': 'active'}
    volumes = [{'id': 'v1'}, {'id': 'root'}]
    found |= {'os-extended-volumes:volumes_attached': volumes, 'tenant_id': 'p1', 'id': 's1'}
    return types.SimpleNamespace(**(found | more))


def placed(monkeypatch, server, *migrations):
    client = types.SimpleNamespace(
        servers=types.SimpleNamespace(get=lambda _id: server),
        migrations=types.SimpleNamespace(
            list=lambda instance_uuid: [
                types.SimpleNamespace(instance_uuid=instance_uuid, status=one) for one in migrations
            ]
        ),
    )
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    return nova_admin.NovaAdmin(None).placed('s1')


def test_where_a_server_is_with_all_volumes_that_it_has(monkeypatch):
    found = placed(monkeypatch, server_at_c1(), 'completed', 'error', 'done')
    assert found.volumes == {'v1', 'root'} and not found.moves
    assert (found.host, found.project) == ('c1', 'p1')
    assert found.host_id == nova_admin.compute_hosts.host_id('p1', 'c1')


@pytest.mark.parametrize(
    ('more', 'migrations', 'word'),
    [
        ({'OS-EXT-STS:vm_state': 'error'}, (), 'state error'),
        ({'OS-EXT-STS:vm_state': 'resized'}, (), 'state resized'),
        ({'OS-EXT-STS:vm_state': 'soft-delete'}, (), 'state soft-delete'),
        ({'OS-EXT-STS:task_state': 'migrating'}, (), 'task migrating'),
        ({'OS-EXT-STS:task_state': 'rebuild_spawning'}, (), 'task rebuild_spawning'),
        ({}, ('completed', 'running'), 'migration of the server is running'),
        ({}, ('accepted',), 'migration of the server is accepted'),
        ({}, ('pre-migrating',), 'migration of the server is pre-migrating'),
        ({}, ('post-migrating',), 'migration of the server is post-migrating'),
    ],
)
def test_a_server_that_may_run_elsewhere_says_why(monkeypatch, more, migrations, word):
    assert word in placed(monkeypatch, server_at_c1(**more), *migrations).moves


@pytest.mark.parametrize('task', ['deleting', 'soft-deleting', 'powering-off', None])
def test_a_server_that_nova_deletes_moves_nowhere(monkeypatch, task):
    assert not placed(monkeypatch, server_at_c1(**{'OS-EXT-STS:task_state': task})).moves


def test_all_volumes_at_a_host_and_on_their_way_to_it(monkeypatch):
    volumes = {'s1': ['v1', 'v2'], 's2': [], 's3': ['v3'], 's4': ['v4']}
    migrations = [('s3', 'running'), ('s4', 'completed'), ('gone', 'pre-migrating')]
    monkeypatch.setattr(nova_admin, 'PAGE', 1)

    def get(server):
        if server not in volumes:
            raise nova_exceptions.NotFound(404)
        listed = [{'id': one} for one in volumes[server]]
        return server_at_c1(**{'id': server, 'os-extended-volumes:volumes_attached': listed})

    def on_c1(detailed, search_opts, marker, limit):
        assert detailed and limit == 1 and search_opts == {'host': 'c1', 'all_tenants': True}
        return {None: [get('s1')], 's1': [get('s2')], 's2': []}[marker]

    client = types.SimpleNamespace(
        servers=types.SimpleNamespace(get=get, list=on_c1),
        migrations=types.SimpleNamespace(
            list=lambda host: [
                types.SimpleNamespace(instance_uuid=one, status=status)
                for one, status in migrations
                if host == 'c1'
            ]
        ),
    )
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    assert nova_admin.NovaAdmin(None).volumes_at('c1') == {'v1', 'v2', 'v3'}
    # In a list Nova shows no volumes where the cell does not answer in time.
    whole = on_c1
    empty = {'os-extended-volumes:volumes_attached': []}
    client.servers.list = lambda **asked: [
        server_at_c1(id=one.id, **empty) for one in whole(**asked)
    ]
    assert nova_admin.NovaAdmin(None).volumes_at('c1') == {'v1', 'v2', 'v3'}
    # Nova leaves out a cell that does not answer.
    client.servers.list = lambda **_more: []
    assert nova_admin.NovaAdmin(None).volumes_at('c1') is None
