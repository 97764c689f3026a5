# SPDX-License-Identifier: Apache-2.0
"""Work of policies that goes on without a new signal of a user: the agent sends one.

Each few seconds it looks in Heat's database for plans of FailoverPolicies whose engine died or
whose host is fenced by now, and for regions of RemoteStacks with something pending.
"""

import concurrent.futures
import time
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import engines, metrics
from heat_ha.agent.adapters import nova_admin, pending_regions, policy_index
from heat_ha.cloud import heat_rpc
from heat_ha.cloud.model import ComputeService

LOG = logging.getLogger(__name__)

# Seconds between two looks, and between two signals to one FailoverPolicy.
POLL_SECONDS, RESUME_AGAIN_AFTER = 2.0, 10.0

# Seconds between two signals to one RemoteStack with pending regions, and how many get one in a
# look.
SYNC_AGAIN_AFTER, MAX_SYNCS = 5.0, 20

# Seconds between two times that the engines are made ready for a rescue. Nova checks a token again
# that it has not seen for five minutes (keystonemiddleware's token_cache_time).
PREPARE_EVERY = 240.0

_Key = tuple[str, str]


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
        # When each was last signalled, by stack and resource; monotonic.
        self._resumed: dict[_Key, float] = {}
        self._synced: dict[_Key, float] = {}
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
                for plan in policy_index.unfinished_failovers():
                    self._resume(plan, services)
                self._sync(pending_regions.pending())
                self._prepare()
            finally:
                lock.release()
        except Exception as exc:
            LOG.warning('plans of FailoverPolicies were not looked at: %s', exc)

    # --- FailoverPolicies --------------------------------------------------------------------

    def _resume(
        self, plan: policy_index.Unfinished, services: Mapping[str, ComputeService]
    ) -> None:
        key = plan.stack_id, plan.name
        if time.monotonic() - self._resumed.get(key, float('-inf')) < RESUME_AGAIN_AFTER:
            return
        if plan.engine and self._liveness.is_alive(plan.engine):
            return
        if plan.record['state'] == 'waiting_for_fence' and not self._is_fenced(plan, services):
            return
        self._resumed[key] = time.monotonic()
        heat_rpc.signal(
            plan.project, plan.stack_name, plan.stack_id, plan.name, {'action': 'resume'}
        )
        metrics.SIGNALS.labels('resume', 'sent').inc()
        LOG.info(
            'signal=resume policy=%s stack=%s state=%s',
            plan.name, plan.stack_name, plan.record['state'],
        )  # fmt: skip

    def _is_fenced(
        self, plan: policy_index.Unfinished, services: Mapping[str, ComputeService]
    ) -> bool:
        old = (plan.record.get('plan') or {}).get('old') or {}
        try:
            service = services.get(self._nova.host_of(old.get('server', '')))
        except exceptions.HaError as exc:
            LOG.info('policy=%s the host of its old active is unknown: %s', plan.name, exc)
            return False
        return service is not None and service.is_forced_down

    # --- RemoteStacks ------------------------------------------------------------------------

    def _sync(self, found: Sequence[pending_regions.Pending]) -> None:
        """Signal those that have waited longest to send their regions what is pending."""
        now = time.monotonic()
        known = {(p.stack_id, p.name): p for p in found}
        self._synced = {key: at for key, at in self._synced.items() if key in known}
        waited = {key: now - self._synced.get(key, float('-inf')) for key in known}
        due = sorted(
            (key for key in known if waited[key] >= SYNC_AGAIN_AFTER), key=lambda key: -waited[key]
        )
        for key in due[:MAX_SYNCS]:
            is_new = key not in self._synced
            self._synced[key] = now
            self._sync_one(known[key], is_new)

    def _sync_one(self, one: pending_regions.Pending, is_new: bool) -> None:
        try:
            heat_rpc.signal(one.project, one.stack_name, one.stack_id, one.name, {'action': 'sync'})
        except exceptions.HaError as exc:
            metrics.SIGNALS.labels('sync', 'failed').inc()
            LOG.warning('signal=sync stack=%s failed: %s', one.stack_name, exc)
            return
        metrics.SIGNALS.labels('sync', 'sent').inc()
        if is_new:
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
