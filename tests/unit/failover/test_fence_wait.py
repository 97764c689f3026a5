# SPDX-License-Identifier: Apache-2.0
import itertools
import time
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud.model import Host, HostState, Server, ServerStatus, Sight
from heat_ha.failover import fence_wait
from heat_ha.failover.rules import moves, server_rules


class Hosts:
    """All hosts, of which one look at a server shows the next state."""

    sight = Sight.NONE_SILENT

    def __init__(self, state):
        self._state = state

    def __call__(self, server):
        return self._state(server)


@pytest.fixture
def clouds(monkeypatch):
    """A cloud that shows the host in one state after the other, then in the last one for ever."""
    monkeypatch.setattr(fence_wait, 'FENCE_LOOK', 0.0001)

    def make(*states):
        left = list(states)

        def state(_server):
            return Host(left.pop(0) if len(left) > 1 else left[0], 'as it is')

        return types.SimpleNamespace(
            nova=types.SimpleNamespace(
                server=lambda server: Server(server, ServerStatus.ACTIVE, 'its host')
            ),
            hosts=types.SimpleNamespace(all=lambda: Hosts(state)),
        )

    return make


@pytest.mark.parametrize('last', [HostState.CONFIRMED_DOWN, HostState.UP])
def test_the_wait_ends_when_the_host_is_confirmed_down_or_answers(clouds, last):
    others = [s for s in HostState if s not in (HostState.CONFIRMED_DOWN, HostState.UP)]
    found = fence_wait.wait('s', clouds(*others, last), time.monotonic() + 60, lambda: None)
    assert found[1].state is last


def test_a_host_that_is_only_down_is_not_taken_for_fenced(clouds):
    deadline = time.monotonic() + 0.01
    assert fence_wait.wait('s', clouds(HostState.DOWN), deadline, lambda: None) is None


def test_the_wait_ends_with_the_right_to_go_on(clouds):
    def still_wanted():
        raise exceptions.Stopped('the policy is being deleted', '')

    with pytest.raises(exceptions.Stopped):
        fence_wait.wait('s', clouds(HostState.UP), time.monotonic() + 60, still_wanted)


LOOKS = [
    (Server('s', status, host), Host(state, state.value))
    for status, host, state in itertools.product(ServerStatus, ('', 'h1', 'h2'), HostState)
]


def test_what_ended_a_wait_does_not_end_the_next_one():
    for before, (server, host), sight in itertools.product([None, *LOOKS], LOOKS, Sight):
        is_decided = fence_wait.is_decided(before, server, host, sight)
        is_confirmed_before = before and before[1].state is HostState.CONFIRMED_DOWN
        if server.status is ServerStatus.GONE and not is_confirmed_before:
            finding = server_rules.next_for_free(server, host, sight)
            assert is_decided == isinstance(finding, moves.Done), (before, server, host)
            continue
        if is_decided and before is not None and before[1].state is HostState.CONFIRMED_DOWN:
            has_gone = server.status is ServerStatus.GONE
            has_moved = host.state is HostState.UP or server.host != before[0].host
            assert has_gone or has_moved, (before, server, host)
        if is_decided and (before is None or before[1].state is not HostState.CONFIRMED_DOWN):
            assert host.state in (HostState.CONFIRMED_DOWN, HostState.UP), (before, server, host)
        if is_decided and host.state in (HostState.DOWN, HostState.UNKNOWN):
            # S1: a server that is gone says something only of a host that was confirmed down.
            assert before[1].state is HostState.CONFIRMED_DOWN, (before, server, host)
            assert server.status is ServerStatus.GONE, (before, server, host)


def test_a_confirmed_host_that_nobody_may_free_is_reported_once(clouds):
    cloud = clouds(HostState.CONFIRMED_DOWN)
    first = fence_wait.wait('s', cloud, time.monotonic() + 60, lambda: None)
    assert first is not None
    deadline = time.monotonic() + 0.01
    assert fence_wait.wait('s', cloud, deadline, lambda: None, first) is None


def test_what_was_seen_of_another_server_says_nothing_of_this_one(clouds):
    other = Server('other', ServerStatus.ACTIVE, 'h'), Host(HostState.CONFIRMED_DOWN, 'fenced')
    cloud = clouds(HostState.CONFIRMED_DOWN)
    assert fence_wait.wait('s', cloud, time.monotonic() + 60, lambda: None, other) is not None


def test_a_server_that_is_gone_is_waited_for_by_the_host_that_it_was_on(clouds):
    cloud = clouds(HostState.DOWN, HostState.DOWN, HostState.CONFIRMED_DOWN)
    cloud.nova.server = lambda server: Server(server, ServerStatus.GONE)
    cloud.nova.deleted_server = lambda server: Server(server, ServerStatus.GONE, 'its host')
    found = fence_wait.wait('s', cloud, time.monotonic() + 60, lambda: None)
    assert found[0].host == 'its host' and found[1].state is HostState.CONFIRMED_DOWN
