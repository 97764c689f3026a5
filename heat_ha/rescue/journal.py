# SPDX-License-Identifier: Apache-2.0
"""The rescues of one policy as they are on record, and the events about them.

Each change is durable on return, so that another engine can go on from it (S4).
"""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.rescue import model, record
from heat_ha.rescue.model import Progress, State
from heat_ha.rescue.rules import causes, server_states, steps

LOG = logging.getLogger(__name__)


class Journal:
    """What is known of the rescue of each server.

    :param emit: called with the status and the text of each event.
    :param clock: Unix time in seconds.
    """

    def __init__(
        self, policy: Any, emit: Callable[[str, str], None], clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._emit = emit
        self._clock = clock
        self._known: dict[str, Progress] = {}

    def __getitem__(self, server: str) -> Progress:
        return self._known[server]

    def read(self, protected: Collection[str], now: float) -> dict[str, Progress]:
        """Read what is on record, without what is long over of servers that are not protected.

        :returns: the rescues by server id.
        """
        record.drop_old(self._policy, protected, now)
        self._known = record.read(self._policy)
        return dict(self._known)

    def take_on(
        self, server: str, name: str, before: model.Server, of_host: bool, now: float
    ) -> None:
        """Put a new rescue on record: nothing has begun, and ``before`` is how the server was."""
        before = server_states.for_record(before)
        self._put(Progress(server, name, before, began=now, of_host=of_host))

    def start_over(self, server: str, step: steps.StartOver, host: str) -> None:
        """Put a rescue on record that begins again, from the host that the server is on now.

        How the server was before the first of them is kept.
        """
        old, now = self._known[server], self._clock()
        before = dataclasses.replace(old.before, host=host)
        known = Progress(
            server, old.name, before, began=now, was_reset=old.was_reset,
            was_stopped=old.was_stopped, cut_off=old.cut_off + 1,
        )  # fmt: skip
        self._put(known)
        self._emit('IN_PROGRESS', f'{known.name}: rescued again, {step.reason}')

    def begin(self, server: str, step: steps.Begin) -> None:
        """Put an attempt of a method on record, before its side effect (S4)."""
        old = self._known[server]
        known = dataclasses.replace(
            old,
            index=step.index,
            attempt=step.attempt,
            method=step.method,
            state=State.RUNNING,
            started=self._clock(),
            failure='',
            cause=model.Cause.NONE,
            arrived=0.0,
            was_reset=old.was_reset or step.is_reset,
            cut_off=old.cut_off + step.is_cut_off,
            has_returned=False,
            is_configured_again=False,
            reason=step.reason,
        )
        self._put(known)
        reset = ', after a reset of its state' if step.is_reset else ''
        self._emit('IN_PROGRESS', f'{known.name}: {step.method.value}{reset} because {step.reason}')

    def returned(self, server: str) -> None:
        """Put on record that the call which carried out the method came back."""
        self._put(dataclasses.replace(self._known[server], has_returned=True))

    def failed(self, servers: Sequence[str], exc: BaseException) -> None:
        """Put on record that the attempt failed for these servers, and why."""
        cause = causes.of_exception(exc)
        if cause is model.Cause.UNEXPECTED:
            LOG.error('A rescue failed unexpectedly', exc_info=exc)
        # Of other errors it is not known for whose eyes they are.
        text = str(exc) if isinstance(exc, exceptions.HaError) else causes.in_words(cause)
        for server in servers:
            known = self._known[server]
            method = known.method.value if known.method else ''
            failure = f'{method}: {text}'[:200]
            self._put(dataclasses.replace(known, failure=failure, cause=cause))
            self._emit('IN_PROGRESS', f'{known.name}: attempt {known.attempt} failed, {failure}')

    def arrived(self, server: str) -> None:
        """Put on record when the server was first seen on its new host."""
        self._put(dataclasses.replace(self._known[server], arrived=self._clock()))

    def stopped(self, server: str, step: steps.Stop) -> None:
        """Put on record that the server was stopped again."""
        known = self._known[server]
        self._put(dataclasses.replace(known, was_stopped=True))
        self._emit('IN_PROGRESS', f'{known.name}: stopped, because {step.reason}')

    def remind(self, server: str, step: steps.Remind) -> None:
        """Say that the rescue waits, and for what."""
        known = dataclasses.replace(self._known[server], reminded=self._clock())
        self._put(known)
        self._emit('IN_PROGRESS', f'{known.name}: still waiting, {step.reason}')

    def configured(self, server: str, count: int) -> None:
        """Put on record that the server was handed its software deployments again."""
        known = self._known[server]
        self._put(dataclasses.replace(known, is_configured_again=True))
        self._emit('IN_PROGRESS', f'{known.name}: {count} software deployments are applied again')

    def end(self, server: str, step: steps.End) -> None:
        """Put the end of a rescue on record, after its line in the history."""
        known = dataclasses.replace(
            self._known[server], state=step.state, reason=step.reason, ended=self._clock()
        )
        # First: whoever finds the end finds its line. After an engine that died between the two,
        # the next one ends the rescue again.
        record.add_to_history(self._policy, known)
        self._put(known)
        status = 'FAILED' if step.state is State.FAILED else 'COMPLETE'
        seconds = known.ended - known.began
        self._emit(status, f'{known.name}: {step.state.value} after {seconds:.1f} s, {step.reason}')

    def _put(self, progress: Progress) -> None:
        self._known[progress.server] = progress
        record.write(self._policy, progress)
