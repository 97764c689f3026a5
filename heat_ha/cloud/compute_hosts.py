# SPDX-License-Identifier: Apache-2.0
"""The state of the compute host that a server is on, seen with a credential of its own.

A tenant does not see hosts, only ``hostId``: the SHA-224 of the project's id followed by the
host's name (nova.utils.generate_hostid). So the credential needs to list Nova's services and
nothing else; which of the hosts is meant follows from the hash.
"""

import dataclasses
import datetime
import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import requests
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions
from oslo_config import cfg
from oslo_log import log as logging

from heat_ha.cloud import clock
from heat_ha.cloud import model as cloud
from heat_ha.conf import nova_hosts

LOG = logging.getLogger(__name__)

# 2.53 is the first that lists services of all cells by their unique ids.
MICROVERSION = '2.53'

# Seconds until a call is given up: without an answer nothing is decided, so it may be short.
CALL_LIMIT = 15

NO_CREDENTIAL = (
    'the state of its host cannot be looked up: heat.conf has no credential in '
    f'[{nova_hosts.GROUP}]'
)


FAILURES = (
    nova_exceptions.ClientException,
    keystone_exceptions.ClientException,
    requests.RequestException,
)


@functools.cache
def _session(group: str) -> Any:
    """One session a process, so that its token is used again; None without a credential."""
    nova_hosts.register(cfg.CONF, group)
    auth = loading.load_auth_from_conf_options(cfg.CONF, group)
    if auth is None:
        return None
    return loading.load_session_from_conf_options(cfg.CONF, group, auth=auth, timeout=CALL_LIMIT)


def client_for(
    region: str | None, microversion: str = MICROVERSION, group: str = nova_hosts.GROUP
) -> Any:
    """A Nova client with the credential of an option group, None where heat.conf has none."""
    session = _session(group)
    if session is None:
        return None
    return nova_client.Client(
        microversion,
        session=session,
        region_name=region,
        endpoint_type=cfg.CONF[group].interface,
    )


def host_id(project: str, host: str) -> str:
    """What Nova shows the project's members instead of the host's name."""
    return hashlib.sha224((project + host).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class HostTable:
    """All hosts as they were at one look; called with a server it gives that server's host.

    ``failure`` says why there are none.
    """

    by_id: Mapping[str, cloud.Host]
    otherwise: cloud.Host
    failure: cloud.Sight | None = None

    def __call__(self, server: cloud.Server) -> cloud.Host:
        return self.by_id.get(server.host, self.otherwise)

    @property
    def has_dead(self) -> bool:
        """Whether any of them is confirmed down."""
        return any(h.state is cloud.HostState.CONFIRMED_DOWN for h in self.by_id.values())

    @property
    def sight(self) -> cloud.Sight:
        """What is known of all of them together."""
        if self.failure is not None:
            return self.failure
        is_silent = any(h.state is cloud.HostState.DOWN for h in self.by_id.values())
        return cloud.Sight.SOME_SILENT if is_silent else cloud.Sight.NONE_SILENT


class Looks(Protocol):
    """What looks at the hosts of servers."""

    def state(self, server: cloud.Server) -> cloud.Host:
        """Look at the host of a server."""

    def all(self) -> HostTable:
        """Look at all hosts in one call."""


class Hosts:
    """The compute hosts of one region, as far as a project's servers are on them."""

    def __init__(self, region: str | None, project: str, group: str = nova_hosts.GROUP) -> None:
        self._region = region
        self._project = project
        self._group = group

    def state(self, server: cloud.Server) -> cloud.Host:
        """Look at the host of a server. A failed call is UNKNOWN, never DOWN (S2)."""
        return self.all()(server)

    def all(self) -> HostTable:
        """Look at all hosts in one call."""
        try:
            client = client_for(self._region, group=self._group)
            if client is None:
                return HostTable({}, _unknown(NO_CREDENTIAL), cloud.Sight.NO_CREDENTIAL)
            services = without_overtaken(client.services.list(binary='nova-compute'))
            now, settle = clock.epoch(), nova_hosts.mark_settle(cfg.CONF, self._group)
            heard = _heard_of_all(services)
        except FAILURES as exc:
            # Its owner reads that. The whole error may name hosts and addresses of the cloud.
            LOG.warning('Nova did not show its hosts: %s', exc)
            unknown = _unknown(f'Nova did not show its host ({type(exc).__name__})')
            return HostTable({}, unknown, cloud.Sight.COULD_NOT_ASK)
        records = [(s.host, _host(s, now, settle, heard)) for s in services]
        # What is put in last counts.
        records.sort(key=lambda record: _BY_LIFE.index(record[1].state), reverse=True)
        return HostTable(
            {host_id(self._project, name): host for name, host in records},
            _unknown("none of Nova's hosts is the one of its server"),
        )


# Of several records of one host, as those that are left in a cell that it was moved from, the first
# of these counts: another one may be of yesterday.
_BY_LIFE = (
    cloud.HostState.UP,
    cloud.HostState.UNKNOWN,
    cloud.HostState.DOWN,
    cloud.HostState.CONFIRMED_DOWN,
)


def without_overtaken(services: Iterable[Any]) -> list[Any]:
    """Leave out records of a host that heat-ha's mark on another record of it has overtaken.

    A host has several where it was moved to another cell and left one behind, which nobody marks.
    The mark follows a fence of the machine itself. So a record that is down, and was not written
    since, neither takes the mark back nor shows life.
    """
    services = list(services)
    marks: dict[str, float] = {}
    for one in services:
        at = cloud.time_of_mark(getattr(one, 'disabled_reason', None)) if one.forced_down else None
        if at is not None:
            marks[one.host] = max(at, marks.get(one.host, at))
    return [one for one in services if not _is_overtaken(one, marks.get(one.host))]


def _is_overtaken(service: Any, marked: float | None) -> bool:
    if marked is None or service.forced_down or service.state == 'up':
        return False
    written = seconds(getattr(service, 'updated_at', None))
    return written is None or written <= marked + cloud.CLOCKS_APART


def _unknown(detail: str) -> cloud.Host:
    return cloud.Host(cloud.HostState.UNKNOWN, detail)


def _heard_of_all(services: Iterable[Any]) -> float:
    """Since when every host that is up has written its record; infinity where none is up."""
    living = [s for s in services if s.state == 'up' and not s.forced_down]
    written = [seconds(getattr(s, 'updated_at', None)) for s in living]
    return min((at for at in written if at is not None), default=float('inf'))


def _host(service: Any, now: float, mark_settle: float, heard: float) -> cloud.Host:
    """What is known of a host, from one look at its record.

    Nova shows when the record was last written, and not by whom: nova-compute goes on writing it
    while the host is marked as ``forced_down``, and the mark itself is a write. So what was written
    after the mark is a sign of life (S1). heat-ha puts the time of its mark into the reason. Of a
    mark that others have set, a record that is not written any more says that it is older than
    the silence. It is a silence only where the others were heard meanwhile: Nova may have written
    no reports at all.

    :param now: Unix time; the clocks of Nova and of this machine are those of one cloud.
    :param mark_settle: seconds; see the option.
    :param heard: since when every host that is up has written its record (Unix time).
    """
    if service.forced_down:
        return _marked(
            seconds(getattr(service, 'updated_at', None)),
            cloud.time_of_mark(getattr(service, 'disabled_reason', None)),
            now,
            mark_settle,
            heard,
        )
    if service.state == 'up':
        return cloud.Host(cloud.HostState.UP, 'its host is up')
    return cloud.Host(
        cloud.HostState.DOWN,
        'its host does not answer, and nobody has confirmed that it is down',
        seconds(getattr(service, 'updated_at', None)),
    )


def _marked(
    written: float | None, marked: float | None, now: float, mark_settle: float, heard: float
) -> cloud.Host:
    if written is not None and marked is not None and written > marked + cloud.CLOCKS_APART:
        return _unknown(
            f'its host is forced_down, and its nova-compute wrote its record '
            f'{written - marked:.0f} s after that: it is not known to be down. Fence it, then mark '
            'it again, with a reason (--down --disable --disable-reason TEXT)'
        )
    if marked is not None and marked > now + cloud.CLOCKS_APART:
        return _unknown(
            f'its host is forced_down with a time that is {marked - now:.0f} s ahead: a clock was '
            'set, so what it did since is not known. Fence it, then mark it again, with a reason '
            '(--down --disable --disable-reason TEXT)'
        )
    if written is not None and marked is None and now - written < mark_settle:
        return _unknown(
            f'its host is forced_down, and its record was written within the last '
            f'{mark_settle:.0f} s, by the mark or by its nova-compute'
        )
    if written is not None and marked is None and mark_settle and heard <= written:
        return _unknown(
            'its host is forced_down, and since its record was written not all of the others that '
            'are up have reported: it may live, and could not report'
        )
    return cloud.Host(cloud.HostState.CONFIRMED_DOWN, 'its host is confirmed down (forced_down)')


def seconds(text: str | None) -> float | None:
    """A time as Nova writes it (UTC), in seconds of Unix time; None without one."""
    if not text:
        return None
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp()
