# SPDX-License-Identifier: Apache-2.0
"""Signalling the policies whose servers were on a fenced host."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Collection, Mapping, Sequence

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent import empty_answers, engines, metrics
from heat_ha.agent.adapters import nova_admin, policy_index
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident
from heat_ha.agent.rules import dispatch_rules, storm
from heat_ha.cloud import compute_hosts, heat_rpc
from heat_ha.cloud.model import ComputeService

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DispatchPlan:
    """How far the policies of a failed host are, and which of them to signal now.

    ``dispatches`` has all policies, and goes on record before ``due``, some of them, are signalled.
    ``version`` is that of the record that was read. ``is_recorded`` says whether the record has
    the same dispatches already, ``is_new`` whether it is absent or of an earlier incident.
    ``newly_held`` are those that are held back for a person, and are not on record as such.
    """

    dispatches: tuple[dispatch_rules.PolicyDispatch, ...]
    due: tuple[dispatch_rules.PolicyDispatch, ...]
    version: int
    is_new: bool
    is_recorded: bool
    servers_on_host: int
    newly_held: tuple[dispatch_rules.PolicyDispatch, ...] = ()

    @property
    def held(self) -> int:
        """How many policies are held back for a person."""
        return len(dispatch_rules.held(self.dispatches))

    @property
    def left(self) -> int:
        """How many policies are not at their end."""
        return dispatch_rules.left(self.dispatches)


class Dispatcher:
    """Signals policies; one host at a time comes from one agent, which has its lock.

    :param limits: of the storm guard, for the servers of one project, stack or policy.
    :param liveness: asks whether an engine is at work; the answer decides who is signalled again.
    :param servers_at_once: servers of one host whose rescue may be under way.
    :param servers_per_destination: servers that may be built on one host, 0 for any number.
    """

    def __init__(
        self,
        store: agent_store.Store,
        nova: nova_admin.NovaAdmin,
        liveness: engines.EngineLiveness,
        limits: storm.Limits,
        servers_at_once: int,
        servers_per_destination: int,
    ) -> None:
        self._store = store
        self._nova = nova
        self._liveness = liveness
        self._limits = limits
        self._max_concurrent = servers_at_once
        self._per_destination = servers_per_destination
        self._empty = empty_answers.EmptyAnswers()
        # Servers that were seen to have left their host, by host and opening of its incident.
        self._left: dict[str, tuple[float, set[str]]] = {}
        # Why the record of a policy is not understood in full, by its number, as it was last told.
        self._unclear: dict[int, str] = {}

    def unfinished(
        self, incident: Incident, services: Mapping[str, ComputeService]
    ) -> DispatchPlan:
        """Find which policies of a failed host are not at their end. This only reads.

        :param services: all hosts.
        :raises exceptions.HaError: Nova, an engine or what is on record could not be read.
        """
        entry = self._store.get(agent_store.RESCUE, incident.host)
        on_host = set(self._nova.servers_on(incident.host))
        is_new = entry is agent_store.ABSENT or entry.value['opened'] != incident.opened
        known = [] if is_new else _dispatches_of(entry)
        held = {d.number for d in dispatch_rules.held(known)}
        if is_new:
            self._check_empty(incident, on_host)
        dispatches = self._find_policies(incident.host, on_host) if is_new else known
        states = self._states(dispatches)
        on_host |= self._left_out(incident, dispatch_rules.missing(dispatches, on_host, states))
        opened = incident.opened
        host_ids = {d.project: compute_hosts.host_id(d.project, incident.host) for d in dispatches}
        over = dispatch_rules.ended(dispatches, on_host, states, opened, host_ids)
        bound = self._bound(dispatches, services, over)
        dispatches, due = dispatch_rules.advance(
            dispatches, on_host, states, opened, time.time(), bound, host_ids
        )
        return DispatchPlan(
            tuple(dispatches),
            tuple(due),
            entry.version,
            is_new,
            is_recorded=not is_new and dispatches == known,
            servers_on_host=len(on_host),
            newly_held=tuple(d for d in dispatch_rules.held(dispatches) if d.number not in held),
        )

    def _check_empty(self, incident: Incident, on_host: set[str]) -> None:
        """:raises exceptions.CouldNotAsk: Nova may have left the cell of the host out."""
        now = time.monotonic()
        if not self._empty.is_believed(incident.host, incident.opened, not on_host, now):
            raise exceptions.CouldNotAsk(
                'nova', f'the servers on {incident.host}', 'it shows none; it is asked once more'
            )

    def _left_out(self, incident: Incident, missing: Sequence[str]) -> set[str]:
        """Ask for each server by itself that the list lacks and nobody rescues.

        :returns: those that are on the host, or of which that is not known (S2).
        """
        opened, left = self._left.get(incident.host, (incident.opened, set()))
        if opened != incident.opened:
            left = set()
        self._left[incident.host] = incident.opened, left
        rest = [server for server in missing if server not in left]
        found: set[str] = set()
        for number, server in enumerate(rest):
            try:
                is_on = self._nova.is_on(server, incident.host)
            except exceptions.CouldNotAsk as exc:
                # The others would be waited for as long.
                LOG.info('host=%s %s', incident.host, exc)
                return found | set(rest[number:])
            (found if is_on else left).add(server)
        return found

    def signal_due(self, incident: Incident, plan: DispatchPlan) -> None:
        """Put the plan on record, then signal the policies whose turn it is (S4).

        :raises store.Changed: another agent wrote since the plan was made; nothing was sent.
        """
        version = self.record(incident, plan)
        changed = self._signal_all(incident, plan.due)
        if changed:
            rows = [changed.get(d.number, d) for d in plan.dispatches]
            self._put(incident, rows, version)

    def record(self, incident: Incident, plan: DispatchPlan) -> int:
        """Put on record how far the policies are, where that has changed.

        :returns: the version of the record now.
        :raises store.Changed: another agent wrote since the plan was made.
        """
        if plan.is_recorded:
            return plan.version
        version = self._put(incident, plan.dispatches, plan.version)
        if plan.is_new:
            LOG.info(
                'host=%s servers=%d protected=%d policies=%d held_back=%d',
                incident.host,
                plan.servers_on_host,
                sum(len(d.servers) for d in plan.dispatches),
                len(plan.dispatches),
                plan.held,
            )
        if plan.newly_held:
            one = plan.newly_held[0]
            LOG.warning(
                'host=%s %d policies are held back for a person, among them policy=%s stack=%s: '
                '%s. Look at it: heat-ha-agent show %s; then release, drop or end it',
                incident.host, len(plan.newly_held), one.name, one.stack_name, one.reason,
                incident.host,
            )  # fmt: skip
        return version

    def _put(
        self, incident: Incident, rows: Sequence[dispatch_rules.PolicyDispatch], version: int
    ) -> int:
        value = serialization.encode(dispatch_rules.Dispatches(incident.opened, tuple(rows)))
        return self._store.put(agent_store.RESCUE, incident.host, value, version).version

    def _bound(
        self,
        dispatches: Sequence[dispatch_rules.PolicyDispatch],
        services: Mapping[str, ComputeService],
        over: Collection[str] = frozenset(),
    ) -> int:
        waiting = sum(d.state is dispatch_rules.DispatchState.WAITING for d in dispatches)
        under_way = dispatch_rules.under_way(dispatches, over)
        is_free = not waiting or (waiting == 1 and not under_way)
        if is_free or not self._per_destination:
            # The first policy of all is signalled in any case, so there is no need to ask Nova.
            return self._max_concurrent
        living = [h for h, s in services.items() if s.is_up and not s.is_disabled]
        arriving = self._nova.arriving()
        return dispatch_rules.bound(
            under_way, arriving, living, self._max_concurrent, self._per_destination
        )

    def _find_policies(self, host: str, on_host: set[str]) -> list[dispatch_rules.PolicyDispatch]:
        found = policy_index.policies_of(on_host, lambda p: self._nova.servers_on(host, p))
        by_policy: dict[int, list[str]] = {}
        policies = {p.number: p for p in found.values()}
        for server, policy in found.items():
            by_policy.setdefault(policy.number, []).append(server)
        dispatches = [
            dispatch_rules.PolicyDispatch(
                number, p.name, p.stack_id, p.stack_name, p.project, p.root, p.protection.priority,
                tuple(sorted(by_policy[number])),
            )
            for number, p in policies.items()
        ]  # fmt: skip
        past = [
            one
            for entry in self._store.all(agent_store.RESCUE).values()
            for one in dispatch_rules.past_of(_counted(entry))
        ]
        own = {n: (p.protection.max_rescues, p.protection.period) for n, p in policies.items()}
        return dispatch_rules.guarded(dispatches, own, past, self._limits, time.time())

    def _states(
        self, dispatches: Sequence[dispatch_rules.PolicyDispatch]
    ) -> dict[int, dispatch_rules.PolicyState]:
        found = policy_index.states_of([d.number for d in dispatches])
        for one in dispatches:
            why = found[one.number].unclear if one.number in found else ''
            if why and why != self._unclear.get(one.number):
                self._unclear[one.number] = why
                LOG.warning('policy=%s stack=%s %s', one.name, one.stack_name, why)
        return {
            number: dispatch_rules.PolicyState(
                is_at_work=bool(s.engine) and self._liveness.is_alive(s.engine), rescues=s.rescues
            )
            for number, s in found.items()
        }

    def _signal_all(
        self, incident: Incident, dispatches: Sequence[dispatch_rules.PolicyDispatch]
    ) -> dict[int, dispatch_rules.PolicyDispatch]:
        """Signal policies. :returns: by number, those that are not as the plan has them now."""
        body = {'action': 'rescue', 'reason': f'the host failed; {incident.reason}'[:200]}
        if not dispatches:
            return {}
        with concurrent.futures.ThreadPoolExecutor(min(8, len(dispatches))) as pool:
            after = pool.map(lambda d: self._signal(incident.host, d, body), dispatches)
            return {d.number: d for old, d in zip(dispatches, after, strict=True) if d != old}

    def _signal(
        self, host: str, to: dispatch_rules.PolicyDispatch, body: dict[str, str]
    ) -> dispatch_rules.PolicyDispatch:
        """Signal one policy. :returns: how far the agent is with it after that."""
        try:
            heat_rpc.signal(to.project, to.stack_name, to.stack_id, to.name, body)
        except heat_rpc.SignalRefused as exc:
            metrics.SIGNALS.labels('rescue', 'refused').inc()
            if str(exc) != to.reason:
                LOG.warning(
                    'host=%s signal=rescue policy=%s stack=%s refused, others come first: %s',
                    host, to.name, to.stack_name, exc,
                )  # fmt: skip
            return dispatch_rules.refused(to, str(exc))
        except exceptions.HaError as exc:
            # A later round sends it again.
            metrics.SIGNALS.labels('rescue', 'failed').inc()
            LOG.warning('host=%s signal=rescue policy=%s failed: %s', host, to.name, exc)
            return dispatch_rules.unanswered(to)
        metrics.SIGNALS.labels('rescue', 'sent').inc()
        LOG.info(
            'host=%s signal=rescue policy=%s stack=%s servers=%d',
            host, to.name, to.stack_name, len(to.servers),
        )  # fmt: skip
        return to


def _dispatches_of(entry: agent_store.Entry) -> list[dispatch_rules.PolicyDispatch]:
    found = serialization.decode(
        dispatch_rules.Dispatches, entry.value, 'the list of policies of a failed host'
    )
    return list(found.rows)


def _counted(entry: agent_store.Entry) -> list[dispatch_rules.PolicyDispatch]:
    """The policies of any host, as far as the storm guard counts them, also of a newer version."""
    known = serialization.pruned(dispatch_rules.Dispatches, entry.value)
    return _dispatches_of(entry._replace(value=known))
