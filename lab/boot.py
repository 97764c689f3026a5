# SPDX-License-Identifier: Apache-2.0
"""Start services in the order of what they need, a few at a time, and wait until each one works.

Nearly all of a start is the import of big Python programs. With more of them at once than the
machine has cores, all of them get slow together and time out on each other.
"""

import concurrent.futures
import os
import signal
import time
from collections.abc import Sequence

from lab import layout, ports, problems, processes
from lab.progress import Progress
from lab.service import Service, environment

# Twice the cores and one: a program that is loaded still waits for its first sign of life.
PARALLEL = int(os.environ.get('LAB_PARALLEL', '5'))
PATIENCE_SECONDS = float(os.environ.get('LAB_PATIENCE', '180'))
_LOOK_EVERY_SECONDS = 0.2


def start_all(progress: Progress, wanted: Sequence[Service]) -> None:
    """Start what of ``wanted`` does not run, and return when all of it works.

    What runs already is looked at too: an earlier command may have been ended while it started.

    :raises problems.Problem: for the first service that does not come up.
    """
    missing = []
    for service in wanted:
        state = processes.look(service.name).state
        if state is processes.State.FROZEN:
            processes.send(service.name, signal.SIGCONT)
            progress.say(f'{service.name} was frozen and goes on')
        elif state is not processes.State.RUNNING:
            _refuse_taken_port(service)
            missing.append(service.name)
    if missing:
        with progress.phase('Services', len(missing)):
            _start_in_order(progress, wanted, missing)
    else:
        _start_in_order(progress, wanted, missing)


def _start_in_order(progress: Progress, wanted: Sequence[Service], missing: Sequence[str]) -> None:
    waiting = list(wanted)
    names = {service.name for service in waiting}
    running: dict[concurrent.futures.Future[float], Service] = {}
    ready: set[str] = set()
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        while waiting or running:
            able = [
                service
                for service in waiting
                if all(need in ready or need not in names for need in service.needs)
            ]
            for service in able[: PARALLEL - len(running)]:
                waiting.remove(service)
                running[pool.submit(_bring_up, service)] = service
            done, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                service = running.pop(future)
                seconds = future.result()
                ready.add(service.name)
                if service.name in missing:
                    progress.step(f'{service.name} ready', seconds)


def _bring_up(service: Service) -> float:
    """Start one service unless it runs, wait until it works, and return the seconds that it took.

    :raises problems.Problem: when it dies or does not get ready in time.
    """
    begin = time.monotonic()
    if not processes.is_alive(service.name):
        service.prepare()
        processes.start(service.name, service.command, environment(service))
    log = layout.log_of(service.name)
    while not _is_ready(service):
        if not processes.is_alive(service.name):
            raise problems.Problem(
                f'{service.name} died while it started',
                f'the log says why: {log}',
                problems.tail(log),
            )
        if time.monotonic() - begin > PATIENCE_SECONDS:
            raise problems.Problem(
                f'{service.name} runs, but was not ready within {PATIENCE_SECONDS:.0f} s',
                f'look at {log}; on a slow machine set LAB_PATIENCE to more seconds',
                problems.tail(log),
            )
        time.sleep(_LOOK_EVERY_SECONDS)
    return time.monotonic() - begin


def _is_ready(service: Service) -> bool:
    since = processes.started_at(service.name)
    return since is not None and service.ready(since)


def _refuse_taken_port(service: Service) -> None:
    if service.port is None:
        return
    holder = ports.holder(service.port)
    if holder:
        raise problems.Problem(
            f'port {service.port} of {service.name} is taken by {holder}',
            'end that process, or move the lab with LAB_PORT_BASE',
        )
