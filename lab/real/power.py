# SPDX-License-Identifier: Apache-2.0
"""Act on a host as a whole: all that runs in its namespaces, the guests too.

The namespace is what says which processes are the host's: a guest outlives the libvirtd that
started it, and is no service of the lab.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence

from lab import processes
from lab.real import names, network
from lab.real.addresses import HOSTS, Plan

# QEMU closes its disks in the storage when it is asked to end.
_GUESTS_SECONDS = 10
_SERVICES_SECONDS = 4
_LOOK_EVERY_SECONDS = 0.1


def cut_off(plan: Plan, host: str) -> bool:
    """End a host as a loss of power does: nothing that it still has to say gets out.

    :return: whether it had power.
    """
    running = network.pids(plan, host)
    # The links first: a process that is killed has its connections closed by the kernel, and the
    # other end would hear of that.
    network.unplug_links(plan, host)
    _end(lambda: network.pids(plan, host), signal.SIGKILL, _GUESTS_SECONDS)
    network.unplug(plan, host)
    return bool(running)


def shut_down(plan: Plan, host: str) -> None:
    """Stop a host in order: its services, the guests, and what keeps it."""
    _keeper, *others = names.of_host(host)
    processes.stop(list(reversed(others)), _SERVICES_SECONDS)
    keeper = processes.look(names.of_host(host)[0]).group
    guests = [pid for pid in network.pids(plan, host) if pid != keeper]
    _signal(guests, signal.SIGCONT)
    _end(lambda: [pid for pid in guests if pid in network.pids(plan, host)], signal.SIGTERM)
    cut_off(plan, host)
    for service in names.of_host(host):
        processes.forget(service)


def freeze(plan: Plan, host: str) -> bool:
    """Halt all of a host. :return: whether there was anything."""
    return _signal(network.pids(plan, host), signal.SIGSTOP)


def thaw(plan: Plan, host: str) -> bool:
    """Let all of a host go on. :return: whether there was anything."""
    return _signal(network.pids(plan, host), signal.SIGCONT)


def shut_down_all(plan: Plan) -> None:
    """Stop all hosts in order."""
    for host in HOSTS:
        shut_down(plan, host)


def _end(
    remaining: Callable[[], Sequence[int]], number: signal.Signals, seconds: float = _GUESTS_SECONDS
) -> None:
    """Send a signal to what remains, until nothing does, and insist after a time."""
    _signal(remaining(), number)
    deadline = time.monotonic() + seconds
    while left := remaining():
        if number is signal.SIGKILL or time.monotonic() > deadline:
            # A process that was started meanwhile is among them.
            _signal(left, signal.SIGKILL)
        if time.monotonic() > deadline + seconds:
            return
        time.sleep(_LOOK_EVERY_SECONDS)


def _signal(pids: Sequence[int], number: signal.Signals) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(pids)
