# SPDX-License-Identifier: Apache-2.0
"""Clients of a dead guest that the storage still counts with, where its host is well. Pure.

A guest whose QEMU has died goes on having its image open for Ceph: half a minute later its watch
times out, and until then the next guest's first write waits. Once Nova has taken the volume from
it, a policy with ``fencing: storage`` asks for it, and an agent has Ceph refuse what is left. The
same shuts out a guest that Nova has lost sight of, and that still writes.

The policy waits for the answer for a moment only: nothing relies on it.
"""

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

from heat_ha import serialization
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing.rules import guests
from heat_ha.fencing.rules.guests import Opened, Placed, Storage

# The kind of a question in the agents' table.
KIND = 'leftover'

# Seconds after its end at which a question is removed that its failover has not taken away.
KEPT_FOR = 60.0

_NOT_LOOKED_UP = Storage()


@dataclasses.dataclass(frozen=True)
class Question:
    """What is left of a guest at one volume: asked by a policy, answered by an agent.

    :ivar name: of the question in the table, made anew for each.
    :ivar project: of the stack that asks.
    :ivar host: the host that the guest was on, as Nova shows it to the server's owner.
    :ivar until: Unix time; later nobody waits for it, and nothing is done for it.
    :ivar is_awaited: whether a failover waits for the answer.
    :ivar answer: what was done or why not, '' until then; it names neither hosts nor addresses.
    """

    FORM = serialization.Form(version=1)

    name: str
    project: str
    server: str
    host: str
    volume: str
    until: float
    is_awaited: bool = True
    answer: str = ''


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that the next step for one question depends on.

    :ivar placed: the server as Nova shows it now, None where Nova has not got it.
    :ivar service: of its host, None when Nova does not show it.
    :ivar problem: why nothing can be concluded from what Nova shows (S2), or ''.
    :ivar opened: by volume, who has the images open of all that is at the host, and of the one that
        is asked about; None before it was looked at.
    :ivar looked_at: the volumes of which that look was.
    :ivar at_host: the volumes of the servers on its host, and of those on their way to it or from
        it; asked after that look.
    :ivar shut_out: clients that Ceph was asked to refuse since.
    :ivar listed: which clients Ceph refuses, and until when.
    """

    now: float
    question: Question
    placed: Placed | None = None
    service: ComputeService | None = None
    problem: str = ''
    storage: Storage = _NOT_LOOKED_UP
    opened: Mapping[str, Opened] | None = None
    looked_at: frozenset[str] = frozenset()
    at_host: frozenset[str] = frozenset()
    shut_out: tuple[str, ...] = ()
    listed: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Wait:
    """Nothing to do now."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Look:
    """Look who has the images open, and then which volumes Nova shows at the host."""


@dataclasses.dataclass(frozen=True)
class ShutOut:
    """Have Ceph refuse these clients from now on."""

    clients: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Answer:
    """Put the answer down. ``detail`` is for the agent's log."""

    text: str
    detail: str = ''


@dataclasses.dataclass(frozen=True)
class Forget:
    """Nobody has taken it away in time."""


Step: TypeAlias = Wait | Look | ShutOut | Answer | Forget


def next_step(seen: Seen) -> Step:
    """What is done next about one question.

    Invariant: ShutOut names only clients at the host of a server of the project that asks, while
    Nova reaches that host, and has shown after the look that no server there has the volume, nor
    is one that has it on its way. Each has the image of that volume open, and of no other volume at
    that host. So it serves nobody who has anything by Nova's word (S2, S5, S7).
    """
    asked = seen.question
    if is_over(asked, seen.now):
        return Forget()
    if asked.answer or seen.now > asked.until:
        return Wait('')
    if seen.problem:
        return Wait(seen.problem)
    if refused := _why_not(seen):
        return refused
    if seen.opened is None:
        return Look()
    if asked.volume in seen.at_host:
        return Answer('a server of its host has the volume, or is on its way with it')
    if seen.looked_at - {asked.volume} - seen.at_host:
        # Nova shows servers without volumes where a cell does not answer in time.
        return Wait('Nova shows fewer volumes at its host than just before')
    if seen.at_host - seen.looked_at:
        return Wait('another volume has come to its host, of which nobody knows who has it open')
    image = seen.opened.get(asked.volume)
    if image is None:
        return Answer('it has no image of that name in the pool')
    left = guests.at_host(image.watchers, seen.storage.addresses)
    if seen.shut_out:
        # Who comes after the look at the host may have it by right.
        left &= frozenset(seen.shut_out)
    if shared := left & _others(seen):
        return Answer('what is left at its host may serve others as well', min(shared))
    if not left and not seen.shut_out:
        return Answer('nobody at its former host has it open')
    if not seen.shut_out:
        return ShutOut(tuple(sorted(left)))
    if left or any(one not in seen.listed for one in seen.shut_out):
        return Wait('the storage does not refuse it yet')
    return Answer('the storage refuses what was left of its former guest')


def is_over(asked: Question, now: float) -> bool:
    """Whether nobody will take it away any more."""
    return now > asked.until + (KEPT_FOR if asked.is_awaited else 0.0)


def is_due(asked: Question, now: float) -> bool:
    """Whether an agent has something to do about it."""
    return is_over(asked, now) or not (asked.answer or now > asked.until)


def _why_not(seen: Seen) -> Answer | Wait | None:
    asked, placed, service = seen.question, seen.placed, seen.service
    if placed is None or placed.host_id != asked.host or not placed.host:
        return Answer('Nova does not show the server at that host any more')
    if placed.project != asked.project:
        return Answer('the server is of another project')
    if asked.volume in placed.volumes:
        return Wait('Nova still shows the volume at the server')
    if service is None or service.is_forced_down or not service.is_up:
        return Answer('its former host does not answer')
    if seen.storage.trouble:
        return Answer('the operators have not set it up for its former host', seen.storage.trouble)
    return None


def _others(seen: Seen) -> frozenset[str]:
    """The clients of all other volumes at the host: the kernel has one client for all."""
    assert seen.opened is not None
    return frozenset(
        client
        for volume, one in seen.opened.items()
        if volume != seen.question.volume
        for client in one.watchers | one.lockers
    )
