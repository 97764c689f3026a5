# SPDX-License-Identifier: Apache-2.0
"""Executing the steps that were chosen for hosts: the only effects of the agent on a host."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent import dispatcher, metrics, service_table
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.observation import Situation
from heat_ha.agent.rules import decide
from heat_ha.cloud import model as cloud
from heat_ha.fencing import driver as fencing
from heat_ha.fencing import inventory, let_in, topology
from heat_ha.fencing.nova_forced_down import NovaForcedDown
from heat_ha.fencing.rules import absences

LOG = logging.getLogger(__name__)

# Whoever claims that the host is down when one of these begins goes on record with it.
_WITH_SOURCES = frozenset({Phase.CONFIRMED, Phase.DEFERRED})

# Nothing is done about a host then before it fails again, or a person decides.
_LET_BE = frozenset({Phase.CLOSED, Phase.DEFERRED})


class StepExecutor:
    """Does what was decided about a host whose lock the caller has.

    :param name: of this agent, for the proof of a fence.
    :param wrong: says why a host may not be fenced by its entry; '' when it may.
    :param let_be: told of a host about which no more is done, and which may have been fenced.
    """

    def __init__(
        self,
        name: str,
        nova: nova_admin.NovaAdmin,
        store: agent_store.Store,
        fences: inventory.Inventory,
        table: service_table.ServiceTable,
        rescues: dispatcher.Dispatcher,
        wrong: Callable[[str], str] = lambda _host: '',
        let_be: Callable[[str], None] = lambda _host: None,
    ) -> None:
        self._name = name
        self._nova = nova
        self._store = store
        self._fences = fences
        self._table = table
        self._rescues = rescues
        self._wrong = wrong
        self._let_be = let_be
        # A test sees that no kind of step is missing.
        self._methods: Mapping[type[decide.Step], Callable[[Situation, Any], bool]] = {
            decide.Wait: self._wait,
            decide.Enter: self._enter,
            decide.Fence: self._fence,
            decide.MarkDown: self._mark_down,
            decide.Rescue: self._rescue,
            decide.Reopen: self._reopen,
        }

    def execute(self, found: Situation, step: decide.Step) -> bool:
        """Do one step.

        :returns: whether another one may follow at once.
        :raises store.Changed: another agent wrote since the situation was read.
        :raises exceptions.HaError: the step was not done; doing it again is harmless.
        """
        method = self._methods.get(type(step))
        if method is None:
            raise TypeError(f'no method executes the step {type(step).__name__}')
        return method(found, step)

    def _wait(self, _found: Situation, _step: decide.Wait) -> bool:
        return False

    def _enter(self, found: Situation, step: decide.Enter) -> bool:
        observation, old = found.observation, found.observation.incident
        if old is not None and found.plan is not None and not found.plan.left:
            # How the rescues ended: they are not looked up again in the next phase.
            self._rescues.record(old, found.plan)
        now = observation.now
        if old is None or not old.is_open:
            fences = old.fences if old is not None else ()
            new = Incident(found.host, step.phase, now, step.reason, now, fences=fences)
        else:
            new = dataclasses.replace(old, phase=step.phase, reason=step.reason, changed=now)
        agreed = tuple(sorted(observation.judgement.agreed))
        if step.phase is Phase.SUSPECT or (agreed and step.phase in _WITH_SOURCES):
            new = dataclasses.replace(new, agreed=agreed)
        self._put(found, new)
        was = old.phase if old is not None else None
        if step.phase in _LET_BE and was is not Phase.SUSPECT:
            # A fence of which only a part was done, or that a person has to take back.
            self._let_be(found.host)
        if step.phase is Phase.DEFERRED:
            metrics.HELD_BACK.inc()
            LOG.warning(
                'host=%s is held back for a person: %s. Look at it: heat-ha-agent show %s; then '
                'release, drop or end it',
                found.host, step.reason, found.host,
            )  # fmt: skip
        return step.phase in (Phase.SUSPECT, Phase.CONFIRMED, Phase.RESCUING)

    def _fence(self, found: Situation, step: decide.Fence) -> bool:
        incident, service = found.observation.incident, found.observation.service
        assert incident is not None
        if wrong := self._wrong(found.host):
            raise fencing.NotFenced(
                f'{wrong}. Correct that (entries are read when an agent starts), or fence it by '
                f'hand, then: heat-ha-agent confirm {found.host} --by NAME'
            )
        levels = self._fences.levels(found.host)
        is_marked = service is not None and service.is_forced_down
        waiting = [one for level in levels for one in level if isinstance(one, NovaForcedDown)]
        for one in waiting:
            one.is_marked, one.is_own = is_marked, _is_own_mark(incident, service)
            one.is_settled = found.observation.is_settled
        record = _Record(found, self._put)
        removals = absences.Removals(incident.removed, record.put_removed)
        try:
            proof = topology.fence(found.host, levels, note=_count, removals=removals)
        except fencing.NotFenced as exc:
            if is_marked and not waiting:
                raise fencing.NotFenced(
                    f'{exc}. forced_down is not a proof: no level has the driver nova_forced_down'
                ) from exc
            raise
        proof = dataclasses.replace(proof, who=f'{proof.who} by {self._name}')
        record.put(record.incident.fenced(proof, time.time(), is_renewal=step.is_renewal))
        return True

    def _mark_down(self, found: Situation, step: decide.MarkDown) -> bool:
        service = found.observation.service
        assert service is not None
        marked = self._nova.mark_down(service, step.reason)
        self._table.note_one(marked)
        # Where Nova does not show the mark, it is asked again at the next look.
        return marked.is_forced_down

    def _rescue(self, found: Situation, _step: decide.Rescue) -> bool:
        incident = found.observation.incident
        assert incident is not None
        if found.plan is None:
            raise found.problem or exceptions.HaError('it is not known whom to signal')
        self._rescues.signal_due(incident, found.plan)
        return False

    def _reopen(self, found: Situation, step: decide.Reopen) -> bool:
        service, incident = found.observation.service, found.observation.incident
        assert service is not None and incident is not None
        if step.is_clean:
            # Before Nova gives it servers, which need their storage.
            let_in.let_in(found.host, self._fences, incident.proof)
        self._nova.reopen(service)
        self._table.refresh()
        return True

    def _put(self, found: Situation, new: Incident) -> agent_store.Entry:
        value = serialization.encode(new)
        return self._store.put(agent_store.INCIDENT, found.host, value, found.entry.version)


class _Record:
    """The incident of a host while it is fenced, which may be written several times."""

    def __init__(
        self, found: Situation, put: Callable[[Situation, Incident], agent_store.Entry]
    ) -> None:
        assert found.observation.incident is not None
        self.incident = found.observation.incident
        self._found = found
        self._put = put

    def put(self, new: Incident) -> None:
        """Put the incident on record as it is now."""
        entry = self._put(self._found, new)
        self._found = dataclasses.replace(self._found, entry=entry)
        self.incident = new

    def put_removed(self, removed: tuple[str, ...]) -> None:
        """Put on record what fences have removed, also where no proof follows."""
        self.put(dataclasses.replace(self.incident, removed=removed))


def _count(driver: str, outcome: str) -> None:
    metrics.FENCES.labels(driver, outcome).inc()


def _is_own_mark(incident: Incident, service: cloud.ComputeService | None) -> bool:
    """Whether an agent set the mark that Nova shows: it did so after a fence, which is over."""
    reason = '' if service is None else service.disabled_reason
    return incident.proof is not None or reason.startswith(cloud.OUR_REASON)
