# SPDX-License-Identifier: Apache-2.0
"""How far one action or signal is with each region."""

import uuid
from collections.abc import Collection, Iterable

from heat_ha.regions import model
from heat_ha.regions.rules import answers, steps

# How often one action sends to one part: its inputs come from parts that may depend on it in turn.
MAX_SENDS = 6


class Progress:
    """What one action has begun and ended, and how often it has sent to each region.

    ``attempt`` names the action in the record; ``begun`` has the regions that it was at work in.
    """

    def __init__(self) -> None:
        self.attempt = uuid.uuid4().hex[:12]
        self.begun: set[str] = set()
        # The revision that a region was settled with: a newer one opens it again.
        self._settled: dict[str, str] = {}
        self._sends: dict[str, int] = {}
        # Why the last request of a part was not answered as Heat does.
        self._no_answer: dict[str, str] = {}

    @property
    def settled(self) -> Collection[str]:
        """The regions in which the action has ended its work."""
        return self._settled.keys()

    def settle(self, part: model.Part) -> None:
        """End the work on a part, as long as nothing newer is wanted of it."""
        self._settled[part.region] = part.desired

    def is_settled(self, part: model.Part) -> bool:
        """Whether the action has ended its work on what is wanted of the part now."""
        return self._settled.get(part.region) == part.desired

    def reopen_changed(self, parts: Iterable[model.Part]) -> None:
        """Open the parts again that other parts' outputs have changed the content of."""
        for part in parts:
            if part.region in self._settled and not self.is_settled(part):
                del self._settled[part.region]

    # --- requests -----------------------------------------------------------------------------

    def count_send(self, region: str) -> None:
        """Count one request to a region."""
        self._sends[region] = self._sends.get(region, 0) + 1

    def has_sent(self, region: str) -> bool:
        """Whether the action has sent the region anything."""
        return region in self._sends

    def note_reply(self, region: str, reply: answers.Reply) -> None:
        """Keep why a request was not answered, until one is."""
        is_unknown = reply.answer is answers.Answer.UNKNOWN
        self._no_answer[region] = reply.reason if is_unknown else ''

    def exhausted(self, region: str) -> steps.Fail | None:
        """The end of a part that was sent too often already; None while it may be sent again."""
        if self._sends.get(region, 0) < MAX_SENDS:
            return None
        no_answer = self._no_answer.get(region)
        if no_answer:
            return steps.Fail(
                model.ErrorClass.REFUSED,
                f'it was sent {MAX_SENDS} times, and each time there was no stack after '
                f'({no_answer}); the log of its Heat says why',
            )
        return steps.Fail(
            model.ErrorClass.CONFLICT,
            f'it was sent {MAX_SENDS} times and its inputs still change: peer_inputs that '
            'depend on one another must come to rest',
        )
