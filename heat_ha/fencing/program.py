# SPDX-License-Identifier: Apache-2.0
"""Running a program on behalf of a driver: without a shell, and not for ever."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from heat_ha.fencing import driver, model

# Bytes of each output that are kept. More is read and dropped, so that the program can end.
OUTPUT_LIMIT = 64 * 1024

# Seconds between two looks whether the program has ended.
_POLL_SECONDS = 0.02

# Seconds that are left for reading what was written last, once the program and its children ended.
_REST_SECONDS = 2.0


def run(
    command: Sequence[str],
    *,
    limit: float,
    stdin: str = '',
    environment: Mapping[str, str] | None = None,
) -> model.Said:
    """Run a program and wait until it ends. Its children end with it.

    :param limit: seconds until it is killed.
    :param environment: variables beside those of this process.
    :returns: its exit status, and what it wrote.
    :raises driver.NotFenced: it could not be started, or did not end within ``limit``.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own: what it starts is killed with it.
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, ValueError) as exc:
        raise driver.NotFenced(f'{command[0]}: {exc}'[:250]) from exc
    threads = [
        threading.Thread(target=_write, args=(process.stdin, stdin.encode()), daemon=True),
        *(readers := [_Reader(process.stdout), _Reader(process.stderr)]),
    ]
    for thread in threads:
        thread.start()
    has_ended = _ends_within(process.pid, limit)
    # Before its end is collected: until then no other process can get its number.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    deadline = time.monotonic() + _REST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if not has_ended:
        raise driver.NotFenced(f'{command[0]} did not end within {limit:.0f} s and was killed')
    out, err = readers
    is_whole = not any(reader.is_alive() or reader.is_cut for reader in readers)
    return model.Said(code, out.text(), err.text(), is_whole)


def _ends_within(pid: int, limit: float) -> bool:
    """Wait for the end of a child without collecting it. :returns: whether it ended in time."""
    deadline = time.monotonic() + limit
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _write(stream: IO[bytes] | None, data: bytes) -> None:
    assert stream is not None
    # A program that does not read what it is told ends by its own choice.
    with contextlib.suppress(OSError), stream:
        stream.write(data)


class _Reader(threading.Thread):
    """Reads an output to its end and keeps the beginning. ``is_cut``: whether there was more."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        assert stream is not None
        self._stream = stream
        self._kept = b''
        self.is_cut = False

    def run(self) -> None:
        with contextlib.suppress(OSError), self._stream:
            while data := os.read(self._stream.fileno(), OUTPUT_LIMIT):
                room = OUTPUT_LIMIT - len(self._kept)
                self._kept += data[:room]
                self.is_cut = self.is_cut or len(data) > room

    def text(self) -> str:
        """What was kept; what is no text in UTF-8 is marked."""
        return self._kept.decode(errors='replace').strip()
