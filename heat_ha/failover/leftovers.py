# SPDX-License-Identifier: Apache-2.0
"""Having the storage forget a dead guest before its volume is given to the next one.

Only where the policy has ``fencing: storage``, for a guest that does not run on a host that does:
elsewhere it has closed its volumes itself, or its host was fenced before. Without an answer the
failover goes on, and the new active's first write waits until Ceph's own time is over.
"""

import time
import uuid
from typing import Any

from oslo_log import log as logging

from heat_ha.cloud import clients, clock
from heat_ha.cloud import model as cloud
from heat_ha.failover.adapters import leftover_questions
from heat_ha.fencing.rules import leftovers

LOG = logging.getLogger(__name__)

# Seconds for which an answer is waited for, and between two looks for it. An agent looks about
# every 2 seconds, and asks Nova and Ceph several times.
LIMIT, EVERY = 8.0, 0.2


def end(policy: Any, services: clients.StackClients, server_id: str, volume: str) -> str:
    """Ask the agents to shut out what is left of a server at a volume that was taken from it.

    It raises nothing: whoever waits for the volume must not wait for this.

    :returns: the answer in words, '' where there was nothing to ask.
    """
    try:
        server = services.nova.server(server_id)
        if server.status not in (cloud.ServerStatus.SHUTOFF, cloud.ServerStatus.ERROR):
            return ''
        if not server.host or services.hosts.state(server).state is not cloud.HostState.UP:
            return ''
        return _ask(policy.context.project_id, server, volume)
    except Exception as exc:
        # Without agents there is no table, and Nova or the database may not answer just now.
        LOG.info('what is left of server %s is not asked about: %s', server_id, exc)
        return ''


def _ask(project: str, server: cloud.Server, volume: str) -> str:
    name = uuid.uuid4().hex
    until = clock.epoch() + LIMIT
    leftover_questions.ask(
        leftovers.Question(name, project, server.server, server.host, volume, until)
    )
    try:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            time.sleep(EVERY)
            if answer := leftover_questions.answer(name):
                return answer
        return 'no heat-ha-agent has said whether its former guest still has it open'
    finally:
        leftover_questions.take_away(name)
