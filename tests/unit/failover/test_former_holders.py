# SPDX-License-Identifier: Apache-2.0
"""Of whose host it is asked whether what is free is free."""

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus
from heat_ha.failover import former_holders
from heat_ha.failover.rules import moves


class Services:
    """Servers and their hosts; counts the requests."""

    sight = cloud.Sight.NONE_SILENT

    def __init__(self, **states):
        self.nova = self.hosts = self
        self.states = states
        self.gone = set()
        self.listed = True
        self.requests = []

    def server(self, server):
        self.requests.append(('server', server))
        if server in self.gone:
            return cloud.Server(server, ServerStatus.GONE)
        return cloud.Server(server, ServerStatus.ACTIVE, f'host-{server}')

    def deleted_server(self, server):
        self.requests.append(('deleted', server))
        return cloud.Server(server, ServerStatus.GONE, f'host-{server}' if self.listed else '')

    def all(self):
        self.requests.append(('hosts', ''))
        return self

    def __call__(self, server):
        state = self.states[server.server] if server.host else HostState.UNKNOWN
        return cloud.Host(state, state.value)


@pytest.mark.parametrize('is_gone', [False, True])
def test_each_who_may_have_had_it_is_asked_for_until_one_can_write(is_gone):
    services = Services(a=HostState.UP, b=HostState.DOWN, c=HostState.CONFIRMED_DOWN)
    services.gone = {'a', 'b', 'c'} if is_gone else set()
    holders = former_holders.FormerHolders(services)
    assert isinstance(holders.finding(['a', 'c']), moves.Done)
    found = holders.finding(['a', 'b', 'c'])
    assert isinstance(found, moves.WaitForFence) and found.server == 'b'
    assert isinstance(holders.finding([]), moves.Done)


def test_a_server_that_nova_does_not_list_any_more_waits_for_every_silent_host():
    services = Services(a=HostState.UP)
    services.gone, services.listed = {'a'}, False
    assert isinstance(former_holders.FormerHolders(services).finding(['a']), moves.Done)
    services.sight = cloud.Sight.SOME_SILENT
    assert isinstance(former_holders.FormerHolders(services).finding(['a']), moves.WaitForFence)


def test_what_was_just_known_is_not_asked_again_and_not_believed_for_long(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(former_holders.time, 'monotonic', lambda: now[0])
    services = Services(a=HostState.UP)
    holders = former_holders.FormerHolders(services)
    holders.vouch('a')
    for _ in range(3):
        assert isinstance(holders.finding(['a']), moves.Done)
    assert services.requests == []
    now[0] += former_holders.VOUCHED_FOR
    services.states['a'] = HostState.DOWN
    for _ in range(2):
        assert isinstance(holders.finding(['a']), moves.WaitForFence)
    assert services.requests.count(('server', 'a')) == 2
