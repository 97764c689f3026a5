# SPDX-License-Identifier: Apache-2.0
"""Run a hook to its end: look, decide, act, in the thread that carries the plan.

Every run begins with a look, so a run that another engine had begun is taken up, and one that
ended meanwhile is recognised (S4).
"""

import time
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients
from heat_ha.cloud import model as cloud
from heat_ha.failover import model
from heat_ha.failover.adapters import hook_stack
from heat_ha.failover.rules import hook, moves

LOG = logging.getLogger(__name__)

# Seconds between two looks: each is three small reads of Heat's database.
LOOK = 0.3

# Seconds between two looks at the server and its host, which are calls of Nova's API.
SERVER_LOOK = 5.0


class HookRun:
    """One run of a hook, as far as this engine knows it.

    :param run: names the run among all of the policy's, the same in every engine.
    """

    def __init__(
        self,
        policy: Any,
        stack_clients: clients.StackClients,
        wanted: model.Hook,
        run: str,
        server: str,
    ) -> None:
        self._policy = policy
        self._clients = stack_clients
        self._wanted = wanted
        self._name = hook_stack.name_of(policy, run)
        self._server = server
        self._start = self._heard_at = time.monotonic()
        self._starting_since: float | None = None
        self._beats = 0
        self._next_server_look = self._start
        self._removal: hook_stack.Removal | None = None

    def step(self, still_wanted: Callable[[], None] = lambda: None) -> str | None:
        """Look once and do what follows; how it ended in words, None while it has not.

        :param still_wanted: asked between the look and what it leads to.
        :raises Stopped: it did not succeed, and the template wants to stop then.
        """
        run = hook_stack.look(self._policy, self._name)
        self._see_to_removal(run)
        server, host = self._look_at_server()
        move = hook.next_for_hook(self._wanted, run, self._waited(run), server, host)
        still_wanted()
        if isinstance(move, moves.Request):
            hook_stack.start(self._policy, self._name, self._wanted, self._server)
        elif isinstance(move, hook.Again):
            LOG.warning('%s: %s; starting it again', self._name, move.reason)
            hook_stack.end(self._policy, self._name)
            self._starting_since = None
        elif isinstance(move, moves.Done):
            hook_stack.end(self._policy, self._name)
            return move.reason
        elif isinstance(move, moves.Stop):
            hook_stack.end(self._policy, self._name)
            raise exceptions.Stopped(move.reason, move.remedy)
        return None

    def to_end(self, still_wanted: Callable[[], None]) -> str:
        """Step until the run has ended.

        :param still_wanted: raises to end this loop, but not the run.
        """
        while True:
            try:
                outcome = self.step(still_wanted)
            except exceptions.CouldNotAsk as exc:
                # Whether Heat has begun with it is seen at the next look.
                LOG.info('%s', exc)
                outcome = None
            if outcome is not None:
                return outcome
            time.sleep(LOOK)

    def _see_to_removal(self, run: hook.Run) -> None:
        """Let an earlier run go whose removal died with its engine: no other begins before."""
        if run.state is not hook.RunState.LEAVING:
            self._removal = None
            return
        if self._removal is None:
            self._removal = hook_stack.removal(self._policy, self._name)
        if self._removal is not None:
            self._removal.is_gone()

    def _waited(self, run: hook.Run) -> hook.Waited:
        now = time.monotonic()
        if run.state is hook.RunState.STARTING:
            self._starting_since = self._starting_since or now
        if run.beats != self._beats or run.state is not hook.RunState.IN_PROGRESS:
            self._beats, self._heard_at = run.beats, now
        return hook.Waited(
            now - self._start, now - self._heard_at, now - (self._starting_since or now)
        )

    def _look_at_server(self) -> tuple[cloud.Server | None, cloud.Host | None]:
        if time.monotonic() < self._next_server_look:
            return None, None
        self._next_server_look = time.monotonic() + SERVER_LOOK
        server = self._clients.nova.server(self._server)
        return server, self._clients.hosts.state(server)


def name(plan: model.Plan, step: model.Step) -> str:
    """The name of a plan's run of a hook, the same in every engine."""
    return f'{step.name}-{plan.plan_id}'


def names(policy: Any, plan: model.Plan) -> list[str]:
    """The names of all runs of hooks that a plan may have had."""
    return [
        hook_stack.name_of(policy, name(plan, step))
        for step in plan.steps
        if step.kind in hook.KINDS
    ]
