# SPDX-License-Identifier: Apache-2.0
"""Looking at the power of hosts that were fenced, for as long as that fence allows anything.

Somebody may switch such a host on, or its BMC may do it by itself after an outage. It runs guests
long before its nova-compute sends a heartbeat, so a heartbeat alone comes too late (S1).
"""

import threading
import time
from collections.abc import Callable

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory, model

LOG = logging.getLogger(__name__)

# Seconds between two questions to the power controls of a host. A BMC has few sessions, and a host
# needs longer than that until its guests run.
EVERY = 5.0

# Seconds. A proof is relied on without a look for as long as its fence may have looked itself; and
# a first look that is not answered after so long is one at power controls that are dead, which
# says nothing.
FRESH, LONGEST_LOOK = 15.0, 120.0


def _in_a_thread(call: Callable[[], None]) -> None:
    # A power control may take minutes to answer, and nothing waits for this one.
    threading.Thread(target=call, name='power', daemon=True).start()


class PowerWatch:
    """Asks the power controls that have proved a host to be off whether it still is.

    Only these are asked: a fence may cut off the storage and leave the power on. An answer that is
    not clear says nothing, and so does a person's word.

    :param run: begins a call and does not wait for it.
    """

    def __init__(
        self,
        fences: inventory.Inventory,
        *,
        now: Callable[[], float] = time.time,
        run: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._fences = fences
        self._now = now
        self._run = run
        self._guard = threading.Lock()
        self._asking: set[str] = set()
        # By host, in Unix time: the last question, and the last one whose answer was that it is on.
        self._asked: dict[str, float] = {}
        self._on: dict[str, tuple[float, str]] = {}
        # By host, the proof that the last look was about, when its first look began, and whether
        # one has been answered since.
        self._first: dict[str, tuple[float, float, bool]] = {}

    def seen_on(self, host: str, proof: model.Proof) -> str:
        """What power control has shown a host to be on since its proof; '' when none has."""
        at, detail = self._on.get(host, (float('-inf'), ''))
        return detail if at > proof.at else ''

    def is_behind(self, host: str, proof: model.Proof) -> bool:
        """Whether this agent has come late to a proof, and has had no answer since.

        That is so when it takes up what another one left, or was started again: nobody has looked
        meanwhile. It ends with the first answer, or after ``LONGEST_LOOK``. Where the settings of
        the host are wrong, its next fence says so.
        """
        now = self._now()
        at, began, is_answered = self._first.get(host, (proof.at, now, False))
        if at != proof.at:
            began, is_answered = now, False
        if is_answered or began - proof.at <= FRESH or now - began > LONGEST_LOOK:
            return False
        try:
            return bool(self._fences.proved_by(host, proof.who))
        except exceptions.Refused:
            return False

    def look(self, host: str, proof: model.Proof) -> None:
        """Ask again, unless that was done a moment ago or is being done; waits for nothing."""
        with self._guard:
            if self._first.get(host, (None,))[0] != proof.at:
                self._first[host] = (proof.at, self._now(), False)
            if host in self._asking or self._now() - self._asked.get(host, 0.0) < EVERY:
                return
            self._asking.add(host)
            self._asked[host] = self._now()
        self._run(lambda: self._ask(host, proof))

    def _ask(self, host: str, proof: model.Proof) -> None:
        try:
            for one in self._fences.proved_by(host, proof.who):
                self._ask_one(host, one)
        except exceptions.Refused:
            # Its next fence says what is wrong with its entry.
            pass
        finally:
            with self._guard:
                self._asking.discard(host)
                at, began, _is_answered = self._first[host]
                # A question of before the fence answers nothing.
                self._first[host] = (at, began, at == proof.at)

    def _ask_one(self, host: str, one: driver.Driver) -> None:
        # What was seen is no older than the question, and may be as old as that.
        at = self._now()
        try:
            power, detail = driver.ask(one)
        finally:
            one.close()
        if power is model.Power.ON:
            LOG.info('host=%s driver=%s is on after its fence: %s', host, one.name, detail)
            self._on[host] = (at, f'{one.name} shows its power as on: {detail}')
