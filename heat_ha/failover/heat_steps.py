# SPDX-License-Identifier: Apache-2.0
"""The steps of a plan that Heat carries out: new members, the hand-over, hooks, replacements.

Each of them is asked for again after an engine died in it, and then does what is left (S4).
"""

import dataclasses
import time
from collections.abc import Callable, Collection
from typing import Any

from heat_ha import exceptions
from heat_ha.cloud import clients, nested_stack
from heat_ha.cloud import model as cloud
from heat_ha.failover import (
    events,
    hand_over_watch,
    hook_runner,
    model,
    observation,
    record,
    retention,
)
from heat_ha.failover.adapters import hook_inputs
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import plan_builder, standbys
from heat_ha.groups import model as groups
from heat_ha.groups import replacement_run, replacing

# Seconds between two tries to have one more member while somebody else changes the group.
BUSY_LOOK = 2.0


class GroupBusy(exceptions.LeaveOff):
    """Somebody else changes the group now; nothing was done."""


class StillRemoving(exceptions.LeaveOff):
    """Only the deletion of what was replaced is left, and something else is due."""


@dataclasses.dataclass(frozen=True)
class Beside:
    """What goes on beside a replacement; each is asked again and again.

    :ivar keep: the members that stay in any case: the active, and who is to become that.
    :ivar at_work: called at each look for as long as Heat works.
    :ivar is_needed: whether something else is due, while Heat only deletes what was replaced.
    """

    keep: Callable[[], Collection[str]]
    at_work: Callable[[], None]
    is_needed: Callable[[], bool]


class HeatSteps:
    """The steps of one policy's failover that change Heat's own record.

    :param still_wanted: asked while Heat works; what it raises ends the step.
    """

    def __init__(
        self,
        policy: Any,
        group: Any,
        emitter: events.EventEmitter,
        retained: retention.Retention,
        still_wanted: Callable[[], None],
    ) -> None:
        self._policy = policy
        self._group = group
        self._events = emitter
        self._retention = retained
        self._still_wanted = still_wanted

    def add_member(self, plan: model.Plan) -> model.MemberServer:
        """Make one more member of a group in which nobody stands by; it becomes the successor.

        :raises Stopped: the new member cannot take over.
        """
        added = self._bring_member_in_time(plan)
        observed = observation.observe(self._group, clients.StackClients(self._policy))
        for candidate in observed.candidates:
            if candidate.member.name != added:
                continue
            why_not = standbys.limitation(candidate, plan.old, ())
            if why_not is None and candidate.server is not None:
                return model.MemberServer(added, candidate.server.server)
            raise exceptions.Stopped(
                f'the new member {added} cannot take over: {why_not}',
                'Look at its resource in the group, then send the signal resume',
            )
        raise exceptions.Stopped(
            f'the new member {added} is not in the group any more', 'Send the signal resume'
        )

    def _bring_member(self, plan: model.Plan, at_work: Callable[[], None] = lambda: None) -> str:
        """Have one more member in the group; the active and the retained members stay.

        :raises TryAgain: somebody else changes the group.
        """

        def keep() -> tuple[str, ...]:
            # Asked again and again: beside follow-up work the active may change.
            known = record.read(self._policy)
            active = [known.active.member] if known.active else []
            return (*active, *(r.member for r in known.retained))

        return replacing.add_member(
            self._group,
            requested_by=plan.requested_by,
            name=plan_builder.added(plan) or plan_builder.added_name(plan.plan_id),
            keep=keep,
            emit=lambda text: self._events.progress(text, plan),
            at_work=at_work,
        )

    def _bring_member_in_time(self, plan: model.Plan) -> str:
        """Have one more member, after whatever else changes the group now.

        :raises Stopped: that did not come to an end within the timeout of the stack.
        """
        end = time.monotonic() + self._policy.stack.timeout_secs()
        is_told = False
        while True:
            try:
                return self._bring_member(plan)
            except exceptions.TryAgain as exc:
                if time.monotonic() > end:
                    raise exceptions.Stopped(str(exc), 'Send the signal resume') from exc
                if not is_told:
                    self._events.progress(f'waiting for the group: {exc}', plan)
                    is_told = True
            self._still_wanted()
            time.sleep(BUSY_LOOK)
            # An update that was waited for may have given the group another definition.
            self._group = nested_stack.as_it_is_now(self._group)

    def hand_over(self, plan: model.Plan) -> None:
        """Update the nested stack to the active that is on record, and wait for it.

        :raises SuccessorFailed: the host of the new active has died meanwhile.
        :raises FencingUnconfirmed: that of a server has, from which something is taken.
        """
        policy = self._policy
        watch = hand_over_watch.HandOverWatch(
            clients.StackClients(policy), plan, lambda text: self._events.progress(text, plan)
        )

        def still_wanted() -> None:
            self._still_wanted()
            watch.look()

        nested_stack.update_nested(
            policy,
            policy.child_template,
            timeout=policy.stack.timeout_secs(),
            still_wanted=still_wanted,
        )

    def run_hook(self, plan: model.Plan, step: model.Step) -> str:
        """Run the software config on the old active, or on the new one.

        :returns: how it ended, in words.
        :raises Stopped: it did not succeed, and the template wants to stop then.
        """
        hook, target = plan.quiesce_hook, plan.old
        if step.kind is StepKind.ACTIVATE:
            hook, target = plan.activate_hook, plan.new
        if hook is None or target is None:
            return 'there is nothing to run it on'
        hook = hook_inputs.for_run(self._policy, self._group, hook, step.kind.value, target)
        stack_clients = clients.StackClients(self._policy)
        run = hook_runner.HookRun(
            self._policy, stack_clients, hook, hook_runner.name(plan, step), target.server
        )
        return run.to_end(self._still_wanted)

    def replace(self, plan: model.Plan, step: model.Step, beside: Beside) -> str:
        """Replace what the step names, or retain it for a look.

        :returns: what was done, in words.
        :raises GroupBusy: somebody else changes the group.
        :raises StillRemoving: something else is due, and Heat goes on with what is left.
        """
        try:
            return self._replace(plan, step, beside)
        except exceptions.TryAgain as exc:
            raise GroupBusy(str(exc)) from exc
        except replacement_run.StillRemoving as exc:
            raise StillRemoving(exc.reason) from exc
        except exceptions.Refused as exc:
            raise exceptions.Stopped(exc.reason, exc.remedy) from exc

    def _replace(self, plan: model.Plan, step: model.Step, beside: Beside) -> str:
        if plan.keep_seconds and plan.old is not None:
            server = clients.StackClients(self._policy).nova.server(plan.old.server)
            if server.status is not cloud.ServerStatus.GONE:
                return self._retain(plan, plan.old, beside.at_work)
        chained = plan.chained or groups.Chained(
            policy_name=self._policy.name, count=1, order=groups.Order.CREATE_FIRST, cooldown=0
        )
        stay = beside.keep()
        named = tuple(name for name in step.target.split(',') if name not in stay)
        if not named:
            return f'{step.target} stays: it is the active, or is kept for a look'
        added = plan_builder.added(plan)
        outcome = replacing.replace(
            self._group,
            requested_by=plan.requested_by,
            order=chained.order,
            count=len(named),
            named=named,
            keep=beside.keep,
            new_names=(added,) if added else (),
            # The cooldown was asked for before anything was moved.
            respect_cooldown=False,
            cooldown=chained.cooldown,
            emit=lambda text: self._events.progress(text, plan),
            is_needed=beside.is_needed,
            at_work=beside.at_work,
        )
        left = f'; {", ".join(outcome.left_over)} is not deleted yet' if outcome.left_over else ''
        return f'replaced {", ".join(outcome.replaced)} by {", ".join(outcome.new)}{left}'

    def _retain(
        self,
        plan: model.Plan,
        old: model.MemberServer,
        at_work: Callable[[], None],
    ) -> str:
        """Retain the old active; a cold failover has brought the member in its place already."""
        retained = self._retention.retain(old, plan.keep_seconds)
        new = plan.new.member if plan.new else ''
        if new != plan_builder.added(plan):
            new = self._bring_member(plan, at_work)
        return f'{old.member} is kept, shut off, until {retained.until}; {new} is in its place'
