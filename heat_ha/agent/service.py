# SPDX-License-Identifier: Apache-2.0
"""The agent at work: look at all hosts, decide for each, and start work on those that need it.

One thread looks and decides. Each host that needs something is worked on in a thread of its own.
"""

import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import (
    decision_log,
    dispatcher,
    executor,
    fence_renewal,
    fence_watch,
    guest_fences,
    isolation,
    leftovers,
    metrics,
    model,
    observation,
    power_watch,
    recorded,
    report_table,
    resumer,
    service_table,
    sources,
    worker,
)
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase
from heat_ha.agent.rules import confirmation, decide, heartbeats, host_names, reports, storm
from heat_ha.fencing import inventory

LOG = logging.getLogger(__name__)

# Hosts that are worked on at once; and how many may wait for power controls or engines besides.
WORKERS, SLOW_WORKERS = 8, 32

# Seconds between two rounds at least, however often a sender reports something new.
SHORTEST_PAUSE = 0.2

# Seconds without a finished round after which something is wrong, however slow Nova is.
LONGEST_ROUND = 60.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the options amount to."""

    name: str
    host: model.Settings
    rule: confirmation.Rule
    limits: storm.Limits
    poll_interval: float
    reopen_when_clean: bool
    # Seconds between two questions to a fence; 0: only at the start.
    fence_check_interval: float = 0.0


class Agent:
    """One agent.

    :param rescues: signals the policies of failed hosts.
    :param resumes: lets work go on that a dead engine left.
    :param locks: gives a lock by name, as tooz's coordinator does.
    """

    def __init__(
        self,
        settings: Settings,
        nova: nova_admin.NovaAdmin,
        store: agent_store.Store,
        fences: inventory.Inventory,
        reported: report_table.ReportTable,
        monitor: isolation.IsolationMonitor,
        rescues: dispatcher.Dispatcher,
        resumes: resumer.Resumer,
        locks: Any,
    ) -> None:
        self._settings = settings
        self._reports = reported
        self._monitor = monitor
        self._resumes = resumes
        self._wake = threading.Event()
        self._is_over = False
        self._are_domains_checked = False
        # All on record, as the last round has read it; None before the first one.
        self._known: recorded.Recorded | None = None
        # The hosts of those that are open, or were a day ago; None before the first round.
        self._on_record: frozenset[str] | None = None
        self._finished_at = time.monotonic()
        self._log = decision_log.DecisionLog(settings.name)
        self._table = service_table.ServiceTable(nova, monitor)
        self._observer = observation.Observer(
            settings.rule, settings.limits, settings.reopen_when_clean,
            nova=nova, store=store, table=self._table, reports=reported, monitor=monitor,
            rescues=rescues, old_silence=settings.host.old_silence,
            mark_settle=settings.host.mark_settle, fences=fences,
            power=power_watch.PowerWatch(fences),
        )  # fmt: skip
        self._watch = fence_watch.FenceWatch(
            fences,
            self._table,
            settings.fence_check_interval,
            removed=lambda host: None if self._known is None else self._known.removed_of(host),
        )
        steps = executor.StepExecutor(
            settings.name, nova, store, fences, self._table, rescues, self._watch.wrong,
            self._watch.ask_soon,
        )  # fmt: skip
        self._worker = worker.HostWorker(settings.host, self._observer, steps, self._log, locks)
        self._guests = guest_fences.GuestFences(settings.name, nova, store, fences, locks)
        self._leftovers = leftovers.Leftovers(nova, store, self._guests.clusters, locks)
        self._renewal = fence_renewal.FenceRenewal(
            fences,
            locked=self._worker.locked,
            recorded=lambda host: self._observer.recorded().incidents.get(host),
        )

    def use(self, found: Mapping[str, sources.Source]) -> None:
        """Count on these sources to report."""
        self._observer.use(found)

    def report(self, source: str, parsed: reports.ParsedReport) -> None:
        """Take what a source reports, and look at once if that is new.

        A host that Nova does not have is only counted: nobody waits for an answer.
        """
        if not self._table.services or self._on_record is None:
            # Nova names its own hosts. The next round drops those that it does not have.
            self._add(source, parsed, parsed.host)
            return
        try:
            self._add(source, parsed, self._host_of(source, parsed))
        except exceptions.Refused as exc:
            LOG.debug('source=%s %s', source, exc)

    def take(self, source: str, parsed: reports.ParsedReport) -> report_table.Arrival:
        """Take what somebody reports who waits for an answer.

        :raises exceptions.Refused: the name of the host means none of Nova's, or several.
        :raises exceptions.CouldNotAsk: Nova's hosts are not known yet, or it does not show this one
            now.
        """
        services = self._table.services
        if not services or self._on_record is None:
            raise exceptions.CouldNotAsk('nova', 'its hosts', 'they have not been read yet')
        host = self._host_of(source, parsed)
        if host not in services:
            cause = f'it does not show it now{host_names.hint(parsed.host, services)}'
            raise exceptions.CouldNotAsk('nova', f'host {host}', cause)
        return self._add(source, parsed, host)

    def _host_of(self, source: str, parsed: reports.ParsedReport) -> str:
        """Nova's name of the host that is meant. :raises exceptions.Refused: see ``match``."""
        # What was the name of one host a moment ago does not mean another one now (S2), also for an
        # agent that began since.
        known = self._table.remembered() | (self._on_record or frozenset())
        if source == sources.NovaNotifications.name:
            # Nova writes its own names.
            known &= {parsed.host}
        try:
            return host_names.match(parsed.host, known)
        except exceptions.Refused:
            metrics.REFUSED.labels(source, 'host').inc()
            raise

    def _add(self, source: str, parsed: reports.ParsedReport, host: str) -> report_table.Arrival:
        metrics.REPORTS.labels(source, parsed.claimed.value).inc()
        found = self._reports.add(
            report_table.stamp(source, dataclasses.replace(parsed, host=host))
        )
        if found is report_table.Arrival.LATE:
            metrics.REFUSED.labels(source, 'late').inc()
        if found is report_table.Arrival.NEWS:
            LOG.info(
                'source=%s sender=%s host=%s says=%s %s',
                source, parsed.sender, host, parsed.claimed.value, parsed.detail,
            )  # fmt: skip
            self._wake.set()
        return found

    def health(self) -> str:
        """Why the agent does not do its work, '' when it does."""
        age = time.monotonic() - self._finished_at
        if age > max(LONGEST_ROUND, 10 * self._settings.poll_interval):
            return f'no round has been finished for {age:.0f} s'
        return ''

    def hosts(self) -> dict[str, str]:
        """What was last decided about each host, or what Nova shows of it; for a person."""
        services = self._table.services
        incidents = self._known.incidents if self._known is not None else {}
        hidden = {h for h, one in incidents.items() if one.is_open} - set(services)
        shown = {host: 'up' if one.is_up else 'down' for host, one in services.items()}
        shown |= dict.fromkeys(hidden, 'it has an incident, and Nova does not show it')
        return {host: self._log.last(host) or shown[host] for host in sorted(shown)} | {
            'this agent': self._monitor.problem() or 'not cut off'
        }

    def run(self) -> None:
        """Look at the hosts again and again until ``stop``."""
        self._watch.start()
        # The second one ends first: it hands work over to the first one.
        with (
            concurrent.futures.ThreadPoolExecutor(SLOW_WORKERS, 'slow') as slow,
            concurrent.futures.ThreadPoolExecutor(WORKERS, 'quick') as quick,
        ):
            while not self._is_over:
                started = time.monotonic()
                self._wake.clear()
                try:
                    pause = self.round(quick, slow)
                    self._finished_at = time.monotonic()
                except Exception as exc:
                    # A round that could not be finished decides nothing (S2).
                    self._log.line('round', f'agent={self._settings.name} round failed: {exc}')
                    pause = self._settings.poll_interval
                metrics.ROUND_SECONDS.observe(time.monotonic() - started)
                self._wake.wait(pause)
                time.sleep(max(0.0, started + SHORTEST_PAUSE - time.monotonic()))
        self._guests.close()
        self._leftovers.close()

    def stop(self) -> None:
        """End after the round that runs; what is under way is on record."""
        self._is_over = True
        self._worker.stop()
        self._watch.stop()
        self._guests.stop()
        self._wake.set()

    def round(
        self,
        pool: concurrent.futures.Executor,
        slow: concurrent.futures.Executor | None = None,
    ) -> float:
        """Look at all hosts once.

        :param slow: for steps that may wait for long; by default they are done in ``pool``.
        :returns: seconds until the next look.
        """
        pools = worker.Pools(pool, slow or pool)
        self._table.refresh()
        services = self._table.services
        known = self._known = self._observer.recorded()
        incidents = known.incidents
        self._renewal.look(incidents)
        now = time.time()
        self._on_record = _names(known, now)
        if services:
            self._reports.expire(services, now)
            self._reports.check(services, now)
        self._monitor.update(
            services, heartbeats.long_silent(services, self._settings.host.old_silence)
        )
        metrics.ISOLATED.set(bool(self._monitor.problem()))
        _count(incidents)
        pause = self._settings.poll_interval
        moment = self._observer.moment(incidents, now)
        if services and not self._are_domains_checked:
            self._are_domains_checked = True
            _warn_of_empty(moment.domains)
        for host, why in known.unreadable.items():
            self._log.line(host, f'host={host} is left alone: {why}', logging.WARNING)
        for host in sorted((set(services) | set(incidents)) - set(known.unreadable)):
            observed = self._observer.observe(host, moment)
            step = decide.next_step(observed, self._settings.host)
            phase, age = None, float('inf')
            if observed.incident is not None:
                phase, age = observed.incident.phase, now - observed.incident.changed
            pause = decide.pause(phase, step, age, pause)
            # What is not clear is looked at under the lock, as what is left on the host.
            has_to_look = observed.unclear or self._observer.needs_audit(observed)
            if isinstance(step, decide.Wait) and not has_to_look:
                self._log.decision(host, observed.incident, step)
                continue
            self._worker.start(pools, host, step)
        self._resumes.start(pool, services)
        self._guests.start(
            guest_fences.region(moment, self._monitor.problem, self._observer, self._unsettled)
        )
        self._leftovers.start(services, self._monitor.problem)
        return pause

    def _unsettled(self) -> str:
        """Why no single guest is shut out now: what cut the agent off may have cut hosts off."""
        settle = self._settings.host.settle
        if time.time() - self._monitor.trusted_since < settle:
            return f'this agent was cut off less than {settle:.0f} s ago'
        return ''


def _names(known: recorded.Recorded, now: float) -> frozenset[str]:
    """The hosts that are Nova's by what is on record, also while Nova does not show them."""
    since = now - service_table.REMEMBERED
    named = {h for h, one in known.incidents.items() if one.is_open or one.changed >= since}
    return frozenset(named | set(known.unreadable))


def _warn_of_empty(domains: Mapping[str, Collection[str]]) -> None:
    """Say which failure domains of ``storm_domains`` have no host, and so no effect."""
    for name, hosts in domains.items():
        if not hosts:
            LOG.warning('storm_domains: none of the hosts that Nova shows now is in %r', name)


def _count(incidents: Mapping[str, Incident]) -> None:
    for phase in Phase:
        count = sum(i.phase is phase for i in incidents.values())
        metrics.HOSTS.labels(phase.value).set(count)
