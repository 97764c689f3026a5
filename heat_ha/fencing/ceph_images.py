# SPDX-License-Identifier: Apache-2.0
"""Who has an image of Ceph open, or holds its lock.

Facts: librbd's API as python3-rbd 16.2.15 has it. A watcher is a client that has the image open; a
dead one stays for 30 seconds. The lock names the client that wrote last, dead or not. An image that
is opened read-only is not watched by who opens it.
"""

import errno
from collections.abc import Iterable
from typing import Any

from heat_ha import exceptions
from heat_ha.fencing.rules.guests import Opened

try:
    import rbd
except ImportError:  # A package of the distribution (python3-rbd); PyPI does not have it.
    rbd = None


# What a call answers on a connection that is of no use any more, as a client that Ceph refuses, and
# on one whose user may not do it.
_USELESS, DENIED = (errno.ESHUTDOWN, errno.ENOTCONN), (errno.EPERM, errno.EACCES)


def need_bindings() -> None:
    """Nothing can be looked at without them. :raises exceptions.CouldNotAsk: they are missing."""
    if rbd is None:
        raise exceptions.CouldNotAsk(
            'ceph',
            'who has volumes open',
            "the Python module rbd is missing. Install your distribution's python3-rbd",
        )


def opened(cluster: Any, pool: str, volumes: Iterable[str]) -> dict[str, Opened]:
    """Look at the images of volumes; one that is not there is left out.

    :param cluster: connected; the user needs ``osd 'profile rbd-read-only pool=POOL'``.
    :raises exceptions.CouldNotAsk: something is wrong with an image or the pool, and the connection
        is as good as before: its servers do not answer. What else is raised is about the
        connection, as that its user may not look at it.
    """
    try:
        return _opened(cluster, pool, volumes)
    except Exception as exc:
        if getattr(exc, 'errno', None) in (*_USELESS, *DENIED):
            raise
        cause = f'{type(exc).__name__}: {exc}'[:200]
        raise exceptions.CouldNotAsk('ceph', f'who has volumes of pool {pool} open', cause) from exc


def _opened(cluster: Any, pool: str, volumes: Iterable[str]) -> dict[str, Opened]:
    found = {}
    with cluster.open_ioctx(pool) as context:
        for volume in volumes:
            try:
                with rbd.Image(context, f'volume-{volume}', read_only=True) as image:
                    found[volume] = _of(image)
            except rbd.ImageNotFound:
                continue
    return found


def _of(image: Any) -> Opened:
    locked = image.list_lockers() or {}
    return Opened(
        watchers=frozenset(_client(one['addr']) for one in image.watchers_list()),
        lockers=frozenset(_client(address) for _id, _cookie, address in locked.get('lockers', ())),
        has_lock=bool(image.features() & rbd.RBD_FEATURE_EXCLUSIVE_LOCK),
    )


def _client(address: str) -> str:
    """The name of a client as the blocklist has it."""
    # Of a client that speaks both versions of the protocol, the name begins with one of them.
    return address.removeprefix('v1:').removeprefix('v2:').removeprefix('any:')
