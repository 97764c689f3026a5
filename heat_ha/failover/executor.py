# SPDX-License-Identifier: Apache-2.0
"""Carry a plan out: look, decide, act, write down, until no step is left.

Called by the FailoverPolicy with the group's lock held. Steps that only talk to Nova and
Cinder run side by side in threads; those that change Heat's own record run in the calling
thread. Every step starts with a look, so a step that an engine had already done before it
died is recognised and not done again (S4).
"""

import concurrent.futures
import dataclasses
import datetime
import graphlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import cinder as cinder_cloud
from heat_ha.cloud import compute_hosts as hosts_cloud
from heat_ha.cloud import model as cloud
from heat_ha.cloud import nova as nova_cloud
from heat_ha.failover import attachment_poller, model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import graph, moves, server_rules, volume_rules

LOG = logging.getLogger(__name__)

# Seconds between two looks at a volume or server. A volume changes hands in about a second on
# a quick cloud, so looks come often for some seconds and then thin out to spare the services.
FIRST_LOOK, SLOWEST_LOOK, THINNING, OFTEN_FOR = 0.05, 2.0, 1.15, 3.0

# Seconds between two looks at a volume of several, all of which are watched with one request,
# and from the answer to that request to the next. Several volumes keep the services so busy that
# each request of ours takes longer from them than is won by asking sooner.
WATCHED_LOOK, WATCH_PERIOD = 1.0, 0.15

# Seconds between two writes of a plan while volumes are on their way: its steps are on record
# already, and how far each is shows itself by a look.
SAVE_EVERY = 0.5

# Seconds for which a look serves a second time: that which ends a volume's detachment shows
# what its attachment starts from.
FRESH = 1.0

# Seconds that one step may take. Nova's own limit for a detach that the guest does not answer
# is 8 attempts of 20 s; beyond that it gives the volume back as in-use.
STEP_LIMIT = 180.0

# Seconds at the least until a request that Nova did not accept is sent again.
AFTER_REFUSAL = 0.25

# Seconds until a request that Nova accepted counts as stuck, and between two looks at why: a
# living host detaches in a second or two.
STUCK_AFTER = 5.0

# Seconds for which a refusal of Nova's is asked for again. Cinder shows a volume free a moment
# before Nova has forgotten its attachment, and until then Nova answers 400, "already attached".
REFUSED_FOR = 5.0

# How often a request is sent again after the services let it fail (in-use again after a
# detach, available again after an attach).
MAX_REQUESTS = 5

MOVERS = frozenset({StepKind.DETACH, StepKind.ATTACH, StepKind.STOP_SERVER})
HOOKS = frozenset({StepKind.QUIESCE, StepKind.ACTIVATE})


# When a volume was looked at, on the monotonic clock, and what was seen.
Look = tuple[float, cloud.Volume]


class ExecutorCallbacks(Protocol):
    """What a plan needs from the policy that it belongs to."""

    def save(self, plan: model.Plan) -> None:
        """Make the plan durable. :raises LostLock: another engine has taken over."""

    def still_wanted(self) -> None:
        """Ask whether to go on. :raises LostLock: another engine has taken over."""

    def begun(self, plan: model.Plan) -> None:
        """Called once the first steps are under way."""

    def tell(self, step: model.Step, plan: model.Plan) -> None:
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


class LostLock(exceptions.HaError):
    """Another engine carries the plan now; this one must not touch anything more."""


def now() -> str:
    """UTC in ISO 8601: the times of a record are read by other engines."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='milliseconds')


@dataclasses.dataclass
class Services:
    """The clouds' services as the movers use them."""

    nova: nova_cloud.Nova
    cinder: cinder_cloud.Cinder
    hosts: hosts_cloud.Hosts


class PlanExecutor:
    """Carries one plan to its end, or to the step that cannot be done safely.

    :param looks: the volumes that were looked at just now.
    :param old: the old active's server and host, if they were looked at just now.
    """

    def __init__(
        self,
        plan: model.Plan,
        shell: ExecutorCallbacks,
        services: Services,
        looks: Mapping[str, Look] | None = None,
        old: tuple[cloud.Server, cloud.Host] | None = None,
    ) -> None:
        self.plan = plan
        self._shell = shell
        self._services = services
        self._give_up = threading.Event()
        self._watch: attachment_poller.AttachmentPoller | None = None
        self._last_looks: dict[str, Look] = {}
        self._handed_on: dict[str, Look] = dict(looks or {})
        self._old = old
        self._old_until = time.monotonic() + FRESH
        self._untold: list[model.Step] = []
        self._has_begun = False
        self._saved_at = 0.0

    def run(self) -> model.Plan:
        """Do every step that is left, in the graph's order.

        :returns: the plan with every step done.
        :raises Stopped: a step cannot be done; the plan is saved as it stands.
        :raises LostLock: another engine has taken the plan.
        """
        sorter = graph.sorter(self.plan)
        open_moves = [
            s for s in self.plan.steps if s.kind in MOVERS and s.state is not StepState.DONE
        ]
        volumes = {s.target for s in open_moves if s.kind is not StepKind.STOP_SERVER}
        workers = max(1, min(16, len(open_moves))) + 1
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            if len(volumes) > 1:
                self._watch = attachment_poller.AttachmentPoller(self._attached, WATCH_PERIOD)
                pool.submit(self._watch.run)
            try:
                self._run_steps(sorter, pool)
            finally:
                self._stop_moving()
                if self._watch is not None:
                    self._watch.end()
        return self.plan

    def _attached(self) -> attachment_poller.Attached | None:
        ends = (self.plan.old, self.plan.new)
        return self._services.cinder.attached([end.server for end in ends if end])

    def _stop_moving(self) -> None:
        self._give_up.set()
        if self._watch is not None:
            self._watch.end()

    def _run_steps(
        self,
        sorter: 'graphlib.TopologicalSorter[str]',
        pool: concurrent.futures.ThreadPoolExecutor,
    ) -> None:
        running: dict[concurrent.futures.Future[tuple[str, float]], str] = {}
        failure: exceptions.HaError | None = None
        while True:
            ready = sorter.get_ready() if failure is None else ()
            if ready:
                for name in ready:
                    self._mark(name, state=StepState.RUNNING, started=now(), reason='')
                if self._has_begun:
                    # The plan is on record with these steps: only the right to do them is
                    # asked for, and the volumes do not wait until all is written and told.
                    self._shell.still_wanted()
                else:
                    # Before the first side effect of any of them (S4).
                    self._shell.save(self.plan)
            movers = [n for n in ready if self.plan.step(n).kind in MOVERS]
            for name in movers:
                running[pool.submit(self._timed, self._move, name)] = name
            if ready and not self._has_begun:
                self._saved_at = time.monotonic()
                self._shell.begun(self.plan)
                self._has_begun = True
            elif len(movers) < len(ready) or time.monotonic() > self._saved_at + SAVE_EVERY:
                self._shell.save(self.plan)
                self._saved_at = time.monotonic()
            # An event takes Heat a moment, in which no step begins that waits for another.
            self._tell(lambda: any(f.done() for f in running))
            for name in ready:
                if name not in movers:
                    try:
                        self._ended(name, self._timed(self._do, name))
                        sorter.done(name)
                    except Exception as exc:
                        failure = failure or self._failed(name, exc)
                    self._tell()
            if not running:
                if failure is not None:
                    self._shell.save(self.plan)
                    raise failure
                if not sorter.is_active():
                    return
                continue
            done, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                name = running.pop(future)
                try:
                    self._ended(name, future.result())
                    sorter.done(name)
                except Exception as exc:
                    failure = failure or self._failed(name, exc)
                    self._stop_moving()

    def _tell(self, is_urgent: Callable[[], bool] = lambda: False) -> None:
        """Tell of the steps that ended; what is left when something is urgent comes later."""
        while self._untold and not is_urgent():
            self._shell.tell(self._untold.pop(0), self.plan)

    def _mark(self, name: str, **changes: object) -> model.Step:
        step = dataclasses.replace(self.plan.step(name), **changes)  # type: ignore[arg-type]
        self.plan = self.plan.with_step(step)
        return step

    def _ended(self, name: str, outcome: tuple[str, float]) -> None:
        reason, seconds = outcome
        step = self._mark(name, state=StepState.DONE, reason=reason, seconds=round(seconds, 3))
        LOG.info('plan %s: %s is done after %.2f s: %s', self.plan.plan_id, name, seconds, reason)
        if step.kind is StepKind.ATTACH and all(
            s.state is StepState.DONE for s in self.plan.steps if s.kind is StepKind.ATTACH
        ):
            self._shell.moved(self.plan)
        self._untold.append(step)

    def _failed(self, name: str, exc: Exception) -> exceptions.HaError:
        if not isinstance(exc, (exceptions.Stopped, LostLock)):
            LOG.exception('plan %s: %s failed', self.plan.plan_id, name)
            remedy = 'The log of the engine has the details; send the signal resume to go on'
            exc = exceptions.Stopped(f'{name} failed: {exc}', remedy)
        step = self._mark(name, state=StepState.FAILED, reason=str(exc))
        LOG.warning('plan %s: %s stopped: %s', self.plan.plan_id, name, exc)
        if not isinstance(exc, LostLock):
            self._untold.append(step)
        return exc

    @staticmethod
    def _timed(do: Callable[[str], str], name: str) -> tuple[str, float]:
        start = time.monotonic()
        reason = do(name)
        return reason, time.monotonic() - start

    # --- steps that change Heat's record ----------------------------------------------------

    def _do(self, name: str) -> str:
        step = self.plan.step(name)
        if step.kind is StepKind.ADD_MEMBER:
            self.plan = dataclasses.replace(self.plan, new=self._shell.add_member(self.plan))
            self._shell.save(self.plan)
            assert self.plan.new is not None
            return f'member {self.plan.new.member} is the heir'
        if step.kind is StepKind.HAND_OVER:
            self._shell.hand_over(self.plan)
            return 'Heat has on record what the new active holds'
        if step.kind in HOOKS:
            return self._shell.run_hook(self.plan, step)
        return self._shell.replace(self.plan, step)

    # --- steps that talk to Nova and Cinder -------------------------------------------------

    def _move(self, name: str) -> str:
        step = self.plan.step(name)
        old = self.plan.old.server if self.plan.old else None
        new = self.plan.new.server if self.plan.new else None
        nova = self._services.nova
        if step.kind is StepKind.STOP_SERVER:
            server = step.target
            return self._until(
                step,
                lambda: server_rules.next_for_stop(nova.server(server)),
                lambda: nova.stop(server),
                lambda: self._why_stuck(server, server_rules.next_for_stuck_stop),
            )
        volume = step.target
        if step.kind is StepKind.DETACH:
            reason = self._until(
                step,
                lambda: volume_rules.next_for_detach(self._look_at(volume), old, new),
                lambda: nova.detach(old or '', volume),
                lambda: self._why_stuck(
                    old,
                    lambda found, host: server_rules.next_for_stuck_detach(
                        found, host, self.plan.may_delete_old
                    ),
                ),
            )
            self._handed_on[volume] = self._last_looks[volume]
            return reason
        assert new is not None
        heir = new
        return self._until(
            step,
            lambda: self._next_for_attach(volume, old, heir),
            lambda: nova.attach(heir, volume, step.detail or None),
        )

    def _next_for_attach(self, volume: str, old: str | None, new: str) -> moves.Move:
        if self._watch is not None and self._watch.has_seen(volume, new):
            # Nova has told Cinder that the server has it; that look was for all volumes.
            return moves.Done('Cinder shows it attached to the new active')
        return volume_rules.next_for_attach(self._look_at(volume), old, new)

    def _look_at(self, volume: str) -> cloud.Volume:
        """Look at a volume, or take the look that ended the step before."""
        seen_at, seen = self._handed_on.pop(volume, (0.0, None))
        if seen is None or time.monotonic() - seen_at > FRESH:
            seen_at, seen = time.monotonic(), self._services.cinder.volume(volume)
        self._last_looks[volume] = (seen_at, seen)
        return seen

    def _why_stuck(
        self, server_id: str | None, judge: Callable[[cloud.Server, cloud.Host], moves.Finding]
    ) -> moves.Finding:
        if server_id is None:
            return moves.Wait('there is no old active')
        if self._old is not None and self._is_known_dead():
            return judge(*self._old)
        # Both at once: on a dead host this is what the hand-over waits for.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            hosts = pool.submit(self._services.hosts.all)
            server = self._services.nova.server(server_id)
            return judge(server, hosts.result()(server))

    def _is_known_dead(self) -> bool:
        """Whether the old active's host was just seen to be down, so that it need not be asked."""
        return (
            self._old is not None
            and self._old[1].state is cloud.HostState.CONFIRMED_DOWN
            and time.monotonic() < self._old_until
        )

    def _until(
        self,
        step: model.Step,
        look: Callable[[], moves.Move],
        ask: Callable[[], tuple[cloud.Reply, str]],
        why_stuck: Callable[[], moves.Finding] | None = None,
    ) -> str:
        """Look and ask until the step is done; returns why it is.

        :raises Stopped: it cannot be done. :raises FencingUnconfirmed: not before a fence.
        """
        start = time.monotonic()
        pause = FIRST_LOOK
        accepted = 0
        first_refused = 0.0
        next_doubt = start + STUCK_AFTER
        told = 'nothing was seen yet'
        freed_by = ''
        is_in_vain = why_stuck is not None and self._is_known_dead()
        unchanged = self._watch.changes(step.target) if self._watch else 0
        while True:
            known = self._watch.changes(step.target) if self._watch else 0
            move = look()
            if isinstance(move, moves.Done):
                return f'{freed_by}{move.reason}'
            if self._give_up.is_set():
                raise exceptions.Stopped(
                    f'{step.name} was left because another step stopped', 'Send the signal resume'
                )
            is_stuck = time.monotonic() > next_doubt
            if isinstance(move, moves.Wait):
                told = move.reason
            elif isinstance(move, moves.Request) and is_in_vain:
                told, is_in_vain, is_stuck = 'its host is confirmed down', False, True
            elif isinstance(move, moves.Request):
                reply, text = ask()
                told = f'Nova says {reply.value} ({text})'
                if reply is cloud.Reply.ACCEPTED:
                    accepted += 1
                    told = f'Nova accepted the request {accepted} times'
                elif reply is cloud.Reply.REFUSED:
                    first_refused = first_refused or time.monotonic()
                    if time.monotonic() >= first_refused + REFUSED_FOR:
                        raise exceptions.Stopped(
                            f'{step.name} is refused by Nova ({text})',
                            'Mend what Nova names, then send the signal resume',
                        )
                elif reply is cloud.Reply.CONFLICT and accepted == 0:
                    # Nova says at once that a host does not answer.
                    is_stuck = is_stuck or pause == FIRST_LOOK
                if reply is not cloud.Reply.ACCEPTED:
                    pause = max(pause, AFTER_REFUSAL)
                if accepted > MAX_REQUESTS:
                    raise exceptions.Stopped(
                        f'{step.name} was accepted {MAX_REQUESTS} times by Nova and undone each '
                        'time',
                        "Look at the server's host and at its actions, then send the signal resume",
                    )
            else:
                _raise(step, move)
            if is_stuck and why_stuck is not None:
                next_doubt = time.monotonic() + STUCK_AFTER
                doubt = why_stuck()
                if isinstance(doubt, moves.Done):
                    return doubt.reason
                if isinstance(doubt, moves.Delete):
                    reply, text = self._services.nova.delete(self._old_server())
                    freed_by = f'{doubt.reason}, so its server was deleted; '
                    LOG.info('plan %s: %s (%s)', self.plan.plan_id, freed_by, reply.value)
                    pause = FIRST_LOOK
                elif isinstance(doubt, moves.Wait):
                    told = f'{told}; {doubt.reason}'
                else:
                    _raise(step, doubt)
            if time.monotonic() > start + STEP_LIMIT:
                raise exceptions.Stopped(
                    f'{step.name} was not done within {STEP_LIMIT:.0f} s: {told}',
                    'Mend what was seen, then send the signal resume',
                )
            # Jitter keeps the looks at many volumes apart.
            seconds = pause * random.uniform(0.9, 1.1)
            if self._watch is None or step.kind is StepKind.STOP_SERVER:
                self._give_up.wait(seconds)
            elif known > unchanged:
                # Cinder changes a volume's state a moment after its attachment.
                self._watch.wait(step.target, known, seconds)
            else:
                self._watch.wait(step.target, known, max(seconds, WATCHED_LOOK))
            if time.monotonic() > start + OFTEN_FOR:
                pause = min(pause * THINNING, SLOWEST_LOOK)

    def _old_server(self) -> str:
        return self.plan.old.server if self.plan.old else ''


def _raise(step: model.Step, move: moves.Finding) -> None:
    if isinstance(move, moves.WaitForFence):
        raise exceptions.FencingUnconfirmed(f'{step.name}: {move.reason}', move.remedy)
    if isinstance(move, moves.Stop):
        raise exceptions.Stopped(move.reason, move.remedy)
