# SPDX-License-Identifier: Apache-2.0
"""What heat-ha's own credential looks at is of the stack's project, as its owner sees it."""

import threading
import types
from unittest import mock

import pytest
import requests
from keystoneauth1 import exceptions as keystone_exceptions
from novaclient import exceptions as nova_exceptions

from heat_ha.cloud import clients, compute_hosts
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.conf import nova_hosts
from heat_ha.rescue import model
from heat_ha.rescue.adapters import nova as rescue_nova
from heat_ha.rescue.model import Method
from heat_ha.rescue.rules import causes


def server(number, project='mine'):
    return types.SimpleNamespace(
        id=f's{number}', tenant_id=project, status='ACTIVE', hostId='h', addresses={}
    )


class Client:
    """A Nova with servers of two projects, as one credential sees it."""

    def __init__(self, is_admin, count=6):
        self.is_admin = is_admin
        self.there = [server(n) for n in range(count)] + [server('x', 'other')]
        self.asked, self.refusal = [], None
        self.servers = self

    def get(self, name):
        self.asked.append(name)
        for one in self.there:
            if one.id == name and (self.is_admin or one.tenant_id == 'mine'):
                return one
        raise nova_exceptions.NotFound(404)

    def request(self, *asked):
        self.asked.append(asked)
        if isinstance(self.refusal, Exception):
            raise self.refusal

    def reset_state(self, name, state):
        self.request('reset', name, state)
        self.get(name).__dict__.update({'OS-EXT-STS:vm_state': state, 'OS-EXT-STS:task_state': ''})

    def evacuate(self, name):
        self.request('evacuate', name)

    def stop(self, name):
        self.request('stop', name)

    def list(self, search_opts, limit):
        self.asked.append('list')
        if self.there is None:
            raise nova_exceptions.ClientException(500)
        # An administrator gets all where a filter is not known.
        shown = [s for s in self.there if self.is_admin or s.tenant_id == 'mine']
        return shown[::-1][:limit]


@pytest.fixture(params=[True, False], ids=['own credential', 'without'])
def made(request, monkeypatch):
    admin, owner = Client(True), Client(False)

    def client_for(_region, _microversion='', group=nova_hosts.GROUP):
        return admin if request.param and group == nova_hosts.RESCUE else None

    monkeypatch.setattr(compute_hosts, 'client_for', client_for)
    monkeypatch.setattr(clients, 'endpoint', lambda *_: ('RegionOne', 'public'))
    monkeypatch.setattr(clients, 'session_of', lambda _resource: None)
    monkeypatch.setattr(rescue_nova.nova_client, 'Client', lambda *_args, **_kw: owner)
    resource = mock.Mock()
    resource.context.project_id = 'mine'
    nova = rescue_nova.RescueNova(resource)
    reader = admin if request.param else owner
    return types.SimpleNamespace(nova=nova, reader=reader, owner=owner)


def test_a_server_of_another_project_does_not_exist(made):
    assert made.nova.look('s1').status is ServerStatus.ACTIVE
    for name in ('sx', 'nobody'):
        assert made.nova.look(name).status is ServerStatus.GONE
    assert 'sx' not in made.nova.look_at_many(['s1', 's2', 's3', 'sx'])


def test_what_only_the_owner_sees_is_there(made):
    # Nova tells whoever may not see a server that there is none.
    made.reader.there = []
    made.owner.there = [server(1)]
    assert made.nova.look('s1').status is ServerStatus.ACTIVE
    made.owner.there = []
    assert made.nova.look('s1').status is ServerStatus.GONE


@pytest.mark.parametrize('count', [1, rescue_nova.LISTED_FROM])
def test_many_are_looked_at_with_one_request(made, count):
    wanted = [f's{n}' for n in range(count)]
    found = made.nova.look_at_many(wanted)
    assert sorted(found) == (wanted if count >= rescue_nova.LISTED_FROM else [])
    assert made.reader.asked == ['list'] * (count >= rescue_nova.LISTED_FROM)
    assert all(found[name] == made.nova.look(name) for name in found)


def test_in_a_project_with_many_others_the_list_is_given_up(made):
    made.reader.there += [server(n) for n in range(100, 200)]
    for _ in range(3):
        assert made.nova.look_at_many([f's{n}' for n in range(5)]) == {}
    assert made.reader.asked == ['list']


def test_a_server_is_seen_with_all_that_decides(made):
    vars(made.reader.there[1]).update({
        'OS-EXT-STS:vm_state': 'resized', 'OS-EXT-STS:task_state': 'resize_confirming',
        'OS-EXT-STS:power_state': 4, 'locked': True, 'image': '',
        'fault': {'message': 'No valid host was found.', 'code': 500},
    })  # fmt: skip
    seen = made.nova.look('s1')
    assert (seen.vm_state, seen.task, seen.power_state) == ('resized', 'resize_confirming', 4)
    assert seen.is_locked and seen.boots_from_volume and seen.fault.startswith('No valid')
    # What Nova does not show is not made up.
    plain = made.nova.look('s2')
    assert (plain.vm_state, plain.is_locked, plain.boots_from_volume, plain.fault) == (
        '', False, False, '',
    )  # fmt: skip


@pytest.mark.parametrize(
    ('shown', 'fault'),
    [
        ({'message': 'KeyManagerError', 'details': ''}, 'KeyManagerError'),
        ({'message': 'KeyManagerError', 'details': None}, 'KeyManagerError'),
        (
            {
                'message': 'libvirtError',
                'details': 'Traceback:\n  x.lock()\n  Is it the image?\n\n',
            },
            'libvirtError Is it the image?',
        ),
        ({'details': 'why'}, ' why'),
        ({'message': None}, ''),
        ({}, ''),
        (None, ''),
        ('odd', ''),
    ],
    ids=repr,
)
def test_of_a_fault_its_message_and_the_last_line_are_read(made, shown, fault):
    vars(made.reader.there[1])['fault'] = shown
    assert made.nova.look('s1').fault == fault
    vars(made.reader.there[1])['fault'] = {'created': '2026-11-27T10:00:00Z'}
    assert made.nova.look('s1').fault_at == 1795773600.0
    vars(made.reader.there[1])['fault'] = {'message': 'm' * 9999, 'details': 'd' * 9999}
    assert len(made.nova.look('s1').fault) == 501


class Migrations:
    def __init__(self, *found):
        self.found, self.asked = found, []

    def list(self, **asked):
        self.asked.append(asked)
        if self.found and isinstance(self.found[0], Exception):
            raise self.found[0]
        return self.found


def migration(**changes):
    shown = {'status': 'pre-migrating', 'migration_type': 'evacuation', 'dest_compute': 'compute-7',
             'created_at': '2026-11-27T10:00:00.000000'}  # fmt: skip
    return types.SimpleNamespace(**shown | changes)


def test_the_newest_migration_is_shown_without_the_name_of_a_host(made):
    made.reader.migrations = Migrations(migration())
    found = made.nova.migration('s1')
    if not made.reader.is_admin:
        # Without a credential nobody of heat-ha evacuates.
        assert found == model.Migration(model.Migration.ABSENT)
        return
    assert made.reader.migrations.asked == [{'instance_uuid': 's1', 'limit': 1}]
    to = compute_hosts.host_id('mine', 'compute-7')
    assert found == model.Migration('pre-migrating', 'evacuation', 1795773600.0, to)
    made.reader.migrations = Migrations(migration(dest_compute=None, migration_type='resize'))
    assert made.nova.migration('s1') == model.Migration('pre-migrating', 'resize', 1795773600.0)
    odd = migration(status=None, migration_type=None, created_at=None)
    made.reader.migrations = Migrations(odd)
    assert made.nova.migration('s1') == model.Migration('', '', 0.0, to)
    made.reader.migrations = Migrations()
    assert made.nova.migration('s1').status == model.Migration.ABSENT
    made.reader.migrations = Migrations(nova_exceptions.ClientException(503))
    assert made.nova.migration('s1').status == model.Migration.COULD_NOT_ASK


class Placement:
    """Keystone's session as far as Placement is asked by it."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def get(self, path, **options):
        self.asked.append((path, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return types.SimpleNamespace(json=lambda: self.answer)


class Hypervisors:
    def __init__(self, **hosts):
        self.hosts = hosts

    def get(self, provider):
        if provider not in self.hosts:
            raise nova_exceptions.NotFound(404)
        return types.SimpleNamespace(service={'host': self.hosts[provider], 'id': 1})


ROOM = {'allocations': {p: {'resources': {'VCPU': 1}} for p in ('p1', 'p2', 'card')}}


@pytest.mark.parametrize(
    ('answer', 'source', 'hosts'),
    [
        (ROOM, 'compute-1', ['compute-2']),
        (ROOM, 'compute-9', ['compute-1', 'compute-2']),
        (ROOM, None, ['compute-1', 'compute-2']),
        ({'allocations': {}}, 'compute-1', []),
        ({'allocations': None}, 'compute-1', []),
        ({}, 'compute-1', []),
        (keystone_exceptions.Forbidden(), 'compute-1', []),
        (keystone_exceptions.EndpointNotFound(), 'compute-1', []),
        (keystone_exceptions.ConnectTimeout(), 'compute-1', []),
    ],
    ids=repr,
)
def test_of_an_evacuation_without_a_destination_it_is_asked_where_room_was_reserved(
    made, answer, source, hosts
):
    if not made.reader.is_admin:
        return
    asked = Placement(answer)
    made.reader.client = types.SimpleNamespace(
        session=asked, region_name='one', interface='internal'
    )
    made.reader.hypervisors = Hypervisors(p1='compute-1', p2='compute-2')
    shown = migration(dest_compute=None, status='accepted', source_compute=source)
    made.reader.migrations = Migrations(shown)
    found = made.nova.migration('s1')
    assert found.destination == ''
    assert found.candidates == tuple(compute_hosts.host_id('mine', host) for host in hosts)
    [(path, options)] = asked.asked
    where = {'service_type': 'placement', 'region_name': 'one', 'interface': 'internal'}
    assert path == '/allocations/s1' and options['endpoint_filter'] == where
    # One that its host has begun with shows that itself.
    made.reader.migrations = Migrations(migration())
    made.nova.migration('s1')
    assert len(asked.asked) == 1


@pytest.mark.parametrize('is_reset', [False, True])
def test_a_server_is_evacuated_after_a_reset_where_that_is_wanted(made, is_reset):
    seen = made.nova.look('s1')
    made.reader.asked.clear()
    if not made.reader.is_admin:
        with pytest.raises(causes.Unsuccessful, match='no credential'):
            made.nova.begin(Method.EVACUATE, seen, is_reset)
        return
    made.nova.begin(Method.EVACUATE, seen, is_reset)
    requests = [one for one in made.reader.asked if isinstance(one, tuple)]
    assert requests == [('reset', 's1', 'error')] * is_reset + [('evacuate', 's1')]


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('OS-EXT-STS:task_state', 'rebuilding'),
        ('OS-EXT-STS:vm_state', 'paused'),
        ('hostId', 'another'),
        ('hostId', ''),
    ],
)
def test_a_server_that_somebody_is_at_work_on_meanwhile_is_not_reset(made, key, value):
    seen = made.nova.look('s1')
    if made.reader.is_admin:
        vars(made.reader.there[1])[key] = value
        with pytest.raises(causes.Unsuccessful) as caught:
            made.nova.begin(Method.EVACUATE, seen, True)
        assert caught.value.cause is model.Cause.STATE
        assert not [one for one in made.reader.asked if isinstance(one, tuple)]


@pytest.mark.parametrize(
    ('refusal', 'cause'),
    [
        (nova_exceptions.BadRequest(400, 'Compute service of compute-7 is still in use.'),
         model.Cause.STATE),
        (nova_exceptions.Conflict(409, 'while it is in vm_state paused on compute-7'),
         model.Cause.STATE),
        (nova_exceptions.Forbidden(403, 'compute-7'), model.Cause.FORBIDDEN),
        (nova_exceptions.ClientException(500, 'compute-7'), model.Cause.COULD_NOT_ASK),
        (requests.ConnectTimeout('compute-7'), model.Cause.COULD_NOT_ASK),
        (keystone_exceptions.ConnectFailure('compute-7'), model.Cause.COULD_NOT_ASK),
        (keystone_exceptions.Unauthorized('compute-7'), model.Cause.FORBIDDEN),
        (nova_exceptions.Unauthorized(401, 'compute-7'), model.Cause.COULD_NOT_ASK),
    ],
    ids=str,
)  # fmt: skip
def test_what_an_administrator_is_told_is_not_what_an_owner_reads(made, refusal, cause):
    seen = made.nova.look('s1')
    made.reader.refusal = made.owner.refusal = refusal
    calls = [lambda: made.nova.stop('s1')]
    if made.reader.is_admin:
        calls.append(lambda: made.nova.begin(Method.EVACUATE, seen))
    for call in calls:
        with pytest.raises(causes.Unsuccessful) as caught:
            call()
        assert caught.value.cause is cause and 'compute-7' not in str(caught.value)


def test_a_look_that_failed_names_no_host(made, monkeypatch):
    def fail(_name):
        raise nova_exceptions.ClientException(500, 'compute-7 at 10.1.2.3')

    monkeypatch.setattr(made.reader, 'get', fail)
    seen = made.nova.look('s1')
    assert seen.status is ServerStatus.COULD_NOT_ASK and seen.detail == 'ClientException'


def test_a_list_that_fails_says_nothing_of_any_server(made):
    made.reader.there = None
    assert made.nova.look_at_many([f's{n}' for n in range(5)]) == {}


def test_the_first_look_at_the_hosts_is_begun_early_and_counts_once_while_it_is_young(
    made, monkeypatch
):
    now, looks, begun = [100.0], [], threading.Event()
    monkeypatch.setattr(rescue_nova, 'time', types.SimpleNamespace(monotonic=lambda: now[0]))

    def look():
        looks.append(now[0])
        begun.set()
        return compute_hosts.HostTable({}, compute_hosts._unknown('x'))

    monkeypatch.setattr(made.nova._hosts, 'all', look)
    for pause, more in ((0.0, 1), (rescue_nova.EARLY_VALID, 2)):
        looks.clear()
        begun.clear()
        made.nova.begin_to_look()
        assert begun.wait(10)
        now[0] += pause
        assert made.nova.hosts()('h').state is HostState.UNKNOWN
        assert len(looks) == more
        made.nova.hosts()
        assert len(looks) == more + 1
