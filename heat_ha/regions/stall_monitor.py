# SPDX-License-Identifier: Apache-2.0
"""Watch the parts that an action waits for: does anything move there?"""

import time

from heat_ha.regions import model
from heat_ha.regions.rules import answers, stall, steps

# Seconds between two fingerprints of one part. A look at the stack shows its end within one to
# five seconds; a fingerprint takes two more requests, and is not urgent.
EVERY = 15.0


class StallMonitor:
    """What one action or signal has found out about the parts that it waits for."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._equal: dict[str, int] = {}
        self._unfinished: dict[str, tuple[answers.Unfinished, ...]] = {}
        self._forced: set[str] = set()
        self._shown: dict[str, str] = {}

    def force(self, region: str) -> None:
        """Send the same again at the next look if the part is in progress then; a person asks."""
        self._forced.add(region)

    def observe(self, part: model.Part, observed: answers.Observation) -> stall.Evidence | None:
        """A part that is waited for, as it is known; None if it is not in progress for us."""
        if not isinstance(observed, answers.Present) or not stall.is_ours(part, observed):
            return None
        return stall.Evidence(
            part,
            observed,
            self._unfinished.get(part.region, ()),
            self._equal.get(part.region, 0),
            part.region in self._forced,
        )

    def after_step(
        self,
        region: str,
        observed: answers.Observation,
        evidence: stall.Evidence | None,
        step: steps.Step,
    ) -> None:
        """Forget what a look and the step that was chosen upon it have put an end to."""
        if not isinstance(observed, answers.Silent):
            # The person did not mean what may be in progress there later.
            self._forced.discard(region)
        if evidence is None or isinstance(step, steps.Send):
            self._forget(region)

    def is_due(self, region: str) -> bool:
        """Whether it is time for the next fingerprint of a part that is waited for."""
        now = time.monotonic()
        if now < self._next.setdefault(region, now + EVERY):
            return False
        self._next[region] = now + EVERY
        return True

    def take(self, part: model.Part, newest: answers.Fingerprint | None, now: str) -> model.Part:
        """Take a new fingerprint; None where the region could not be asked."""
        if newest is None:
            self._equal[part.region] = 0
            return part
        is_equal = part.fingerprint == newest.digest
        self._equal[part.region] = self._equal.get(part.region, 0) + 1 if is_equal else 1
        self._unfinished[part.region] = newest.unfinished
        return stall.after_fingerprint(part, newest, now)

    def is_news(self, region: str, step: steps.Stalled) -> bool:
        """Whether no event has yet reported that the part has stalled in this way."""
        is_new = self._shown.get(region) != step.reason
        self._shown[region] = step.reason
        return is_new

    def _forget(self, region: str) -> None:
        for known in (self._next, self._equal, self._unfinished):
            known.pop(region, None)
