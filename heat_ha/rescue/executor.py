# SPDX-License-Identifier: Apache-2.0
"""Rescue the servers of one policy: look, decide, write down, act, until each is at its end.

Called by the RescuePolicy in a thread of an engine. What Nova carries out by itself runs for
many servers side by side; what goes through Heat is done for all servers that are due at once.
"""

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import lease
from heat_ha.cloud.model import HostState
from heat_ha.rescue import journal, model, observer
from heat_ha.rescue import lease as rescue_lease
from heat_ha.rescue.adapters import heat_servers
from heat_ha.rescue.model import Method, Progress, State
from heat_ha.rescue.rules import causes, decide, methods, steps
from heat_ha.rescue.rules.methods import CarriedOutBy

LOG = logging.getLogger(__name__)

# Seconds between two rounds of looks, at least and at most; in between as long as the looks took.
# So with many servers Nova's API is free for the rescues themselves for half of the time.
ROUND, LONGEST_ROUND = 0.5, 5.0

# Seconds for which a server that was not rescued rests: a signal that is sent twice changes
# nothing.
REST = 60.0

# Seconds by which the clocks of two engines may differ at most.
CLOCKS_APART = 10.0

# Servers of one policy that Nova moves at once. The agent bounds how many of several policies are
# under way, and has to signal a policy as a whole.
MOVED_AT_ONCE = 32


class Nova(observer.Looks, Protocol):
    """Nova, as ``heat_ha.rescue.adapters.nova`` has it."""

    def begin(self, method: Method, server: model.Server, is_reset: bool) -> None:
        """Ask for a method that Nova carries out by itself, after a reset if that is wanted."""

    def stop(self, server: str) -> None:
        """Stop a server. :raises HaError: Nova did not accept it."""


class Heat(Protocol):
    """What goes through Heat, as the policy does it."""

    def recreate(
        self, servers: Sequence[heat_servers.Protected], timeout: float, is_dead: bool
    ) -> None:
        """Let Heat replace the servers, and wait. :raises HaError: it did not."""

    def fail_over(self, server: heat_servers.Protected) -> None:
        """Let the chained policy act for the server, and wait. :raises HaError: it did not."""

    def configure(self, server: str) -> int:
        """Hand the server its deployments again. :returns: how many. :raises HaError: failed."""

    def configuration(self, server: str) -> model.Configuration:
        """Look at how far they are."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The policy's properties as the rescue uses them."""

    rules: tuple[model.Rule, ...]
    verify: model.Verify


@dataclasses.dataclass
class _Round:
    """What one round has seen, and has begun so far.

    ``room`` is how many servers Nova may move at once, ``in_nova`` are those that it moves.
    """

    began: float
    room: int
    looks: Mapping[str, model.Server]
    hosts: Any
    in_nova: set[str]
    begun: dict[str, steps.Begin] = dataclasses.field(default_factory=dict)
    requests: dict[str, concurrent.futures.Future[None]] = dataclasses.field(default_factory=dict)


class Rescue:
    """All rescues of one policy, from one signal, in one engine."""

    def __init__(
        self,
        policy: Any,
        nova: Nova,
        heat: Heat,
        options: Options,
        emit: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._nova = nova
        self._heat = heat
        self._options = options
        self._clock = clock
        self._observer = observer.Observer(nova)
        self._journal = journal.Journal(policy, emit, clock)
        self._due: dict[str, heat_servers.Protected] = {}
        self._moving_since: float | None = None

    def affected(
        self, protected: Sequence[heat_servers.Protected], named: str | None
    ) -> tuple[list[tuple[heat_servers.Protected, model.Observation]], list[str]]:
        """The servers that a signal is about, and why the others are not."""
        found, others = [], []
        looks, hosts = self._observer.first_look([p.server for p in protected])
        for one in protected:
            server = looks[one.server]
            seen = model.Observation(server, hosts(server.host), self._clock())
            if decide.is_affected(seen, named is not None):
                found.append((one, seen))
            else:
                status = server.detail or server.status.value
                others.append(f'{one.name}: {status}, {seen.host.detail}')
        return found, others

    def run(
        self,
        found: Sequence[tuple[heat_servers.Protected, model.Observation]],
        protected: Sequence[heat_servers.Protected],
        held: rescue_lease.Lease,
    ) -> str:
        """Carry out what is on record and what was found. :returns: how each rescue ended.

        :raises lease.Busy: another engine has taken over; nothing more is touched here.
        """
        self._take_on(found, protected)
        if not self._due:
            return 'nothing is left to be done'
        if any(self._journal[s].state is State.RUNNING for s in self._due):
            # An engine that died had begun: time makes room beside what it left, too.
            self._moving_since = time.monotonic()
        pause = 0.0
        while any(not self._journal[s].state.is_final for s in self._due):
            time.sleep(pause)
            held.check()
            pause = self._round()
        return '; '.join(f'{self._journal[s].name}: {self._journal[s].reason}' for s in self._due)

    def _take_on(
        self,
        found: Sequence[tuple[heat_servers.Protected, model.Observation]],
        protected: Sequence[heat_servers.Protected],
    ) -> None:
        """Make what is on record unfinished, and what was found, due."""
        now = self._clock()
        places = {p.server: p for p in protected}
        known = self._journal.read(places, now)
        for server, progress in known.items():
            if not progress.state.is_final:
                self._due[server] = places.get(server) or _unplaced(progress)
        for one, seen in found:
            old = known.get(one.server)
            if old is not None and (not old.state.is_final or _rests(old, now)):
                continue
            if old is None or seen.now - old.ended > CLOCKS_APART:
                # No other engine can have rescued it between that look and our lease.
                self._observer.retain(one.server, seen.server)
            self._due[one.server] = one
            is_dead = seen.host.state is HostState.CONFIRMED_DOWN
            self._journal.take_on(one.server, one.name, seen.server, is_dead, now)

    def _round(self) -> float:
        """Look at all that is under way and do what is next. :returns: seconds to the next round.

        What goes through Heat has ended when it returns, and is looked at at once.
        """
        began = time.monotonic()
        room = self._room(began)
        servers = self._in_turn(room)
        with concurrent.futures.ThreadPoolExecutor(observer.AT_ONCE) as pool:
            asked_hosts = pool.submit(self._observer.hosts)
            looks = self._observer.look_at(servers, pool)
            # For those that wait it would be old when their turn comes.
            self._observer.forget()
            hosts = asked_hosts.result()
            took = time.monotonic() - began
            in_nova = {s for s in servers if methods.of(self._journal[s].method).is_in_nova}
            this = _Round(began, room, looks, hosts, in_nova)
            for server in servers:
                self._do_next(server, this, pool)
            for server, request in this.requests.items():
                failure = request.exception()
                if failure is not None:
                    self._journal.failed([server], failure)
        if any(server not in this.requests for server in this.begun):
            self._through_heat(this)
            return 0.0
        return min(max(took, ROUND), LONGEST_ROUND)

    def _do_next(self, server: str, this: _Round, pool: concurrent.futures.Executor) -> None:
        known = self._journal[server]
        seen = observer.observation(this.looks[server], known, this.hosts, self._clock())
        if known.is_configured_again:
            configuration = self._heat.configuration(server)
            seen = dataclasses.replace(seen, configuration=configuration)
        step = decide.next_step(known, self._options.rules, self._options.verify, seen)
        if isinstance(step, steps.AskMigration):
            seen = self._observer.with_migration(seen, this.hosts)
            step = decide.next_step(known, self._options.rules, self._options.verify, seen)
        if isinstance(step, steps.Look) and known.state is State.PENDING:
            # A server that Nova does not show now must not keep the others from their turn.
            self._due[server] = self._due.pop(server)
        match step:
            case steps.End():
                self._journal.end(server, step)
                this.in_nova.discard(server)
            case steps.Begin():
                if decide.has_room(server, step.method, this.in_nova, this.room):
                    self._begin(server, step, this, pool)
            case steps.StartOver():
                self._journal.start_over(server, step, seen.server.host)
                this.in_nova.discard(server)
            case _:
                self._attend_to(server, step)

    def _attend_to(self, server: str, step: steps.Step) -> None:
        """Do what does not change how far the rescue is."""
        match step:
            case steps.Configure():
                self._configure(server)
            case steps.Stop():
                self._stop(server, step)
            case steps.Arrive():
                self._journal.arrived(server)
            case steps.Remind():
                self._journal.remind(server, step)

    def _begin(
        self, server: str, step: steps.Begin, this: _Round, pool: concurrent.futures.Executor
    ) -> None:
        self._journal.begin(server, step)
        this.begun[server] = step
        if methods.of(step.method).is_in_nova:
            this.in_nova.add(server)
            self._moving_since = self._moving_since or this.began
            # At once: the first need not wait until all others are on record.
            seen = this.looks[server]
            self._observer.forget_migration(server)
            request = pool.submit(self._nova.begin, step.method, seen, step.is_reset)
            this.requests[server] = request

    def _room(self, now: float) -> int:
        """How many servers Nova may move at once now."""
        ended = sum(self._journal[s].state.is_final for s in self._due)
        return decide.room(ended, now - (self._moving_since or now), MOVED_AT_ONCE)

    def _in_turn(self, room: int) -> list[str]:
        """The servers to look at: not those that have to wait for room in Nova anyway."""
        open_ = [s for s in self._due if not self._journal[s].state.is_final]
        if any(not methods.of(r.method).is_in_nova for r in self._options.rules):
            return open_
        waiting = [s for s in open_ if self._journal[s].state is State.PENDING]
        left = max(room - (len(open_) - len(waiting)), 0)
        late = set(waiting[left:])
        return [s for s in open_ if s not in late]

    def _through_heat(self, this: _Round) -> None:
        """Carry out what the chained policy and Heat do, and wait for it."""
        together = []
        for server, step in this.begun.items():
            match methods.of(step.method).carried_out_by:
                case CarriedOutBy.CHAINED_POLICY:
                    place = self._due[server]
                    self._call([server], functools.partial(self._heat.fail_over, place))
                case CarriedOutBy.HEAT:
                    together.append(server)
        dead = [s for s in together if self._is_host_dead(s, this)]
        alive = [s for s in together if s not in dead]
        for servers, is_dead in ((dead, True), (alive, False)):
            # What the chained policy did may have taken an hour.
            servers = self._still(servers)
            if not servers:
                continue
            timeout = max(self._options.rules[this.begun[s].index].timeout for s in servers)
            places = [self._due[s] for s in servers]
            self._call(servers, functools.partial(self._heat.recreate, places, timeout, is_dead))

    def _is_host_dead(self, server: str, this: _Round) -> bool:
        host = this.hosts(self._journal[server].before.host)
        return bool(host.state is HostState.CONFIRMED_DOWN)

    def _still(self, servers: Sequence[str]) -> list[str]:
        """Those of the servers that may still be replaced, by a look of now."""
        left = []
        for server in servers:
            known, look = self._journal[server], self._nova.look(server)
            seen = observer.observation(look, known, self._observer.hosts(), self._clock())
            if why := decide.may_replace(known, seen):
                LOG.info('%s is not replaced: %s', known.name, why)
                self._journal.failed([server], causes.Unsuccessful(model.Cause.STATE))
            else:
                left.append(server)
        return left

    def _call(self, servers: Sequence[str], call: Callable[[], None]) -> None:
        """Carry out a method for servers, and put on record how that ended."""
        try:
            call()
        except lease.Busy:
            raise
        except Exception as exc:
            self._journal.failed(servers, exc)
            return
        for server in servers:
            self._journal.returned(server)

    def _stop(self, server: str, step: steps.Stop) -> None:
        try:
            self._nova.stop(server)
        except exceptions.HaError as exc:
            LOG.info('%s is not stopped yet: %s', self._journal[server].name, exc)
            return
        # Afterwards, as below.
        self._journal.stopped(server, step)

    def _configure(self, server: str) -> None:
        try:
            count = self._heat.configure(server)
        except exceptions.HaError as exc:
            LOG.info('%s is not configured again yet: %s', self._journal[server].name, exc)
            return
        # Afterwards: done twice it is harmless, left out it is not.
        self._journal.configured(server, count)


def _rests(old: Progress, now: float) -> bool:
    return old.state is not State.DONE and now - old.ended < REST


def _unplaced(progress: Progress) -> heat_servers.Protected:
    """The place of a server that an engine had begun to recreate, and that has gone since."""
    top, _, rest = progress.name.partition('/')
    member = rest.partition('/')[0]
    return heat_servers.Protected(
        progress.server, progress.name, top, member, (), progress.name.rpartition('/')[2]
    )
