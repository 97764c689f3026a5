# SPDX-License-Identifier: Apache-2.0
import re
import types

import pytest
import requests

from heat_ha import exceptions
from heat_ha.cloud import model as cloud
from heat_ha.cloud import nova

NAMES = {'1': 'db', '2': 'db-2', '3': 'DB', '4': 'db', '5': 'd.b', '6': 'dxb', '7': 'db (1)'}


@pytest.fixture
def client(monkeypatch):
    """A Nova that finds an expression anywhere in a name and takes no care of case."""

    def find(search_opts):
        expression = re.compile(search_opts['name'], re.IGNORECASE)
        return [
            types.SimpleNamespace(id=i, name=n) for i, n in NAMES.items() if expression.search(n)
        ]

    client = types.SimpleNamespace(servers=types.SimpleNamespace(list=find))
    monkeypatch.setattr(nova.nova_client, 'Client', lambda *_args, **_kw: client)
    return client


@pytest.mark.parametrize(
    ('name', 'servers'), [('db', '14'), ('d.b', '5'), ('db (1)', '7'), ('d', ''), ('.*', '')]
)
def test_only_servers_of_exactly_this_name_are_found(client, name, servers):
    assert nova.Nova(None, None, 'public').named(name) == frozenset(servers)


# S2
def test_no_answer_is_not_taken_for_no_server(client):
    def fail(search_opts):
        raise requests.ConnectionError('no route')

    client.servers.list = fail
    with pytest.raises(exceptions.CouldNotAsk, match='no route'):
        nova.Nova(None, None, 'public').named('db')


def deleted(client, listed):
    asked = []

    def find(search_opts, limit):
        asked.append((search_opts, limit))
        if isinstance(listed, Exception):
            raise listed
        return [types.SimpleNamespace(id=i, hostId=host) for i, host in listed]

    client.servers.list = find
    found = nova.Nova(None, None, 'public').deleted_server('s')
    [(search, limit)] = asked
    # All pages of what has changed, without which Nova shows nothing that is deleted.
    assert list(search) == ['changes-since'] and limit == -1
    return found.status, found.host


def test_the_host_of_a_deleted_server_is_what_nova_has_on_record(client):
    gone = cloud.ServerStatus.GONE
    assert deleted(client, [('other', 'h1'), ('s', 'h2')]) == (gone, 'h2')
    assert deleted(client, [('s', None)]) == (gone, '')
    assert deleted(client, []) == (gone, '')
    # S2
    failed = requests.ConnectionError('no route')
    assert deleted(client, failed) == (cloud.ServerStatus.COULD_NOT_ASK, '')
