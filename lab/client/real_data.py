# SPDX-License-Identifier: Apache-2.0
"""What guests that write have printed and what is on their volumes, whatever becomes of them."""

import contextlib
import dataclasses
import pathlib
import threading
from typing import Any

from lab.client import real_hosts, waiting
from lab.real.checker import __main__ as checker
from lab.real.checker import console_files, images, report

# Seconds between two looks at the consoles: what was printed in between is lost where a guest
# starts again, because its console begins anew.
LOOK = 0.2
# Records of a guest before anything is done to it, and after it took over.
ENOUGH = 20


@dataclasses.dataclass
class _Console:
    """A file that a host writes; it is kept open, since Nova deletes it with the server."""

    file: Any
    text: str = ''
    kept: list[str] = dataclasses.field(default_factory=list)

    def look(self) -> None:
        self.file.seek(0)
        now = self.file.read().decode(errors='replace')
        if not now.startswith(self.text[:200]) or len(now) < len(self.text):
            self.kept.append(self.text)
        self.text = now


class Consoles:
    """The consoles of all guests on the lab's hosts, read while it is open; a context."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], _Console] = {}
        self._paths: dict[str, pathlib.Path] = {}
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> 'Consoles':
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=10)
        for one in self._found.values():
            one.file.close()

    def _follow(self) -> None:
        while not self._is_over.wait(LOOK):
            self._look()

    def _look(self) -> None:
        with self._lock:
            for host in real_hosts.names():
                for path in real_hosts.instances(host).glob('*/console.log'):
                    self._open(path)
            for one in self._found.values():
                one.look()

    def _open(self, path: pathlib.Path) -> None:
        try:
            key = str(path), path.stat().st_ino
            if key not in self._found:
                self._found[key] = _Console(path.open('rb'))
            self._paths[path.parent.name] = path
        except FileNotFoundError:
            return

    def texts(self) -> list[str]:
        """All that was printed, a text for each console."""
        self._look()
        with self._lock:
            return [text for one in self._found.values() for text in (*one.kept, one.text)]

    def clock_offsets(self) -> dict[str, int]:
        """Milliseconds by which the clocks of the guests that run are ahead, per server."""
        found: dict[str, int] = {}
        for path in list(self._paths.values()):
            # Its server may go meanwhile.
            with contextlib.suppress(FileNotFoundError):
                found |= console_files.read(path)[1]
        return found


@dataclasses.dataclass(frozen=True)
class Written:
    """A volume that guests write to."""

    volume: str
    consoles: Consoles

    def report(self, offsets: dict[str, int] | None = None) -> report.Report:
        """What the checker says now."""
        # The consoles first: read after the volume, they may name later records.
        texts = self.consoles.texts()
        return checker.check(self.volume, self.content(), texts, offsets)

    def content(self) -> bytes:
        """What is on the volume."""
        place = real_hosts.facts()['ceph']
        return images.read_rbd(place['conf'], 'volumes', f'volume-{self.volume}', place['user'])

    def until_by(self, server: str, count: int = ENOUGH, seconds: float = 120) -> None:
        """Wait until a server has written so many records behind those of all others."""

        problem = ''

        def has_written() -> bool:
            nonlocal problem
            try:
                runs, problem = self.report().runs, ''
            except images.Unreadable as exc:
                # A file system comes with the first one who is active.
                problem = f': {exc}'
                return False
            last = runs[-1] if runs else None
            return bool(last and last.writer.by == server and last.last - last.first >= count)

        try:
            waiting.until(
                has_written, f'{server} writes to {self.volume}', seconds=seconds, every=1
            )
        except AssertionError as exc:
            raise AssertionError(f'{exc}{problem}') from exc
