# SPDX-License-Identifier: Apache-2.0
"""The wires between the emulated power controls and the lab's hosts: off is dead, on starts."""

import contextlib
import dataclasses
import pathlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from lab.client import bmc, hosts

# Seconds between two looks at the power.
_EVERY = 0.2


@dataclasses.dataclass(frozen=True)
class Switched:
    """A host whose power changed; ``ran`` is whether its nova-compute ran at that moment."""

    at: float
    host: str
    is_on: bool
    ran: bool


class Wires:
    """What has been switched so far, by anybody."""

    def __init__(self, fencing: pathlib.Path, names: Sequence[str]) -> None:
        found: dict[str, dict[str, Any]] = yaml.safe_load(fencing.read_text())['hosts']
        self.settings = {name: found[name] for name in names}
        self.switched: list[Switched] = []
        # The wire of such a host is cut: its power control says what is not true.
        self.cut: set[str] = set()

    def switched_off(self, host: str) -> int:
        """How many times a host was switched off."""
        return sum(1 for s in self.switched if s.host == host and not s.is_on)

    def switch_on(self, host: str) -> None:
        """Switch a host on, as a person does."""
        bmc.switch(self.settings[host], 'On')

    def look(self, before: dict[str, bool]) -> None:
        """Carry over to the hosts what has changed since ``before``, and change that."""
        for host, settings in self.settings.items():
            try:
                is_on = bmc.power_of(settings) == 'On'
            except OSError:
                # An emulator that hangs or is dead switches nothing.
                continue
            if is_on is before[host]:
                continue
            before[host] = is_on
            if host in self.cut:
                continue
            service = f'nova-compute-{host}'
            ran = hosts.runs(host)
            self.switched.append(Switched(time.time(), host, is_on, ran))
            if is_on:
                hosts.run_lab('start', service)
            elif ran:
                hosts.run_lab('kill', service)


@contextlib.contextmanager
def wired(fencing: pathlib.Path, names: Sequence[str] = hosts.HOSTS) -> Iterator[Wires]:
    """Let the emulated power controls switch the lab's hosts during the body."""
    wires, over = Wires(fencing, names), threading.Event()
    failures: list[BaseException] = []

    def carry() -> None:
        before = dict.fromkeys(names, True)
        try:
            while not over.wait(_EVERY):
                wires.look(before)
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=carry, name='wires')
    thread.start()
    try:
        yield wires
    finally:
        over.set()
        thread.join()
    assert not failures, failures
