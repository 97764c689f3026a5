# SPDX-License-Identifier: Apache-2.0
"""A FailoverPolicy at work: gather what is seen, ask ``decide``, carry out, tell.

The plugin module holds the schemas and hands over to this. ``policy`` is always the Heat
resource; what of it is used is in ``PolicyResource``.
"""

import concurrent.futures
import dataclasses
import datetime
import time
import uuid
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, clock, lease, nested_stack, resource_data
from heat_ha.cloud import model as cloud
from heat_ha.failover import events, executor, hook_runner, model, observation, record
from heat_ha.failover.adapters import handoff_template, hook_stack
from heat_ha.failover.handoff import drivers
from heat_ha.failover.model import StepKind
from heat_ha.failover.rules import decide, standbys
from heat_ha.groups import model as groups
from heat_ha.groups import replacing
from heat_ha.groups.adapters import failure_masks
from heat_ha.groups.adapters import members as group_members

LOG = logging.getLogger(__name__)

DELETING = 'ha_deleting'

# How many volumes are looked at while Heat lists the members.
LOOKS_AT_ONCE = 8

# Seconds between two looks at a host that is to be fenced.
FENCE_LOOK = 1.0


@dataclasses.dataclass(frozen=True)
class Options:
    """The policy's properties as the failover uses them; times in seconds."""

    limits: model.Limits
    quiesce: model.Quiesce
    on_dead_host: model.OnDeadHost
    fencing_timeout: float
    quiesce_hook: model.Hook | None = None
    activate_hook: model.Hook | None = None
    health: model.HealthCheck | None = None
    fail_back: model.FailBack = model.FailBack.MANUAL
    keep_seconds: float = 0.0


def _look_at(handler: drivers.AnyDriver, target: str) -> executor.Look:
    return time.monotonic(), handler.look(target)


class FailoverController:
    """One policy's failover, from one signal, in one engine."""

    def __init__(self, policy: Any, group: Any, options: Options) -> None:
        self._policy = policy
        self._group = group
        self._options = options
        self._teller = events.EventEmitter(policy)
        self._lock = lease.Lock(policy.context, policy.resource_id)
        self._record = model.Record()
        self._accepted = 0.0
        self._handoff_seconds: float | None = None
        self._looks: dict[str, executor.Look] = {}
        self._is_taken_up = False
        self._has_told_start = False

    def handle(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
    ) -> str:
        """Do what the signal asks for and return what was done, in words.

        :raises Refused: nothing was done; the reason is for the sender.
        :raises Stopped: the failover stopped in a safe state.
        """
        self._accepted = time.monotonic()
        if signal.is_all_clear:
            return f'nothing to do: the alarm says {signal.alarm_state.value}'
        try:
            with self._lock:
                try:
                    return self._handle_locked(signal, chained, requested_by)
                finally:
                    # After a refusal too: nothing of what it refuses is done by this.
                    if not signal.only_looks:
                        self._let_go_of_kept(requested_by)
        except lease.Busy as exc:
            raise exceptions.Refused(
                f'a failover of this group is running already ({exc}), so this signal joins it'
            ) from exc

    def _handle_locked(
        self,
        signal: signals.Signal[model.Action],
        chained: groups.Chained | None,
        requested_by: str,
    ) -> str:
        self._record = record.read(self._policy)
        definition = record.read_definition(self._policy) or {}
        clouds = clients.StackClients(self._policy)
        active = self._record.active
        nested = self._policy.nested()
        of_active = self._of_active(definition, active) if active else frozenset[str]()
        attachments = (
            handoff_template.attachments(nested, active.server, of_active) if active else ()
        )
        moved = frozenset(a.target for a in attachments)
        handlers = drivers.Drivers(clouds)
        with concurrent.futures.ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
            looks = {
                a.target: pool.submit(_look_at, handlers[a.thing], a.target) for a in attachments
            }
            observed = observation.observe(
                self._group,
                clouds,
                active=active,
                last=self._record,
                health=self._options.health,
            )
        candidates = observed.candidates
        self._looks = {volume: look.result() for volume, look in looks.items()}
        self._record = observed.on(self._record)
        left = decide.left_at_its_end(self._record)
        takes_up = signal.action is not None and signal.action.takes_up_plan
        if left is not None and not signal.only_looks and not takes_up:
            # First of all: a late copy of its alarm is to find the line that the cooldown reads.
            self._finish(left, candidates)
        limits = self._options.limits
        if chained is not None:
            longest = max(limits.cooldown, chained.cooldown or 0.0)
            limits = dataclasses.replace(limits, cooldown=longest)
        seen = model.Observation(
            record=self._record,
            candidates=candidates,
            attachments=attachments,
            revision=record.revision(definition),
            limits=limits,
            past_failovers=record.times(record.read_history(self._policy)),
            now=clock.now(),
            plan_id=uuid.uuid4().hex[:8],
            requested_by=requested_by,
            chained=chained,
            quiesce=self._options.quiesce,
            on_dead_host=self._options.on_dead_host,
            never_moved=tuple(
                f'{why_not.reason}. {why_not.remedy}'
                for a in attachments
                if (why_not := handlers[a.thing].why_never_moved(self._looks[a.target][1]))
            ),
            fail_back=self._options.fail_back,
            keep_seconds=self._options.keep_seconds,
            quiesce_hook=self._options.quiesce_hook,
            activate_hook=self._options.activate_hook,
            moves_more_than_volumes=active is not None
            and self._options.activate_hook is not None
            and handoff_template.has_more(nested, of_active | {active.server}, moved),
        )
        answer = decide.answer(signal, seen)
        LOG.info(
            '%s: decided after %.2f s%s: %s',
            self._policy.name,
            time.monotonic() - self._accepted,
            '' if observed.is_new else ' (its members are as they were)',
            type(answer).__name__,
        )
        match answer:
            case decide.Nothing(reason=reason):
                return reason
            case decide.Refuse(reason=reason):
                raise exceptions.Refused(reason)
            case decide.Pause(paused=is_paused):
                self._write(is_paused=is_paused)
                return 'paused: alarms move nothing now' if is_paused else 'no longer paused'
            case decide.Drop(plan=plan):
                self._write(plan=None, state=model.State.READY, reason='', remedy='')
                return f'plan {plan.plan_id} is cancelled; nothing had been touched'
            case decide.Show():
                return self._teller.shown(answer)
            case decide.GoOn(plan=plan):
                self._is_taken_up = True
                return self._carry(plan, clouds, candidates)
            case decide.Start(plan=plan):
                return self._carry(plan, clouds, candidates)

    def _carry(
        self,
        plan: model.Plan,
        clouds: clients.StackClients,
        candidates: tuple[model.Candidate, ...],
    ) -> str:
        deadline = time.monotonic() + self._options.fencing_timeout
        while not plan.is_done:
            carrier = executor.PlanExecutor(
                plan,
                self,
                clouds,
                self._looks,
                _seen_of(plan.old, candidates),
            )
            try:
                plan = carrier.run()
            except exceptions.FencingUnconfirmed as exc:
                plan = carrier.plan
                self._stop(plan, model.State.WAITING_FOR_FENCE, exc)
                if not self._is_fenced_in_time(plan, clouds, deadline):
                    raise
            except exceptions.Stopped as exc:
                self._stop(carrier.plan, model.State.STOPPED, exc)
                raise
        self._finish(plan, candidates)
        seconds = time.monotonic() - self._accepted
        return f'{events.goal(plan)}: done after {seconds:.1f} s'

    def _stop(self, plan: model.Plan, state: model.State, exc: exceptions.Stopped) -> None:
        self._still_ours()
        self._remember(plan, state.value)
        self._write(plan=plan, state=state, reason=exc.reason, remedy=exc.remedy)

    def _is_fenced_in_time(
        self, plan: model.Plan, clouds: clients.StackClients, deadline: float
    ) -> bool:
        """Wait until the old active's host is confirmed down, or answers again."""
        self._teller.progress(
            f'waiting for the fence: {self._record.reason}. {self._record.remedy}',
            plan,
        )
        while plan.old is not None and time.monotonic() < deadline:
            self.still_wanted()
            host = clouds.hosts.state(clouds.nova.server(plan.old.server))
            if host.state in (cloud.HostState.CONFIRMED_DOWN, cloud.HostState.UP):
                self._teller.progress(f'going on: {host.detail}', plan)
                return True
            time.sleep(FENCE_LOOK)
        return False

    def _finish(self, plan: model.Plan, candidates: tuple[model.Candidate, ...]) -> None:
        suspects = set(self._record.suspects) & {c.member.name for c in candidates}
        replaced = {
            name
            for step in plan.steps
            if step.kind is StepKind.REPLACE
            for name in step.target.split(',')
        }
        if plan.cause is model.Cause.FAILOVER and plan.old is not None:
            suspects.add(plan.old.member)
        if plan.new is not None:
            suspects.discard(plan.new.member)
        is_moved = plan.cause is not model.Cause.REPLACE_STANDBY
        replaced -= {k.member for k in self._record.kept}
        members = self._members_now()
        # Without this, an engine that was frozen here would put its old end over what its
        # successor has begun since.
        self._still_ours()
        self._remember(plan, 'done')
        self._write(
            plan=plan,
            previous=plan.old if is_moved else self._record.previous,
            state=model.State.READY,
            reason='',
            remedy='',
            suspects=tuple(sorted(suspects - replaced)),
            **members,
        )
        for run in hook_runner.names(self._policy, plan):
            # An engine may have died between the end of a run and its removal.
            hook_stack.end(self._policy, run)
        self._teller.tell(events.COMPLETE, f'{events.goal(plan)}: done', plan)

    def _members_now(self) -> dict[str, Any]:
        """The members after the failover, for the next one; none when Heat does not tell them."""
        try:
            found = group_members.look(self._group)
        except exceptions.HaError:
            return {'seen': (), 'seen_rows': ''}
        chosen = ((m.name, observation.server_of(self._group, m)[0]) for m in found.members)
        seen = tuple(model.MemberServer(name, server) for name, server in chosen if server)
        return {'seen': seen, 'seen_rows': found.rows}

    # --- what carry_out needs (carry_out.Shell) ----------------------------------------------

    def save(self, plan: model.Plan) -> None:
        """Make the plan durable. :raises LostLock: this engine no longer holds the group."""
        self.still_wanted()
        self._write(plan=plan, state=model.State.RUNNING, reason='', remedy='')

    def still_wanted(self) -> None:
        """Ask whether to go on.

        :raises LostLock: this engine no longer holds the group.
        :raises Stopped: the policy is being deleted.
        """
        self._still_ours()
        if DELETING in resource_data.fresh(self._policy):
            raise exceptions.Stopped(
                'the policy is being deleted', 'Nothing to do: the stack deletes what is left'
            )

    def _still_ours(self) -> None:
        if not self._lock.is_held():
            raise executor.LostLock('another engine carries this failover now')

    def begun(self, plan: model.Plan) -> None:
        """Tell of the start, once; the first volumes are on their way by then."""
        if self._has_told_start:
            return
        self._has_told_start = True
        if self._is_taken_up:
            self._teller.progress(f'the plan is taken up: {events.goal(plan)}', plan)
        else:
            self._teller.start(plan)

    def tell(self, step: model.Step, plan: model.Plan) -> None:
        """Make an event of a step that ended."""
        if step.state is model.StepState.FAILED:
            self._teller.tell(events.FAILED, f'{step.name} stopped: {step.reason}', plan)
            return
        where = f' ({plan.new.member})' if step.kind is StepKind.ATTACH and plan.new else ''
        self._teller.progress(
            f'{step.name}{where}: {step.reason}, after {step.seconds:.2f} s',
            plan,
        )

    def moved(self, plan: model.Plan) -> None:
        """Put on record that the new active holds every volume."""
        self._handoff_seconds = time.monotonic() - self._accepted
        self._write(plan=plan, active=plan.new, epoch=plan.epoch)

    def hand_over(self, plan: model.Plan) -> None:
        """Update the nested stack to the new active and wait for it."""
        if self._handoff_seconds is None:
            self._handoff_seconds = time.monotonic() - self._accepted
        self._write(plan=plan, active=plan.new, epoch=plan.epoch)
        policy = self._policy
        nested_stack.update_nested(
            policy,
            policy.child_template,
            timeout=policy.stack.timeout_secs(),
            still_wanted=self.still_wanted,
        )

    def add_member(self, plan: model.Plan) -> model.MemberServer:
        """Make one more member of a group of one; it becomes the heir."""
        added = self._bring_member(plan)
        observed = observation.observe(self._group, clients.StackClients(self._policy))
        for candidate in observed.candidates:
            if candidate.member.name == added:
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

    def _bring_member(self, plan: model.Plan) -> str:
        """Have one more member in the group; the active stays, and what is kept for a look."""
        active, kept = self._record.active, self._record.kept
        return replacing.add_member(
            self._group,
            requested_by=plan.requested_by,
            name=f'ha{plan.plan_id}',
            keep=(*([active.member] if active else []), *(k.member for k in kept)),
            emit=lambda text: self._teller.progress(text, plan),
        )

    def run_hook(self, plan: model.Plan, step: model.Step) -> str:
        """Run the software config on the old active, or on the new one."""
        wanted, holder = plan.quiesce_hook, plan.old
        if step.kind is StepKind.ACTIVATE:
            wanted, holder = plan.activate_hook, plan.new
        if wanted is None or holder is None:
            return 'there is nothing to run it on'
        clouds = clients.StackClients(self._policy)
        run = hook_runner.HookRun(
            self._policy, clouds, wanted, hook_runner.name(plan, step), holder.server
        )
        return run.to_end(self.still_wanted)

    def replace(self, plan: model.Plan, step: model.Step) -> str:
        """Replace what the step names; the new active is never among it."""
        chained = plan.chained or groups.Chained(
            policy_name=self._policy.name, count=1, order=groups.Order.CREATE_FIRST, cooldown=0
        )
        cold = any(s.kind is StepKind.ADD_MEMBER for s in plan.steps)
        if plan.keep_seconds and plan.old is not None:
            server = clients.StackClients(self._policy).nova.server(plan.old.server)
            if server.status is not cloud.ServerStatus.GONE:
                return self._keep(plan, plan.old, is_added=cold)
        outcome = replacing.replace(
            self._group,
            requested_by=plan.requested_by,
            order=chained.order,
            count=chained.count,
            named=tuple(step.target.split(',')),
            keep=(plan.new.member,) if plan.new else (),
            new_names=(plan.new.member,) if cold and plan.new else (),
            # The cooldown was asked for before anything was moved.
            respect_cooldown=False,
            cooldown=chained.cooldown,
            emit=lambda text: self._teller.progress(text, plan),
        )
        return f'replaced {", ".join(outcome.replaced)} by {", ".join(outcome.new)}'

    def _of_active(self, definition: dict[str, Any], active: model.MemberServer) -> frozenset[str]:
        """The values that stand for attributes of the active, such as the id of its port."""
        values = frozenset[str]()
        for path in handoff_template.active_attributes(definition):
            try:
                values |= {str(group_members.member_attribute(self._group, active.member, path))}
            except exceptions.Refused as exc:
                # A member that is gone: only the order of what hangs on it is not known then.
                LOG.info('%s: %s', self._policy.name, exc)
        return values

    def _keep(self, plan: model.Plan, old: model.MemberServer, *, is_added: bool) -> str:
        """Leave the old active in the group for a look and bring a member in its place."""
        now = clock.now()
        until = now + datetime.timedelta(seconds=plan.keep_seconds)
        kept = model.Retained(old.member, old.server, until.isoformat(timespec='milliseconds'))
        others = tuple(k for k in self._record.kept if k.member != old.member)
        self._write(kept=(*others, kept))
        # Heat's own scaling removes failed members first.
        failure_masks.mark_unhealthy(
            self._group, old.member, f'kept for a look until {kept.until}, shut off'
        )
        new = plan.new.member if plan.new else ''
        if not is_added:
            new = self._bring_member(plan)
        return f'{old.member} is kept, shut off, until {kept.until}; {new} is in its place'

    def _let_go_of_kept(self, requested_by: str) -> None:
        """Remove members that were kept long enough; a failure is tried again at the next signal.

        The active, which is there, counts as what has come in their place.
        """
        active = self._record.active
        now = clock.now()
        going = decide.expired(self._record.kept, now)
        if not going or active is None or self._record.state is not model.State.READY:
            return
        for kept in going:
            if not self._lock.is_held():
                # Whoever has taken the group over keeps the record now.
                return
            try:
                replacing.replace(
                    self._group,
                    requested_by=requested_by,
                    order=groups.Order.CREATE_FIRST,
                    named=(kept.member,),
                    keep=(active.member,),
                    new_names=(active.member,),
                    respect_cooldown=False,
                    cooldown=0.0,
                )
            except exceptions.HaError as exc:
                LOG.info('%s: %s is still kept: %s', self._policy.name, kept.member, exc)
                continue
            if not self._lock.is_held():
                return
            self._write(
                kept=tuple(k for k in self._record.kept if k != kept),
                suspects=tuple(s for s in self._record.suspects if s != kept.member),
            )
            self._teller.progress(f'{kept.member} was kept until {kept.until} and is gone')

    # --- the record and the events -----------------------------------------------------------

    def _write(self, **changes: Any) -> None:
        self._record = dataclasses.replace(self._record, **changes)
        record.write(self._policy, self._record)

    def _remember(self, plan: model.Plan, outcome: str) -> None:
        seconds = {s.name: s.seconds for s in plan.steps if s.seconds is not None}
        record.add_to_history(
            self._policy,
            model.Past(
                plan_id=plan.plan_id,
                time=plan.created,
                cause=plan.cause.value,
                reason=plan.reason,
                requested_by=plan.requested_by,
                old_member=plan.old.member if plan.old else '',
                old_server=plan.old.server if plan.old else '',
                new_member=plan.new.member if plan.new else '',
                new_server=plan.new.server if plan.new else '',
                outcome=outcome,
                handoff_seconds=round(self._handoff_seconds or 0.0, 3),
                seconds=round(time.monotonic() - self._accepted, 3),
                steps=seconds,
            ),
        )


def _seen_of(
    holder: model.MemberServer | None, candidates: tuple[model.Candidate, ...]
) -> tuple[cloud.Server, cloud.Host] | None:
    """What was seen of a member's server and host, None where nobody looked."""
    looked_at = {c.server.server: (c.server, c.host) for c in candidates if c.server and c.host}
    return looked_at.get(holder.server) if holder is not None else None
