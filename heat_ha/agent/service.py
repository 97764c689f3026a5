# SPDX-License-Identifier: Apache-2.0
"""The agent at work: look at all hosts, decide for each, act on those that need it.

One thread looks and decides; each host that needs something is worked on in a thread of its own,
with the lock of that host, which the agents of a region share. Whatever is decided is decided
again under the lock, from what is on record then.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.agent import dispatcher as rescuing
from heat_ha.agent import isolation, metrics, model, sources
from heat_ha.agent.adapters import nova_admin
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase, Verdict
from heat_ha.agent.rules import confirmation, decide, heartbeats, storm
from heat_ha.cloud import model as cloud
from heat_ha.fencing import driver as fencing
from heat_ha.fencing import inventory, nova_forced_down

LOG = logging.getLogger(__name__)

# Hosts that are worked on at once; fencing waits for a BMC most of the time.
WORKERS = 8

# Seconds between two rounds at least, however often a sender says something new.
SHORTEST_PAUSE = 0.2

# Seconds before a host is worked on again after something failed: at first, and at most.
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the options come to."""

    name: str
    host: model.Settings
    rule: confirmation.Rule
    limits: storm.Limits
    poll_interval: float
    servers_at_once: int
    reopen_when_clean: bool


@dataclasses.dataclass(frozen=True)
class Case:
    """One host under its lock: all that was read before the next step for it is chosen.

    ``entry`` is its incident as it was on record. ``plan`` is there for a host whose servers are
    being rescued.
    """

    host: str
    entry: agent_store.Entry
    observation: model.Observation
    plan: rescuing.DispatchPlan | None = None


class Agent:
    """One agent. ``locks`` gives a lock by name, as tooz's coordinator does."""

    def __init__(
        self,
        settings: Settings,
        nova: nova_admin.NovaAdmin,
        store: agent_store.Store,
        fences: inventory.Inventory,
        board: sources.ReportTable,
        watch: isolation.IsolationMonitor,
        dispatcher: rescuing.Dispatcher,
        locks: Any,
    ) -> None:
        self._settings = settings
        self._nova = nova
        self._store = store
        self._fences = fences
        self._board = board
        self._watch = watch
        self._dispatcher = dispatcher
        self._locks = locks
        self._sources: Mapping[str, sources.Source] = {}
        self._wake = threading.Event()
        self._is_over = False
        self._services: dict[str, cloud.ComputeService] = {}
        self._looks = itertools.count(1)
        self._last_look = 0
        # By the agent's own clock, which need not be Nova's.
        self._signs: dict[str, collections.deque[float]] = {}
        self._written: dict[str, float] = {}
        self._busy: set[str] = set()
        self._rest: dict[str, tuple[float, float]] = {}
        self._told: dict[str, str] = {}
        self._guard = threading.Lock()
        # By type of step, what executes it. :returns: whether another step may follow at once.
        self._executors: Mapping[type[decide.Step], Callable[[Case, Any], bool]] = {
            decide.Wait: self._wait,
            decide.Enter: self._enter,
            decide.Fence: self._fence,
            decide.MarkDown: self._mark_down,
            decide.Rescue: self._rescue,
            decide.Reopen: self._reopen,
        }

    # --- what sources tell -------------------------------------------------------------------

    def use(self, found: Mapping[str, sources.Source]) -> None:
        """Listen to these sources."""
        self._sources = found

    def report(self, source: str, told: Any) -> None:
        """Take a report, and look at once if it says anything new.

        Hosts that Nova does not have are ignored.
        """
        metrics.REPORTS.labels(source, told.claimed.value).inc()
        if self._services and told.host not in self._services:
            LOG.debug('source=%s host=%r is not known to Nova: ignored', source, told.host[:64])
            metrics.IGNORED.labels(source).inc()
            return
        if self._board.note(sources.stamp(source, told)):
            LOG.info(
                'source=%s host=%s says=%s %s', source, told.host, told.claimed.value, told.detail
            )
            self._wake.set()

    def hosts(self) -> dict[str, str]:
        """What was last decided about each host, or what Nova shows of it; for a person."""
        told = dict(self._told)
        return {
            host: told.get(host) or ('up' if service.is_up else 'down')
            for host, service in sorted(self._services.items())
        } | {'this agent': self._watch.problem() or 'not cut off'}

    # --- the rounds --------------------------------------------------------------------------

    def run(self) -> None:
        """Look until ``stop``."""
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            while not self._is_over:
                started = time.monotonic()
                self._wake.clear()
                try:
                    pause = self.round(pool)
                except Exception as exc:
                    # A round that could not be finished decides nothing (S2).
                    self._say('round', f'agent={self._settings.name} round failed: {exc}')
                    pause = self._settings.poll_interval
                metrics.ROUND_SECONDS.observe(time.monotonic() - started)
                self._wake.wait(pause)
                time.sleep(max(0.0, started + SHORTEST_PAUSE - time.monotonic()))

    def stop(self) -> None:
        """End after the round that runs; what is under way is on record."""
        self._is_over = True
        self._wake.set()

    def round(self, pool: concurrent.futures.Executor) -> float:
        """Look at all hosts once. :returns: seconds until the next look."""
        self._look_at_nova()
        incidents = self._incidents()
        now = time.time()
        self._board.forget(self._services, now)
        self._watch.look(self._services)
        metrics.ISOLATED.set(bool(self._watch.problem()))
        self._count(incidents)
        pause = self._settings.poll_interval
        for host in sorted(set(self._services) | set(incidents)):
            seen = self._seen(host, incidents, now)
            step = decide.next_step(seen, self._settings.host)
            phase, age = None, float('inf')
            if seen.incident is not None:
                phase, age = seen.incident.phase, now - seen.incident.changed
            pause = decide.pause(phase, step, age, pause)
            if isinstance(step, decide.Wait) and not self._needs_audit(seen):
                self._log(host, seen.incident, step)
                continue
            self._start(pool, host)
        self._dispatcher.take_up_failovers(pool, self._services)
        return pause

    def _look_at_nova(self) -> None:
        number = next(self._looks)
        try:
            found = self._nova.compute_services()
            self._note_services(number, found)
            self._watch.nova_answered()
        except exceptions.HaError as exc:
            self._watch.nova_failed(str(exc))

    def _note_services(self, number: int, found: dict[str, cloud.ComputeService]) -> None:
        with self._guard:
            if number < self._last_look:
                # Who works on a host looks as well. What was seen before the last look would be
                # taken for a change, and the same sign of life would count again after it.
                return
            self._last_look = number
            now = time.time()
            for host, service in found.items():
                before = self._services.get(host)
                if before is None or before.heartbeat_at != service.heartbeat_at:
                    self._written[host] = now
                if before is not None and heartbeats.is_heartbeat(before, service):
                    self._signs.setdefault(
                        host, collections.deque(maxlen=heartbeats.RETAINED)
                    ).append(now)
            self._services = found

    def _note_marked(self, service: cloud.ComputeService) -> None:
        """Take what Nova answered when a host was marked; looks that began before are older."""
        with self._guard:
            self._last_look = next(self._looks)
            self._services = {**self._services, service.host: service}

    def _incidents(self) -> dict[str, Incident]:
        found = self._store.all(agent_store.INCIDENT)
        return {
            host: serialization.decode(Incident, entry.value, f'the incident of host {host}')
            for host, entry in found.items()
        }

    def _judge(self, host: str, incident: Incident | None, now: float) -> model.Judgement:
        problems = {name: source.problem() for name, source in self._sources.items()}
        if not self._watch.has_nova():
            problems[sources.ServicesApi.name] = 'Nova does not answer'
        # What was reported of a failure that is over says nothing about the host as it is now.
        since = incident.changed if incident is not None and not incident.is_open else 0.0
        said = self._board.said(host, self._services.get(host), problems, now, since)
        return confirmation.judge(self._settings.rule, said)

    def _seen(self, host: str, incidents: Mapping[str, Incident], now: float) -> model.Observation:
        incident = incidents.get(host)
        judgement = self._judge(host, incident, now)
        a_storm, doubt, outlived_since = self._against(host, incidents, now)
        return model.Observation(
            host,
            incident,
            judgement,
            self._services.get(host) if self._watch.has_nova() else None,
            now,
            isolation=self._watch.problem(),
            trusted_since=self._watch.trusted_since,
            storm=a_storm,
            doubt=doubt,
            heartbeats=sum(at > incident.changed for at in self._signs.get(host, ()))
            if incident
            else 0,
            # Another source may be wrong for a moment however long the host has been silent.
            outlived_since=outlived_since
            if sources.ServicesApi.name in judgement.agreed
            else float('inf'),
        )

    def _against(
        self, host: str, incidents: Mapping[str, Incident], now: float
    ) -> tuple[str, str, float]:
        """What speaks against acting on a host: a storm, and a doubt about other hosts.

        :returns: both in words, and since when the others have outlived it, or infinity.
        """
        if host not in incidents or not incidents[host].is_open:
            return '', '', float('inf')
        down_now = [
            other
            for other, service in self._services.items()
            if (other not in incidents or not incidents[other].is_open)
            and not (service.is_disabled and not service.is_forced_down)
            and self._judge(other, incidents.get(other), now).verdict is Verdict.DOWN
        ]
        # Copies: a round adds to them while a host is worked on in another thread.
        signs = {other: tuple(kept) for other, kept in list(self._signs.items())}
        expected = {
            other
            for other, service in self._services.items()
            if other != host and not (service.is_disabled or service.is_forced_down)
        }
        silent_since = heartbeats.silent_since(signs.get(host, ()), self._written.get(host))
        outlived = heartbeats.outlived(silent_since, expected, signs, now)
        opened = incidents[host].opened
        unheard = {
            o for o in expected - outlived if not any(at > opened for at in signs.get(o, ()))
        }
        rest = len(self._services), self._settings.limits, now
        failed = incidents.values()
        living = expected - storm.failed(host, failed, down_now, self._settings.limits, now)
        return (
            storm.of_hosts(host, failed, down_now, *rest),
            storm.doubt(host, failed, down_now, unheard, *rest),
            silent_since if living and living <= outlived else float('inf'),
        )

    def _needs_audit(self, seen: model.Observation) -> bool:
        is_quarantined = seen.incident is not None and seen.incident.phase is Phase.QUARANTINED
        return is_quarantined and self._settings.reopen_when_clean

    # --- one host ----------------------------------------------------------------------------

    def _start(self, pool: concurrent.futures.Executor, host: str) -> None:
        with self._guard:
            if host in self._busy or time.monotonic() < self._rest.get(host, (0.0, 0.0))[0]:
                return
            self._busy.add(host)
        pool.submit(self._work, host)

    def _work(self, host: str) -> None:
        try:
            with self._locked(host) as is_mine:
                while is_mine and not self._is_over and self._step(host):
                    pass
            self._rest.pop(host, None)
        except agent_store.Changed as exc:
            LOG.info('host=%s %s: looking again', host, exc)
        except exceptions.HaError as exc:
            self._back_off(host, str(exc))
        except Exception as exc:
            LOG.exception('host=%s failed unexpectedly', host)
            self._back_off(host, str(exc))
        finally:
            with self._guard:
                self._busy.discard(host)

    @contextlib.contextmanager
    def _locked(self, host: str) -> Iterator[bool]:
        lock = self._locks.get_lock(f'heat-ha-host-{host}'.encode())
        if not lock.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _back_off(self, host: str, reason: str) -> None:
        _until, seconds = self._rest.get(host, (0.0, FIRST_BACKOFF / 2))
        seconds = min(seconds * 2, LONGEST_BACKOFF)
        self._rest[host] = (time.monotonic() + seconds, seconds)
        self._say(host, f'host={host} again in {seconds:.0f} s: {reason}')

    def _step(self, host: str) -> bool:
        """Observe, decide, then act, under the lock. :returns: whether to go on at once."""
        found = self._look_at(host)
        step = decide.next_step(found.observation, self._settings.host)
        self._log(host, found.observation.incident, step)
        return self._execute(found, step)

    def _look_at(self, host: str) -> Case:
        """Read all that the next step depends on; nothing changes by that."""
        entry = self._store.get(agent_store.INCIDENT, host)
        seen = self._seen(host, self._incidents(), time.time())
        if self._needs_audit(seen):
            seen = dataclasses.replace(seen, leftovers=self._nova.leftovers(host))
        if seen.incident is None or seen.incident.phase is not Phase.RESCUING:
            return Case(host, entry, seen)
        plan = self._dispatcher.unfinished(seen.incident, self._services)
        return Case(host, entry, dataclasses.replace(seen, rescues_left=plan.left), plan)

    def _execute(self, found: Case, step: decide.Step) -> bool:
        """Do one step. :returns: whether another one may follow at once."""
        execute = self._executors.get(type(step))
        if execute is None:
            raise TypeError(f'nothing executes the step {type(step).__name__}')
        return execute(found, step)

    def _wait(self, _found: Case, _step: decide.Wait) -> bool:
        return False

    def _enter(self, found: Case, step: decide.Enter) -> bool:
        seen, old = found.observation, found.observation.incident
        if old is not None and found.plan is not None:
            # How the rescues ended: nobody looks at them again in the next phase.
            self._dispatcher.record(old, found.plan)
        if old is None or not old.is_open:
            new = Incident(found.host, step.phase, seen.now, step.reason, seen.now)
        else:
            new = dataclasses.replace(old, phase=step.phase, reason=step.reason, changed=seen.now)
        self._put(found, new)
        return step.phase in (Phase.SUSPECT, Phase.CONFIRMED, Phase.RESCUING)

    def _fence(self, found: Case, _step: decide.Fence) -> bool:
        host, incident, service = found.host, found.observation.incident, found.observation.service
        assert incident is not None
        made = self._fences.driver(host)
        if isinstance(made, nova_forced_down.NovaForcedDown):
            made.is_marked = service is not None and service.is_forced_down
        try:
            proof = fencing.fence(made, timeout=self._fences.timeout(host))
        except fencing.NotFenced:
            metrics.FENCES.labels(made.name, 'failed').inc()
            raise
        metrics.FENCES.labels(made.name, 'done').inc()
        proof = dataclasses.replace(proof, who=f'{proof.who} by {self._settings.name}')
        new = dataclasses.replace(
            incident,
            phase=Phase.FENCED,
            proof=proof,
            changed=time.time(),
            reason=f'{proof.who}: {proof.how}',
        )
        self._put(found, new)
        return True

    def _mark_down(self, found: Case, step: decide.MarkDown) -> bool:
        service = found.observation.service
        assert service is not None
        marked = self._nova.mark_down(service, f'{nova_admin.MARKER}{step.reason}')
        self._note_marked(marked)
        # Else Nova has another opinion, and is asked again at the next look.
        return marked.is_forced_down

    def _rescue(self, found: Case, _step: decide.Rescue) -> bool:
        incident = found.observation.incident
        assert incident is not None and found.plan is not None
        self._dispatcher.signal_due(incident, found.plan)
        return False

    def _reopen(self, found: Case, _step: decide.Reopen) -> bool:
        service = found.observation.service
        assert service is not None
        self._nova.reopen(service)
        self._look_at_nova()
        return True

    def _put(self, found: Case, new: Incident) -> None:
        self._store.put(
            agent_store.INCIDENT, found.host, serialization.encode(new), found.entry.version
        )

    # --- telling -----------------------------------------------------------------------------

    def _log(self, host: str, incident: Incident | None, step: decide.Step) -> None:
        """One line for each decision, when it changes."""
        phase = incident.phase.value if incident else 'none'
        kind = type(step).__name__.lower()
        to = f' to={step.phase.value}' if isinstance(step, decide.Enter) else ''
        if incident is None and isinstance(step, decide.Wait):
            return
        told = (
            f'agent={self._settings.name} host={host} phase={phase} step={kind}{to} '
            f'reason="{step.reason}"'
        )
        if self._say(host, told) and kind != 'wait':
            metrics.DECISIONS.labels(kind).inc()

    def _say(self, about: str, text: str) -> bool:
        with self._guard:
            if self._told.get(about) == text:
                return False
            self._told[about] = text
        LOG.info('%s', text)
        return True

    def _count(self, incidents: Mapping[str, Incident]) -> None:
        for phase in Phase:
            count = sum(i.phase is phase for i in incidents.values())
            metrics.HOSTS.labels(phase.value).set(count)
