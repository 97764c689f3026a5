# SPDX-License-Identifier: Apache-2.0
"""Working on one host: in a thread of its own, under the lock that the agents of a region share.

Whatever was decided is decided again under the lock, from what is on record then.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import decision_log, executor, model, observation
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.rules import decide

LOG = logging.getLogger(__name__)

# Seconds before a host is worked on again after something failed: at first, and at most.
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0

# The longest name of a lock that MySQL takes; tooz hands it over as it is.
LONGEST_LOCK = 64

# Steps that wait for somebody who may not answer: a power control, or an engine.
SLOW_STEPS = (decide.Fence, decide.Rescue)


@dataclasses.dataclass(frozen=True)
class Pools:
    """Threads for work on hosts. Steps that are slow have their own, and keep no other waiting."""

    quick: concurrent.futures.Executor
    slow: concurrent.futures.Executor

    def of(self, step: decide.Step) -> concurrent.futures.Executor:
        """The pool in which a step is executed."""
        return self.slow if isinstance(step, SLOW_STEPS) else self.quick


def lock_of(host: str) -> bytes:
    """The name of the lock of a host, for all drivers of tooz.

    Invariant: no two hosts have one name. A name that fits stays as earlier versions have it, so
    that they share the lock during an upgrade.
    """
    name = f'heat-ha-host-{host}'.encode()
    if len(name) <= LONGEST_LOCK:
        return name
    return f'heat-ha-long-{hashlib.sha256(host.encode()).hexdigest()[:48]}'.encode()


class HostWorker:
    """Brings incidents of hosts forward, step by step.

    :param locks: gives a lock by name, as tooz's coordinator does.
    """

    def __init__(
        self,
        settings: model.Settings,
        observer: observation.Observer,
        steps: executor.StepExecutor,
        log: decision_log.DecisionLog,
        locks: Any,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._steps = steps
        self._log = log
        self._locks = locks
        self._guard = threading.Lock()
        self._busy: set[str] = set()
        # By host: when it may be worked on again (monotonic), and how many seconds it waits.
        self._backoffs: dict[str, tuple[float, float]] = {}
        self._is_over = False

    def stop(self) -> None:
        """Begin no further step; what is under way is on record."""
        self._is_over = True

    def start(self, pools: Pools, host: str, step: decide.Step) -> None:
        """Work on a host in another thread, unless one does or it waits after a failure.

        :param step: what it probably begins with.
        """
        with self._guard:
            if host in self._busy or time.monotonic() < self._backoffs.get(host, (0.0, 0.0))[0]:
                return
            self._busy.add(host)
        self._submit(pools, host, step)

    def _submit(self, pools: Pools, host: str, step: decide.Step) -> None:
        pool = pools.of(step)
        pool.submit(self._work, pools, host, pool is pools.slow)

    def _work(self, pools: Pools, host: str, may_be_slow: bool) -> None:
        slow = None
        try:
            with self.locked(host) as is_mine:
                while is_mine and not self._is_over:
                    found, step = self._next_step(host)
                    if pools.of(step) is pools.slow and not may_be_slow:
                        slow = step
                        break
                    if not self._steps.execute(found, step):
                        break
            self._backoffs.pop(host, None)
        except agent_store.Changed as exc:
            LOG.info('host=%s %s: looking again', host, exc)
        except exceptions.HaError as exc:
            self._back_off(host, str(exc))
        except Exception as exc:
            LOG.exception('host=%s failed unexpectedly', host)
            self._back_off(host, str(exc))
        finally:
            if slow is None:
                with self._guard:
                    self._busy.discard(host)
        if slow is not None:
            # The lock is free meanwhile; what is done is decided again under it.
            self._submit(pools, host, slow)

    def step(self, host: str) -> bool:
        """Observe, decide, then act; the caller has the lock. :returns: whether to go on."""
        return self._steps.execute(*self._next_step(host))

    def _next_step(self, host: str) -> tuple[observation.Situation, decide.Step]:
        found = self._observer.situation(host)
        step = decide.next_step(found.observation, self._settings)
        self._log.decision(host, found.observation.incident, step)
        return found, step

    @contextlib.contextmanager
    def locked(self, host: str) -> Iterator[bool]:
        """Take the lock of a host, without waiting. :returns: whether the caller has it."""
        lock = self._locks.get_lock(lock_of(host))
        if not lock.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _back_off(self, host: str, reason: str) -> None:
        _until, seconds = self._backoffs.get(host, (0.0, FIRST_BACKOFF / 2))
        seconds = min(seconds * 2, LONGEST_BACKOFF)
        self._backoffs[host] = (time.monotonic() + seconds, seconds)
        self._log.line(host, f'host={host} again in {seconds:.0f} s: {reason}')
