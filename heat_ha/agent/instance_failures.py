# SPDX-License-Identifier: Apache-2.0
"""From a guest that ended by itself to the signal of its FailoverPolicy, without an alarm.

``sources`` hands over what Nova's notifications say. A thread of its own looks for the policies and
at the servers, and signals; so neither the notifications nor the rounds wait for Heat or Nova.
Nothing is on record: what this agent has not signalled when it dies is left to the alarm.
"""

import concurrent.futures
import dataclasses
import shlex
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import metrics
from heat_ha.agent.adapters import failover_index
from heat_ha.agent.rules import instance_failures as rules
from heat_ha.agent.rules import instance_reports, storm
from heat_ha.agent.rules.instance_failures import Outcome
from heat_ha.cloud import heat_rpc
from heat_ha.failover.rules import instance_failure

LOG = logging.getLogger(__name__)

# Failures that are kept at once. Each is over after some minutes, so there are more only where the
# guests of many hosts end in one moment.
MAX_OPEN = 1000

# Servers that are asked about and signalled for at once; a signal that no engine takes up is waited
# for half a minute.
WORKERS = 4

# Seconds without a failure after which the thread looks around.
IDLE = 60.0

# Seconds after an error that nobody expects until the thread goes on.
AFTER_ERROR = 5.0

# Why a server for which a policy asks is not signalled, so that somebody should look.
_TO_BE_SEEN = (Outcome.ASKED_FOR, Outcome.UNKNOWN)

Target = failover_index.Target


@dataclasses.dataclass(frozen=True)
class _Failure:
    """A server whose guest has ended. ``due`` is on the monotonic clock; ``sent``: to these."""

    server: str
    host: str
    due: float
    tries: int = 0
    sent: frozenset[Target] = frozenset()


class _Guard:
    """The storm guard's limits of one project and one stack, for what this agent signals (S6)."""

    def __init__(self, limits: storm.Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._past: dict[tuple[str, Target], storm.PastRescue] = {}

    def refusal(self, server: str, to: Target) -> str:
        """Why the signal is held back; '' to send it, which then counts, once for each server."""
        now = self._clock()
        scope = storm.Scope(to.project, to.root, f'{to.policy} of {to.stack_name}')
        with self._lock:
            self._past = {
                key: one for key, one in self._past.items() if one.at > now - self._limits.period
            }
            if (server, to) in self._past:
                return ''
            refused = storm.of_rescues([(scope, 1)], self._past.values(), self._limits, now)
            if not refused and (self._limits.per_project or self._limits.per_stack):
                self._past[server, to] = storm.PastRescue(scope, 1, now)
        return refused.get(scope.policy, '')


class InstanceFailures:
    """Signals the policies of servers whose guests have ended.

    :param find: the targets of servers, by server; those that no policy asks for are left out.
    :param look: a server as Nova shows it, None where it is gone.
    :param signal: ``heat_rpc.signal``.
    :param limits: of the storm guard, for the servers of one project or stack.
    """

    def __init__(
        self,
        find: Callable[[Collection[str]], Mapping[str, tuple[Target, ...]]],
        look: Callable[[str], rules.Shown | None],
        signal: Callable[[str, str, str, str, Any], None],
        limits: storm.Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._look = look
        self._signal = signal
        self._guard = _Guard(limits, clock)
        self._clock = clock
        self._lock = threading.Lock()
        # Those that wait for their turn, and the servers of those that are worked on.
        self._waiting: dict[str, _Failure] = {}
        self._at_work: set[str] = set()
        self._wake = threading.Event()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in a thread."""
        self._thread = threading.Thread(target=self._run, name='instance-failures', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after what is being signalled; the rest is left to the alarms."""
        self._is_over = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def report(self, one: instance_reports.InstanceReport) -> None:
        """Take what a notification says. It does not wait, and a doubled one changes nothing."""
        if one.meaning is not instance_reports.Meaning.FAILED:
            is_asked = one.meaning is instance_reports.Meaning.ASKED_FOR
            _count(Outcome.ASKED_FOR if is_asked else Outcome.UNKNOWN)
            return
        with self._lock:
            if one.server in self._waiting or one.server in self._at_work:
                return
            has_room = len(self._waiting) + len(self._at_work) < MAX_OPEN
            if has_room:
                self._waiting[one.server] = _Failure(one.server, one.host, self._clock())
        if has_room:
            self._wake.set()
            return
        _count(Outcome.TOO_MANY)
        LOG.warning(
            'server=%s host=%s its guest ended, as those of %d others: left to its alarm',
            one.server, one.host, MAX_OPEN,
        )  # fmt: skip

    # --- in its thread -----------------------------------------------------------------------

    def _run(self) -> None:
        pool = concurrent.futures.ThreadPoolExecutor(WORKERS, 'instance-failure')
        try:
            while not self._is_over:
                self._wake.clear()
                self._wake.wait(self._work(pool))
        finally:
            pool.shutdown(cancel_futures=True)

    def _work(self, pool: concurrent.futures.Executor) -> float:
        try:
            return self.work(pool)
        except Exception:
            # The thread is the only one: what ends it would end this path for good.
            LOG.exception('What ended guests lead to was not looked at')
            return AFTER_ERROR

    def work(self, pool: concurrent.futures.Executor) -> float:
        """Begin with all whose turn it is. :returns: seconds until the next turn."""
        now = self._clock()
        with self._lock:
            due = [one for one in self._waiting.values() if one.due <= now]
            for one in due:
                del self._waiting[one.server]
                self._at_work.add(one.server)
        if due:
            self._begin(pool, due)
        with self._lock:
            turns = [one.due for one in self._waiting.values()]
        return max(min(turns, default=now + IDLE) - now, 0.0)

    def _begin(self, pool: concurrent.futures.Executor, due: Sequence[_Failure]) -> None:
        try:
            found = self._find([one.server for one in due])
        except Exception as exc:
            for one in due:
                self._has_failed(one, (), f"Heat's database: {exc}")
            return
        for one in due:
            targets = found.get(one.server, ())
            if not targets:
                self._end(one, Outcome.NO_POLICY)
                continue
            try:
                pool.submit(self._treat, one, targets)
            except Exception as exc:
                self._has_failed(one, targets, f'no thread: {exc}')

    def _treat(self, one: _Failure, targets: Sequence[Target]) -> None:
        """Look at the server, and do what follows. It raises nothing."""
        try:
            shown = self._look(one.server)
            step = rules.next_step(shown, {target.project for target in targets})
            match step:
                case rules.Drop(outcome=outcome, reason=reason):
                    # A policy has asked for the signal, so a wrong answer of Nova is an outage.
                    level = logging.WARNING if outcome in _TO_BE_SEEN else logging.INFO
                    LOG.log(
                        level, 'server=%s host=%s not signalled: %s', one.server, one.host, reason
                    )
                    self._end(one, outcome)
                case rules.LookAgain(reason=reason):
                    self._later(one, targets, reason)
                case rules.Signal():
                    own = [t for t in targets if shown is not None and t.project == shown.project]
                    self._signal_all(one, own)
        except Exception as exc:
            self._has_failed(one, targets, str(exc) or type(exc).__name__)

    def _has_failed(self, one: _Failure, targets: Sequence[Target], reason: str) -> None:
        """Have its turn once more, whatever has happened: its next failure must count as well."""
        try:
            self._later(one, targets, reason)
        except Exception:
            LOG.exception('server=%s its guest ended: left to its alarm', one.server)
            with self._lock:
                self._at_work.discard(one.server)

    def _signal_all(self, one: _Failure, targets: Sequence[Target]) -> None:
        wrong, outcome = '', Outcome.SIGNALLED
        for to in targets:
            if to in one.sent:
                continue
            if held_back := self._guard.refusal(one.server, to):
                outcome = Outcome.HELD_BACK
                _say_left(one, [to], held_back)
                continue
            try:
                name = self._send(one, to)
            except exceptions.HaError as exc:
                metrics.SIGNALS.labels('failover', 'failed').inc()
                wrong = str(exc)
                continue
            metrics.SIGNALS.labels('failover', 'sent').inc()
            LOG.info(
                'server=%s host=%s signal=failover policy=%s stack=%s: the guest ended by itself',
                one.server, one.host, name, to.stack_name,
            )  # fmt: skip
            one = dataclasses.replace(one, sent=one.sent | {to})
        if wrong:
            self._later(one, targets, wrong)
        else:
            self._end(one, outcome)

    def _send(self, one: _Failure, to: Target) -> str:
        """Signal the policy in front, or the FailoverPolicy itself where that one cannot be.

        It may not be made yet, or not any more. The handover does not need it.

        :returns: the name of the policy that was signalled. :raises HaError: none was.
        """
        body = {'member': one.server, 'reason': instance_failure.reason(one.host or 'its host')}
        try:
            self._signal(to.project, to.stack_name, to.stack_id, to.name, body)
            return to.name
        except heat_rpc.SignalRefused as exc:
            is_last = rules.pause(one.tries + 1) is None
            if to.name == to.policy or not (is_last or isinstance(exc, heat_rpc.NotThere)):
                raise
            LOG.warning(
                'server=%s policy=%s stack=%s: %s. Its FailoverPolicy %s is signalled instead, '
                'and replaces no member', one.server, to.name, to.stack_name, exc, to.policy,
            )  # fmt: skip
        self._signal(to.project, to.stack_name, to.stack_id, to.policy, body)
        return to.policy

    def _later(self, one: _Failure, targets: Sequence[Target], reason: str) -> None:
        """Have its turn once more, or give it up, after so many tries in vain."""
        tries = one.tries + 1
        pause = rules.pause(tries)
        if pause is None:
            _say_left(one, [to for to in targets if to not in one.sent], reason)
            self._end(one, Outcome.GIVEN_UP)
            return
        LOG.info(
            'server=%s host=%s its guest ended, again in %.0f s: %s',
            one.server, one.host, pause, reason,
        )  # fmt: skip
        with self._lock:
            self._at_work.discard(one.server)
            self._waiting[one.server] = dataclasses.replace(
                one, tries=tries, due=self._clock() + pause
            )
        self._wake.set()

    def _end(self, one: _Failure, outcome: Outcome) -> None:
        with self._lock:
            self._at_work.discard(one.server)
        _count(outcome)


def _count(outcome: Outcome) -> None:
    metrics.INSTANCE_FAILURES.labels(outcome.value).inc()


def _say_left(one: _Failure, left: Sequence[Target], reason: str) -> None:
    """Report which policies are left to an alarm or a person, and what the person can do.

    :param left: none where they are not known.
    """
    if not left:
        LOG.warning(
            'server=%s host=%s its guest ended, and whether a policy asks for a signal is not '
            'known: %s. Left to its alarm',
            one.server, one.host, reason,
        )  # fmt: skip
    for to in left:
        LOG.warning(
            'server=%s host=%s its guest ended, and policy=%s stack=%s was not signalled: %s. '
            'Left to its alarm. By hand, as the owner: openstack stack resource signal %s %s '
            '--data \'{"member": "%s"}\'',
            one.server, one.host, to.name, to.stack_name, reason, to.stack_id,
            shlex.quote(to.name), one.server,
        )  # fmt: skip
