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
from heat_ha.rescue import lease as rescue_lease
from heat_ha.rescue import model, record
from heat_ha.rescue.adapters import heat_servers
from heat_ha.rescue.model import Method, Progress, State
from heat_ha.rescue.rules import decide, methods
from heat_ha.rescue.rules.methods import CarriedOutBy

LOG = logging.getLogger(__name__)

# Seconds between two rounds of looks, at least and at most; in between as long as the looks took.
# So with many servers Nova's API is free for the rescues themselves for half of the time.
ROUND, LONGEST_ROUND = 0.5, 5.0

# Seconds for which what was not rescued rests: a signal that comes twice changes nothing.
REST = 60.0

# Seconds for which a look at all hosts serves the rounds after it. Asking again would take as long
# as a request for a rescue.
HOSTS_VALID = 2.0

# Seconds by which the clocks of two engines may differ at most.
CLOCKS_APART = 10.0

# Threads that talk to Nova at once for one policy: evacuations are slow requests, and more at
# once made the last of 20 servers no earlier.
AT_ONCE = 16

# Servers of one policy that Nova moves at once. The agent bounds how many of several policies are
# under way, and has to signal a policy as a whole.
MOVED_AT_ONCE = 32


class Nova(Protocol):
    """Nova, as ``heat_ha.rescue.adapters.nova`` has it."""

    def hosts(self) -> Any:
        """Look at all hosts."""

    def look(self, server_id: str) -> model.Server:
        """Look at one server."""

    def look_at_many(self, servers: Sequence[str]) -> Mapping[str, model.Server]:
        """Look at those that can be looked at together."""

    def begin(self, method: Method, server: model.Server) -> None:
        """Ask for a method that Nova carries out by itself."""


class Heat(Protocol):
    """What goes through Heat, as the policy does it."""

    def recreate(
        self, servers: Sequence[heat_servers.Protected], timeout: float, is_dead: bool
    ) -> None:
        """Let Heat make the servers anew, and wait. :raises HaError: it did not."""

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


class Rescue:
    """All rescues of one policy, from one signal, in one engine."""

    def __init__(
        self,
        policy: Any,
        nova: Nova,
        heat: Heat,
        options: Options,
        tell: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._nova = nova
        self._heat = heat
        self._options = options
        self._tell = tell
        self._clock = clock
        self._known: dict[str, Progress] = {}
        self._due: dict[str, heat_servers.Protected] = {}
        self._just_seen: dict[str, model.Server] = {}
        self._hosts_seen: tuple[float, Any] | None = None
        self._moving_since: float | None = None

    def affected(
        self, protected: Sequence[heat_servers.Protected], named: str | None
    ) -> tuple[list[tuple[heat_servers.Protected, model.Observation]], list[str]]:
        """The servers that a signal is about, and why the others are not."""
        found, told = [], []
        looked = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            asked = pool.submit(self._nova.hosts)
            looks = self._look_at([p.server for p in protected], pool)
        hosts = asked.result()
        self._hosts_seen = looked, hosts
        for one in protected:
            server = looks[one.server]
            seen = model.Observation(server, hosts(server.host), self._clock())
            if decide.is_affected(seen, named is not None):
                found.append((one, seen))
            else:
                told.append(f'{one.name}: {server.wording or server.status.value}, '
                            f'{seen.host.detail}')  # fmt: skip
        return found, told

    def run(
        self,
        found: Sequence[tuple[heat_servers.Protected, model.Observation]],
        protected: Sequence[heat_servers.Protected],
        claim: rescue_lease.Lease,
    ) -> str:
        """Carry out what is on record and what was found, and return what came of it.

        :raises lease.Busy: another engine has taken over; nothing more is touched here.
        """
        now = self._clock()
        places = {p.server: p for p in protected}
        self._known = record.read(self._policy)
        for server, progress in list(self._known.items()):
            if not progress.state.is_final:
                self._due[server] = places.get(server) or _unplaced(progress)
        for one, seen in found:
            old = self._known.get(one.server)
            if old is not None and (not old.state.is_final or _rests(old, now)):
                continue
            if old is None or seen.now - old.ended > CLOCKS_APART:
                # No other engine can have rescued it between that look and our claim.
                self._just_seen[one.server] = seen.server
            self._due[one.server] = one
            self._put(Progress(one.server, one.name, seen.server, began=now))
        if not self._due:
            return 'nothing is left to be done'
        if any(self._known[s].state is State.RUNNING for s in self._due):
            # An engine that died had begun: time makes room beside what it left, too.
            self._moving_since = time.monotonic()
        pause = 0.0
        while any(not self._known[s].state.is_final for s in self._due):
            time.sleep(pause)
            claim.check()
            pause = self._round()
        return '; '.join(f'{self._known[s].name}: {self._known[s].reason}' for s in self._due)

    def _round(self) -> float:
        """Look at all that is under way and do what is next. :returns: seconds to the next round.

        What goes through Heat has ended when it returns, and is looked at at once.
        """
        began = time.monotonic()
        room = self._room(began)
        open_ = self._in_turn(room)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            asked_hosts = pool.submit(self._look_at_hosts)
            looks = self._look_at(open_, pool)
            # For those that wait it would be old when their turn comes.
            self._just_seen.clear()
            hosts = asked_hosts.result()
            took = time.monotonic() - began
            begun: dict[str, decide.Begin] = {}
            asked = {}
            in_nova = {s for s in open_ if methods.of(self._known[s].method).is_in_nova}
            for server in open_:
                known = self._known[server]
                seen = model.Observation(looks[server], hosts(known.before.host), self._clock())
                if known.is_configured_anew:
                    configuration = self._heat.configuration(server)
                    seen = dataclasses.replace(seen, configuration=configuration)
                step = decide.next_step(known, self._options.rules, self._options.verify, seen)
                if isinstance(step, decide.End):
                    self._end(server, step)
                    in_nova.discard(server)
                elif isinstance(step, decide.Configure):
                    self._configure(server)
                elif isinstance(step, decide.Look) and known.state is State.PENDING:
                    # Of whom Nova tells nothing now is not to keep the others from their turn.
                    self._due[server] = self._due.pop(server)
                elif isinstance(step, decide.Begin):
                    if not decide.has_room(server, step.method, in_nova, room):
                        continue
                    self._begin(server, step)
                    begun[server] = step
                    if methods.of(step.method).is_in_nova:
                        in_nova.add(server)
                        self._moving_since = self._moving_since or began
                        # At once: the first need not wait until all others are on record.
                        asked[server] = pool.submit(self._nova.begin, step.method, looks[server])
            for server, future in asked.items():
                self._note_failure([server], future.exception())
        if any(not methods.of(step.method).is_in_nova for step in begun.values()):
            self._through_heat(begun, hosts)
            return 0.0
        return min(max(took, ROUND), LONGEST_ROUND)

    def _room(self, now: float) -> int:
        """How many servers Nova may move at once now."""
        ended = sum(self._known[s].state.is_final for s in self._due)
        return decide.room(ended, now - (self._moving_since or now), MOVED_AT_ONCE)

    def _in_turn(self, room: int) -> list[str]:
        """Who is to be looked at: not those that wait for room in Nova all the same."""
        open_ = [s for s in self._due if not self._known[s].state.is_final]
        if any(not methods.of(r.method).is_in_nova for r in self._options.rules):
            return open_
        waiting = [s for s in open_ if self._known[s].state is State.PENDING]
        left = max(room - (len(open_) - len(waiting)), 0)
        late = set(waiting[left:])
        return [s for s in open_ if s not in late]

    def _look_at(
        self, servers: Sequence[str], pool: concurrent.futures.Executor
    ) -> dict[str, model.Server]:
        """Look at servers; what was seen before the rescue was taken on counts once more."""
        looks = {s: seen for s in servers if (seen := self._just_seen.pop(s, None))}
        looks |= self._nova.look_at_many([s for s in servers if s not in looks])
        rest = [s for s in servers if s not in looks]
        return looks | dict(zip(rest, pool.map(self._nova.look, rest), strict=True))

    def _look_at_hosts(self) -> Any:
        """Look at all hosts; a look that has just been taken counts for some rounds."""
        seen, now = self._hosts_seen, time.monotonic()
        if seen is None or now - seen[0] >= HOSTS_VALID:
            seen = self._hosts_seen = now, self._nova.hosts()
        return seen[1]

    def _through_heat(self, begun: Mapping[str, decide.Begin], hosts: Any) -> None:
        together = []
        for server, step in begun.items():
            match methods.of(step.method).carried_out_by:
                case CarriedOutBy.CHAINED_POLICY:
                    place = self._due[server]
                    self._try([server], functools.partial(self._heat.fail_over, place))
                case CarriedOutBy.HEAT:
                    together.append(server)
        for is_dead in (True, False):
            batch = [
                s
                for s in together
                if (hosts(self._known[s].before.host).state is HostState.CONFIRMED_DOWN) is is_dead
            ]
            if not batch:
                continue
            timeout = max(self._options.rules[begun[s].index].timeout for s in batch)
            places = [self._due[s] for s in batch]
            self._try(batch, functools.partial(self._heat.recreate, places, timeout, is_dead))

    def _try(self, servers: Sequence[str], call: Callable[[], None]) -> None:
        try:
            call()
        except lease.Busy:
            raise
        except Exception as exc:
            self._note_failure(servers, exc)
            return
        for server in servers:
            self._put(dataclasses.replace(self._known[server], has_returned=True))

    def _note_failure(self, servers: Sequence[str], exc: BaseException | None) -> None:
        if exc is None:
            return
        if not isinstance(exc, exceptions.HaError):
            LOG.error('A rescue failed unexpectedly', exc_info=exc)
        for server in servers:
            known = self._known[server]
            method = known.method.value if known.method else ''
            failure = f'{method}: {exc}'[:200]
            self._put(dataclasses.replace(known, failure=failure))
            self._tell('IN_PROGRESS', f'{known.name}: attempt {known.attempt} failed, {failure}')

    def _begin(self, server: str, step: decide.Begin) -> None:
        known = dataclasses.replace(
            self._known[server],
            index=step.index,
            attempt=step.attempt,
            method=step.method,
            state=State.RUNNING,
            started=self._clock(),
            failure='',
            has_returned=False,
            is_configured_anew=False,
            reason=step.reason,
        )
        # On record before the side effect (S4).
        self._put(known)
        self._tell('IN_PROGRESS', f'{known.name}: {step.method.value} because {step.reason}')

    def _configure(self, server: str) -> None:
        known = self._known[server]
        try:
            count = self._heat.configure(server)
        except exceptions.HaError as exc:
            LOG.info('%s is not configured anew yet: %s', known.name, exc)
            return
        # Afterwards: done twice it is harmless, left out it is not.
        self._put(dataclasses.replace(known, is_configured_anew=True))
        self._tell('IN_PROGRESS', f'{known.name}: {count} software deployments are applied again')

    def _end(self, server: str, step: decide.End) -> None:
        known = dataclasses.replace(
            self._known[server], state=step.state, reason=step.reason, ended=self._clock()
        )
        # First: who finds the end finds its line, and an engine that dies between ends it again.
        record.add_to_history(self._policy, known)
        self._put(known)
        status = 'FAILED' if step.state is State.FAILED else 'COMPLETE'
        seconds = known.ended - known.began
        self._tell(status, f'{known.name}: {step.state.value} after {seconds:.1f} s, {step.reason}')

    def _put(self, progress: Progress) -> None:
        self._known[progress.server] = progress
        record.write(self._policy, progress)


def _rests(old: Progress, now: float) -> bool:
    return old.state is not State.DONE and now - old.ended < REST


def _unplaced(progress: Progress) -> heat_servers.Protected:
    """The place of a server that an engine had begun to recreate, and that is gone since."""
    top, _, rest = progress.name.partition('/')
    member = rest.partition('/')[0]
    return heat_servers.Protected(
        progress.server, progress.name, top, member, (), progress.name.rpartition('/')[2]
    )
