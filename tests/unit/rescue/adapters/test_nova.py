# SPDX-License-Identifier: Apache-2.0
"""What heat-ha's own credential looks at is of the stack's project, as its owner sees it."""

import threading
import types
from unittest import mock

import pytest
from novaclient import exceptions as nova_exceptions

from heat_ha.cloud import clients, compute_hosts
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.conf import nova_hosts
from heat_ha.rescue.adapters import nova as rescue_nova


def server(number, project='mine'):
    return types.SimpleNamespace(
        id=f's{number}', tenant_id=project, status='ACTIVE', hostId='h', addresses={}
    )


class Client:
    """A Nova with servers of two projects, as one credential sees it."""

    def __init__(self, is_admin, count=6):
        self.is_admin = is_admin
        self.there = [server(n) for n in range(count)] + [server('x', 'other')]
        self.asked = []
        self.servers = self

    def get(self, name):
        self.asked.append(name)
        for one in self.there:
            if one.id == name and (self.is_admin or one.tenant_id == 'mine'):
                return one
        raise nova_exceptions.NotFound(404)

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
