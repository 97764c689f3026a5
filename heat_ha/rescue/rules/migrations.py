# SPDX-License-Identifier: Apache-2.0
"""The table of the states of Nova's migrations: whether one may still change something. Pure."""

import enum
from collections.abc import Callable, Mapping

from heat_ha.cloud.model import Host, HostState
from heat_ha.rescue.model import Migration


class Phase(enum.Enum):
    """What is known of the newest migration of a server."""

    UNDER_WAY = 'Nova works on it, or is about to'
    OVER = 'it has done its work'
    FAILED = 'it came to nothing, and nothing works on it any more'
    ABSENT = 'there is none'
    COULD_NOT_ASK = 'Nova did not answer'


STATES: Mapping[str, Phase] = {
    'accepted': Phase.UNDER_WAY,
    'queued': Phase.UNDER_WAY,
    'preparing': Phase.UNDER_WAY,
    'pre-migrating': Phase.UNDER_WAY,
    'running': Phase.UNDER_WAY,
    'migrating': Phase.UNDER_WAY,
    'post-migrating': Phase.UNDER_WAY,
    'confirming': Phase.UNDER_WAY,
    'reverting': Phase.UNDER_WAY,
    # A resize that waits for its owner's word: its disks are where they are to be.
    'finished': Phase.OVER,
    'done': Phase.OVER,
    'completed': Phase.OVER,
    'confirmed': Phase.OVER,
    'reverted': Phase.OVER,
    'failed': Phase.FAILED,
    'error': Phase.FAILED,
    'cancelled': Phase.FAILED,
    Migration.ABSENT: Phase.ABSENT,
    Migration.COULD_NOT_ASK: Phase.COULD_NOT_ASK,
}

LIVE, EVACUATION = 'live-migration', 'evacuation'

# Nova's kinds of migrations after which the guest waits for a word of its owner. What they leave
# behind is in the state of the server. After all others, also those that this version does not
# know, the guest runs elsewhere.
RESIZES = ('resize', 'migration')

# Of a live migration: the guest has not left its host yet.
_NOT_LEFT = frozenset({'accepted', 'queued', 'preparing'})

# Seconds by which the clocks of Nova and of an engine may differ.
CLOCKS_APART = 60.0


def phase(migration: Migration, host: str, since: float | None = None) -> Phase:
    """How far it is. A state that this version does not know counts as under way.

    :param host: where the server is now. What has brought it there is of an earlier time.
    :param since: what was begun before then, and has come to its end, is of an earlier attempt.
    """
    found = STATES.get(migration.status, Phase.UNDER_WAY)
    is_earlier = since is not None and migration.created < since - CLOCKS_APART
    has_brought = found is Phase.OVER and host != '' and migration.destination == host
    if has_brought or (is_earlier and found in (Phase.OVER, Phase.FAILED)):
        return Phase.ABSENT
    return found


def has_no_destination_yet(migration: Migration) -> bool:
    """Whether an evacuation is on its way to a host that has not begun with it."""
    is_under_way = phase(migration, '') is Phase.UNDER_WAY
    return is_under_way and migration.kind == EVACUATION and not migration.destination


def destination(migration: Migration, hosts: Callable[[str], Host]) -> Host | None:
    """The host that it leads to; None while none is known.

    Room may be left over from an earlier attempt. So invariant: it is one that is confirmed down
    only if all of them are.

    :param hosts: finds a host by its hash.
    """
    if migration.destination:
        return hosts(migration.destination)
    found = [hosts(one) for one in migration.candidates]
    may_work = [one for one in found if one.state is not HostState.CONFIRMED_DOWN]
    return next(iter((*may_work, *found)), None)


def is_cut_off(migration: Migration, destination: Host | None) -> bool:
    """Whether it is under way to a host that is confirmed down, so that it never ends."""
    is_dead = destination is not None and destination.state is HostState.CONFIRMED_DOWN
    return phase(migration, '') is Phase.UNDER_WAY and is_dead


def moves_guest(migration: Migration) -> bool:
    """Whether the guest runs elsewhere after it, without a word of its owner."""
    return migration.kind not in RESIZES


def may_have_left(migration: Migration) -> bool:
    """Whether the guest may run at the destination of a migration that is under way."""
    is_live = migration.kind == LIVE
    is_other = not is_live and migration.kind not in (EVACUATION, *RESIZES)
    return is_other or (is_live and migration.status not in _NOT_LEFT)


def was_torn(migration: Migration, destination: Host | None) -> bool:
    """Whether it may have failed halfway and left a server in error.

    Nova puts a server in error when its live migration fails too late to be rolled back: its guest
    runs on the destination by then. It does the same when a resize fails, with a disk on each host.
    """
    is_dead = destination is not None and destination.state is HostState.CONFIRMED_DOWN
    if migration.kind in RESIZES:
        return phase(migration, '') in (Phase.UNDER_WAY, Phase.FAILED)
    has_failed = migration.kind != EVACUATION and migration.status == 'error'
    return has_failed and migration.destination != '' and not is_dead
