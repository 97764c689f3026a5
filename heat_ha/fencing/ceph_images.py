# SPDX-License-Identifier: Apache-2.0
"""Who has an image of Ceph open, or holds its lock.

Facts: librbd's API as python3-rbd 16.2.15 has it. A watcher is a client that has the image open; a
dead one stays for 30 seconds. The lock names the client that wrote last, dead or not. An image that
is opened read-only is not watched by who opens it.
"""

from collections.abc import Iterable
from typing import Any

from heat_ha.fencing.rules.guests import Opened

try:
    import rbd
except ImportError:  # A package of the distribution (python3-rbd); PyPI does not have it.
    rbd = None


class NoBindings(Exception):
    """The Python module rbd is missing."""


def opened(cluster: Any, pool: str, volumes: Iterable[str]) -> dict[str, Opened]:
    """Look at the images of volumes; one that is not there is left out.

    :param cluster: connected; the user needs ``osd 'profile rbd-read-only pool=POOL'``.
    :raises NoBindings: python3-rbd is missing.
    """
    if rbd is None:
        raise NoBindings(
            "the Python module rbd is missing. Install your distribution's python3-rbd"
        )
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
