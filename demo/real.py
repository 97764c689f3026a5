# SPDX-License-Identifier: Apache-2.0
"""Show on the lab with real guests what a volume sees of two failovers (make demo REAL=1).

A guest writes numbered records to a volume, ten a second. First its QEMU is killed, and
heat-ha-agent hears of that from Nova. Then the host of the next one loses its management link: that
guest writes on until the storage shuts it out, as ``fencing: storage`` has it. The volume is read
from outside. The last line on stdout is JSON.
"""

import argparse
import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from demo import screen, stage, writing
from lab.client import (
    access,
    agents,
    handovers,
    hosts,
    real_data,
    real_hosts,
    real_pairs,
    stacks,
    waiting,
)
from lab.real.checker import images, report

GROUP, POLICY, CHAIN = 'group', 'failover', 'replace'

# The agent fences no host, and only does what the policy asks for. It hears of guests that crash.
SOURCES = agents.FENCES_NO_HOST | {'sources': 'services_api,nova_notifications,webhook'}

# Seconds. Nova waits for 15 of them before it says that a guest has ended.
TAKEN_OVER_WITHIN = 180.0
DOWN_WITHIN = 60.0
# Ceph waits for half a minute.
FORGOTTEN_WITHIN = 60.0
# Nova looks once a minute for guests whose servers were deleted.
REMOVED_WITHIN = 120.0

# Seconds between two looks at the volume.
PERIOD = 1.0


def template() -> str:
    """The example of a fence in the storage, whose policy also hears of guests that crash."""
    text = (stacks.EXAMPLES / 'failover_storage_fence.yaml').read_text()
    fence = '      fencing: storage\n'
    assert text.count(fence) == 1, 'the example has another form'
    return text.replace(fence, f'{fence}      on_instance_failure: failover\n')


class Demo:
    """One stack of two guests, from its creation to its deletion."""

    def __init__(self, name: str, consoles: real_data.Consoles, shown: screen.Screen) -> None:
        self.admin = access.connect('admin')
        self.stack = stacks.Stack(access.connect('demo'), name, template())
        self._consoles = consoles
        self._shown = shown
        self._names: dict[str, str] = {}
        # Milliseconds by which the guests' clocks are ahead: one that is gone tells no time.
        self._offsets: dict[str, int] = {}
        self._writers: list[str] = []
        self._cut = self._state = ''
        self._began = time.monotonic()
        self._course = writing.Course()
        self._pair: real_pairs.Pair

    # --- the parts ---------------------------------------------------------------------------

    def create(self) -> None:
        """Create the stack, and wait until both guests run and one writes."""
        self._began = time.monotonic()
        stage.create(self.stack, self._shown, real_hosts.parameters())
        self._pair = real_pairs.Pair(self.stack, self._consoles, POLICY)
        self._writers = [self._pair.active]
        self._until_booted()
        self._shown.say(f'The stack {self.stack.name} has two guests and a volume.')
        self._watch(
            f'{self._name(self._pair.active)} begins to write',
            lambda: self._writes(self._pair.active),
            TAKEN_OVER_WITHIN,
        )

    def crash(self) -> handovers.Handover:
        """Kill the guest that writes; the policy hears of it by itself."""
        old = self._pair.active
        self._begin(f'kill -9 {real_hosts.guest_of(old)}    # QEMU of {self._name(old)}')
        real_hosts.crash(old)
        found = self._handed_over(old)
        self._until_forgotten()
        return found

    def cut(self) -> handovers.Handover:
        """Cut the host of the guest that writes off, and report that to the policy."""
        old = self._pair.active
        self._cut = host = hosts.host_of(self.admin, old)
        self._begin(f'make lab-cut HOST={host} LINK=management')
        with real_hosts.cut(host, 'management'):
            self._until_down(host)
            last = writing.now_written(self._course, self._names)
            self._say(f'Nova shows {host} as down; by now there is {last}')
            self._say(f'as a monitor would, signal {CHAIN}: {{"member": "{old}"}}')
            self.stack.signal(CHAIN, {'member': old})
            found = self._handed_over(old)
            assert real_hosts.guest_of(old)
            self._say(f'the guest of {self._name(old)} still runs, and cannot write')
        self._say(f'make lab-heal HOST={host}: it has its link again')
        self._until_removed(old, host)
        return found

    def end(self) -> report.Report:
        """Read the volume for the last time. :raises AssertionError: something is wrong with it."""
        found = self._report()
        handovers.between(found, self._writers)
        silent = [writer.by for writer in found.without_console]
        assert not silent, f'of {silent} no console says what was acknowledged'
        return found

    def delete(self) -> None:
        """Delete the stack, once the host that was cut can take part in it."""
        if self._cut:
            with contextlib.suppress(*access.NO_ANSWER, AssertionError):
                hosts.until_up(self.admin, self._cut)
        stage.delete(self.stack, self._shown)

    # --- of each failover --------------------------------------------------------------------

    def _begin(self, command: str) -> None:
        self._offsets |= self._consoles.clock_offsets()
        self._shown.say(f'\n$ {command}')
        self._began = time.monotonic()
        self._course = writing.Course(self._course.writing)

    def _handed_over(self, old: str) -> handovers.Handover:
        """Wait until another one writes in the place of the old one, and is a pair again."""
        self._watch(
            f'the numbers pass from {self._name(old)} to another one',
            lambda: self._writes_instead_of(old),
            TAKEN_OVER_WITHIN,
        )
        new = self._course.writing.by
        self._writers.append(new)
        holder = waiting.until(self._pair.successor, 'Cinder shows who has the volume')
        assert holder == new, f'{new} writes, and Cinder says that {holder} has the volume'
        # Now, as long as both clocks can be compared.
        self._offsets |= self._consoles.clock_offsets()
        found = handovers.between(self._report(), self._writers)[-1]
        assert found.seconds is not None, f'the console of {new} does not show its first write'
        self._watch(
            f'another member is made in the place of {self._name(old)}',
            lambda: self._state == 'ready',
            real_pairs.REPLACED_WITHIN,
        )
        self._pair.assert_replaced(GROUP, new)
        self._pair.active = new
        self._until_booted()
        self._say(f'{self._name(old)} is replaced in the group')
        return found

    def _writes(self, server: str) -> bool:
        seen = self._course.writing
        return seen.by == server and seen.count > real_data.ENOUGH

    def _writes_instead_of(self, old: str) -> bool:
        seen = self._course.writing
        return seen.by != old and self._writes(seen.by)

    # --- waits -------------------------------------------------------------------------------

    def _watch(self, what: str, is_done: Callable[[], bool], seconds: float) -> None:
        """Show who writes, until something is done. :raises AssertionError: not within the time."""
        limit = time.monotonic() + seconds * waiting.PATIENCE
        with self._shown.waiting(f'waiting: {what}', only_live=True) as show:
            while True:
                self._look()
                show(writing.now_written(self._course, self._names))
                if is_done():
                    return
                assert time.monotonic() < limit, self._too_late(what)
                time.sleep(PERIOD)

    def _look(self) -> None:
        state = stage.answer(lambda: self.stack.attribute(POLICY, 'state'))
        if state and state != self._state:
            self._state = str(state)
            self._say(f'the policy is {state}')
        try:
            seen = writing.writing(self._report())
        except images.Unreadable:
            # Ceph is busy. The next look shows it.
            return
        if seen.by and seen.by not in self._names:
            self._name(seen.by)
        self._course, news = writing.go_on(self._course, seen, self._since(), self._names)
        if news:
            self._say(news)

    def _too_late(self, what: str) -> str:
        events = stage.answer(lambda: self.stack.events(POLICY)) or []
        faults = stage.answer(lambda: self._report().faults) or ()
        return '\n'.join(
            (
                f'not seen in time: {what}. Now: {writing.now_written(self._course, self._names)}',
                *faults[:5],
                'The last events of the policy:',
                *events[-5:],
                f'The log of the agent: {folder() / "agent-1.log"}',
            )
        )

    def _until_down(self, host: str) -> None:
        def is_down() -> bool:
            found = stage.answer(lambda: hosts.service_of(self.admin, host))
            return found is not None and found['state'] == 'down'

        self._watch(f'Nova shows {host} as down', is_down, DOWN_WITHIN)

    def _until_forgotten(self) -> None:
        """Wait for the client of the dead QEMU: while it has the image no other one is shut out."""

        def is_alone() -> bool:
            image = f'volume-{self._pair.written.volume}'
            found = stage.answer(lambda: real_hosts.clients('volumes', image))
            return found is not None and len(found) == 1

        self._watch('Ceph forgets the guest that was killed', is_alone, FORGOTTEN_WITHIN)

    def _until_removed(self, old: str, host: str) -> None:
        def is_gone() -> bool:
            found = stage.answer(lambda: real_hosts.domains(host))
            return found is not None and old not in found

        try:
            self._watch('Nova removes the guest of before', is_gone, REMOVED_WITHIN)
        except AssertionError:
            # It is shut out, so the data does not depend on that.
            self._say(f'Nova has not removed the guest of {self._name(old)} yet')
            return
        self._say(f'Nova has removed the guest of {self._name(old)}')

    def _until_booted(self) -> None:
        """Wait for all guests: one that still boots when it takes over would seem to pause."""
        for server in self.stack.servers():
            name, host = self._name(server), hosts.host_of(self.admin, server)
            with self._shown.waiting(f'waiting: {name} boots'):
                real_hosts.until_printed(host, server, server)

    # --- what is shown -----------------------------------------------------------------------

    def sentence(self, found: handovers.Handover) -> str:
        """One handover in a sentence."""
        return writing.passed(found, self._names)

    def _report(self) -> report.Report:
        return self._pair.written.report(self._offsets)

    def _name(self, server: str) -> str:
        if server not in self._names:
            host = stage.answer(lambda: hosts.host_of(self.admin, server))
            self._names[server] = f'server {server[:8]}{f" on {host}" if host else ""}'
        return self._names[server]

    def _since(self) -> float:
        return time.monotonic() - self._began

    def _say(self, text: str) -> None:
        self._shown.say(screen.timed(self._since(), text))


def folder() -> pathlib.Path:
    """Where the files of the demo's agent are, its log too."""
    return access.LAB / 'demo'


@contextlib.contextmanager
def agent() -> Iterator[agents.Agent]:
    """A heat-ha-agent that may shut guests out in the storage, during the body."""
    agents.clear()
    folder().mkdir(exist_ok=True)
    options = {'fencing_file': real_hosts.fencing_file(folder()), **SOURCES}
    with agents.running(folder(), options) as one:
        yield one


def run(options: argparse.Namespace, shown: screen.Screen) -> dict[str, Any]:
    """Show both failures and return the figures.

    :raises AssertionError: something is not as it must be.
    """
    assert 'real' in access.environment(), (
        'the lab has no real guests. Stop it (make lab-down), then start the one that has: '
        'make lab-real'
    )
    try:
        with real_data.Consoles() as consoles:
            demo = Demo(options.name, consoles, shown)
            stage.need_free(demo.stack)
            with agent():
                return _shown(demo, shown)
    except access.NO_ANSWER:
        # Some of these are errors of the system as well.
        raise
    except images.Unreadable as exc:
        raise AssertionError(f'the volume cannot be read: {exc}') from exc
    except (OSError, subprocess.SubprocessError) as exc:
        raise AssertionError(f'{type(exc).__name__}: {exc}') from exc


def _shown(demo: Demo, shown: screen.Screen) -> dict[str, Any]:
    try:
        demo.create()
        crash, cut = demo.crash(), demo.cut()
        found = demo.end()
        shown.say()
        for title, one in (('Crash', crash), ('Cut', cut)):
            shown.say(f'{title}: {demo.sentence(one)}')
        shown.say(writing.whole(found))
    finally:
        demo.delete()
    return {
        'demo': 'real',
        'stack': demo.stack.name,
        'records': found.count,
        'crash': writing.figures(crash),
        'cut': writing.figures(cut),
        'faults': len(found.faults),
    }


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog='python -m demo.real', description=__doc__)
    parser.add_argument('--name', default='real-demo', help='of the stack')
    options = parser.parse_args()
    _figures, code = stage.play(lambda: run(options, screen.Screen()), 'make lab-real')
    return code


if __name__ == '__main__':
    sys.exit(main())
