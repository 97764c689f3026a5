# SPDX-License-Identifier: Apache-2.0
"""Start, end, freeze and thaw the lab's processes, each service in a process group of its own.

``.lab/run/SERVICE.pid`` holds the group's id, ``SERVICE.start`` the leader's start time. A process
is ended only through that record: never by its name, and never when the id meanwhile belongs to
another.
"""

import contextlib
import dataclasses
import datetime
import enum
import functools
import math
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from lab import layout

# The new process writes the record itself, before it becomes the service: a lab command that is
# killed at any moment leaves no process behind that nobody knows of. Field 22 of stat is the start
# time.
_RECORD_THEN_RUN = """
read -r stat < /proc/$$/stat
start_time() { set -- $stat; echo "${22}"; }
start_time > "$1.start"
echo $$ > "$1.pid"
shift
exec "$@"
"""


_LONGEST_LOG_BYTES = 20_000_000


class State(enum.Enum):
    """What a service's process group does."""

    RUNNING = 'running'
    FROZEN = 'frozen'
    DEAD = 'dead'
    STOPPED = 'stopped'


@dataclasses.dataclass(frozen=True)
class Process:
    """One line of /proc that belongs to a service."""

    pid: int
    letter: str
    group: int
    start_time: int


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was found of a service. ``group`` is None when nothing of it runs."""

    state: State
    group: int | None = None
    memory_kib: int = 0


def start(service: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start a service in a session of its own; its output goes to its log."""
    # What an earlier life left behind, if its leader ended alone, and its record with it.
    if send(service, signal.SIGKILL):
        wait_gone([service], seconds=5)
    forget(service)
    _rotate(layout.log_of(service))
    with layout.log_of(service).open('ab') as log:
        process = subprocess.Popen(
            ['/bin/sh', '-c', _RECORD_THEN_RUN, 'start', str(layout.RUN / service), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=layout.HOME,
            env=dict(environment),
            start_new_session=True,
        )
    # The caller may look at once: the record must be there, whole, unless all is over already.
    while process.poll() is None and not is_alive(service):
        time.sleep(0.005)


def look(service: str) -> Seen:
    """Tell what a service's processes do."""
    recorded = _pid_file(service).exists()
    members = _members(service)
    if not members:
        return Seen(State.DEAD if recorded else State.STOPPED)
    if members[0].pid != members[0].group:
        return Seen(State.DEAD, members[0].group)
    frozen = all(process.letter in 'Tt' for process in members)
    memory = sum(_resident_kib(process.pid) for process in members)
    return Seen(State.FROZEN if frozen else State.RUNNING, members[0].group, memory)


def is_alive(service: str) -> bool:
    """Tell whether a service's leading process is there, frozen or not."""
    return look(service).state in (State.RUNNING, State.FROZEN)


def started_at(service: str) -> datetime.datetime | None:
    """Return the moment (UTC) of a service's start, rounded up to a second; None when it is gone.

    The databases round times to seconds as well: only what is later than this moment is surely
    of this life.
    """
    members = _members(service)
    if not members:
        return None
    seconds = _boot_time() + members[0].start_time / os.sysconf('SC_CLK_TCK')
    return datetime.datetime.fromtimestamp(math.ceil(seconds), datetime.UTC)


def send(service: str, number: signal.Signals) -> bool:
    """Send a signal to the whole group; return False when there is none."""
    members = _members(service)
    if not members:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(members[0].group, number)
    return True


def kill(service: str) -> bool:
    """End a service at once. The record stays: it shows as dead, as after a crash."""
    there = send(service, signal.SIGKILL)
    wait_gone([service], seconds=5)
    return there


def stop(services: Sequence[str], seconds: float) -> None:
    """Ask services to end, insist after a time, and forget them."""
    for service in services:
        if send(service, signal.SIGTERM):
            # A frozen process hears nothing before it is thawed.
            send(service, signal.SIGCONT)
    for service in wait_gone(services, seconds):
        send(service, signal.SIGKILL)
    wait_gone(services, seconds=5)
    for service in services:
        forget(service)


def wait_gone(services: Sequence[str], seconds: float) -> list[str]:
    """Wait until the services' processes have ended; return those that have not."""
    deadline = time.monotonic() + seconds
    left = [service for service in services if _members(service)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [service for service in left if _members(service)]
    return left


def forget(service: str) -> None:
    """Drop the record of a service that does not run any more."""
    _pid_file(service).unlink(missing_ok=True)
    _start_file(service).unlink(missing_ok=True)


def _pid_file(service: str) -> pathlib.Path:
    return layout.RUN / f'{service}.pid'


def _start_file(service: str) -> pathlib.Path:
    return layout.RUN / f'{service}.start'


def _members(service: str) -> list[Process]:
    """Return the living processes of the recorded group, the leader first."""
    try:
        group = int(_pid_file(service).read_text())
        start_time = int(_start_file(service).read_text())
    except (OSError, ValueError):
        return []
    leader = _process(group)
    if leader is not None and leader.start_time != start_time:
        # The number was given to another process: ours is gone.
        return []
    found = [] if leader is None or leader.letter == 'Z' else [leader]
    if leader is not None and found and not _has_children(group):
        return found
    for entry in os.listdir('/proc'):
        if not entry.isdigit() or int(entry) == group:
            continue
        process = _process(int(entry))
        # While one member lives, the kernel gives the group's number to nobody else.
        if process and process.group == group and process.letter != 'Z':
            found.append(process)
    return found


@functools.cache
def _boot_time() -> int:
    """Return the moment of the machine's start, from which /proc counts."""
    for line in pathlib.Path('/proc/stat').read_text().splitlines():
        if line.startswith('btime '):
            return int(line.split()[1])
    return 0


def _rotate(log: pathlib.Path) -> None:
    """Put a log that has grown big aside."""
    if log.exists() and log.stat().st_size > _LONGEST_LOG_BYTES:
        log.rename(log.with_suffix('.log.1'))


def _has_children(pid: int) -> bool:
    try:
        tasks = pathlib.Path(f'/proc/{pid}/task')
        return any((task / 'children').read_text().strip() for task in tasks.iterdir())
    except OSError:
        return True


def _process(pid: int) -> Process | None:
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    # The command's name is in brackets and may hold blanks and brackets itself.
    fields = text.rpartition(')')[2].split()
    return Process(pid, fields[0], int(fields[2]), int(fields[19]))


def _resident_kib(pid: int) -> int:
    try:
        pages = int(pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf('SC_PAGE_SIZE') // 1024
