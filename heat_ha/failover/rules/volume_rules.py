# SPDX-License-Identifier: Apache-2.0
"""What one look at a volume leads to while it is taken from a server or given to one.

Pure like ``decide``, of which it is a part. ``heat_ha.failover.handoff`` acts on the moves.
"""

from collections.abc import Iterable

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import VolumeStatus
from heat_ha.failover.rules import moves

# States in which Nova has accepted a request and its host has not carried it out.
UNDER_WAY = frozenset({VolumeStatus.RESERVED, VolumeStatus.ATTACHING, VolumeStatus.DETACHING})


def why_never_moved(seen: cloud.Volume) -> moves.Stop | None:
    """Why a volume is of a kind that no policy may hand over, or None.

    Asked when a stack is validated and created, when a plan is made, and at each look since:
    none of it says anything when the volume could not be asked for (S2).
    """
    if seen.is_multiattach:
        return moves.Stop(
            f'volume {seen.volume} is a multiattach volume: that it left one server does not '
            'say that no other writes to it',
            'Hand over volumes without multiattach only',
        )
    if seen.first_disk_of:
        return moves.Stop(
            f'volume {seen.volume} is the root disk of server '
            f'{", ".join(sorted(seen.first_disk_of))}, which Nova detaches from no server',
            'Keep what you want to hand over on a volume of its own',
        )
    return None


def _unusable(seen: cloud.Volume) -> moves.Wait | moves.Stop | None:
    if seen.status is VolumeStatus.COULD_NOT_ASK:
        # S2: says nothing about the volume.
        return moves.Wait(f'Cinder did not answer ({seen.detail})', is_blind=True)
    if seen.status is VolumeStatus.GONE:
        return moves.Stop(
            f'volume {seen.volume} does not exist any more',
            'Take it out of the template, then send the signal resume',
        )
    never = why_never_moved(seen)
    if never is not None:
        return never
    if seen.status is VolumeStatus.OTHER:
        return moves.Stop(
            f'volume {seen.volume} is in state {seen.detail}',
            'Bring it back to available or in-use, then send the signal resume',
        )
    return None


def _foreign_servers(seen: cloud.Volume, own: Iterable[str | None]) -> moves.Stop | None:
    foreign = seen.servers - {s for s in own if s is not None}
    if not foreign:
        return None
    return moves.Stop(
        f'volume {seen.volume} is attached to {", ".join(sorted(foreign))}, which is neither '
        'the old nor the new active',
        'Detach it there, then send the signal resume',
    )


def next_for_detach(seen: cloud.Volume, old: str | None, new: str | None) -> moves.Shown:
    """What one look at a volume leads to while it is being taken from ``old``.

    Invariant: Done only when Cinder shows it on ``new`` and on no other server, Free only when it
    shows it free of every server; Request only for ``old``.
    """
    unusable = _unusable(seen)
    if unusable is not None:
        return unusable
    foreign = _foreign_servers(seen, (old, new))
    if foreign is not None:
        return foreign
    if old is not None and old != new and old in seen.servers:
        if seen.status is VolumeStatus.IN_USE:
            return moves.Request()
        return moves.Wait(f'Cinder says {seen.status.value}')
    if new is not None and new in seen.servers:
        return moves.Done('it is on the new active already')
    if seen.status is VolumeStatus.AVAILABLE:
        return moves.Free('it is free')
    if seen.status is VolumeStatus.IN_USE:
        # In use by nobody: between two writes of Cinder's.
        return moves.Wait('Cinder shows it in use without a server')
    if new is not None and seen.status in (VolumeStatus.RESERVED, VolumeStatus.ATTACHING):
        return moves.Wait('an earlier request to attach it is still under way')
    return moves.Wait(f'Cinder says {seen.status.value}')


def next_for_attach(seen: cloud.Volume, old: str | None, new: str) -> moves.Move:
    """What one look at a volume leads to while it is being given to ``new``.

    Invariant (S1): Request only when Cinder shows the volume free of every server.
    """
    unusable = _unusable(seen)
    if unusable is not None:
        return unusable
    foreign = _foreign_servers(seen, (old, new))
    if foreign is not None:
        return foreign
    if old is not None and old != new and old in seen.servers:
        return moves.Stop(
            f'volume {seen.volume} is on the old active {old} again',
            'Find out who attached it there, then send the signal resume',
        )
    if new in seen.servers:
        if seen.status is VolumeStatus.IN_USE:
            return moves.Done('it is in use on the new active')
        return moves.Wait(f'Cinder says {seen.status.value}')
    if seen.status is VolumeStatus.AVAILABLE:
        return moves.Request()
    return moves.Wait(f'Cinder says {seen.status.value}')
