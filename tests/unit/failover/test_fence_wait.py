# SPDX-License-Identifier: Apache-2.0
import time
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud.model import Host, HostState
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
            nova=types.SimpleNamespace(server=lambda server: server),
            hosts=types.SimpleNamespace(state=state),
        )

    return make


@pytest.mark.parametrize('last', [HostState.CONFIRMED_DOWN, HostState.UP])
def test_the_wait_ends_when_the_host_is_confirmed_down_or_answers(clouds, last):
    others = [s for s in HostState if s not in (HostState.CONFIRMED_DOWN, HostState.UP)]
    found = fence_wait.wait('s', clouds(*others, last), time.monotonic() + 60, lambda: None)
    assert found.state is last


def test_a_host_that_is_only_down_is_not_taken_for_fenced(clouds):
    deadline = time.monotonic() + 0.01
    assert fence_wait.wait('s', clouds(HostState.DOWN), deadline, lambda: None) is None


def test_the_wait_ends_with_the_right_to_go_on(clouds):
    def still_wanted():
        raise exceptions.Stopped('the policy is being deleted', '')

    with pytest.raises(exceptions.Stopped):
        fence_wait.wait('s', clouds(HostState.UP), time.monotonic() + 60, still_wanted)
