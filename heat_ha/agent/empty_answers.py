# SPDX-License-Identifier: Apache-2.0
"""When an empty list of Nova's is believed.

Nova leaves a cell whose database does not answer out of its lists, with status 200 and without a
word (``list_records_by_skipping_down_cells``); one worker of its API with a broken connection is
enough. So "there is none" counts once it has been the answer for some time.
"""

import threading

# Seconds between the first and the last of the answers in a row that have to be empty.
BELIEVED_AFTER = 10.0


class EmptyAnswers:
    """Counts how long answers have been empty. Threads use it, each for keys of its own.

    :param after: seconds; see ``BELIEVED_AFTER``.
    """

    def __init__(self, after: float = BELIEVED_AFTER) -> None:
        self._after = after
        self._guard = threading.Lock()
        self._empty_since: dict[str, tuple[float, float]] = {}

    def is_believed(self, host: str, since: float, is_empty: bool, now: float) -> bool:
        """Whether an answer about a host counts. What is not empty always does.

        :param since: tells one question about the host from the next: the time that it is of.
        :param now: seconds of any clock that does not jump.
        """
        with self._guard:
            if not is_empty:
                self._empty_since.pop(host, None)
                return True
            of, first = self._empty_since.get(host, (since, now))
            if of != since or now < first:
                first = now
            self._empty_since[host] = since, first
            return now - first >= self._after
