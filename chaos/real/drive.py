# SPDX-License-Identifier: Apache-2.0
"""One failover of guests that write, from the failure until all is as it was."""

import concurrent.futures
import contextlib
import dataclasses
import pathlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from chaos.real import check
from chaos.real.choice import AGENT, Kill, Run, Way
from chaos.real.pair import GROUP, POLICY, Pair
from lab import processes
from lab.client import (
    access,
    agents,
    failures,
    handovers,
    hosts,
    real_data,
    real_hosts,
    real_pairs,
    waiting,
)
from lab.real.checker import __main__ as checker
from lab.real.checker import images

OPTIONS = {Way.MONITOR: agents.FENCES_NO_HOST, Way.AGENT: agents.BY_A_SENDER}

# Seconds. Nova shows a host as down after 12; it looks once a minute for guests whose servers were
# deleted.
DOWN_WITHIN, REMOVED_WITHIN = 60.0, 150.0
WRITES_WITHIN = 120.0

# The phases of a host whose servers were rescued, and seconds until it is in one of them.
DONE = ('done', 'quarantined', '')
DONE_WITHIN = 120.0

# Seconds until who was signalled is reminded, as alarms repeat themselves, and between two looks.
AGAIN, LOOK = 30.0, 1.0

# What a look may raise while engines, guests or Ceph are busy or gone: the next one shows it.
NO_ANSWER = (
    AssertionError,
    KeyError,
    OSError,
    ValueError,
    subprocess.SubprocessError,
    images.Unreadable,
    *access.NO_ANSWER,
)


@dataclasses.dataclass
class Outcome:
    """What came of one run.

    :ivar stops: the reasons for which the policy stopped on its way.
    :ivar seconds: from the failure until two guests were there again; ``pause_s``: for how long
        nobody could write. None where that did not come.
    :ivar kills: what was killed.
    :ivar wrong: what must not be.
    """

    run: Run
    is_done: bool = False
    stops: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    pause_s: float | None = None
    kills: list[Kill] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)


class Driver:
    """Sees one failover to its end.

    :param outcome: gets what comes of it.
    :param folder: where the files of the agent are, its log too.
    """

    def __init__(
        self, outcome: Outcome, pair: Pair, folder: pathlib.Path, say: Callable[[str], None]
    ) -> None:
        self._run, self._pair, self._say = outcome.run, pair, say
        self.outcome = outcome
        self._folder = folder
        self._old, self._host = pair.active, pair.host
        self._agent: agents.Agent
        self._is_over = threading.Event()
        self._has_moved = False
        self._reminded = 0.0

    def drive(self, admin: Any) -> None:
        """From the failure until the host is back in service.

        :raises AssertionError: something did not come within its time; the outcome has the rest.
        """
        try:
            self._drive(admin)
        except Exception:
            with contextlib.suppress(*NO_ANSWER):
                self.outcome.wrong += self._pair.report().faults
            raise
        self.outcome.is_done = True

    def _drive(self, admin: Any) -> None:
        agents.clear()
        with self._an_agent():
            # A guest that is gone tells no time any more.
            self._pair.compare_clocks()
            began = time.monotonic()
            failure = failures.ALL[self._run.failure.value]
            with failure.strike(self._old, self._host), self._signalled(admin):
                new = self._handed_over()
                self._until(
                    'both guests have booted', self._pair.have_booted, real_hosts.BOOTS_WITHIN
                )
                self.outcome.seconds = time.monotonic() - began
            self._pair.now_active(new)
            self._until_agent_is_done()
            self._until_removed()
            self._look_at_fence(admin)
        real_hosts.make_whole(admin)
        agents.clear()
        self._until_writing_on()
        self._read()

    @contextlib.contextmanager
    def _an_agent(self) -> Iterator[None]:
        options = {
            'fencing_file': real_hosts.fencing_file(self._folder),
            **OPTIONS[self._run.way],
        }
        name = f'agent-{self._run.number}'
        with agents.running(self._folder, options, name) as self._agent:
            yield

    # --- signals, and what is killed meanwhile -----------------------------------------------

    @contextlib.contextmanager
    def _signalled(self, admin: Any) -> Iterator[None]:
        """Signal as was drawn, and kill what was drawn; afterwards all of it runs."""
        if self._run.failure.is_of_host and self._run.way is Way.MONITOR:
            waiting.until(
                lambda: hosts.service_of(admin, self._host)['state'] == 'down',
                f'Nova shows {self._host} as down',
                seconds=DOWN_WITHIN,
            )
        count = len(self._run.signals) + len(self._run.kills)
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            running = [threads.submit(self._send_after, each) for each in self._run.signals]
            running += [threads.submit(self._kill, kill) for kill in self._run.kills]
            self._reminded = time.monotonic()
            try:
                yield
            finally:
                self._is_over.set()
        for one in running:
            one.result()

    def _send_after(self, seconds: float) -> None:
        if not self._is_over.wait(seconds):
            self._send()

    def _send(self) -> None:
        """Say once what has happened, to an agent or engine that may be dead just now."""
        with contextlib.suppress(*NO_ANSWER):
            if self._run.way is Way.AGENT:
                self._agent.report({'host': self._host, 'state': 'down'})
            else:
                self._pair.signal({'member': self._old})

    def _kill(self, kill: Kill) -> None:
        if self._is_over.wait(kill.after):
            return
        self._say(f'run {self._run.number}: {kill.what} is killed')
        self.outcome.kills.append(kill)
        if kill.what == AGENT:
            self._agent.kill()
            self._is_over.wait(kill.lasts)
            self._agent.start()
            return
        processes.kill(kill.what)
        self._is_over.wait(kill.lasts)
        hosts.run_lab('start', kill.what)

    def _remind(self) -> None:
        """Signal again after a while; take up what has stopped, or what an engine has left."""
        if time.monotonic() < self._reminded + AGAIN:
            return
        self._reminded = time.monotonic()
        with contextlib.suppress(*NO_ANSWER):
            found = self._pair.stack.resource(POLICY)['attributes']
            is_stopped = found['state'] == 'stopped'
            if is_stopped:
                self._say(f'run {self._run.number}: stopped: {found["reason"]}')
                self.outcome.stops.append(str(found['reason']))
            if is_stopped or self._has_moved:
                self._pair.stack.signal(POLICY, {'action': 'resume'})
        if not self._has_moved:
            self._send()

    # --- waits -------------------------------------------------------------------------------

    def _until(self, what: str, look: Callable[[], Any], seconds: float) -> Any:
        """Look until the answer is true and return it; who was signalled is reminded.

        :raises AssertionError: it was not within ``seconds``.
        """
        limit = time.monotonic() + seconds * waiting.PATIENCE
        while True:
            found, problem = None, ''
            try:
                found = look()
            except NO_ANSWER as exc:
                problem = f': {exc}'
            if found:
                return found
            assert time.monotonic() < limit, f'not seen in time: {what}{problem}'
            self._remind()
            time.sleep(LOOK)

    def _handed_over(self) -> str:
        """Wait until another server writes, and is one of two. :returns: that server."""
        pair = self._pair
        new = str(self._until('another has the volume', pair.successor, real_pairs.MOVED_WITHIN))
        self._has_moved = True
        self._until(f'{new} writes', lambda: self._writes(new), WRITES_WITHIN)
        # Now, as long as both clocks can be compared.
        pair.compare_clocks()
        self._until(
            'the policy is ready',
            lambda: pair.stack.attribute(POLICY, 'state') == 'ready',
            real_pairs.REPLACED_WITHIN,
        )
        # Heat's API may not answer at once: an engine may be dead.
        self._until(
            'the old member is replaced',
            lambda: pair.assert_replaced(GROUP, new) is None,
            WRITES_WITHIN,
        )
        return new

    def _writes(self, server: str) -> bool:
        runs = self._pair.report().runs
        last = runs[-1] if runs else None
        return bool(
            last and last.writer.by == server and last.last - last.first >= real_data.ENOUGH
        )

    # --- afterwards --------------------------------------------------------------------------

    def _until_writing_on(self) -> None:
        """Wait for more records, now that every host may write again."""
        last = self._pair.report().runs[-1]
        count = last.last - last.first + real_data.ENOUGH
        self._pair.written.until_by(self._pair.active, count, WRITES_WITHIN)

    def _read(self) -> None:
        """Read all of the volume, and see how long nobody could write."""
        found = self._pair.report()
        self.outcome.wrong += check.of_volume(found, self._pair.writers)
        passed = handovers.of(found)
        self.outcome.pause_s = passed[-1].seconds if passed else None

    def _until_agent_is_done(self) -> None:
        """Report that the host is back, and wait until the agent has nothing more to do for it."""
        if self._run.way is not Way.AGENT:
            return
        with contextlib.suppress(OSError):
            self._agent.report({'host': self._host, 'state': 'up'})
        try:
            waiting.until(
                lambda: agents.phase(self._host) in DONE,
                'the agent is done with the host',
                seconds=DONE_WITHIN,
                every=LOOK,
            )
        except AssertionError as exc:
            self.outcome.wrong.append(f'{exc}; it is {agents.phase(self._host)}')

    def _until_removed(self) -> None:
        """Wait until nothing is left of the old guest, as before a host may write again."""
        for _ in range(2):
            with contextlib.suppress(AssertionError):
                waiting.until(
                    lambda: not real_hosts.is_running(self._old),
                    'Nova has removed the guest of before',
                    seconds=REMOVED_WITHIN,
                    every=LOOK,
                )
                return
            real_hosts.restart_computes()
        self.outcome.wrong.append(f'the guest of {self._old} still runs on {self._host}')

    def _look_at_fence(self, admin: Any) -> None:
        self.outcome.wrong += check.of_fence(
            self._run,
            real_hosts.storage_address(self._host),
            is_forced_down=hosts.service_of(admin, self._host)['forced_down'],
            entries=real_hosts.blocklisted(),
        )

    def seen_at_last(self) -> list[str]:
        """What the policy says, what is on the volume, and what the agent has decided last."""
        lines: list[str] = []
        with contextlib.suppress(*NO_ANSWER):
            found = self._pair.stack.resource(POLICY)['attributes']
            lines.append(f'the policy is {found["state"]}: {found["reason"]}')
        with contextlib.suppress(*NO_ANSWER):
            lines += checker.describe(self._pair.report())
        with contextlib.suppress(AttributeError, OSError):
            lines += self._agent.decisions()[-10:]
        return lines
