# SPDX-License-Identifier: Apache-2.0
"""Ask a server itself whether it is well, over its own network, within a bounded time.

That nobody could be asked says nothing of the server (S2): only an answer, or a refusal that
comes from the server, counts against it.
"""

import ipaddress
import socket
import time

from oslo_config import cfg
from oslo_log import log as logging

from heat_ha.cloud import model as cloud
from heat_ha.conf import health as health_conf
from heat_ha.failover import model

LOG = logging.getLogger(__name__)

# Bytes of an answer in which its status line must be.
MAX_STATUS_LINE = 1024


def check(server: cloud.Server, wanted: model.HealthCheck) -> model.Health:
    """Ask at the server's addresses that the operator allows; the first answer counts.

    Takes no longer than the check's timeout in all.
    """
    allowed = _allowed(server.addresses)
    if not allowed:
        return model.Health(
            model.HealthState.COULD_NOT_ASK,
            f'none of its addresses is in a network of [{health_conf.GROUP}] in heat.conf',
        )
    deadline = time.monotonic() + wanted.timeout
    found = model.Health(model.HealthState.COULD_NOT_ASK, 'nobody was asked')
    for address in allowed:
        found = _ask(address, wanted, deadline)
        if found.state is not model.HealthState.COULD_NOT_ASK:
            break
    return found


def _allowed(addresses: tuple[str, ...]) -> list[str]:
    health_conf.register(cfg.CONF)
    networks = []
    for text in cfg.CONF[health_conf.GROUP].networks:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as exc:
            LOG.error('[%s] networks: %s', health_conf.GROUP, exc)
    found = []
    for address in addresses:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            continue
        if any(parsed.version == n.version and parsed in n for n in networks):
            found.append(address)
    return found


def _ask(address: str, wanted: model.HealthCheck, deadline: float) -> model.Health:
    place = f'{address}:{wanted.port}'
    try:
        with socket.create_connection((address, wanted.port), _left(deadline)) as connection:
            if wanted.path is None:
                return model.Health(model.HealthState.WELL, f'{place} takes connections')
            return _ask_http(connection, place, wanted, deadline)
    except ConnectionRefusedError:
        return model.Health(model.HealthState.SICK, f'{place} refuses the connection')
    except OSError as exc:
        # No route, no neighbour, no time: the way there may be what is broken.
        return model.Health(model.HealthState.COULD_NOT_ASK, f'{place} was not reached ({exc})')


def _ask_http(
    connection: socket.socket, place: str, wanted: model.HealthCheck, deadline: float
) -> model.Health:
    """Read no more than the status line: by hand, as a client has no limit for all reads."""
    host = place.rpartition(':')[0]
    request = f'GET {wanted.path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: heat-ha\r\n\r\n'
    answer = b''
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(request.encode())
        while b'\n' not in answer and len(answer) < MAX_STATUS_LINE:
            connection.settimeout(_left(deadline))
            more = connection.recv(MAX_STATUS_LINE)
            if not more:
                break
            answer += more
    except OSError as exc:
        return model.Health(
            model.HealthState.SICK, f'{place} took the connection and did not answer ({exc})'
        )
    line = answer.split(b'\n')[0].decode('ascii', 'replace').strip()
    words = line.split()
    if len(words) >= 2 and words[0].startswith('HTTP/') and words[1].isdigit():
        state = model.HealthState.WELL if 200 <= int(words[1]) < 400 else model.HealthState.SICK
        return model.Health(state, f'{place} answers {words[1]}')
    return model.Health(model.HealthState.SICK, f'{place} does not answer in HTTP')


def _left(deadline: float) -> float:
    """Seconds until the deadline; a socket takes 0 for "do not block", so never that."""
    return max(0.001, deadline - time.monotonic())
