# SPDX-License-Identifier: Apache-2.0
import itertools
import time
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud.model import Host, HostState, Server, ServerStatus
from heat_ha.failover import fence_wait


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
            hosts=types.SimpleNamespace(state=state),
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
    for before, (server, host) in itertools.product([None, *LOOKS], LOOKS):
        is_decided = fence_wait.is_decided(before, server, host)
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
