# SPDX-License-Identifier: Apache-2.0
"""What the lab knows of one program that it runs, and the environment that programs get."""

import dataclasses
from collections.abc import Callable, Mapping

from lab import layout, readiness


@dataclasses.dataclass(frozen=True)
class Service:
    """One program of the lab. ``name`` is also the name of its records and of its log.

    ``region`` is None for what both regions share. ``stop_seconds`` is how long it may take to end
    by itself. Heat's and Nova's programs sign off at once and then wait for threads that never end;
    the database gets long enough to end in order. ``is_option`` is set for what ``up`` does not
    start. ``prepare`` is called before each start.
    """

    name: str
    command: tuple[str, ...]
    ready: readiness.Check
    needs: tuple[str, ...] = ()
    region: str | None = None
    port: int | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stop_seconds: float = 4.0
    is_option: bool = False
    prepare: Callable[[], None] = lambda: None


def base_environment() -> dict[str, str]:
    """Return the environment of every program: nothing is taken over from the caller's."""
    return {
        'PATH': f'{layout.VENV}/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'HOME': str(layout.HOME),
        'TMPDIR': str(layout.TMP),
        'LANG': 'C.UTF-8',
        'PYTHONUNBUFFERED': '1',
    }


def environment(service: Service) -> dict[str, str]:
    """Return the whole environment of a service."""
    return {**base_environment(), **service.environment}


def program(name: str) -> str:
    """Return the path of a program in the lab's environment."""
    return str(layout.VENV / 'bin' / name)
