# SPDX-License-Identifier: Apache-2.0
"""What is done next about one guest that is to be shut out, or is. Pure.

Reasons that a policy shows name neither hosts nor addresses; ``detail`` is for the agent's log.
"""

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

from heat_ha.fencing.rules import blocklist, guests
from heat_ha.fencing.rules.guests import WHOLE_HOST, GuestFence, Opened, Seen, Wanted

# An entry is renewed when less than this share of its time is left.
RENEWED_AT = 0.5

# Seconds for which a host must be up before the images of a guest that Nova has deleted are watched
# no longer: one that comes and goes may start it again. While the host is up nothing is shut out.
WATCHED_UP = 300.0

# Seconds after which what nobody asks for is forgotten, and a host that Nova does not show counts
# as removed.
DAY = 86400.0

# Seconds for which images are watched at most.
LONGEST_WATCH = 30 * DAY


@dataclasses.dataclass(frozen=True)
class Wait:
    """Nothing to do now."""

    reason: str
    detail: str = ''


@dataclasses.dataclass(frozen=True)
class Doubt:
    """As Wait; and what is proved does not count until a look finds all as it should be."""

    reason: str
    detail: str = ''


@dataclasses.dataclass(frozen=True)
class Refuse:
    """It cannot be done like this; a person reads why in the policy's events."""

    reason: str
    detail: str = ''


@dataclasses.dataclass(frozen=True)
class Look:
    """Look who has the images open."""


@dataclasses.dataclass(frozen=True)
class AskNova:
    """Ask Nova, after that look, where the server is and what its host has of its volumes."""


@dataclasses.dataclass(frozen=True)
class ShutOut:
    """Have Ceph refuse these clients, all of them, from now on; they are on record before."""

    clients: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Proved:
    """These clients are refused, and no other one has the images open."""

    clients: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Keep:
    """It holds; put down that it was looked at."""


@dataclasses.dataclass(frozen=True)
class Void:
    """The host gave a sign of life: nothing is proved any more. ``up_since`` is 0 if it is down."""

    up_since: float


@dataclasses.dataclass(frozen=True)
class End:
    """Watch no longer."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Forget:
    """Take it from the record."""


Step: TypeAlias = (
    Wait | Doubt | Refuse | Look | AskNova | ShutOut | Proved | Keep | Void | End | Forget
)


def next_step(seen: Seen) -> Step:
    """What is done next about one server.

    Invariant (S1): ShutOut names only clients at the addresses of the host that the server is on,
    and only while Nova shows that host as silent and nothing speaks against acting on it. For the
    first time only where a policy of the server's own project asks for it, the server is at that
    host and moves nowhere, and of each volume that it has a client is known. After a sign of life
    only where Nova shows none of its volumes at that host. Proved and the first Keep after it: only
    while Ceph refuses all of these, and nobody at all has an image open. A look that finds it
    otherwise ends in ShutOut, Doubt, Refuse, Void or End, none of which leaves a proof.
    """
    asked, fence = seen.wanted, seen.fence
    if asked is None or asked.until < seen.now:
        return _unasked(seen)
    if fence is not None and fence.is_watched and set(asked.ids) <= set(fence.proved_for):
        return _kept(seen, fence)
    return _first(seen, asked)


def is_old(fence: GuestFence, now: float) -> bool:
    """Whether nothing was done about it for so long that it may be forgotten, if it is over."""
    return now - max(fence.at, fence.seen_at) > DAY


def has_life(seen: Seen) -> bool:
    """Whether the host of a fence on record has given a sign of life since."""
    service, fence = seen.service, seen.fence
    if seen.problem or service is None or service.is_forced_down or fence is None:
        return False
    return service.is_up or service.heartbeat_at != fence.written


def _first(seen: Seen, asked: Wanted) -> Step:
    """It is asked for, and not proved for whoever asks."""
    if seen.problem:
        return Wait('heat-ha-agent may be cut off itself', seen.problem)
    if refused := _why_not(seen, asked):
        return refused
    if wait := _why_wait(seen):
        return wait
    if seen.opened is None:
        return Look()
    if refused := _why_unknown(seen, seen.opened):
        return refused
    fence = seen.fence
    known = frozenset(fence.clients if fence is not None and not fence.is_over else ())
    return _shut_out(seen, seen.opened, known | frozenset(seen.shut_out))


def _why_not(seen: Seen, asked: Wanted) -> Refuse | None:
    """What is wrong with a request, or with the fencing file."""
    placed = seen.placed
    if placed is None or not placed.host:
        return Refuse(
            'Nova has not got the server any more, so it is not known which host its guest is on. '
            + WHOLE_HOST
        )
    if placed.host_id != seen.host_id:
        return Refuse(f'Nova shows the server at another host than before. {WHOLE_HOST}')
    if placed.moves:
        return Refuse(
            f'its guest may be on another host than Nova shows: {placed.moves}. {WHOLE_HOST}'
        )
    if others := sorted(asked.volumes - placed.volumes):
        return Refuse(
            f'Nova does not show volume {others[0]} at the server, so it is not known whether its '
            f'guest has it. {WHOLE_HOST}'
        )
    if seen.storage.trouble:
        return Refuse(f'the operators have not set it up for its host. {WHOLE_HOST}',
                      seen.storage.trouble)  # fmt: skip
    return None


def _why_wait(seen: Seen) -> Wait | None:
    """What speaks against acting on the host now."""
    service = seen.service
    if service is None:
        return Wait('Nova does not show its host now')
    if service.is_forced_down:
        return Wait('its host is marked as down: that decides')
    if service.is_up:
        return Wait('its host is up')
    if service.is_in_maintenance:
        return Wait('an operator has taken its host out of service')
    if seen.held:
        return Wait('heat-ha-agent holds back for now; its log says why', seen.held)
    return None


def _why_unknown(seen: Seen, opened: Mapping[str, Opened]) -> Refuse | None:
    """Why a guest cannot be told from others by its images."""
    assert seen.placed is not None
    addresses = seen.storage.addresses
    if not seen.shut_out and (shared := _shared(seen, opened)):
        return Refuse(
            'a volume of the server has several clients at its host, or several have one, so they '
            f'are not its guest alone. {WHOLE_HOST}',
            shared,
        )
    for volume in sorted(seen.placed.volumes):
        one = opened.get(volume)
        if one is None:
            return Refuse(f'volume {volume} has no image of that name in the pool. {WHOLE_HOST}')
        if not one.has_lock:
            return Refuse(
                f'the image of volume {volume} lacks the feature exclusive-lock, without which a '
                f'guest writes on once its entry is gone. {WHOLE_HOST}'
            )
        if others := _elsewhere(seen, one):
            return Refuse(
                f'volume {volume} is open elsewhere than at the known addresses of its host. '
                + WHOLE_HOST,
                min(others),
            )
        is_named = bool(guests.at_host(one.watchers, addresses)) or seen.shut_out
        if not is_named and not _is_known(seen, volume):
            return Refuse(
                f'nobody at its host has volume {volume} open now, as after a power cut, so a '
                f'guest that comes back could not be recognised. {WHOLE_HOST}'
            )
    return None


def _shared(seen: Seen, opened: Mapping[str, Opened]) -> str:
    """A client that may serve others than the guest, '' without one.

    QEMU has a client for each drive. The kernel has one for all of a host, and a backup of a volume
    has one beside that of the guest.
    """
    assert seen.placed is not None
    images = [one for volume, one in opened.items() if volume in seen.placed.volumes]
    found = [sorted(guests.at_host(one.watchers, seen.storage.addresses)) for one in images]
    several = [clients[0] for clients in found if len(clients) > 1]
    all_clients = [client for clients in found for client in clients]
    repeated = [client for client in all_clients if all_clients.count(client) > 1]
    return next(iter(several + repeated), '')


def _elsewhere(seen: Seen, opened: Opened) -> frozenset[str]:
    """Clients that are not of the host, and that Ceph does not refuse."""
    clients = opened.watchers | opened.lockers
    others = clients - guests.at_host(clients, seen.storage.addresses)
    # A watcher counts although it is refused: its host may have more addresses. A lock may name a
    # client for ever that was fenced long ago.
    return frozenset(c for c in others if c in opened.watchers or not _is_refused(seen, c))


def _is_refused(seen: Seen, client: str) -> bool:
    whole = blocklist.client_at(guests.address_of(client))
    return client in seen.listed or whole in seen.listed


def _is_known(seen: Seen, volume: str) -> bool:
    """Whether an earlier look has named the clients of a volume, and no life came since."""
    fence = seen.fence
    return (
        fence is not None
        and not (fence.is_over or fence.is_void or has_life(seen))
        and bool(fence.clients)
        and volume in fence.volumes
    )


def _shut_out(seen: Seen, opened: Mapping[str, Opened], known: frozenset[str]) -> Step:
    """Have the known clients refused, and all others at the host, or say that they are."""
    clients = tuple(sorted(known | _found(seen, opened)))
    if set(clients) - set(seen.shut_out):
        return ShutOut(clients)
    if missing := [one for one in clients if one not in seen.listed]:
        return Wait('the storage has not got it on its blocklist yet', missing[0])
    if watching := _watching(seen, opened):
        return Wait('its guest still has a volume open', min(watching))
    return Proved(clients)


def _found(seen: Seen, opened: Mapping[str, Opened]) -> frozenset[str]:
    clients = [client for one in opened.values() for client in one.watchers | one.lockers]
    return guests.at_host(clients, seen.storage.addresses)


def _watching(seen: Seen, opened: Mapping[str, Opened]) -> frozenset[str]:
    clients = [client for one in opened.values() for client in one.watchers]
    return guests.at_host(clients, seen.storage.addresses)


def _kept(seen: Seen, fence: GuestFence) -> Step:
    """It is proved for whoever asks: see that it stays so, or let it become stale."""
    if seen.problem:
        return Wait('heat-ha-agent may be cut off itself', seen.problem)
    placed = seen.placed
    if placed is not None and placed.host_id != fence.host_id:
        return Refuse(f'Nova shows the server at another host than before. {WHOLE_HOST}')
    if placed is not None and placed.moves and not placed.is_going:
        # It may be at the end of its way when it is deleted there, and nobody looks at that host.
        return Refuse(
            f'its guest may be on another host than Nova shows: {placed.moves}. {WHOLE_HOST}'
        )
    if placed is not None and placed.is_going:
        return Doubt('Nova is deleting the server')
    if placed is not None and not placed.volumes <= set(fence.volumes):
        # The plan deletes the server, which frees its volumes. Until then it has these and no more.
        return Doubt('the server has other volumes by now')
    if has_life(seen):
        return Void(seen.now if seen.service is not None and seen.service.is_up else 0.0)
    if seen.service is None or seen.service.is_forced_down or seen.storage.trouble:
        return _why_wait(seen) or Wait('its host has no entry in the fencing file any more')
    if seen.opened is None:
        return Look()
    if placed is not None and any(_elsewhere(seen, one) for one in seen.opened.values()):
        # Nobody has given the volumes to anybody else, if it is there after that look as well: the
        # plan may have deleted it meanwhile.
        if seen.at_host is None:
            return AskNova()
        # Or it is at that, volume after volume: when it is gone, the next look proves it again.
        return Doubt('a volume of the server is open elsewhere, and Nova still has the server')
    return _held_shut(seen, fence, seen.opened)


def _held_shut(seen: Seen, fence: GuestFence, opened: Mapping[str, Opened]) -> Step:
    """Shut out whoever is new at the host, and renew what ends soon."""
    known = frozenset(fence.clients)
    left = min((seen.listed.get(one, 0.0) - seen.now for one in known), default=0.0)
    strangers = _found(seen, opened) - known
    is_shut = not strangers and left > guests.LEAST_LEFT and not _watching(seen, opened)
    wait = _why_wait(seen)
    if is_shut and (wait or left > RENEWED_AT * seen.storage.duration):
        return Proved(tuple(sorted(known))) if seen.shut_out else Keep()
    if wait:
        return Doubt(wait.reason, wait.detail)
    if strangers and fence.is_void:
        # While the host was up, they may have been given to another server there.
        if seen.at_host is None:
            return AskNova()
        if given := sorted(seen.at_host & set(fence.volumes)):
            return End(f'Nova shows volume {given[0]} at a server of that host')
    return _shut_out(seen, opened, known | frozenset(seen.shut_out))


def _unasked(seen: Seen) -> Step:
    """No policy asks for it: watch what is shut out, and forget what is over."""
    fence = seen.fence
    if fence is None or not fence.is_watched:
        is_over = fence is not None and is_old(fence, seen.now)
        return Forget() if is_over else Wait('no policy asks for it')
    if seen.now - fence.at > LONGEST_WATCH:
        return End(f'it was watched for {LONGEST_WATCH / DAY:.0f} days')
    if seen.storage.trouble:
        return End(seen.storage.trouble)
    if seen.problem:
        return Wait('heat-ha-agent may be cut off itself', seen.problem)
    service = seen.service
    if service is None and seen.now - fence.seen_at > DAY:
        return End('Nova has not shown its host for a day')
    if service is None or service.is_forced_down:
        return _why_wait(seen) or Wait('')
    if has_life(seen) or fence.is_void:
        if seen.placed is not None:
            return End('its host has given a sign of life, and Nova still has the server')
        if step := _after_life(seen, fence, is_up=service.is_up):
            return step
    if seen.opened is None:
        return Look()
    return _held_shut(seen, fence, seen.opened)


def _after_life(seen: Seen, fence: GuestFence, *, is_up: bool) -> Step | None:
    """What a host that came back means for a guest that Nova has deleted."""
    if is_up and fence.up_since and seen.now - fence.up_since > WATCHED_UP:
        return End('Nova reaches its host again')
    if not fence.is_void or bool(fence.up_since) != is_up:
        return Void(seen.now if is_up else 0.0)
    return Wait('its host is up') if is_up else None
