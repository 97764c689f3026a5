# SPDX-License-Identifier: Apache-2.0
"""Looking at the power of hosts that were fenced, for as long as that fence allows anything.

Somebody may switch such a host on, or its BMC may do it by itself after an outage. It runs guests
long before its nova-compute sends a heartbeat, so a heartbeat alone comes too late (S1).
"""

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class _Watched:
    """The proof that the looks at a host are about.

    ``is_old``: the proof was no longer fresh when the first look began. ``began``: when that was.
    ``is_answered``: whether a look has been answered since.
    """

    proof_at: float
    is_old: bool
    began: float
    is_answered: bool = False


class PowerWatch:
    """Asks the power controls that have proved a host to be off whether it still is.

    Only these are asked: a fence may cut off the storage and leave the power on, also one by a
    driver of the same name on another level. An answer that is not clear says nothing, and so does
    a person's word.

    :param now: the clock of the proofs, which may be of another agent. It may be set to another
        time, so it only tells how old a proof is that this agent has come upon.
    :param monotonic: a clock that nobody sets, for all other times.
    :param run: begins a call and does not wait for it.
    """

    def __init__(
        self,
        fences: inventory.Inventory,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._fences = fences
        self._now = now
        self._monotonic = monotonic
        self._run = run
        self._guard = threading.Lock()
        self._asking: set[str] = set()
        # By host: when it was last asked; and the last answer that it is on, with the time of the
        # proof that was then on record. A question that is begun for a proof is later than that.
        self._asked: dict[str, float] = {}
        self._on: dict[str, tuple[float, str]] = {}
        self._watched: dict[str, _Watched] = {}

    def seen_on(self, host: str, proof: model.Proof) -> str:
        """What power control has shown a host to be on since its proof; '' when none has."""
        proof_at, detail = self._on.get(host, (proof.at, ''))
        return detail if proof_at == proof.at else ''

    def is_behind(self, host: str, proof: model.Proof) -> bool:
        """Whether this agent has come late to a proof, and has had no answer since.

        That is so when it takes up what another one left, or was started again: nobody has looked
        meanwhile. It ends with the first answer, or after ``LONGEST_LOOK``. Where the settings of
        the host are wrong, its next fence says so.
        """
        watched = self._watched.get(host)
        if watched is None or watched.proof_at != proof.at:
            watched = self._begin(proof)
        waited = self._monotonic() - watched.began
        if watched.is_answered or not watched.is_old or waited > LONGEST_LOOK:
            return False
        try:
            return bool(self._fences.proved_by(host, proof))
        except exceptions.Refused:
            return False

    def look(self, host: str, proof: model.Proof) -> None:
        """Ask again, unless that was done a moment ago or is being done; waits for nothing."""
        with self._guard:
            watched = self._watched.get(host)
            if watched is None or watched.proof_at != proof.at:
                self._watched[host] = self._begin(proof)
            now = self._monotonic()
            if host in self._asking or now - self._asked.get(host, float('-inf')) < EVERY:
                return
            self._asking.add(host)
            self._asked[host] = now
        try:
            self._run(lambda: self._ask(host, proof))
        except RuntimeError:
            # No thread could be started.
            with self._guard:
                self._asking.discard(host)
            raise

    def _begin(self, proof: model.Proof) -> _Watched:
        # One that seems to be of later, because a clock was set back, may be of any age.
        age = self._now() - proof.at
        return _Watched(proof.at, not -FRESH <= age <= FRESH, self._monotonic())

    def _ask(self, host: str, proof: model.Proof) -> None:
        try:
            for one in self._fences.proved_by(host, proof):
                self._ask_one(host, one, proof)
        except exceptions.Refused:
            # Its next fence says what is wrong with its entry.
            pass
        finally:
            with self._guard:
                self._asking.discard(host)
                # A question of before the fence answers nothing.
                if self._watched[host].proof_at == proof.at:
                    self._watched[host] = dataclasses.replace(self._watched[host], is_answered=True)

    def _ask_one(self, host: str, one: driver.Driver, proof: model.Proof) -> None:
        try:
            power, detail = driver.ask(one)
        finally:
            one.close()
        if power is model.Power.ON:
            LOG.info('host=%s driver=%s is on after its fence: %s', host, one.name, detail)
            what = 'shows its power as on' if one.cuts_power else 'does not fence it any more'
            self._on[host] = (proof.at, f'{one.name} {what}: {detail}')
