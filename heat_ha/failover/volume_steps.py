# SPDX-License-Identifier: Apache-2.0
"""The steps of a plan that only talk to Nova and Cinder: look, ask, wait, until one is done.

``executor`` runs each of them in a thread of its own. What follows from a look is decided by
``rules.volume_rules`` and ``rules.server_rules``, how often and how long by ``rules.retry``.
"""

import concurrent.futures
import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import cinder as cinder_cloud
from heat_ha.cloud import compute_hosts as hosts_cloud
from heat_ha.cloud import model as cloud
from heat_ha.cloud import nova as nova_cloud
from heat_ha.failover import attachment_poller, model
from heat_ha.failover.model import StepKind, StepState
from heat_ha.failover.rules import moves, retry, server_rules, volume_rules

LOG = logging.getLogger(__name__)

KINDS = frozenset({StepKind.DETACH, StepKind.ATTACH, StepKind.STOP_SERVER})

# Seconds between two looks at a volume of several, all of which are polled with one request,
# and from the answer to that request to the next. Several volumes keep the services so busy that
# each request of ours takes longer from them than is won by asking sooner.
POLLED_LOOK, POLL_PERIOD = 1.0, 0.15

# Seconds for which a look serves a second time: that which ends a volume's detachment shows
# what its attachment starts from.
FRESH = 1.0

# How many steps are under way at once.
MAX_AT_ONCE = 16

# When a volume was looked at, on the monotonic clock, and what was seen.
Look = tuple[float, cloud.Volume]

# Sends a request; what came of it, in words too.
Send = Callable[[], tuple[cloud.Reply, str]]


@dataclasses.dataclass
class Services:
    """The clouds' services as these steps use them."""

    nova: nova_cloud.Nova
    cinder: cinder_cloud.Cinder
    hosts: hosts_cloud.Hosts


class VolumeSteps:
    """Does the steps of one plan that move volumes or shut the old active off.

    :param plan: gives the plan as it is now: its new active may be made meanwhile.
    :param looks: the volumes that were looked at just now.
    :param old: the old active's server and host, if they were looked at just now.
    """

    def __init__(
        self,
        services: Services,
        plan: Callable[[], model.Plan],
        looks: Mapping[str, Look],
        old: tuple[cloud.Server, cloud.Host] | None,
    ) -> None:
        self._services = services
        self._plan = plan
        self._is_abandoned = threading.Event()
        self._poller: attachment_poller.AttachmentPoller | None = None
        self._last_looks: dict[str, Look] = {}
        self._handed_on: dict[str, Look] = dict(looks)
        self._old = old
        self._old_until = time.monotonic() + FRESH

    def pool(self, steps: Iterable[model.Step]) -> concurrent.futures.ThreadPoolExecutor:
        """Threads for the steps of these that are left; with several volumes, one polls them."""
        left = [s for s in steps if s.kind in KINDS and s.state is not StepState.DONE]
        volumes = {s.target for s in left if s.kind is not StepKind.STOP_SERVER}
        workers = max(1, min(MAX_AT_ONCE, len(left))) + 1
        found = concurrent.futures.ThreadPoolExecutor(workers)
        if len(volumes) > 1:
            self._poller = attachment_poller.AttachmentPoller(self._attached, POLL_PERIOD)
            found.submit(self._poller.run)
        return found

    def abandon(self) -> None:
        """Let every step end at its next look, done or not."""
        self._is_abandoned.set()
        if self._poller is not None:
            self._poller.end()

    def do(self, step: model.Step) -> str:
        """Do one step; returns why it is done.

        :raises Stopped: it cannot be done. :raises FencingUnconfirmed: not before a fence.
        """
        plan = self._plan()
        old = plan.old.server if plan.old else None
        new = plan.new.server if plan.new else None
        if step.kind is StepKind.STOP_SERVER:
            return self._stop_server(step)
        if step.kind is StepKind.DETACH:
            return self._detach(step, old, new)
        assert new is not None
        return self._attach(step, old, new)

    # --- one step ----------------------------------------------------------------------------

    def _stop_server(self, step: model.Step) -> str:
        nova, server = self._services.nova, step.target
        return self._until_done(
            step,
            lambda: server_rules.next_for_stop(nova.server(server)),
            lambda: nova.stop(server),
            lambda: self._examine(server, server_rules.next_for_stuck_stop),
        )

    def _detach(self, step: model.Step, old: str | None, new: str | None) -> str:
        volume, may_delete = step.target, self._plan().may_delete_old
        reason = self._until_done(
            step,
            lambda: volume_rules.next_for_detach(self._look_at(volume), old, new),
            lambda: self._services.nova.detach(old or '', volume),
            lambda: self._examine(
                old, lambda s, h: server_rules.next_for_stuck_detach(s, h, may_delete)
            ),
        )
        self._handed_on[volume] = self._last_looks[volume]
        return reason

    def _attach(self, step: model.Step, old: str | None, new: str) -> str:
        volume = step.target
        return self._until_done(
            step,
            lambda: self._next_for_attach(volume, old, new),
            lambda: self._services.nova.attach(new, volume, step.detail or None),
        )

    def _until_done(
        self,
        step: model.Step,
        look: Callable[[], moves.Move],
        send: Send,
        examine: Callable[[], moves.Finding] | None = None,
    ) -> str:
        """Do what ``retry`` says until the step is done; returns why it is.

        :param examine: looks at the server that may be in the way; None where none can be.
        """
        attempt, action = retry.begin(
            step.name,
            time.monotonic(),
            has_server=examine is not None,
            is_known_dead=self._is_known_dead(),
        )
        unchanged = known = self._changes(step)
        event: retry.Event
        while True:
            match action:
                case retry.Look():
                    known = self._changes(step)
                    event = retry.Looked(look(), self._is_abandoned.is_set())
                case moves.Request():
                    event = retry.Answered(*send())
                case retry.Examine():
                    assert examine is not None
                    event = retry.Examined(examine())
                case moves.Delete(reason):
                    self._delete_old(reason)
                    event = retry.Deleted()
                case retry.Pause(seconds):
                    self._wait(step, known, seconds, is_moving=known > unchanged)
                    event = retry.Paused()
                case moves.Done(reason):
                    return reason
                case moves.Stop(reason, remedy):
                    raise exceptions.Stopped(reason, remedy)
                case moves.WaitForFence(reason, remedy):
                    raise exceptions.FencingUnconfirmed(reason, remedy)
            attempt, action = retry.after(attempt, event, time.monotonic())

    # --- looks -------------------------------------------------------------------------------

    def _next_for_attach(self, volume: str, old: str | None, new: str) -> moves.Move:
        if self._poller is not None and self._poller.has_seen(volume, new):
            # Nova has told Cinder that the server has it; that look was for all volumes.
            return moves.Done('Cinder shows it attached to the new active')
        return volume_rules.next_for_attach(self._look_at(volume), old, new)

    def _look_at(self, volume: str) -> cloud.Volume:
        """Look at a volume, or use the look that ended the step before."""
        seen_at, seen = self._handed_on.pop(volume, (0.0, None))
        if seen is None or time.monotonic() - seen_at > FRESH:
            seen_at, seen = time.monotonic(), self._services.cinder.volume(volume)
        self._last_looks[volume] = (seen_at, seen)
        return seen

    def _attached(self) -> attachment_poller.Attached | None:
        plan = self._plan()
        return self._services.cinder.attached([m.server for m in (plan.old, plan.new) if m])

    def _examine(
        self,
        server_id: str | None,
        judge: Callable[[cloud.Server, cloud.Host], moves.Finding],
    ) -> moves.Finding:
        """Look why nothing moves: at the server and at its host."""
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

    # --- what is done ------------------------------------------------------------------------

    def _delete_old(self, reason: str) -> None:
        plan = self._plan()
        server = plan.old.server if plan.old else ''
        reply, _ = self._services.nova.delete(server)
        LOG.info(
            'plan %s: the deletion of server %s is %s: %s',
            plan.plan_id,
            server,
            reply.value,
            reason,
        )

    def _changes(self, step: model.Step) -> int:
        return self._poller.changes(step.target) if self._poller is not None else 0

    def _wait(self, step: model.Step, known: int, seconds: float, *, is_moving: bool) -> None:
        """Wait until the volume has changed since ``known``, or about so many seconds.

        :param is_moving: whether its attachments have changed since the step began.
        """
        # Jitter keeps the looks at many volumes apart.
        seconds *= random.uniform(0.9, 1.1)
        if self._poller is None or step.kind is StepKind.STOP_SERVER:
            self._is_abandoned.wait(seconds)
        elif is_moving:
            # Cinder changes a volume's state a moment after its attachment.
            self._poller.wait(step.target, known, seconds)
        else:
            self._poller.wait(step.target, known, max(seconds, POLLED_LOOK))
