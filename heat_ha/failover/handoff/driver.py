# SPDX-License-Identifier: Apache-2.0
"""The contract of what hands over one kind of thing on the quick path.

The executor asks a driver for a look, for what the look leads to, and to send the one request
that follows; order, limits, retries and the record are its own. How a new kind of thing is added
is in ``doc/source/contributor/handing_over.rst``.
"""

import abc
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar, Generic, TypeVar

from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.rules import moves

# One look at a thing, as a value that rules can read.
Seen = TypeVar('Seen')

# What came of a request that changes something, and in words.
Sent = tuple[cloud.Reply, str]


class Driver(abc.ABC, Generic[Seen]):
    """Takes one kind of thing from the old active and gives it to the new one.

    Invariants of every driver:

    * ``next_acquire`` leads to a Request only when the look shows the thing free of every
      server. ``next_release`` leads to Done only when the new active has it and no other server,
      and to Free when no server has it. Free is not the end of a release: the executor asks for
      the host of who had it (S1).
    * A look that could not be made leads to Wait (S2).
    * A request that is sent twice does no harm, and its end is seen by looks alone (S4).

    :cvar thing: the kind of thing; plans have it on record.
    :cvar stand_ins: the resource types that connect the thing to a server, each with the type of
        ours that stands in for it below a FailoverPolicy. It takes what is as wanted for done,
        so that Heat's update after the quick path moves nothing again. A type that does so by
        itself stands in for itself.
    :cvar properties: the names of their properties that have the id of the thing, the id of the
        server, and the detail that a request needs besides (such as a device).
    :cvar looked_at_in: the service whose looks show where the thing is, for people.
    :cvar asked_of: the service that the requests go to, for people.
    """

    thing: ClassVar[model.ThingKind]
    stand_ins: ClassVar[Mapping[str, str]]
    properties: ClassVar[tuple[str, str, str]]
    looked_at_in: ClassVar[str]
    asked_of: ClassVar[str]

    @abc.abstractmethod
    def __init__(self, services: clients.StackClients) -> None:
        """Use these clients, and no others."""

    @abc.abstractmethod
    def look(self, target: str) -> Seen:
        """Look at one thing; a failed call is a value of its own, never "gone"."""

    @abc.abstractmethod
    def attached(
        self, targets: Collection[str], servers: Iterable[str]
    ) -> frozenset[tuple[str, str]] | None:
        """Which of the things the servers have, with as few requests as can be.

        Asked several times a second while more than one thing of the kind is on its way. Only
        what is attached to its end counts: the executor takes it for done.

        :returns: pairs of thing and server, also of other things; None when the service could
            not be asked.
        """

    @abc.abstractmethod
    def release(self, target: str, old: str) -> Sent:
        """Send the request to take the thing from a server."""

    @abc.abstractmethod
    def acquire(self, target: str, new: str, detail: str | None) -> Sent:
        """Send the request to give the thing to a server."""

    @staticmethod
    @abc.abstractmethod
    def next_release(seen: Seen, old: str | None, new: str | None) -> moves.Shown:
        """What a look leads to while the thing is taken from ``old``. Does no I/O."""

    @staticmethod
    @abc.abstractmethod
    def next_acquire(seen: Seen, old: str | None, new: str) -> moves.Move:
        """What a look leads to while the thing is given to ``new``. Does no I/O."""

    @staticmethod
    @abc.abstractmethod
    def holders(seen: Seen) -> frozenset[str] | None:
        """The servers that have the thing; None when the look could not be made. Does no I/O."""

    @staticmethod
    @abc.abstractmethod
    def is_under_way(seen: Seen) -> bool:
        """Whether a request for the thing was accepted and is not carried out yet. Does no I/O."""

    @staticmethod
    @abc.abstractmethod
    def why_never_moved(seen: Seen) -> moves.Stop | None:
        """Why no policy may hand this one over, or None. Does no I/O.

        Asked when a stack is validated and created, when a plan is made, and at each look
        since. A look that could not be made is no reason (S2).
        """
