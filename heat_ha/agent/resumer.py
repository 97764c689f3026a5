# SPDX-License-Identifier: Apache-2.0
"""Work of policies that goes on without a new signal of a user: the agent sends one.

Each few seconds it looks in Heat's database for FailoverPolicies with work on record that no engine
does, and for regions of RemoteStacks with something pending.
"""

import concurrent.futures
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import engines, metrics
from heat_ha.agent import turns as turns_of
from heat_ha.agent.adapters import nova_admin, pending_regions, policy_index
from heat_ha.agent.rules import unfinished
from heat_ha.cloud import clock, heat_rpc
from heat_ha.cloud.model import ComputeService
from heat_ha.failover.rules import reminders

LOG = logging.getLogger(__name__)

# Seconds between two looks, and between two signals to one FailoverPolicy that are not in vain.
POLL_SECONDS, RESUME_AGAIN_AFTER = 2.0, 10.0

# Seconds between two signals to one RemoteStack with pending regions, and how many get one in a
# look.
SYNC_AGAIN_AFTER, MAX_SYNCS = 5.0, 20

# Seconds after which a look begins no further signal: one that nobody answers takes half a minute.
LOOK_SECONDS = 15.0

# Seconds between two times that the engines are made ready for a rescue. Nova checks a token again
# that it has not seen for five minutes (keystonemiddleware's token_cache_time).
PREPARE_EVERY = 240.0

# A resource by the id of its stack and its name.
_Key = tuple[str, str]

# Whom a signal goes to.
_Addressee = policy_index.Unfinished | pending_regions.Pending


def _key(of: _Addressee) -> _Key:
    return of.stack_id, of.name


def _in_time(due: Iterable[_Key]) -> Iterator[_Key]:
    """Those of a look that it has the time for; the next look begins with the others."""
    until = time.monotonic() + LOOK_SECONDS
    for key in due:
        if time.monotonic() > until:
            return
        yield key


class Resumer:
    """Looks for such work in a thread; one agent of the region at a time, which has a lock.

    :param locks: gives a lock by name, as tooz's coordinator does.
    """

    def __init__(
        self, nova: nova_admin.NovaAdmin, locks: Any, liveness: engines.EngineLiveness
    ) -> None:
        self._nova = nova
        self._locks = locks
        self._liveness = liveness
        self._resumes: turns_of.Turns[_Key] = turns_of.Turns(RESUME_AGAIN_AFTER)
        self._syncs: turns_of.Turns[_Key] = turns_of.Turns(SYNC_AGAIN_AFTER)
        # What a policy had on record at its last signal.
        self._records: dict[_Key, object] = {}
        # When a policy was sent something last, on the monotonic clock.
        self._reminded: dict[_Key, float] = {}
        self._looked_at = float('-inf')
        self._prepared_at = float('-inf')
        self._running: concurrent.futures.Future[None] | None = None

    def start(
        self, pool: concurrent.futures.Executor, services: Mapping[str, ComputeService]
    ) -> None:
        """Look in a thread of the pool, unless one does or the last look is of just now.

        :param services: all hosts.
        """
        is_running = self._running is not None and not self._running.done()
        if is_running or time.monotonic() - self._looked_at < POLL_SECONDS:
            return
        self._looked_at = time.monotonic()
        self._running = pool.submit(self._look, dict(services))

    def _look(self, services: Mapping[str, ComputeService]) -> None:
        try:
            lock = self._locks.get_lock(b'heat-ha-failovers')
            if not lock.acquire(blocking=False):
                return
            try:
                # Each apart: what one kind of work meets is not to hold up another.
                self._apart('plans of FailoverPolicies', lambda: self._resume_all(services))
                self._apart('regions of RemoteStacks', self._sync_all)
                self._apart('engines', self._prepare)
            finally:
                lock.release()
        except Exception as exc:
            LOG.warning('unfinished work of policies was not looked at: %s', exc)

    def _apart(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:
            metrics.LOOKS_FAILED.labels(what).inc()
            LOG.warning('%s were not looked at: %s', what, exc)

    def _signal(
        self, turns: turns_of.Turns[_Key], to: _Addressee, action: str, *, is_unchanged: bool
    ) -> bool:
        """Signal one resource, and set when its next turn is; whether the signal was accepted.

        :param is_unchanged: whether an earlier signal, if there was one, has changed nothing.
        """
        key, in_vain, is_answered = _key(to), is_unchanged, True
        try:
            heat_rpc.signal(to.project, to.stack_name, to.stack_id, to.name, {'action': action})
            outcome, reason = 'sent', ''
        except heat_rpc.SignalRefused as exc:
            outcome, reason, in_vain = 'refused', str(exc), True
        except Exception as exc:
            outcome, reason, is_answered = 'failed', str(exc), False
        metrics.SIGNALS.labels(action, outcome).inc()
        if is_answered:
            pause = turns.signalled(key, time.monotonic(), in_vain=in_vain)
        else:
            pause = turns.unanswered(key, time.monotonic())
        if reason:
            LOG.warning(
                'signal=%s resource=%s stack=%s %s, again in %.0f s: %s',
                action, to.name, to.stack_name, outcome, pause, reason,
            )  # fmt: skip
        return outcome == 'sent'

    # --- FailoverPolicies --------------------------------------------------------------------

    def _resume_all(self, services: Mapping[str, ComputeService]) -> None:
        plans = {_key(plan): plan for plan in policy_index.unfinished_failovers()}
        self._records = {key: r for key, r in self._records.items() if key in plans}
        self._reminded = {key: at for key, at in self._reminded.items() if key in plans}
        for key, plan in plans.items():
            if self._records.get(key, plan.record) != plan.record:
                self._resumes.moved_on(key)
        for key in _in_time(self._resumes.due(plans, time.monotonic())):
            try:
                self._resume(plans[key], services)
            except Exception as exc:
                pause = self._resumes.unanswered(key, time.monotonic())
                metrics.SIGNALS.labels('resume', 'failed').inc()
                LOG.warning('policy=%s again in %.0f s: %s', plans[key].name, pause, exc)

    def _resume(
        self, plan: policy_index.Unfinished, services: Mapping[str, ComputeService]
    ) -> None:
        found = unfinished.wanted(
            plan.record,
            plan.signals,
            clock.now(),
            is_locked=self._is_alive(plan.engine),
            is_alive=self._is_alive,
            is_fence_over=lambda: self._is_fence_over(plan, services),
            is_reminder_due=self._is_reminder_due(_key(plan)),
        )
        if found is None:
            return
        self._reminded[_key(plan)] = time.monotonic()
        is_unchanged = self._records.get(_key(plan)) == plan.record
        self._records[_key(plan)] = plan.record
        # What stopped has the time of its next try on record.
        is_in_vain = is_unchanged and plan.record.get('state') != 'stopped'
        if self._signal(self._resumes, plan, found.action, is_unchanged=is_in_vain):
            LOG.info(
                'signal=%s policy=%s stack=%s state=%s: %s',
                found.action, plan.name, plan.stack_name, plan.record.get('state'), found.reason,
            )  # fmt: skip

    def _is_reminder_due(self, key: _Key) -> bool:
        """Whether a policy was sent nothing for an hour: whatever it is sent, it reminds."""
        now = time.monotonic()
        # A little more, so that the hour is over for the engine as well.
        return now - self._reminded.setdefault(key, now) > reminders.EVERY + 30.0

    def _is_alive(self, engine: str) -> bool:
        return bool(engine) and self._liveness.is_alive(engine)

    def _is_fence_over(
        self, plan: policy_index.Unfinished, services: Mapping[str, ComputeService]
    ) -> bool:
        """Whether a host of the plan's former holders is confirmed down, or all of them are up."""
        found = plan.record.get('plan') or {}
        ends = [found.get('old') or {}, *found.get('tried', ())]
        hosts = [self._host(plan, one['server'], services) for one in ends if one.get('server')]
        is_confirmed = any(h is not None and h.is_forced_down for h in hosts)
        return is_confirmed or (bool(hosts) and all(h is not None and h.is_up for h in hosts))

    def _host(
        self, plan: policy_index.Unfinished, server: str, services: Mapping[str, ComputeService]
    ) -> ComputeService | None:
        try:
            return services.get(self._nova.host_of(server))
        except exceptions.HaError as exc:
            LOG.info('policy=%s the host of server %s is unknown: %s', plan.name, server, exc)
            return None

    # --- RemoteStacks ------------------------------------------------------------------------

    def _sync_all(self) -> None:
        """Signal those that have waited longest to send their regions what is pending."""
        found = {_key(one): one for one in pending_regions.pending()}
        for key in _in_time(self._syncs.due(found, time.monotonic())[:MAX_SYNCS]):
            one, is_new = found[key], self._syncs.is_new(key)
            # A region that is cut off stays pending, and is to be served when it is back.
            if self._signal(self._syncs, one, 'sync', is_unchanged=False) and is_new:
                LOG.info(
                    'signal=sync resource=%s stack=%s regions=%s',
                    one.name, one.stack_name, ','.join(one.regions),
                )  # fmt: skip

    # --- engines -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Let the engines have tokens that Nova knows, before a rescue needs them."""
        if time.monotonic() - self._prepared_at < PREPARE_EVERY:
            return
        found = policy_index.any_policy()
        if found is None:
            return
        self._prepared_at = time.monotonic()
        try:
            heat_rpc.prepare(*found)
        except exceptions.HaError as exc:
            # Without it a rescue is slower, and as safe.
            LOG.info('the engines were not made ready: %s', exc)
