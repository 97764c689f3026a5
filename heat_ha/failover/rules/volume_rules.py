# SPDX-License-Identifier: Apache-2.0
"""What one look at a volume, or at a server that is in the way, leads to.

Pure like ``decide``, of which it is a part. ``heat_ha.failover.executor`` acts on the moves.
"""

import dataclasses
from collections.abc import Iterable

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus, VolumeStatus


@dataclasses.dataclass(frozen=True)
class Request:
    """Send the request that the step is named for (detach or attach, stop)."""


@dataclasses.dataclass(frozen=True)
class Wait:
    """Nothing to send: the services are at work, or did not answer. Look again."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Done:
    """The world is as the step wants it."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Stop:
    """The step cannot be done safely; a person is needed."""

    reason: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Delete:
    """Delete the old active's server: the way that Nova allows to free what it holds."""

    reason: str


@dataclasses.dataclass(frozen=True)
class WaitForFence:
    """Somebody has to confirm that the host is down before anything more is safe."""

    reason: str
    remedy: str


Move = Request | Wait | Done | Stop | Delete | WaitForFence

_ON_THE_WAY = frozenset({VolumeStatus.RESERVED, VolumeStatus.ATTACHING, VolumeStatus.DETACHING})


def why_never_moved(seen: cloud.Volume) -> Stop | None:
    """Why a volume is of a kind that no policy may hand over, or None.

    Asked when a stack is validated and created, when a plan is made, and at each look since:
    none of it says anything when the volume could not be asked for (S2).
    """
    if seen.is_multiattach:
        return Stop(
            f'volume {seen.volume} is a multiattach volume: that it left one server does not '
            'say that no other writes to it',
            'Hand over volumes without multiattach only',
        )
    if seen.first_disk_of:
        return Stop(
            f'volume {seen.volume} is the root disk of server '
            f'{", ".join(sorted(seen.first_disk_of))}, which Nova detaches from no server',
            'Keep what is to be handed over on a volume of its own',
        )
    return None


def _unusable(seen: cloud.Volume) -> Wait | Stop | None:
    if seen.status is VolumeStatus.COULD_NOT_ASK:
        # S2: says nothing about the volume.
        return Wait(f'Cinder did not answer ({seen.detail})')
    if seen.status is VolumeStatus.GONE:
        return Stop(
            f'volume {seen.volume} does not exist any more',
            'Take it out of the template, then send the signal resume',
        )
    never = why_never_moved(seen)
    if never is not None:
        return never
    if seen.status is VolumeStatus.OTHER:
        return Stop(
            f'volume {seen.volume} is in state {seen.detail}',
            'Bring it back to available or in-use, then send the signal resume',
        )
    return None


def _foreign_holders(seen: cloud.Volume, own: Iterable[str | None]) -> Stop | None:
    foreign = seen.servers - {s for s in own if s is not None}
    if not foreign:
        return None
    return Stop(
        f'volume {seen.volume} is attached to {", ".join(sorted(foreign))}, which is neither '
        'the old nor the new active',
        'Detach it there, then send the signal resume',
    )


def next_for_detach(seen: cloud.Volume, old: str | None, new: str | None) -> Move:
    """What one look at a volume leads to while it is being taken from ``old``.

    Invariant: Done only when Cinder shows no server but ``new`` on it; Ask only for ``old``.
    """
    unusable = _unusable(seen)
    if unusable is not None:
        return unusable
    foreign = _foreign_holders(seen, (old, new))
    if foreign is not None:
        return foreign
    if old is not None and old != new and old in seen.servers:
        if seen.status is VolumeStatus.IN_USE:
            return Request()
        return Wait(f'Cinder says {seen.status.value}')
    if new is not None and new in seen.servers:
        return Done('it is on the new active already')
    if seen.status is VolumeStatus.AVAILABLE:
        return Done('it is free')
    if seen.status is VolumeStatus.IN_USE:
        # In use by nobody: between two writes of Cinder's.
        return Wait('Cinder shows it in use without a server')
    if new is not None and seen.status in (VolumeStatus.RESERVED, VolumeStatus.ATTACHING):
        return Wait('an earlier request to attach it is still under way')
    return Wait(f'Cinder says {seen.status.value}')


def next_for_attach(seen: cloud.Volume, old: str | None, new: str) -> Move:
    """What one look at a volume leads to while it is being given to ``new``.

    Invariant (S1): Ask only when Cinder shows the volume free of every server.
    """
    unusable = _unusable(seen)
    if unusable is not None:
        return unusable
    foreign = _foreign_holders(seen, (old, new))
    if foreign is not None:
        return foreign
    if old is not None and old != new and old in seen.servers:
        return Stop(
            f'volume {seen.volume} is on the old active {old} again',
            'Find out who attached it there, then send the signal resume',
        )
    if new in seen.servers:
        if seen.status is VolumeStatus.IN_USE:
            return Done('it is in use on the new active')
        return Wait(f'Cinder says {seen.status.value}')
    if seen.status is VolumeStatus.AVAILABLE:
        return Request()
    return Wait(f'Cinder says {seen.status.value}')


def next_for_stop(seen: cloud.Server) -> Move:
    """What one look at the old active's server leads to while it is being shut off.

    Invariant: Done only when Nova shows it shut off or gone.
    """
    if seen.status is ServerStatus.COULD_NOT_ASK:
        return Wait(f'Nova did not answer ({seen.detail})')
    if seen.status is ServerStatus.GONE:
        return Done('the server does not exist any more')
    if seen.status is ServerStatus.SHUTOFF:
        return Done('the server is shut off')
    return Request()


def next_for_stuck(server: cloud.Server, host: cloud.Host, may_delete: bool) -> Move:
    """What to do when Nova does not carry out a request for the old active's server.

    By evidence, never by a timer. Invariant: Delete only where the template wishes the server
    to go (S8), and only when its host is confirmed down or the living host itself deletes it;
    Done, that the server writes no more, only when it is gone or its host is confirmed down.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return Wait(f'Nova did not answer ({server.detail})')
    if server.status is ServerStatus.GONE:
        return Done('the server does not exist any more')
    if host.state is cloud.HostState.CONFIRMED_DOWN:
        if may_delete:
            return Delete(host.detail)
        return WaitForFence(
            f'{host.detail}, but nothing may delete the server to free what it holds',
            'Evacuate or delete the server, then send the signal resume',
        )
    if host.state is cloud.HostState.DOWN:
        return WaitForFence(
            host.detail,
            'Make sure that it is off, then: openstack compute service set --down HOST '
            'nova-compute',
        )
    if server.status is ServerStatus.ERROR and host.state is cloud.HostState.UP:
        if may_delete:
            return Delete('its server is in ERROR, where Nova detaches nothing, and its host is up')
        return Stop(
            'its server is in ERROR, where Nova detaches nothing',
            'Bring it out of ERROR (openstack server set --state active) or delete it, then '
            'send the signal resume',
        )
    return Wait(host.detail)


def next_for_stuck_stop(server: cloud.Server, host: cloud.Host) -> Move:
    """What to do when Nova does not shut the old active's server off.

    Invariant: Done only when the server is gone or its host is confirmed down.
    """
    found = next_for_stuck(server, host, may_delete=False)
    if host.state is cloud.HostState.CONFIRMED_DOWN:
        return Done(host.detail)
    # A server in ERROR can be shut off, only not be asked for its volumes.
    return Wait(found.reason) if isinstance(found, Stop) else found
