# SPDX-License-Identifier: Apache-2.0
"""Work that waits in one thread, in the place of an engine's threads and of the message bus.

Wherever Heat sleeps between two looks, the next waiting piece of work is done instead, so that a
test takes no time and always runs in the same order.
"""

import collections
import datetime
import time
from unittest import mock

from heat.engine import service

# So many times may something look again while nobody works: then it waits in vain.
IDLE_LIMIT = 200


class WaitsInVain(AssertionError):
    """Something waits for what nobody does."""


class Schedule:
    """The work that waits, and the time that has been slept through.

    :ivar errors: what work has raised; Heat would log it.
    :ivar slept: seconds.
    :ivar before_sleep: called at each sleep, when it is set.
    """

    def __init__(self):
        self.errors = []
        self.slept = 0.0
        self.before_sleep = None
        self._waiting = collections.deque()
        self._idle = 0

    def later(self, func, *args, **kwargs):
        """Put work on the list."""
        self._waiting.append((func, args, kwargs))

    def step(self):
        """Do what waits the longest. :returns: False when nothing waits."""
        if not self._waiting:
            return False
        func, args, kwargs = self._waiting.popleft()
        try:
            func(*args, **kwargs)
        except Exception as exc:
            # A thread's end: Heat logs it.
            self.errors.append(exc)
        return True

    def run(self):
        """Do all that waits."""
        while self.step():
            pass

    def sleep(self, seconds):
        """Pass time: do something of what waits."""
        self.slept += seconds or 0
        if self.before_sleep is not None:
            self.before_sleep()
        if self.step():
            self._idle = 0
            return
        self._idle += 1
        if self._idle > IDLE_LIMIT:
            self._idle = 0
            raise WaitsInVain('nobody works on what is waited for')

    def monotonic(self):
        """The time as our code sees it: real time and what it has slept."""
        return time.monotonic() + self.slept

    def now(self):
        """The same as the groups put it on record."""
        later = datetime.timedelta(seconds=self.slept)
        return (datetime.datetime.now(datetime.timezone.utc) + later).isoformat(timespec='seconds')


class Threads(service.ThreadGroupManager):
    """What an engine does in threads, put on a list."""

    def __init__(self, engine):
        self.engine = engine
        self.groups = {}
        self.msg_queues = collections.defaultdict(list)

    def start(self, stack_id, func, *args, **kwargs):
        self.engine.later(func, *args, **kwargs)
        return mock.Mock()

    def start_with_lock(self, cnxt, stack, engine_id, func, *args, **kwargs):
        raise NotImplementedError('only stacks with convergence are tested here')

    def start_with_acquired_lock(self, stack, lock, func, *args, **kwargs):
        def locked():
            try:
                func(*args, **kwargs)
            finally:
                # As Heat does at the end of such a thread.
                stack.persist_state_and_release_lock(lock.engine_id)

        self.engine.later(locked)

    def stop(self, stack_id, graceful=False):
        pass

    def stop_timers(self, stack_id):
        pass

    def add_msg_queue(self, stack_id, queue):
        pass

    def remove_msg_queue(self, thread, stack_id, queue):
        pass

    def send(self, stack_id, message):
        pass
