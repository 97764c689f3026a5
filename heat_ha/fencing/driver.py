# SPDX-License-Identifier: Apache-2.0
"""The contract of a fencing driver, and how one is found and used.

A driver is a class under the entry points ``heat_ha.fencing``. It knows how to ask for the power
of one host and how to switch it off. That the power *is* off is always seen by asking.
"""

import abc
import enum
import time
from collections.abc import Callable, Mapping
from typing import Any

import stevedore.driver
import stevedore.exception

from heat_ha import exceptions
from heat_ha.fencing import model

NAMESPACE = 'heat_ha.fencing'

# Seconds between two looks at the power of a host that is being switched off.
POLL_SECONDS = 0.5


class Power(enum.Enum):
    """What a power control reports of its host."""

    ON = 'on'
    OFF = 'off'
    UNKNOWN = 'unknown'


class NotFenced(exceptions.HaError):
    """The host may still write. Nothing goes on before another try succeeds."""


class Driver(abc.ABC):
    """Switches one host off.

    ``required`` and ``optional`` are the settings that the driver has in the fencing file.

    :param host: the host as Nova knows it.
    :param settings: the host's entry in the fencing file.
    :raises exceptions.Refused: a setting is missing or unknown; it is named.
    """

    name: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        self.host = host
        self.settings = settings
        known = {*self.required, *self.optional, 'driver', 'timeout'}
        for key in self.required:
            if not settings.get(key):
                raise exceptions.Refused(f'host {host}: driver {self.name} needs {key}')
        for key in settings:
            if key not in known:
                raise exceptions.Refused(
                    f'host {host}: driver {self.name} has no setting {key!r}',
                    f'Known: {", ".join(sorted(known))}',
                )

    @abc.abstractmethod
    def power(self) -> tuple[Power, str]:
        """Ask for the host's power.

        :returns: it, with what was seen in words; a failed call is UNKNOWN, with its reason.
        """

    @abc.abstractmethod
    def switch_off(self) -> None:
        """Ask for the power to be cut; harmless when it is off. :raises NotFenced: refused."""

    def secret(self, key: str) -> str:
        """A password, from ``KEY`` or from the file that ``KEY_file`` names."""
        path = self.settings.get(f'{key}_file')
        if path:
            with open(path) as stream:
                return stream.read().strip()
        return str(self.settings.get(key, ''))


def load(host: str, settings: Mapping[str, Any]) -> Driver:
    """Make the driver that a host's settings name.

    :raises exceptions.Refused: the driver is not installed, or a setting is wrong.
    """
    name = settings.get('driver')
    if not isinstance(name, str):
        raise exceptions.Refused(
            f'host {host} has no fencing driver',
            'Write "driver: none" for a host that nothing fences',
        )
    try:
        manager: Any = stevedore.driver.DriverManager(NAMESPACE, name, invoke_on_load=False)
    except stevedore.exception.NoMatches as exc:
        raise exceptions.Refused(f'host {host}: fencing driver {name!r} is not installed') from exc
    made: Driver = manager.driver(host, settings)
    return made


def fence(
    driver: Driver,
    *,
    timeout: float,
    now: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> model.Proof:
    """Switch the host off and return once it is *seen* to be off.

    :param timeout: seconds.
    :returns: the proof, with the time by ``now`` at which the power was seen to be off.
    :raises NotFenced: that was not seen in time; the host may still write.
    """
    deadline = now() + timeout
    power, detail = driver.power()
    if power is Power.OFF:
        return model.Proof(driver.name, f'was off already: {detail}', now())
    driver.switch_off()
    while True:
        power, detail = driver.power()
        if power is Power.OFF:
            return model.Proof(driver.name, f'switched off: {detail}', now())
        if now() >= deadline:
            raise NotFenced(
                f'{driver.name} did not see host {driver.host} off within {timeout:.0f} s: {detail}'
            )
        pause(POLL_SECONDS)
