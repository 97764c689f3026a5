# SPDX-License-Identifier: Apache-2.0
"""Fencing in the storage: Ceph refuses whatever a host sends, and the host may run on.

The host is cut off from its volumes and root disks within a second, also where its BMC is dead, and
no client that has died holds up the next one: without an entry the first write after a power cut
waits for 30 seconds until the watch of the dead client has timed out.
"""

import contextlib
import dataclasses
import errno
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from heat_ha import exceptions
from heat_ha.fencing import deadline, driver
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import blocklist

T = TypeVar('T')

# Seconds that an entry is made for, and the least that makes sense: it must outlast agents that
# are all down for some time, because nobody renews it then.
DEFAULT_DURATION, SHORTEST_DURATION = 7 * 86400.0, 3600.0

# What it is asked for when a host is let in.
REMOVAL = 'the removal of its entries'

DEFAULT_CONF, DEFAULT_USER = '/etc/ceph/ceph.conf', 'heat-ha'

# Where the images of volumes are.
DEFAULT_POOL = 'volumes'

try:
    import rados
except ImportError:  # A package of the distribution (python3-rados); PyPI does not have it.
    rados = None


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster, who asks it, and the pool with the images of volumes."""

    conf: str = DEFAULT_CONF
    user: str = DEFAULT_USER
    keyring: str = ''
    pool: str = DEFAULT_POOL


_OF_CLUSTER = tuple(field.name for field in dataclasses.fields(Cluster))


def connect(cluster: Cluster, timeout: float, **more: str) -> Any:
    """A connection; without a quorum this does not end.

    :param timeout: seconds after which what was asked is given up by the monitors' client as well.
    :param more: further settings of Ceph.
    :raises driver.NotFenced: python3-rados is missing.
    """
    if rados is None:
        # Not at the start: the hosts that others fence do not depend on it.
        raise driver.NotFenced(
            "the Python module rados is missing. Install your distribution's package "
            'python3-rados for the Python of the agent'
        )
    if cluster.keyring:
        more['keyring'] = cluster.keyring
    # What was given up must not be carried out later, as a removal after a new fence.
    seconds = str(max(1, int(timeout)))
    more |= {'client_mount_timeout': seconds, 'rados_mon_op_timeout': seconds}
    made = rados.Rados(conffile=cluster.conf, rados_id=cluster.user, conf=more)
    try:
        made.connect()
    except BaseException:
        # Its threads and descriptors stay until then, also when it is collected (tried with
        # 16.2.15: four threads and nine descriptors each).
        made.shutdown()
        raise
    return made


class Denied(exceptions.CouldNotAsk):
    """The monitors do not let this user do it."""


def command(connection: Any, prefix: str, **more: Any) -> str:
    """Have the monitors do something.

    :raises exceptions.CouldNotAsk: they refused it, ``Denied``: to this user.
    """
    code, out, detail = connection.mon_command(json.dumps({'prefix': prefix, **more}), b'')
    if abs(code) in (errno.EACCES, errno.EPERM):
        raise Denied('ceph', prefix, f'{detail} ({code})')
    if code:
        raise exceptions.CouldNotAsk('ceph', prefix, f'{detail} ({code})')
    return out.decode() if isinstance(out, bytes) else str(out)


class Ceph(driver.Driver):
    """The blocklist of a Ceph cluster.

    ``addresses``: all that the host has on the network of the storage. The user needs
    ``mon 'allow r, allow command "osd blocklist"'``; ``profile rbd`` may add an entry, and not
    remove it (tried with 16.2.15).
    """

    name = 'ceph'
    required = ('addresses',)
    optional = ('conf', 'user', 'keyring', 'duration', 'pool')
    numbers = ('duration',)
    cuts_power = False
    # The monitors agree on an entry: it does not go and come as power does.
    apart = 0.0

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        found = self.settings['addresses']
        listed = found if isinstance(found, list) else [found]
        self._addresses = sorted({blocklist.plain_address(one) for one in listed})
        self._duration = self.settings.get('duration', DEFAULT_DURATION)
        is_number = isinstance(self._duration, (int, float)) and self._duration is not True
        if not is_number or not SHORTEST_DURATION <= self._duration < float('inf'):
            raise exceptions.Refused(
                f'host {host}: duration is {self._duration!r}',
                f'It is a number of seconds from {SHORTEST_DURATION:.0f}',
            )
        self._cluster: Any = None

    @property
    def target(self) -> tuple[str, ...]:
        """The addresses."""
        return (self.name, *self._addresses)

    @property
    def targets(self) -> tuple[tuple[str, ...], ...]:
        """Each address: with one that two hosts have, the fence of one shuts out the other."""
        return tuple((self.name, address) for address in self._addresses)

    def power(self) -> tuple[Power, str]:
        """Off while Ceph refuses all of the host's addresses."""
        try:
            entries = self._entries()
            found = len(blocklist.refused(self._addresses, entries))
            self.is_partial = 0 < found < len(self._addresses)
            return blocklist.power(self._addresses, entries)
        except Exception as exc:
            # Whatever the library raises. The next look connects again.
            self.close()
            return Power.UNKNOWN, f'{type(exc).__name__}: {exc}'[:200]

    def switch_off(self) -> None:
        """Have Ceph refuse the host from now on; the time of an entry begins again."""
        try:
            for address in self._addresses:
                self._add(address)
            # Each server of the storage has the entry before it serves anybody who knows of it.
            self._limited(lambda: self._connected().wait_for_latest_osdmap())
        except Exception as exc:
            self.close()
            raise driver.NotFenced(f'Ceph: {type(exc).__name__}: {exc}'[:250]) from exc

    def keep_off(self) -> None:
        """Renew entries that end soon."""
        for address in blocklist.ending(
            self._addresses, self._entries(), time.time(), self._duration
        ):
            self._add(address)

    def let_in(self) -> None:
        """Let the host use the storage again."""
        try:
            for address in self._addresses:
                self._command('osd blocklist', blocklistop='rm', addr=blocklist.client_at(address))
            left = blocklist.refused(self._addresses, self._entries())
        except Exception as exc:
            self.close()
            raise exceptions.CouldNotAsk('ceph', REMOVAL, f'{exc}'[:200]) from exc
        if left:
            raise exceptions.CouldNotAsk('ceph', REMOVAL, f'it still refuses {", ".join(left)}')

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that the host has on the network of the storage."""
        return tuple(self._addresses)

    @property
    def duration(self) -> float:
        """Seconds for which an entry is made."""
        return float(self._duration)

    @property
    def cluster(self) -> Cluster:
        """Where the images of the host's guests are."""
        found = {key: str(self.settings[key]) for key in _OF_CLUSTER if key in self.settings}
        return Cluster(**found)

    def close(self) -> None:
        """Leave the cluster."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            with contextlib.suppress(Exception):
                deadline.call(cluster.shutdown, self.timeout, self._whom)

    @property
    def _whom(self) -> str:
        return f'ceph {self.settings.get("conf", DEFAULT_CONF)} {self.host}'

    def _limited(self, work: Callable[[], T]) -> T:
        # A call to a cluster without a quorum does not end.
        return deadline.call(work, self.timeout, self._whom)

    def _connected(self) -> Any:
        if self._cluster is None:
            self._cluster = connect(self.cluster, self.timeout)
        return self._cluster

    def _add(self, address: str) -> None:
        client = blocklist.client_at(address)
        self._command('osd blocklist', blocklistop='add', addr=client, expire=float(self._duration))

    def _entries(self) -> list[blocklist.Entry]:
        return blocklist.parse(self._command('osd blocklist ls', format='json'))

    def _command(self, prefix: str, **more: Any) -> str:
        """:raises exceptions.CouldNotAsk: the monitors refused it."""
        return self._limited(lambda: command(self._connected(), prefix, **more))
