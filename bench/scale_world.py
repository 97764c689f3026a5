# SPDX-License-Identifier: Apache-2.0
"""A simulated cloud of many hosts, for the benchmark ``scale``: who is where, and Nova's answers.

All is computed from numbers, so processes agree on it and none has to keep a million servers. What
changes while it runs is in arrays that the processes share. Times are seconds of Unix time.
"""

import dataclasses
import datetime
import json
import time
import types
from collections.abc import Callable, MutableSequence
from typing import Any

SERVERS_OF_A_HOST = 100
SERVERS_OF_A_STACK = 5
# One stack of so many has a RescuePolicy.
PROTECTED_EVERY = 10
# Of a multiple of so many hosts, the placement below gives each as many protected servers.
STEP = SERVERS_OF_A_STACK * PROTECTED_EVERY
PROJECTS = 50

# Seconds between two reports of a host, and after which Nova shows it as down: as many reports as
# in Nova by default, where it is 10 and 60 s.
REPORT_EVERY, DOWN_AFTER = 3.0, 18.0


def server_id(number: int) -> str:
    """The id of a server."""
    return f'00000000-0000-4000-8000-{number:012d}'


def stack_id(number: int, nested: bool) -> str:
    """The id of a root stack, or of the one with its servers."""
    return f'00000000-0000-4{int(nested) + 1:03x}-8000-{number:012d}'


def number_of(text: str) -> int:
    """The number in such an id."""
    return int(text[-12:])


def is_protected(stack: int) -> bool:
    """Whether a stack has a RescuePolicy."""
    return stack % PROTECTED_EVERY == 0


def project_of(stack: int) -> str:
    """The project of a stack."""
    return f'p{stack // PROTECTED_EVERY % PROJECTS}'


def host_name(number: int) -> str:
    """The name of a host."""
    return f'compute-{number:05d}'


def host_of(server: int, hosts: int) -> int:
    """The host of a server: those of one stack are on different hosts."""
    return (server + SERVERS_OF_A_STACK * (server // hosts)) % hosts


def servers_of(host: int, hosts: int) -> list[int]:
    """The servers of a host."""
    return [
        block * hosts + (host - SERVERS_OF_A_STACK * block) % hosts
        for block in range(SERVERS_OF_A_HOST)
    ]


@dataclasses.dataclass(frozen=True)
class Shared:
    """What the processes share: by host when it died and when it was marked as down, 0 for never.

    ``gone``: by server, whether its policy was signalled, after which its host has it no more.
    """

    died: MutableSequence[float]
    marked: MutableSequence[float]
    gone: MutableSequence[int]

    @classmethod
    def of(cls, hosts: int, array: Callable[[str, int], Any]) -> 'Shared':
        """All hosts live. :param array: makes an array of a type code and a length."""
        return cls(array('d', hosts), array('d', hosts), array('b', hosts * SERVERS_OF_A_HOST))


class Nova:
    """What the agent asks of Nova (``heat_ha.agent.adapters.nova_admin``), without a Nova.

    Its list of hosts is JSON that is read as that of Nova is.

    :param parse: makes a value of one host in the list.
    """

    def __init__(self, shared: Shared, parse: Callable[[Any], Any], reason: Callable[..., str]):
        self._shared = shared
        self._parse = parse
        self._reason = reason
        self._hosts = len(shared.died)
        self._body = ''
        self.requests = 0

    def prepare(self) -> None:
        """Make the next answer before it is asked for, so that this is in nobody's time."""
        self._body = self._list(time.time())

    def compute_services(self) -> dict[str, Any]:
        """All hosts."""
        self.requests += 1
        body, self._body = self._body or self._list(time.time()), ''
        found = json.loads(body)['services']
        return {one['host']: self._parse(types.SimpleNamespace(**one)) for one in found}

    def _list(self, now: float) -> str:
        return json.dumps({'services': [self._service(n, now) for n in range(self._hosts)]})

    def _service(self, number: int, now: float) -> dict[str, Any]:
        died, marked = self._shared.died[number], self._shared.marked[number]
        # Not all report in the same moment.
        offset = REPORT_EVERY * (number % 97) / 97
        last = ((min(now, died) if died else now) - offset) // REPORT_EVERY * REPORT_EVERY + offset
        is_up = now - last < DOWN_AFTER and not marked
        updated = datetime.datetime.fromtimestamp(max(last, marked), datetime.timezone.utc)
        reason = self._reason('fenced', marked) if marked else None
        return {
            'id': server_id(number),
            'binary': 'nova-compute',
            'host': host_name(number),
            'zone': f'az{number % 3}',
            'status': 'disabled' if marked else 'enabled',
            'state': 'up' if is_up else 'down',
            'updated_at': updated.strftime('%Y-%m-%dT%H:%M:%S.%f'),
            'disabled_reason': reason,
            'forced_down': bool(marked),
        }

    def servers_on(self, host: str, project: str = '') -> set[str]:
        """The servers on a host, or those of one project."""
        self.requests += 1
        number = int(host.rpartition('-')[2])
        return {
            server_id(one)
            for one in servers_of(number, self._hosts)
            if not self._shared.gone[one]
            and (not project or project_of(one // SERVERS_OF_A_STACK) == project)
        }

    def arriving(self) -> dict[str, str]:
        """Nothing: a server is elsewhere as soon as its policy is signalled."""
        self.requests += 1
        return {}

    def host_of(self, server: str) -> str:
        """The host of a server."""
        self.requests += 1
        return host_name(host_of(number_of(server), self._hosts))

    def is_on(self, server: str, host: str) -> bool:
        """Whether a server is on a host."""
        return self.host_of(server) == host and not self._shared.gone[number_of(server)]

    def mark_down(self, service: Any, _reason: str) -> Any:
        """Mark a host as down."""
        self.requests += 1
        number = int(service.host.rpartition('-')[2])
        self._shared.marked[number] = time.time()
        return self._parse(types.SimpleNamespace(**self._service(number, time.time())))

    def leftovers(self, _host: str) -> tuple[str, ...]:
        """Nothing is left on any host."""
        return ()

    def signalled(self, nested_or_root: str) -> list[int]:
        """A policy was signalled: its servers on hosts that are down live elsewhere from now on.

        :returns: those hosts.
        """
        first = number_of(nested_or_root) * SERVERS_OF_A_STACK
        found = []
        for server in range(first, first + SERVERS_OF_A_STACK):
            host = host_of(server, self._hosts)
            if self._shared.marked[host] and not self._shared.gone[server]:
                self._shared.gone[server] = 1
                found.append(host)
        return found
