# SPDX-License-Identifier: Apache-2.0
"""Building what decisions are made from: out of Nova, reports, heartbeats and what is on record.

Nothing here has an effect: it reads, and returns values.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.agent import (
    dispatcher,
    empty_answers,
    isolation,
    model,
    power_watch,
    recorded,
    report_table,
    service_table,
    silences,
    sources,
)
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase, Verdict
from heat_ha.agent.moment import Moment
from heat_ha.agent.rules import confirmation, decide, heartbeats, storm
from heat_ha.fencing import inventory


@dataclasses.dataclass(frozen=True)
class Situation:
    """One host under its lock: all that was read before the next step for it is chosen.

    ``entry`` is its incident as it was on record. ``plan`` is there for a host whose servers are
    being rescued, ``problem`` when it could not be made.
    """

    host: str
    entry: agent_store.Entry
    observation: model.Observation
    plan: dispatcher.DispatchPlan | None = None
    problem: exceptions.HaError | None = None


@dataclasses.dataclass(frozen=True)
class _Others:
    """What the other hosts mean for one that failed: see the fields of ``model.Observation``."""

    storm: str = ''
    doubt: str = ''
    outlived_since: float = float('inf')


# While an incident is in one of these, other hosts may keep it from going on.
_HELD_BY_OTHERS = frozenset({Phase.SUSPECT, Phase.CONFIRMED})

# What a source says that claims a host to be down no longer.
_TAKEN_BACK = frozenset({model.Claimed.UP, model.Claimed.RESOLVED, model.Claimed.SILENT})

# In these a proof allows what is done.
_RELY_ON_PROOF = frozenset({Phase.FENCED, Phase.RESCUING})


class Observer:
    """Observes hosts.

    :param rule: which sources must agree that a host is down.
    :param limits: of the storm guard.
    :param audits: whether a host that is back is looked at for leftovers.
    :param old_silence: seconds; a host that has been silent for longer has not failed just now.
    :param mark_settle: seconds; see ``heartbeats.has_settled``.
    :param fences: says whether the agent itself switches a host off.
    :param power: looks whether what was fenced is on again.
    """

    def __init__(
        self,
        rule: confirmation.Rule,
        limits: storm.Limits,
        audits: bool,
        *,
        nova: nova_admin.NovaAdmin,
        store: agent_store.Store,
        table: service_table.ServiceTable,
        reports: report_table.ReportTable,
        monitor: isolation.IsolationMonitor,
        rescues: dispatcher.Dispatcher,
        old_silence: float,
        mark_settle: float,
        fences: inventory.Inventory,
        power: power_watch.PowerWatch,
    ) -> None:
        self._rule = rule
        self._old_silence = old_silence
        self._silences = silences.Silences(table, monitor, mark_settle)
        self._fences = fences
        self._power = power
        self._limits = limits
        self._audits = audits
        self._nova = nova
        self._store = store
        self._table = table
        self._reports = reports
        self._monitor = monitor
        self._rescues = rescues
        self._sources: Mapping[str, sources.Source] = {}
        self._empty = empty_answers.EmptyAnswers()

    def use(self, found: Mapping[str, sources.Source]) -> None:
        """Ask these sources whether they have a problem."""
        self._sources = found

    def recorded(self) -> recorded.Recorded:
        """All incidents on record."""
        return recorded.read(self._store.all(agent_store.INCIDENT), time.time())

    def situation(self, host: str) -> Situation:
        """Read all that the next step for a host depends on; the caller has the host's lock.

        :raises exceptions.HaError: something that matters could not be read.
        """
        entry = self._store.get(agent_store.INCIDENT, host)
        known = self.recorded()
        if why := known.unreadable.get(host):
            raise exceptions.HaError(why)
        found = self.observe(host, self.moment(known.incidents, time.time()))
        self._look_at_power(found.incident)
        if self.needs_audit(found):
            found = dataclasses.replace(found, leftovers=self._leftovers(found))
        if found.incident is None or found.incident.phase is not Phase.RESCUING:
            return Situation(host, entry, found)
        try:
            plan = self._rescues.unfinished(found.incident, self._table.services)
        except exceptions.HaError as exc:
            # What ends the incident, or stops it, does not depend on its rescues.
            return Situation(host, entry, found, problem=exc)
        found = dataclasses.replace(found, rescues_left=plan.left, rescues_held=plan.held)
        return Situation(host, entry, found, plan)

    def _leftovers(self, observation: model.Observation) -> tuple[str, ...] | None:
        """What is left on a host that is back; None while it is not certain that nothing is."""
        found, incident = self._nova.leftovers(observation.host), observation.incident
        since = incident.changed if incident is not None else 0.0
        is_certain = self._empty.is_believed(observation.host, since, not found, time.monotonic())
        return found if is_certain else None

    def _look_at_power(self, incident: Incident | None) -> None:
        """Have the power looked at for the next step: this one does not wait for a BMC."""
        if incident is None or incident.proof is None or incident.phase not in _RELY_ON_PROOF:
            return
        self._power.look(incident.host, incident.proof)

    def needs_audit(self, observation: model.Observation) -> bool:
        """Whether the next step depends on what is left on the host."""
        incident = observation.incident
        return self._audits and incident is not None and incident.phase is Phase.QUARANTINED

    def moment(self, incidents: Mapping[str, Incident], now: float) -> Moment:
        """All hosts as they are now, beside the incidents on record."""
        return Moment(incidents, now, self._table, self._limits, self._down_unsettled)

    def observe(self, host: str, moment: Moment) -> model.Observation:
        """Observe a host without asking any service: from what was last seen and reported."""
        incidents, now = moment.incidents, moment.now
        incident = incidents.get(host)
        judgement = self._judge(host, incident, now)
        others = self._others(incident, moment) if incident else _Others()
        # Another source may be wrong for a moment however long the host has been silent.
        is_by_nova = sources.ServicesApi.name in judgement.agreed
        return model.Observation(
            host,
            incident,
            judgement,
            self._table.services.get(host) if self._monitor.has_nova() else None,
            now,
            isolation=self._monitor.problem(),
            trusted_since=self._monitor.trusted_since,
            storm=others.storm,
            doubt=others.doubt,
            heartbeats=self._table.heartbeats_since(host, incident.changed) if incident else 0,
            outlived_since=others.outlived_since if is_by_nova else float('inf'),
            looked_at=self._table.looked_at,
            newest=moment.newest,
            turn=self._turn(incident, incidents, now),
            is_settled=self._silences.is_settled(host, incident, moment),
            is_audited=self._audits,
            **self._since_proof(host, incident, moment),
        )

    def _since_proof(self, host: str, incident: Incident | None, moment: Moment) -> dict[str, Any]:
        """What speaks against the proof of a host's fence, while it allows anything."""
        if incident is None or incident.phase not in _RELY_ON_PROOF:
            return {}
        proof_at = incident.proof.at if incident.proof is not None else incident.changed
        who = incident.proof.who if incident.proof is not None else ''
        try:
            can_fence = self._fences.switches_off(host)
            is_word = self._fences.takes_word(host, who)
        except exceptions.Refused:
            # Its next fence says what is wrong; the other hosts do not wait for that.
            can_fence, is_word = True, False
        # Before what it has seen: an answer that comes in between is news for the next look.
        unseen = self._unseen(incident)
        life = heartbeats.life_after(
            proof_at,
            self._table.heartbeats_of(host),
            self._table.services.get(host),
            self._reports.up_since(host, proof_at),
            1 if can_fence else heartbeats.SURE_LIFE,
            self._power.seen_on(host, incident.proof) if incident.proof is not None else '',
        )
        unclear = '' if life else self._silences.unclear(host, proof_at, moment) or unseen
        return {'life': life, 'unclear': unclear, 'can_fence': can_fence, 'is_word': is_word}

    def _unseen(self, incident: Incident) -> str:
        """Why it is not known whether the power of a fenced host is still off; '' when it is."""
        if incident.proof is None or not self._power.is_behind(incident.host, incident.proof):
            return ''
        return 'this agent has taken it up, and has not seen its power yet'

    def _turn(
        self, incident: Incident | None, incidents: Mapping[str, Incident], now: float
    ) -> str:
        if incident is None or incident.phase is not Phase.CONFIRMED:
            return ''
        before = storm.fenced_before(incident, incidents.values(), now)
        if len(before) < self._limits.at_once:
            return ''
        return f'other hosts are fenced first: {", ".join(before[:5])}'

    def _judge(self, host: str, incident: Incident | None, now: float) -> model.Judgement:
        problems = {name: source.problem() for name, source in self._sources.items()}
        if not self._monitor.has_nova():
            problems[sources.ServicesApi.name] = 'Nova does not answer'
        # What was reported of a failure that is over says nothing about the host as it is now.
        since = incident.changed if incident is not None and not incident.is_open else 0.0
        seen = host, self._table.services.get(host), problems, now
        heard_at = self._table.last_heartbeat(host)
        claims = self._reports.claims(*seen, since, heard_at)
        if incident is None or not (incident.is_believed or incident.phase is Phase.SUSPECT):
            return confirmation.judge(self._rule, claims)
        # What is older takes nothing back that another agent has received since.
        later = self._reports.claims(*seen, incident.changed, heard_at)
        is_denied = any(later.get(s) in _TAKEN_BACK for s in incident.agreed)
        if incident.is_believed or self._is_remembered(incident, now):
            # Who has fallen silent since has not taken it back. Who has resolved it has, unless the
            # host is fenced already: then its sender may have forgotten.
            gone = {None, model.Claimed.RESOLVED} if incident.phase in _RELY_ON_PROOF else {None}
            stands = set(incident.agreed) - self._reports.refuted(seen[1], incident.changed)
            claims |= {s: model.Claimed.DOWN for s in stands if claims.get(s) in gone}
        return dataclasses.replace(confirmation.judge(self._rule, claims), is_denied=is_denied)

    def _is_remembered(self, suspect: Incident, now: float) -> bool:
        """Whether what sources claimed of a suspect stands while they are silent.

        Another agent, or one of before, may have their reports. But what is as old as one that
        counts no longer is nothing against signs of life, also of times in which nobody looked.
        """
        host, since = suspect.host, suspect.changed
        has_sent = self._table.heartbeats_since(host, since) >= decide.HEARTBEATS_TO_RETURN
        has_lived = heartbeats.is_written_since(self._table.services.get(host), since)
        return self._reports.is_valid(since, now) or not (has_sent or has_lived)

    def _others(self, incident: Incident, moment: Moment) -> _Others:
        """What speaks against acting on a host: a storm, and a doubt about other hosts."""
        if incident.phase not in _HELD_BY_OTHERS:
            return _Others()
        host, beats, now = incident.host, moment.beats, moment.now
        expected = moment.expected - {host}
        shown_since = self._table.shown_since(host)
        silent_since = max(
            heartbeats.silent_since(beats.get(host, ()), self._table.written_at(host)), shown_since
        )
        outlived = heartbeats.outlived(silent_since, moment.on_time - {host}, beats)
        unheard = {
            other
            for other in expected - outlived
            if not any(at > incident.opened for at in beats.get(other, ()))
        }
        known = moment.incidents.values()
        failed = storm.failed(host, known, moment.down, self._limits, now)
        # Who was fenced stays among those of which a share may fail, and maintenance is none.
        rest = (len(expected | failed), self._limits, now)
        living = expected - failed
        return _Others(
            storm.of_hosts(host, known, moment.down, *rest, moment.domains),
            storm.doubt(host, known, moment.down, unheard, *rest, moment.domains)
            or self._silences.hidden(host, shown_since, moment),
            silent_since if living and living <= outlived else float('inf'),
        )

    def _down_unsettled(self, moment: Moment) -> list[str]:
        """The hosts that are down by the sources, and that the guard does not count by incident.

        One that has been suspected for longer than the period of the guard is as new to it as one
        without an incident.
        """
        incidents, now = moment.incidents, moment.now
        since = now - self._limits.period
        found = []
        for host, service in moment.services.items():
            incident = incidents.get(host)
            is_suspect = _is_suspect_since(incident, since)
            if incident is not None and incident.is_open and not is_suspect:
                continue
            # Most hosts are healthy: nobody claims anything else of them.
            is_healthy = service.is_up and not self._reports.has(host)
            is_old = heartbeats.is_old_silence(service, self._old_silence, min(now, moment.newest))
            if service.is_in_maintenance or ((is_healthy or is_old) and not is_suspect):
                continue
            if self._judge(host, incident, now).verdict is Verdict.DOWN:
                found.append(host)
        return found


def against(observer: Observer, host: str, moment: Moment) -> str:
    """What speaks against acting on a host that is silent, with an incident or without."""
    known, now = moment.incidents.get(host), moment.now
    if known is not None and known.phase is Phase.DEFERRED:
        return known.reason
    found = observer._others(Incident(host, Phase.CONFIRMED, now, '', now), moment)
    return found.storm or found.doubt


def _is_suspect_since(incident: Incident | None, at: float) -> bool:
    return incident is not None and incident.phase is Phase.SUSPECT and incident.opened <= at
