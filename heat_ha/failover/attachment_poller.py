# SPDX-License-Identifier: Apache-2.0
"""One look for all volumes that are on their way, so that not each step has to ask for its own.

Eight steps that ask Cinder for eight volumes, as often as one step asks for one, keep the
services busy that are to move the volumes. Used by ``carry_out``, which looks at a volume itself
before it decides anything.
"""

import threading
from collections.abc import Callable

Attached = frozenset[tuple[str, str]]


class AttachmentPoller:
    """Wakes the step of a volume when its attachments have changed.

    :param look: what is attached to the two servers now: pairs of volume and server, or None
        when it could not be asked for.
    :param period: seconds between an answer and the next question.
    """

    def __init__(self, look: Callable[[], Attached | None], period: float) -> None:
        self._look = look
        self._period = period
        self._has_ended = threading.Event()
        self._news = threading.Condition()
        self._changes: dict[str, int] = {}
        self._seen: Attached = frozenset()

    def run(self) -> None:
        """Look until ``end`` is called."""
        before = self._look()
        while not self._has_ended.wait(self._period):
            now = self._look()
            if now is None:
                continue
            changed = {volume for volume, _ in (before or frozenset()) ^ now}
            before = self._seen = now
            if changed:
                with self._news:
                    for volume in changed:
                        self._changes[volume] = self.changes(volume) + 1
                    self._news.notify_all()

    def end(self) -> None:
        """Stop looking and wake everybody."""
        self._has_ended.set()
        with self._news:
            self._news.notify_all()

    def has_seen(self, volume: str, server: str) -> bool:
        """Whether the volume was attached to the server at the last look."""
        return (volume, server) in self._seen

    def changes(self, volume: str) -> int:
        """How often the volume's attachments were seen to change so far."""
        return self._changes.get(volume, 0)

    def wait(self, volume: str, known: int, seconds: float) -> None:
        """Wait until the volume has changed more than ``known`` times, or so many seconds."""
        with self._news:
            self._news.wait_for(
                lambda: self.changes(volume) > known or self._has_ended.is_set(), seconds
            )
