# SPDX-License-Identifier: Apache-2.0
"""What the owner of a stack asks of Heat, again and again until it is done.

Requests may meet an engine that is being started again, or one that dies with them in hand.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from chaos.choice import Trouble
from chaos.pool import GROUP, POLICY, Member
from lab.client import access, waiting

# Seconds until a signal is given up, and until it is sent again.
LIMIT, AGAIN = 60.0, 15.0

# Seconds that a change of the group or stack may take, which waits for the end of the failover,
# and until an update is sent once more: an engine that died has taken its part of it along.
CHANGE_LIMIT, UPDATE_AGAIN = 240.0, 90.0

# Seconds between two looks; each is a request to Heat or more.
LOOK = 1.0

_NO_ANSWER = (AssertionError, *access.NO_ANSWER)


class Owner:
    """The owner of one stack. Each method returns when the thing is done.

    :raises AssertionError: it was not within its time.
    """

    def __init__(self, member: Member) -> None:
        self._member = member

    def drop(self) -> None:
        """End the plan that stopped."""
        self._signal(POLICY, {'action': 'drop'}, lambda: self._member.record().plan is None, LIMIT)

    def scale(self, policy: str, size: int) -> None:
        """Signal a policy that scales until the group has its bound.

        A signal too many is harmless there. One is sent in any case: a member may be there, or
        gone, because it is being replaced.
        """
        self._signal(policy, None, lambda: self._size() == size, CHANGE_LIMIT)

    def _signal(self, resource: str, body: Any, is_done: Callable[[], bool], limit: float) -> None:
        deadline = time.monotonic() + limit * waiting.PATIENCE
        sent: float | None = None
        while sent is None or not is_done():
            assert time.monotonic() < deadline, f'the signal {body} to {resource} was to no avail'
            if sent is None or time.monotonic() > sent + AGAIN:
                with contextlib.suppress(*_NO_ANSWER):
                    self._member.stack.signal(resource, body)
                    sent = time.monotonic()
            time.sleep(LOOK)

    def _size(self) -> int | None:
        """How many members there are; None while Heat does not answer."""
        try:
            return len(self._member.stack.members(GROUP))
        except (KeyError, ValueError, *_NO_ANSWER):
            return None

    def update(self, trouble: Trouble, begun: Callable[[], None] = lambda: None) -> None:
        """Change what is wanted of the stack, and update it; again where that failed or is stuck.

        :param begun: called once Heat has taken it.
        """
        self._member.change(trouble)
        deadline = time.monotonic() + CHANGE_LIMIT * waiting.PATIENCE
        sent: float | None = None
        status = ''
        while status != 'UPDATE_COMPLETE':
            assert time.monotonic() < deadline, f'the stack update stays at {status or "nothing"}'
            is_stuck = sent is not None and time.monotonic() > sent + UPDATE_AGAIN
            if sent is None or is_stuck or status == 'UPDATE_FAILED':
                with contextlib.suppress(*_NO_ANSWER):
                    self._member.update()
                    if sent is None:
                        begun()
                    sent = time.monotonic()
            time.sleep(LOOK)
            with contextlib.suppress(*_NO_ANSWER):
                # Until it is taken, the status is that of the update before.
                status = self._member.status() if sent is not None else ''
