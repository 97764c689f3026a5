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
    ('name', 'servers'),
    [
        ('db', '14'),
        ('DB', '3'),
        # In another case only where no name is the same.
        ('Db', '134'),
        ('DB-2', '2'),
        ('d.b', '5'),
        ('db (1)', '7'),
        ('d', ''),
        ('.*', ''),
    ],
)
def test_only_servers_of_this_whole_name_are_found(client, name, servers):
    assert nova.Nova(None, None, 'public').named(name) == frozenset(servers)


# S2
def test_no_answer_is_not_taken_for_no_server(client):
    def fail(search_opts):
        raise requests.ConnectionError('no route')

    client.servers.list = fail
    with pytest.raises(exceptions.CouldNotAsk, match='no route'):
        nova.Nova(None, None, 'public').named('db')


ADDRESSES = {
    '1': [('10.0.0.8', 'fixed'), ('192.0.2.8', 'floating')],
    '2': [('10.0.0.80', 'fixed'), ('fd00::8', 'fixed')],
    '3': [('10.0.0.8', 'fixed')],
    '4': [('110.0.0.8', None), ('fd00::80', 'fixed')],
    '5': [('10.0.018', 'fixed')],
}


def lists_addresses(client):
    """Let Nova find a part of a fixed address, as Neutron does, and keep what it was asked."""
    asked = []

    def listed(addresses):
        entries = [{'addr': a, 'OS-EXT-IPS:type': kind} for a, kind in addresses]
        return {'net': [{k: v for k, v in one.items() if v} for one in entries], 'empty': []}

    def find(search_opts):
        asked.append(search_opts)
        [part] = search_opts.values()
        return [
            types.SimpleNamespace(id=i, addresses=listed(those))
            for i, those in ADDRESSES.items()
            if any(part in address for address, _ in those)
        ] + [types.SimpleNamespace(id='none yet')]

    client.servers.list = find
    return asked


@pytest.mark.parametrize(
    ('address', 'key', 'servers'),
    [
        ('10.0.0.8', 'ip', '13'),
        ('10.0.0.80', 'ip', '2'),
        ('110.0.0.8', 'ip', '4'),
        ('10.0.0.1', 'ip', ''),
        ('fd00::8', 'ip6', '2'),
        ('FD00:0:0::8', 'ip6', '2'),
        # Anybody may have given it to another server since.
        ('192.0.2.8', 'ip', ''),
    ],
)
def test_only_servers_with_this_whole_fixed_address_are_found(client, address, key, servers):
    asked = lists_addresses(client)
    assert nova.Nova(None, None, 'public').addressed(address) == frozenset(servers)
    assert [list(one) for one in asked] == [[key]]


# S2
def test_no_answer_is_not_taken_for_no_server_with_an_address(client):
    def fail(search_opts):
        raise requests.ConnectionError('no route')

    client.servers.list = fail
    with pytest.raises(exceptions.CouldNotAsk, match='no route'):
        nova.Nova(None, None, 'public').addressed('10.0.0.8')


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


def last_action(client, *listed):
    def find(server):
        assert server == 's'
        if isinstance(listed[0], Exception):
            raise listed[0]
        return [
            types.SimpleNamespace(action=action, start_time=at, message=message)
            for action, at, message in listed
        ]

    client.instance_action = types.SimpleNamespace(list=find)
    return nova.Nova(None, None, 'public').last_action('s', {'start', 'reboot'})


def test_the_last_restart_is_the_newest_that_did_not_fail(client):
    first = ('start', '2026-01-01T10:00:00.000000', None)
    reboot = ('reboot', '2026-01-01T11:00:00.000000', None)
    failed = ('reboot', '2026-01-01T12:00:00.000000', 'Error')
    other = ('detach_volume', '2026-01-01T13:00:00.000000', None)
    found = last_action(client, other, failed, first, reboot)
    assert (found.action, found.at.isoformat()) == ('reboot', '2026-01-01T11:00:00+00:00')
    assert last_action(client, failed, other) is None
    # S2
    assert last_action(client, requests.ConnectionError('no route')) is None
