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
from heat_ha.rescue.rules import decide

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

    def take_on(self, server: str, name: str, before: model.Server, now: float) -> None:
        """Put a new rescue on record: nothing has begun, and ``before`` is how the server was."""
        self._put(Progress(server, name, before, began=now))

    def begin(self, server: str, step: decide.Begin) -> None:
        """Put an attempt of a method on record, before its side effect (S4)."""
        known = dataclasses.replace(
            self._known[server],
            index=step.index,
            attempt=step.attempt,
            method=step.method,
            state=State.RUNNING,
            started=self._clock(),
            failure='',
            has_returned=False,
            is_configured_again=False,
            reason=step.reason,
        )
        self._put(known)
        self._emit('IN_PROGRESS', f'{known.name}: {step.method.value} because {step.reason}')

    def returned(self, server: str) -> None:
        """Put on record that the call which carried out the method came back."""
        self._put(dataclasses.replace(self._known[server], has_returned=True))

    def failed(self, servers: Sequence[str], exc: BaseException) -> None:
        """Put on record that the attempt failed for these servers, and why."""
        if not isinstance(exc, exceptions.HaError):
            LOG.error('A rescue failed unexpectedly', exc_info=exc)
        for server in servers:
            known = self._known[server]
            method = known.method.value if known.method else ''
            failure = f'{method}: {exc}'[:200]
            self._put(dataclasses.replace(known, failure=failure))
            self._emit('IN_PROGRESS', f'{known.name}: attempt {known.attempt} failed, {failure}')

    def configured(self, server: str, count: int) -> None:
        """Put on record that the server was handed its software deployments again."""
        known = self._known[server]
        self._put(dataclasses.replace(known, is_configured_again=True))
        self._emit('IN_PROGRESS', f'{known.name}: {count} software deployments are applied again')

    def end(self, server: str, step: decide.End) -> None:
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
