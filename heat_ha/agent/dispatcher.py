# SPDX-License-Identifier: Apache-2.0
"""Signalling the policies whose servers were on a fenced host."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Mapping, Sequence

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent import engines, metrics
from heat_ha.agent.adapters import nova_admin, policy_index
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident
from heat_ha.agent.rules import dispatch_rules, storm
from heat_ha.cloud import heat_rpc
from heat_ha.cloud.model import ComputeService

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DispatchPlan:
    """How far the policies of a failed host are, and which of them to signal now.

    ``rows`` are all policies, as they are to be on record before ``due``, some of them, are
    signalled. ``version`` is that of the record that was read; ``is_recorded`` says whether it
    holds the same rows, ``is_new`` whether it is of an earlier incident or absent.
    """

    rows: tuple[dispatch_rules.PolicyDispatch, ...]
    due: tuple[dispatch_rules.PolicyDispatch, ...]
    version: int
    is_new: bool
    is_recorded: bool
    servers_on_host: int

    @property
    def left(self) -> int:
        """How many policies are not at their end."""
        return dispatch_rules.left(self.rows)


class Dispatcher:
    """Signals policies; one host at a time comes from one agent, which has its lock.

    :param limits: of the storm guard, for the servers of one project, stack or policy.
    :param liveness: tells whether an engine is at work; the answer decides who is signalled again.
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
        self._at_once = servers_at_once
        self._per_destination = servers_per_destination

    def unfinished(
        self, incident: Incident, services: Mapping[str, ComputeService]
    ) -> DispatchPlan:
        """Find which policies of a failed host are not at their end. This only reads.

        :param services: all hosts.
        :raises exceptions.HaError: Nova, an engine or what is on record could not be read.
        """
        entry = self._store.get(agent_store.RESCUE, incident.host)
        on_host = self._nova.servers_on(incident.host)
        is_new = entry is agent_store.ABSENT or entry.value['opened'] != incident.opened
        known = [] if is_new else _rows_of(entry)
        rows = self._rows(on_host) if is_new else known
        states = self._states(rows)
        rows, due = dispatch_rules.advance(
            rows, on_host, states, incident.opened, time.time(), self._bound(rows, services)
        )
        return DispatchPlan(
            tuple(rows),
            tuple(due),
            entry.version,
            is_new,
            is_recorded=not is_new and rows == known,
            servers_on_host=len(on_host),
        )

    def signal_due(self, incident: Incident, plan: DispatchPlan) -> None:
        """Put the plan on record, then signal the policies whose turn it is (S4).

        :raises store.Changed: another agent wrote since the plan was made; nothing was sent.
        """
        self.record(incident, plan)
        self._signal_all(incident, plan.due)

    def record(self, incident: Incident, plan: DispatchPlan) -> None:
        """Put on record how far the policies are, where that has changed.

        :raises store.Changed: another agent wrote since the plan was made.
        """
        if plan.is_recorded:
            return
        value = serialization.encode(dispatch_rules.Dispatches(incident.opened, plan.rows))
        self._store.put(agent_store.RESCUE, incident.host, value, plan.version)
        if plan.is_new:
            LOG.info(
                'host=%s servers=%d protected=%d policies=%d held_back=%d',
                incident.host,
                plan.servers_on_host,
                sum(len(r.servers) for r in plan.rows),
                len(plan.rows),
                sum(r.turn is dispatch_rules.DispatchState.DEFERRED for r in plan.rows),
            )

    def _bound(
        self, rows: Sequence[dispatch_rules.PolicyDispatch], services: Mapping[str, ComputeService]
    ) -> int:
        waiting = sum(r.turn is dispatch_rules.DispatchState.WAITING for r in rows)
        under_way = dispatch_rules.under_way(rows)
        is_free = not waiting or (waiting == 1 and not under_way)
        if is_free or not self._per_destination:
            # The first of all is signalled in any case, and need not wait for an answer of Nova's.
            return self._at_once
        living = [h for h, m in services.items() if m.is_up and not m.is_disabled]
        arriving = self._nova.arriving()
        return dispatch_rules.bound(
            under_way, arriving, living, self._at_once, self._per_destination
        )

    def _rows(self, on_host: set[str]) -> list[dispatch_rules.PolicyDispatch]:
        found = policy_index.policies_of(on_host)
        by_policy: dict[int, list[str]] = {}
        policies = {p.number: p for p in found.values()}
        for server, policy in found.items():
            by_policy.setdefault(policy.number, []).append(server)
        rows = [
            dispatch_rules.PolicyDispatch(
                number, p.name, p.stack_id, p.stack_name, p.project, p.root, p.wish.priority,
                tuple(sorted(by_policy[number])),
            )
            for number, p in policies.items()
        ]  # fmt: skip
        past = [
            one
            for entry in self._store.all(agent_store.RESCUE).values()
            for one in dispatch_rules.past_of(_rows_of(entry))
        ]
        own = {n: (p.wish.max_rescues, p.wish.period) for n, p in policies.items()}
        return dispatch_rules.guarded(rows, own, past, self._limits, time.time())

    def _states(
        self, rows: Sequence[dispatch_rules.PolicyDispatch]
    ) -> dict[int, dispatch_rules.State]:
        found = policy_index.states_of([r.number for r in rows])
        return {
            number: dispatch_rules.State(
                is_at_work=bool(s.engine) and self._liveness.is_alive(s.engine), rescues=s.rescues
            )
            for number, s in found.items()
        }

    def _signal_all(
        self, incident: Incident, rows: Sequence[dispatch_rules.PolicyDispatch]
    ) -> None:
        body = {'action': 'rescue', 'reason': f'the host failed; {incident.reason}'[:200]}
        if not rows:
            return
        with concurrent.futures.ThreadPoolExecutor(min(8, len(rows))) as pool:
            list(pool.map(lambda r: self._signal(incident.host, r, body), rows))

    def _signal(self, host: str, row: dispatch_rules.PolicyDispatch, body: dict[str, str]) -> None:
        try:
            heat_rpc.signal(row.project, row.stack_name, row.stack_id, row.name, body)
            metrics.SIGNALS.labels('rescue', 'sent').inc()
            LOG.info(
                'host=%s signal=rescue policy=%s stack=%s servers=%d',
                host, row.name, row.stack_name, len(row.servers),
            )  # fmt: skip
        except exceptions.HaError as exc:
            # The next round sends it again.
            metrics.SIGNALS.labels('rescue', 'failed').inc()
            LOG.warning('host=%s signal=rescue policy=%s failed: %s', host, row.name, exc)


def _rows_of(entry: agent_store.Entry) -> list[dispatch_rules.PolicyDispatch]:
    found = serialization.decode(
        dispatch_rules.Dispatches, entry.value, 'the list of policies of a failed host'
    )
    return list(found.rows)
