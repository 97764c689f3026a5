# SPDX-License-Identifier: Apache-2.0
"""The steps of a plan that only talk to services: look, send, wait, until one is done.

``executor`` runs each of them in a thread of its own. What a thing that is handed over shows, and
what follows, is known to its driver in ``handoff``; what the old active's server allows is decided
by ``rules.server_rules``, how often and how long a step is tried by ``rules.retry``.
"""

import concurrent.futures
import dataclasses
import functools
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import (
    attachment_poller,
    fence_step,
    former_holders,
    leftovers,
    model,
    moves_under_way,
)
from heat_ha.failover.handoff import driver, drivers
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import moves, retry, server_rules

LOG = logging.getLogger(__name__)

MOVES = frozenset({StepKind.DETACH, StepKind.ATTACH})
KINDS = MOVES | {StepKind.STOP_SERVER, StepKind.FENCE}

# Seconds between two looks at a thing of several of its kind, all of which are polled with one
# request, and from the answer to that request to the next. Several of them keep the services so
# busy that each request of ours takes longer from them than is won by asking sooner.
POLLED_LOOK, POLL_PERIOD = 1.0, 0.15

# Seconds for which a look serves a second time: that which ends a release shows what the
# acquisition starts from.
FRESH = 1.0

# How many steps are under way at once.
MAX_AT_ONCE = 16

# When a thing was looked at, on the monotonic clock, and what was seen.
Look = tuple[float, Any]


class _AtEarlierSuccessor(Exception):
    """Something is at a server that an earlier plan of the same failover has tried."""


def _comes_back(target: str) -> exceptions.Stopped:
    return exceptions.Stopped(
        f'{target} came back to an earlier successor {retry.MAX_REQUESTS} times',
        'Find out who attaches it there, then send the signal resume',
    )


class HandoffSteps:
    """Does the steps of one plan that move things or shut the old active off.

    :param plan: gives the plan as it is now: its new active may be made meanwhile.
    :param check_ours: called before each request; what it raises ends the step.
    :param looks: the things that were looked at just now, by id.
    :param old: the old active's server and host, if they were looked at just now.
    """

    def __init__(
        self,
        services: clients.StackClients,
        plan: Callable[[], model.Plan],
        check_ours: Callable[[], None],
        looks: Mapping[str, Look],
        old: tuple[cloud.Server, cloud.Host] | None,
    ) -> None:
        self._services = services
        self._drivers = drivers.Drivers(services)
        self._plan = plan
        self._check_ours = check_ours
        self._is_abandoned = threading.Event()
        self._pollers: dict[model.ThingKind, attachment_poller.AttachmentPoller] = {}
        self._last_looks: dict[str, Look] = {}
        self._handed_on: dict[str, Look] = dict(looks)
        self._former_holders = former_holders.FormerHolders(services, old)

    def pool(self, steps: Iterable[model.Step]) -> concurrent.futures.ThreadPoolExecutor:
        """Threads for the steps of these that are left; several things of a kind are polled."""
        left = [s for s in steps if s.kind in KINDS and s.state is not StepState.DONE]
        moved = [s for s in left if s.kind in MOVES]
        for thing in {s.thing for s in moved}:
            targets = {s.target for s in moved if s.thing is thing}
            if len(targets) > 1:
                look = functools.partial(self._attached, thing, targets)
                self._pollers[thing] = attachment_poller.AttachmentPoller(look, POLL_PERIOD)
        workers = max(1, min(MAX_AT_ONCE, len(left))) + len(self._pollers)
        found = concurrent.futures.ThreadPoolExecutor(workers)
        for poller in self._pollers.values():
            found.submit(poller.run)
        return found

    def abandon(self) -> None:
        """Let every step end at its next look, done or not."""
        self._is_abandoned.set()
        for poller in self._pollers.values():
            poller.end()

    def do(self, step: model.Step) -> str:
        """Do one step; returns why it is done.

        :raises Stopped: it cannot be done. :raises FencingUnconfirmed: not before a fence.
        """
        plan = self._plan()
        new = plan.new.server if plan.new else None
        if step.kind is StepKind.STOP_SERVER:
            return self._stop_server(step)
        if step.kind is StepKind.FENCE:
            return self._fence(step)
        if step.kind is StepKind.DETACH:
            return self._release(step, new)
        return self._acquire(step, plan.old.server if plan.old else None, new or '')

    def _stop_server(self, step: model.Step) -> str:
        nova, server = self._services.nova, step.target
        # After the failover nothing is given away any more.
        holders = () if step.is_follow_up else (server,)
        settled = self._former_holders.settled
        return self._until_done(
            step,
            lambda: settled(server_rules.next_for_stop(nova.server(server)), holders),
            lambda: nova.stop(server),
            lambda: self._former_holders.examine(server, server_rules.next_for_stuck_stop),
        )

    def _fence(self, step: model.Step) -> str:
        one = fence_step.FenceStep(self._services, self._former_holders, self._plan())
        return self._until_done(
            step, one.look, one.send, lambda: self._former_holders.examine(one.holder, one.judge)
        )

    def _release(self, step: model.Step, new: str | None) -> str:
        handler, plan = self._drivers[step.thing], self._plan()
        holders = [one.server for one in (plan.old, *plan.tried) if one and one.server != new]
        holder = next(iter(holders), None)
        settled = self._former_holders.settled

        def look() -> moves.Move:
            # Mostly the old active has it. Who else may have got it, by an earlier plan or by
            # hand, is asked to give it up in the same way.
            nonlocal holder
            seen = self._look_at(step)
            for one in holders:
                move = handler.next_release(seen, one, new)
                if not isinstance(move, moves.Stop):
                    holder = one
                    return settled(move, holders)
            holder = next(iter(holders), None)
            return settled(handler.next_release(seen, holder, new), holders)

        def send() -> driver.Sent:
            sent = handler.release(step.target, holder or '')
            if sent[0] is cloud.Reply.ACCEPTED:
                self._former_holders.vouch(holder or '')
            return sent

        def judge(server: cloud.Server, host: cloud.Host) -> moves.Finding:
            return server_rules.next_for_stuck(server, host, plan.may_delete(holder))

        try:
            reason = self._until_done(
                step,
                look,
                send,
                lambda: self._former_holders.examine(holder, judge),
                service=handler.asked_of,
            )
        except exceptions.FencingUnconfirmed as exc:
            exc.server = exc.server or holder or ''
            raise
        self._handed_on[step.target] = self._last_looks[step.target]
        return reason

    def _acquire(self, step: model.Step, old: str | None, new: str) -> str:
        handler = self._drivers[step.thing]
        former = leftovers.Former(self._services, self._plan(), step, self._is_abandoned)
        attach = functools.partial(handler.acquire, step.target, new, step.detail or None)
        for _ in range(retry.MAX_REQUESTS):
            try:
                look = functools.partial(self._next_acquire, step, old, new)
                send = functools.partial(former.before, attach, self._check_ours)
                return former.told(self._until_done(step, look, send, service=handler.asked_of))
            except _AtEarlierSuccessor:
                # A request to attach it there has come through after it was seen as free. It is
                # taken from there as before: what hinders that says nothing of the new active.
                name = f'{StepKind.DETACH.value}:{step.target}'
                self._release(dataclasses.replace(step, name=name, kind=StepKind.DETACH), new)
        raise _comes_back(step.target)

    def _until_done(
        self,
        step: model.Step,
        look: Callable[[], moves.Move],
        send: Callable[[], driver.Sent],
        examine: Callable[[], moves.Finding] | None = None,
        service: str = 'Nova',
    ) -> str:
        """Do what ``retry`` says until the step is done; returns why it is.

        :param examine: looks at the server that may be in the way; None where none can be.
        :param service: the service that requests are sent to.
        """
        attempt, action = retry.begin(
            step.name,
            time.monotonic(),
            has_server=examine is not None,
            is_known_dead=self._former_holders.is_old_known_dead(),
            service=service,
        )
        unchanged = known = self._changes(step)
        event: retry.Event
        while True:
            match action:
                case retry.Look():
                    known = self._changes(step)
                    event = retry.Looked(look(), self._is_abandoned.is_set())
                case moves.Request():
                    # An engine may have been frozen since the look, and all be different.
                    self._check_ours()
                    event = retry.Answered(*send())
                case retry.Examine():
                    assert examine is not None
                    event = retry.Examined(examine())
                case moves.Delete(reason, server):
                    self._delete(server, reason)
                    event = retry.Deleted()
                case retry.Pause(seconds):
                    if step.kind is StepKind.ATTACH:
                        seconds = retry.among(attempt, seconds, moves_under_way.HERE.count())
                    self._wait(step, known, seconds, is_moving=known > unchanged)
                    event = retry.Paused()
                case moves.Done(reason):
                    return reason
                case moves.Stop(reason, remedy, is_of_server):
                    is_of_successor = is_of_server and step.kind is StepKind.ATTACH
                    kind = exceptions.SuccessorFailed if is_of_successor else exceptions.Stopped
                    raise kind(reason, remedy)
                case moves.WaitForFence(reason, remedy, server):
                    raise exceptions.FencingUnconfirmed(reason, remedy, server)
            attempt, action = retry.after(attempt, event, time.monotonic())

    # --- looks -------------------------------------------------------------------------------

    def _next_acquire(self, step: model.Step, old: str | None, new: str) -> moves.Move:
        handler, poller = self._drivers[step.thing], self._poller_of(step)
        if poller is not None and poller.has_seen(step.target, new):
            # The service knows that the server has it; that look was for all of its kind.
            return moves.Done(f'{handler.looked_at_in} shows it attached to the new active')
        seen = self._look_at(step)
        move = handler.next_acquire(seen, old, new)
        earlier = {one.server for one in self._plan().tried} - {old, new}
        if isinstance(move, moves.Stop) and earlier.intersection(handler.holders(seen) or ()):
            raise _AtEarlierSuccessor
        return move

    def _look_at(self, step: model.Step) -> Any:
        """Look at a thing, or use the look that ended the step before."""
        seen_at, seen = self._handed_on.pop(step.target, (0.0, None))
        if seen is None or time.monotonic() - seen_at > FRESH:
            seen_at, seen = time.monotonic(), self._drivers[step.thing].look(step.target)
        self._last_looks[step.target] = (seen_at, seen)
        return seen

    def _attached(
        self, thing: model.ThingKind, targets: set[str]
    ) -> attachment_poller.Attached | None:
        return self._drivers[thing].attached(targets, _in_change(self._plan(), thing))

    def _poller_of(self, step: model.Step) -> attachment_poller.AttachmentPoller | None:
        return self._pollers.get(step.thing) if step.kind in MOVES else None

    def _delete(self, server: str, reason: str) -> None:
        self._check_ours()
        reply, _ = self._services.nova.delete(server)
        # By what was just seen of its host it may be deleted.
        self._former_holders.vouch(server)
        LOG.info(
            'plan %s: deletion of %s %s: %s', self._plan().plan_id, server, reply.value, reason
        )

    def _changes(self, step: model.Step) -> int:
        poller = self._poller_of(step)
        return poller.changes(step.target) if poller is not None else 0

    def _wait(self, step: model.Step, known: int, seconds: float, *, is_moving: bool) -> None:
        """Wait until the thing has changed since ``known``, or about so many seconds.

        :param is_moving: whether its attachments have changed since the step began.
        """
        # Jitter keeps the looks at many things apart.
        seconds *= random.uniform(0.9, 1.1)
        poller = self._poller_of(step)
        if poller is None:
            self._is_abandoned.wait(seconds)
        else:
            # Cinder changes a volume's state a moment after its attachment.
            poller.wait(step.target, known, seconds if is_moving else max(seconds, POLLED_LOOK))


def _in_change(plan: model.Plan, thing: model.ThingKind) -> list[str]:
    """The servers that give up or get things of this kind now, each of which takes a request.

    Not those that have given up everything, nor one that gets nothing yet.
    """
    states = {
        kind: {step.state for step in plan.steps if (step.kind, step.thing) == (kind, thing)}
        for kind in MOVES
    }
    found: list[model.MemberServer | None] = []
    if states[StepKind.DETACH] - {StepState.DONE}:
        found += [plan.old, *plan.tried]
    if states[StepKind.ATTACH] - {StepState.PENDING}:
        found.append(plan.new)
    return [one.server for one in found if one is not None]
