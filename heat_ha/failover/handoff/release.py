# SPDX-License-Identifier: Apache-2.0
"""Freeing what a policy hands over, when the policy itself is deleted.

The record of the nested stack names one server for each thing, but the deletion may come in the
middle of a failover, or somebody may have moved a thing by hand. So each thing is looked at, and
taken from whichever member of the policy's own group has it. ``heat_ha.plugin.policy_deletion``
asks for it before the nested stack is deleted.
"""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from oslo_log import log as logging

from heat_ha.cloud import clients
from heat_ha.cloud.model import Reply
from heat_ha.failover import model
from heat_ha.failover.handoff import drivers
from heat_ha.failover.rules import moves

LOG = logging.getLogger(__name__)

# Seconds for all things together: Nova itself tries for 160 s to take a volume from a guest. What
# is not free by then is left to the deletion of the nested stack, which says why.
LIMIT = 180.0

# Seconds for which a thing has to be seen as free that a failover has just asked for: Nova may be
# about to mark it.
SETTLES = 3.0

# Seconds after which a refusal does not look like one that passes.
REFUSED_FOR = 5.0


@dataclasses.dataclass(frozen=True)
class Thing:
    """Something that is handed over. ``was_asked_for``: a failover was about to attach it."""

    kind: model.ThingKind
    target: str
    was_asked_for: bool = False


@dataclasses.dataclass
class _Attempt:
    """When, on the monotonic clock, something was first seen of a thing."""

    free_since: float | None = None
    refused_since: float | None = None


def next_move(
    handler: drivers.AnyDriver | type[drivers.AnyDriver], seen: Any, own: Collection[str]
) -> tuple[str | None, moves.Shown]:
    """What a look at a thing leads to, and the server that it has to be taken from.

    :param own: the servers of those that are or were members of the policy's group.

    Invariants: it is asked of a server of ``own`` only (S7). Done or Free only when none of those
    has the thing and none is about to get it, as far as the service shows; a look that could not be
    made is neither (S2).
    """
    holders = handler.holders(seen)
    if holders is None:
        return None, moves.Wait('the service did not answer')
    holder = min(holders.intersection(own), default=None)
    if holder is None and holders:
        return None, moves.Done(f'{", ".join(sorted(holders))} has it, which is not a member')
    move = handler.next_release(seen, holder, None)
    if isinstance(move, moves.Stop):
        # It is gone, or of a kind that was never handed over: the nested stack tells which.
        return None, moves.Done(move.reason)
    return holder, move


class Release:
    """Takes each of these things from whichever own server has it, a look at a time.

    :param own: the servers of those that are or were members of the policy's group.
    :param goes_away: whether a server is deleted with the stack, as its user wants. Nova takes
        nothing from a server whose host does not answer; then it is deleted now.
    :param emit: called with a sentence about what is done.
    """

    def __init__(
        self,
        services: clients.StackClients,
        things: Iterable[Thing],
        own: Collection[str],
        goes_away: Callable[[str], bool],
        emit: Callable[[str], None],
    ) -> None:
        self._nova = services.nova
        self._drivers = drivers.Drivers(services)
        self._own = frozenset(own)
        self._goes_away = goes_away
        self._emit = emit
        self._open = {thing: _Attempt() for thing in things}
        self._deadline = time.monotonic() + LIMIT

    def is_done(self) -> bool:
        """Look at each thing that is not free yet and send at most one request about it."""
        for thing, attempt in list(self._open.items()):
            if self._is_free(thing, attempt):
                del self._open[thing]
        if self._open and time.monotonic() > self._deadline:
            names = ', '.join(thing.target for thing in self._open)
            LOG.warning('not freed within %.0f s: %s', LIMIT, names)
            self._open.clear()
        return not self._open

    def _is_free(self, thing: Thing, attempt: _Attempt) -> bool:
        handler = self._drivers[thing.kind]
        holder, move = next_move(handler, handler.look(thing.target), self._own)
        now = time.monotonic()
        if isinstance(move, moves.Done | moves.Free):
            # Nobody else gets it: whether who had it may still write need not be known.
            attempt.free_since = attempt.free_since or now
            return not thing.was_asked_for or now >= attempt.free_since + SETTLES
        attempt.free_since = None
        if isinstance(move, moves.Request) and holder is not None:
            reply, why = handler.release(thing.target, holder)
            LOG.info('%s is taken from %s: %s', thing.target, holder, reply.value)
            self._note(thing, attempt, holder, reply, why)
        return False

    def _note(self, thing: Thing, attempt: _Attempt, holder: str, reply: Reply, why: str) -> None:
        """Give the server up where Nova keeps refusing, and it goes away with the stack anyway."""
        if reply not in (Reply.CONFLICT, Reply.REFUSED):
            attempt.refused_since = None
            return
        now = time.monotonic()
        attempt.refused_since = attempt.refused_since or now
        if now < attempt.refused_since + REFUSED_FOR or not self._goes_away(holder):
            return
        self._emit(f'deleting server {holder}, which does not give up {thing.target}: {why}')
        self._nova.delete(holder)
        attempt.refused_since = None
