# SPDX-License-Identifier: Apache-2.0
"""Shutting one guest out from its volumes, where its host is silent and nobody has fenced it. Pure.

A policy asks for it, an agent does it, and what it did is on record for the engine. The guest is
known by its clients: those that have the images of its volumes open, or hold their locks, at the
addresses of its host. No later client has the name of one that was shut out. But a QEMU that is
started again on that host is another client: so the images are watched as long as the host is
silent. ``guest_steps`` decides what is done next.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from heat_ha import serialization
from heat_ha.cloud.model import ComputeService

# The key of a request among the data of a policy, and the kind of a record in the agents' table.
REQUEST, KIND = 'ha_guest_fence', 'guest_fence'

# Seconds since the agent's last look at the images for which its record counts. An agent that is
# gone sees no new client; the clocks of one cloud's machines may differ by half of it.
FRESH = 30.0

# Seconds that an entry must hold yet for the record to count.
LEAST_LEFT = 600.0

WHOLE_HOST = 'Fence the whole host, then: openstack compute service set --down HOST nova-compute'


def record_name(server: str, host_id: str) -> str:
    """The name of the record about a server while it is on one host, in the agents' table."""
    return f'{server} {host_id}'


@dataclasses.dataclass(frozen=True)
class Request:
    """A policy asks that a server be shut out from its volumes.

    :ivar request_id: made anew for each failure; the record names those that it answers.
    :ivar plan: the id of the plan that waits for it.
    :ivar host: the host that the server is on, as Nova shows it to its owner.
    :ivar volumes: those that it has to give up; it is shut out from all that it has.
    :ivar until: Unix time; later it is not begun any more.
    """

    FORM = serialization.Form(version=1)

    request_id: str
    plan: str
    server: str
    host: str
    volumes: tuple[str, ...]
    until: float


@dataclasses.dataclass(frozen=True)
class GuestFence:
    """What the agents have on record about one server on one host.

    :ivar host: its name, ``host_id`` as Nova shows it to the owner of the server.
    :ivar volumes: all that Nova showed at the server when it was proved.
    :ivar clients: who is shut out, or is about to be, as Ceph names them.
    :ivar proved_for: the ids of the requests for which it is proved; empty as soon as anything
        speaks against it.
    :ivar answers: the ids of the requests that ``refused`` and ``waits`` are about. Both are read
        by tenants: they name neither hosts nor addresses.
    :ivar written: when the host's record in Nova was written last before it was shut out, by Nova's
        clock. Another time is a sign of life, and nothing is proved any more.
    :ivar at: when it was proved first, 0 before; ``until`` when the entries end, ``seen_at`` when
        the last look at the images began (all Unix time).
    :ivar is_doubtful: whether the last look has not found all as it was when it was proved.
    :ivar is_void: whether the host has given a sign of life since.
    :ivar up_since: since when it is up after that (Unix time), 0 while it is silent.
    :ivar is_over: whether the images are watched no longer.
    """

    FORM = serialization.Form(version=1)

    server: str
    host_id: str
    host: str = ''
    project: str = ''
    volumes: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    proved_for: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    refused: str = ''
    waits: str = ''
    written: float | None = None
    at: float = 0.0
    until: float = 0.0
    seen_at: float = 0.0
    who: str = ''
    is_doubtful: bool = False
    is_void: bool = False
    up_since: float = 0.0
    is_over: bool = False

    @property
    def is_watched(self) -> bool:
        """Whether the server is shut out, and the images are watched."""
        return bool(self.clients and self.at) and not self.is_over


def proof(found: GuestFence | None, request: Request, written: float | None, now: float) -> str:
    """Why a server cannot write to its volumes any more, '' when that is not proved.

    Invariant (S1): not empty only for a fence that answers this very request while it stands, for
    agents ask Nova where the server is only then; of the server on that very host, of all of its
    volumes, while the entries hold for some time yet, an agent has looked at the images just now,
    and the host has given no sign of life since.

    :param written: when the host's record in Nova was written last, as it is shown now.
    """
    if found is None or not found.is_watched or found.refused or request.until < now:
        return ''
    if found.is_void or found.is_doubtful:
        return ''
    if (found.server, found.host_id) != (request.server, request.host) or not request.host:
        return ''
    if request.request_id not in found.proved_for or found.written != written:
        return ''
    if not set(request.volumes) <= set(found.volumes):
        return ''
    if found.until - now < LEAST_LEFT or abs(now - found.seen_at) > FRESH:
        return ''
    return 'its host does not answer, and the storage has shut its guest out from its volumes'


@dataclasses.dataclass(frozen=True)
class Opened:
    """Who has an image open: clients by their names ``IP:0/NONCE``.

    :ivar watchers: those that have it open, ``lockers`` those that hold its lock, dead or not.
    :ivar has_lock: whether it has the feature ``exclusive-lock``.
    """

    watchers: frozenset[str]
    lockers: frozenset[str] = frozenset()
    has_lock: bool = True


@dataclasses.dataclass(frozen=True)
class Placed:
    """What Nova shows of a server to an operator.

    :ivar host_id: the host as Nova shows it to the owner of the server.
    :ivar volumes: all that it has, a root volume too.
    :ivar moves: why its guest may be somewhere else, '' when nothing speaks for that.
    :ivar is_going: whether Nova is deleting it, which moves its guest nowhere.
    """

    host: str
    host_id: str
    project: str
    volumes: frozenset[str]
    moves: str = ''
    is_going: bool = False


@dataclasses.dataclass(frozen=True)
class Storage:
    """Where the images of a host's guests are.

    :ivar addresses: those of the host on the network of the storage.
    :ivar duration: seconds for which an entry is made.
    :ivar trouble: why that is not known, or ''.
    """

    addresses: tuple[str, ...] = ()
    duration: float = 0.0
    trouble: str = ''


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What all policies of a project together ask about one server on one host."""

    ids: tuple[str, ...]
    volumes: frozenset[str]
    until: float


def wanted(requests: Iterable[Request], now: float) -> Wanted | None:
    """What the requests that stand ask for; None when none of them stands any more."""
    standing = [one for one in requests if one.until >= now and one.host]
    if not standing:
        return None
    return Wanted(
        tuple(sorted(one.request_id for one in standing)),
        frozenset(volume for one in standing for volume in one.volumes),
        max(one.until for one in standing),
    )


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that the next step for one server depends on.

    :ivar wanted: None when no policy asks for it.
    :ivar host_id: the host that it is asked about.
    :ivar fence: what is on record.
    :ivar placed: None when Nova has not got the server, or was not asked.
    :ivar service: of its host, None when Nova does not show it.
    :ivar problem: why nothing can be concluded from what Nova shows (S2), or '' .
    :ivar held: why the agent may not act on its host now, or ''.
    :ivar at_host: the volumes of the servers on its host, and of those on their way to it or from
        it, where it has given a sign of life; None before Nova was asked, after the look.
    :ivar opened: by volume, who has its image open; None before it was looked at. A volume whose
        image is not there is left out.
    :ivar shut_out: clients that Ceph was asked to refuse since, in this look.
    :ivar listed: which clients Ceph refuses, and until when.
    """

    now: float
    wanted: Wanted | None
    host_id: str = ''
    fence: GuestFence | None = None
    placed: Placed | None = None
    service: ComputeService | None = None
    problem: str = ''
    held: str = ''
    storage: Storage = Storage()
    opened: Mapping[str, Opened] | None = None
    at_host: frozenset[str] | None = None
    shut_out: tuple[str, ...] = ()
    listed: Mapping[str, float] = dataclasses.field(default_factory=dict)


def address_of(client: str) -> str:
    """The address of a client, as the fencing file has it."""
    return client.rpartition(':')[0].strip('[]')


def at_host(clients: Iterable[str], addresses: tuple[str, ...]) -> frozenset[str]:
    """Those of the clients that are at one of the addresses."""
    return frozenset(one for one in clients if address_of(one) in addresses)
