# SPDX-License-Identifier: Apache-2.0
"""One look for all things of a kind that are on their way, instead of one for each step.

Eight steps that ask Cinder for eight volumes, as often as one step asks for one, keep the
services busy that are to move the volumes. ``handoff_steps`` uses it only to know when to look,
and looks at a thing itself before it requests anything.
"""

import threading
from collections.abc import Callable

Attached = frozenset[tuple[str, str]]


class AttachmentPoller:
    """Wakes the step of a thing when its attachments have changed.

    :param look: what is attached to the two servers now: pairs of thing and server, or None
        when the service could not be asked.
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
            changed = {thing for thing, _ in (before or frozenset()) ^ now}
            before = self._seen = now
            if changed:
                with self._news:
                    for thing in changed:
                        self._changes[thing] = self.changes(thing) + 1
                    self._news.notify_all()

    def end(self) -> None:
        """Stop looking and wake every step that waits."""
        self._has_ended.set()
        with self._news:
            self._news.notify_all()

    def has_seen(self, thing: str, server: str) -> bool:
        """Whether the thing was attached to the server at the last look."""
        return (thing, server) in self._seen

    def changes(self, thing: str) -> int:
        """How often the attachments of the thing were seen to change so far."""
        return self._changes.get(thing, 0)

    def wait(self, thing: str, known: int, seconds: float) -> None:
        """Wait until the thing has changed more than ``known`` times, or so many seconds."""
        with self._news:
            self._news.wait_for(
                lambda: self.changes(thing) > known or self._has_ended.is_set(), seconds
            )
