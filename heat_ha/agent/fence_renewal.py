# SPDX-License-Identifier: Apache-2.0
"""Renewing fences that end by themselves, for as long as their hosts have not been let in again."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from oslo_log import log as logging

from heat_ha.agent.model import Incident
from heat_ha.fencing import inventory, let_in

LOG = logging.getLogger(__name__)

# Seconds between two rounds: several within half of the shortest time that a fence may hold.
EVERY = 600.0


def _in_a_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name='renewal', daemon=True).start()


class FenceRenewal:
    """Has the fences of all open incidents renewed: those of a host that was dropped, too.

    :param locked: takes the lock of a host; False where somebody else has it.
    :param recorded: reads the incident of a host.
    :param monotonic: a clock that nobody sets.
    :param run: begins a call and does not wait for it.
    """

    def __init__(
        self,
        fences: inventory.Inventory,
        *,
        locked: Callable[[str], contextlib.AbstractContextManager[bool]],
        recorded: Callable[[str], Incident | None],
        monotonic: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._fences = fences
        self._locked = locked
        self._recorded = recorded
        self._monotonic = monotonic
        self._run = run
        self._began = float('-inf')
        self._is_running = threading.Lock()

    def look(self, incidents: Mapping[str, Incident]) -> None:
        """Begin a round, unless one was begun a moment ago or goes on; waits for nothing."""
        now = self._monotonic()
        if now - self._began < EVERY or not self._is_running.acquire(blocking=False):
            return
        self._began = now
        held = sorted(i.host for i in incidents.values() if _is_held(i))
        try:
            self._run(lambda: self._renew(held))
        except RuntimeError as exc:
            # No thread could be started. A fence holds for some rounds yet.
            self._is_running.release()
            LOG.warning('the fences are renewed later: %s', exc)

    def _renew(self, held: Sequence[str]) -> None:
        try:
            for host in held:
                self._renew_one(host)
        finally:
            self._is_running.release()

    def _renew_one(self, host: str) -> None:
        try:
            # Who lets the host in has the lock, and nothing is renewed of what was taken back.
            with self._locked(host) as is_mine:
                incident = self._recorded(host) if is_mine else None
                if incident is not None and incident.proof is not None and _is_held(incident):
                    let_in.keep_off(host, incident.proof, self._fences)
        except Exception:
            # Whatever is wrong with one host keeps no other one from being renewed.
            LOG.exception('host=%s its fence is not renewed', host)


def _is_held(incident: Incident) -> bool:
    # Power that is off stays off: there is nothing to renew, and no lock to take for it.
    proof = incident.proof
    return incident.is_open and proof is not None and bool(proof.storage_drivers)
