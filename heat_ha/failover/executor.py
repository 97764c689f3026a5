# SPDX-License-Identifier: Apache-2.0
"""Carry a plan out: the steps in the order of their graph, each written down, until none is left.

Called by the controller with the group's lock held. Steps that only talk to services run
side by side in threads (``handoff_steps``); those that change Heat's own record run in the calling
thread. Every step starts with a look, so a step that an engine had already done before it
died is recognised and not done again (S4).
"""

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients, clock
from heat_ha.cloud import model as cloud
from heat_ha.failover import handoff_steps, model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import graph, hook, room

LOG = logging.getLogger(__name__)

# Seconds between two writes of a plan while volumes are on their way: its steps are on record
# already, and how far each is shows itself by a look.
SAVE_EVERY = 0.5

# Seconds between two questions whether to go on while steps are under way.
ASK_EVERY = 3.0

Look = handoff_steps.Look


class ExecutorCallbacks(Protocol):
    """What a plan needs from the policy that it belongs to."""

    def save(self, plan: model.Plan) -> None:
        """Make the plan durable. :raises LostLock: another engine has taken over."""

    def still_wanted(self) -> None:
        """Ask whether to go on. :raises LostLock: another engine has taken over."""

    def check_ours(self) -> None:
        """Ask before a request whether it may be sent; steps ask from several threads at once.

        :raises LeaveOff: another engine has taken over, and may be further.
        """

    def begun(self, plan: model.Plan) -> None:
        """Called once the first steps are under way."""

    def report(self, step: model.Step, plan: model.Plan) -> None:
        """Make an event of a step that ended."""

    def add_member(self, plan: model.Plan) -> model.MemberServer:
        """Make one more member and return it once it is complete."""

    def hand_over(self, plan: model.Plan) -> None:
        """Bring Heat's record of what is handed over, and all but volumes, to the new active."""

    def run_hook(self, plan: model.Plan, step: model.Step) -> str:
        """Run what the template wants run inside of the old or new active."""

    def replace(self, plan: model.Plan, step: model.Step) -> str:
        """Replace the members that the step names; return what was done in words."""

    def moved(self, plan: model.Plan) -> None:
        """Called once the new active holds every volume."""


class PlanExecutor:
    """Carries one plan to its end, or to the step that cannot be done safely.

    :param looks: the things that were looked at just now, by id.
    :param old: the old active's server and host, if they were looked at just now.
    :param of_follow_up: do the steps that come after the failover, instead of the others.
    """

    def __init__(
        self,
        plan: model.Plan,
        callbacks: ExecutorCallbacks,
        services: clients.StackClients,
        looks: Mapping[str, Look] | None = None,
        old: tuple[cloud.Server, cloud.Host] | None = None,
        *,
        of_follow_up: bool = False,
    ) -> None:
        self.plan = plan = graph.with_fence_open(plan)
        self._callbacks = callbacks
        self._sorter = graph.sorter(plan, of_follow_up=of_follow_up)
        self._in_services = handoff_steps.HandoffSteps(
            services, lambda: self.plan, callbacks.check_ours, looks or {}, old
        )
        self._running: dict[concurrent.futures.Future[tuple[str, float]], str] = {}
        self._failure: exceptions.HaError | None = None
        self._unreported: list[model.Step] = []
        self._has_begun = False
        self._saved_at = 0.0

    def run(self) -> model.Plan:
        """Do every step that is left, in the graph's order.

        :returns: the plan with every such step done.
        :raises Stopped: a step cannot be done; the plan is saved as it stands.
        :raises LostLock: another engine has taken the plan.
        """
        with self._in_services.pool(self.plan.steps) as pool:
            try:
                while True:
                    self._begin_ready(pool)
                    if self._running:
                        self._await_one()
                    elif self._failure is not None:
                        self._callbacks.save(self.plan)
                        raise self._failure
                    elif not self._sorter.is_active():
                        return self.plan
            finally:
                self._in_services.abandon()

    def _begin_ready(self, pool: concurrent.futures.ThreadPoolExecutor) -> None:
        """Begin every step that may begin; those that change Heat's record end here as well."""
        ready = self._sorter.get_ready() if self._failure is None else ()
        in_threads = [
            step for step in map(self.plan.step, ready) if step.kind in handoff_steps.KINDS
        ]
        if ready:
            self._allow(ready, is_asked_later=not in_threads)
        steps = [self.plan.step(name) for name in ready]
        in_threads = [self.plan.step(step.name) for step in in_threads]
        for step in in_threads:
            self._running[pool.submit(_timed, self._in_services.do, step)] = step.name
        self._after_begin(ready, is_save_due=len(in_threads) < len(steps))
        # An event takes Heat a moment, in which no step begins that waits for another.
        self._report(lambda: any(f.done() for f in self._running))
        for step in steps:
            if step not in in_threads:
                self._end(step.name, functools.partial(_timed, self._do_in_heat, step))
                self._report()

    def _await_one(self) -> None:
        """Wait until one of the steps in threads has ended; a failure makes the others end."""
        ended: set[concurrent.futures.Future[tuple[str, float]]] = set()
        while not ended:
            ended, _ = concurrent.futures.wait(
                self._running, ASK_EVERY, return_when=concurrent.futures.FIRST_COMPLETED
            )
            if not ended and self._failure is None:
                # A step may take minutes. One that was frozen meanwhile may not be ours any more.
                self._callbacks.still_wanted()
        for future in ended:
            if not self._end(self._running.pop(future), future.result):
                self._in_services.abandon()

    def _allow(self, ready: tuple[str, ...], *, is_asked_later: bool) -> None:
        """Mark the steps as running and make sure that they may run.

        :param is_asked_later: whether all of them begin after a save, which asks for it as well.
        """
        for name in ready:
            started = clock.now_text('milliseconds')
            self._mark(name, state=StepState.RUNNING, started=started, reason='')
        if self._has_begun and is_asked_later:
            return
        if self._has_begun:
            # The plan is on record with these steps: only the right to do them is asked for,
            # and the volumes do not wait until all is written and reported.
            self._callbacks.still_wanted()
        else:
            # Before the first side effect of any of them (S4).
            self._callbacks.save(self.plan)

    def _after_begin(self, ready: tuple[str, ...], *, is_save_due: bool) -> None:
        """Report the start of the plan once, or save how far it is where that is due."""
        if ready and not self._has_begun:
            self._saved_at = time.monotonic()
            self._callbacks.begun(self.plan)
            self._has_begun = True
        elif is_save_due or time.monotonic() > self._saved_at + SAVE_EVERY:
            self._callbacks.save(self.plan)
            self._saved_at = time.monotonic()

    def _report(self, is_urgent: Callable[[], bool] = lambda: False) -> None:
        """Report the steps that ended; what is left when something is urgent comes later."""
        while self._unreported and not is_urgent():
            self._callbacks.report(self._unreported.pop(0), self.plan)

    def _mark(self, name: str, **changes: object) -> model.Step:
        step = dataclasses.replace(self.plan.step(name), **changes)  # type: ignore[arg-type]
        self.plan = self.plan.with_step(step)
        return step

    def _end(self, name: str, outcome: Callable[[], tuple[str, float]]) -> bool:
        """Put the end of a step on record; whether it is done.

        :param outcome: gives why it is done and its seconds, or raises why it is not.
        """
        try:
            self._done(name, *outcome())
            self._sorter.done(name)
        except Exception as exc:
            self._failure = self._failure or self._failed(name, exc)
            return False
        return True

    def _done(self, name: str, reason: str, seconds: float) -> None:
        kept = room.bounded(reason)
        step = self._mark(name, state=StepState.DONE, reason=kept, seconds=round(seconds, 3))
        LOG.info('plan %s: %s is done after %.2f s: %s', self.plan.plan_id, name, seconds, reason)
        if step.kind is StepKind.ATTACH and all(
            s.state is StepState.DONE for s in self.plan.steps if s.kind is StepKind.ATTACH
        ):
            self._callbacks.moved(self.plan)
        self._unreported.append(step)

    def _failed(self, name: str, exc: Exception) -> exceptions.HaError:
        if not isinstance(exc, (exceptions.Stopped, exceptions.LeaveOff)):
            LOG.exception('plan %s: %s failed', self.plan.plan_id, name)
            remedy = 'The log of the engine has the details; send the signal resume to go on'
            exc = exceptions.Stopped(f'{name} failed: {exc}', remedy)
        step = self._mark(name, state=StepState.FAILED, reason=room.bounded(str(exc)))
        LOG.warning('plan %s: %s stopped: %s', self.plan.plan_id, name, exc)
        if not isinstance(exc, exceptions.LeaveOff):
            self._unreported.append(step)
        return exc

    def _do_in_heat(self, step: model.Step) -> str:
        """Do a step that changes Heat's record; returns what was done in words."""
        if step.kind is StepKind.ADD_MEMBER:
            new = self._callbacks.add_member(self.plan)
            self.plan = dataclasses.replace(self.plan, new=new)
            self._callbacks.save(self.plan)
            return f'member {new.member} is the successor'
        if step.kind is StepKind.HAND_OVER:
            self._callbacks.hand_over(self.plan)
            return 'Heat has on record what the new active holds'
        if step.kind in hook.KINDS:
            return self._callbacks.run_hook(self.plan, step)
        return self._callbacks.replace(self.plan, step)


def _timed(do: Callable[[model.Step], str], step: model.Step) -> tuple[str, float]:
    start = time.monotonic()
    reason = do(step)
    return reason, time.monotonic() - start
