# SPDX-License-Identifier: Apache-2.0
"""Having the storage forget a dead guest before its volume is given to the next one.

Only where the policy has ``fencing: storage``, in a failover, for a guest on a host that is up: in
a switchover it has closed its volumes itself, and a host that is down was fenced before. Without an
answer the failover goes on, and the new active's first write waits until Ceph's own time is over.
For a server that Nova shows as running the failover waits for no answer.
"""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from oslo_log import log as logging

from heat_ha.cloud import clients, clock
from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.adapters import leftover_questions
from heat_ha.fencing.rules import leftovers

T = TypeVar('T')

LOG = logging.getLogger(__name__)

# Seconds for which an answer is waited for, and between two looks for it. An agent looks every
# ``poll_interval``, 3 seconds by default, and asks Nova and Ceph several times.
LIMIT, EVERY = 8.0, 0.2

# The states of a server whose guest may have died, with Nova knowing of it or not yet.
_MAY_BE_DEAD = (cloud.ServerStatus.SHUTOFF, cloud.ServerStatus.ERROR, cloud.ServerStatus.ACTIVE)


class Former:
    """The guest that had a volume which is about to be attached to the next one, by one step."""

    def __init__(
        self,
        services: clients.StackClients,
        plan: model.Plan,
        step: model.Step,
        is_over: threading.Event,
    ) -> None:
        self._services, self._volume, self._is_over = services, step.target, is_over
        self._server = plan.old.server if plan.old is not None else ''
        self._successor = plan.new.server if plan.new is not None else ''
        is_volume = step.thing is model.ThingKind.VOLUME
        is_moved = self._successor not in ('', self._server)
        # In a switchover it has closed its volumes in good order.
        is_well = plan.cause is model.Cause.SWITCHOVER
        self._is_asked = not (self._server and is_volume and is_moved) or is_well
        self._answer = ''

    def before(self, request: Callable[[], T], check_ours: Callable[[], None]) -> T:
        """Have the storage forget it, the first time, and then send the request.

        :param check_ours: asked between the two, for the first may have taken some seconds.
        """
        if not self._is_asked:
            self._is_asked = True
            self._answer = self._services.given_up(
                self._server, self._volume, self._successor, self._is_over
            )
            check_ours()
        return request()

    def told(self, done: str) -> str:
        """What was done for the step in words, with the answer in front."""
        return f'{self._answer}; {done}' if self._answer else done


def end(
    policy: Any,
    services: clients.StackClients,
    server_id: str,
    volume: str,
    successor: str,
    is_over: threading.Event,
) -> str:
    """Ask the agents to shut out what is left of a server at a volume that was taken from it.

    It raises nothing: whoever waits for the volume must not wait for this.

    :returns: the answer in words, '' where there was nothing to ask.
    """
    try:
        server = services.nova.server(server_id)
        if server.status not in _MAY_BE_DEAD or not server.host:
            return ''
        if services.hosts.state(server).state is not cloud.HostState.UP:
            return ''
        is_awaited = server.status is not cloud.ServerStatus.ACTIVE
        if not is_awaited and services.nova.server(successor).host in ('', server.host):
            # The agents would look while the next guest opens the volume at the same host.
            return ''
        name = _ask(policy.context.project_id, server, volume, is_awaited=is_awaited)
        # A guest that runs for Nova may well have closed the volume itself: nobody waits then.
        return _answer(name, is_over) if is_awaited else ''
    except Exception as exc:
        # Without agents there is no table, and Nova or the database may not answer just now.
        LOG.info('what is left of server %s is not asked about: %s', server_id, exc)
        return ''


def _ask(project: str, server: cloud.Server, volume: str, *, is_awaited: bool) -> str:
    """Put the question; returns its name."""
    name = uuid.uuid4().hex
    until = clock.epoch() + LIMIT
    leftover_questions.ask(
        leftovers.Question(
            name, project, server.server, server.host, volume, until, is_awaited=is_awaited
        )
    )
    return name


def _answer(name: str, is_over: threading.Event) -> str:
    """Wait for the answer, and take the question away."""
    try:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and not is_over.wait(EVERY):
            if answer := leftover_questions.answer(name):
                return answer
        return 'no heat-ha-agent has said whether its former guest still has it open'
    finally:
        leftover_questions.take_away(name)
