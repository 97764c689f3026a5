# SPDX-License-Identifier: Apache-2.0
"""The wait for the host of an old active to be fenced, or to answer again."""

import time
from collections.abc import Callable

from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud

# Seconds between two looks at a host that is to be fenced.
FENCE_LOOK = 1.0

_DECIDED = (cloud.HostState.CONFIRMED_DOWN, cloud.HostState.UP)


def wait(
    server: str,
    stack_clients: clients.StackClients,
    deadline: float,
    still_wanted: Callable[[], None],
) -> cloud.Host | None:
    """Look at the server's host until it is confirmed down or up.

    :param deadline: on the monotonic clock.
    :param still_wanted: asked before each look; what it raises ends the wait.
    :returns: the host, None when it was neither before the deadline.
    """
    while time.monotonic() < deadline:
        still_wanted()
        host = stack_clients.hosts.state(stack_clients.nova.server(server))
        if host.state in _DECIDED:
            return host
        time.sleep(FENCE_LOOK)
    return None
