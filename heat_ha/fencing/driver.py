# SPDX-License-Identifier: Apache-2.0
"""The contract of a fencing driver, and how one is found and used.

A driver is a class under the entry points ``heat_ha.fencing``. It knows how to ask for the power
of one host and how to switch it off. That the power *is* off is always seen by asking.
"""

import abc
import hashlib
import math
import time
import types
from collections.abc import Callable, Mapping
from typing import Any

import stevedore.driver
import stevedore.exception

from heat_ha import exceptions
from heat_ha.conf import words
from heat_ha.fencing import model
from heat_ha.fencing.rules import absences, power_off, targets

NAMESPACE = 'heat_ha.fencing'

# Seconds for each call of a power control, and within which the power must be seen off. Pacemaker
# gives a fence 60 s (pcmk_off_timeout); slow BMCs take 15 s for one request and need several.
DEFAULT_TIMEOUT = 90.0

# Seconds between the two looks that see the power off, at most.
LONGEST_APART = 60.0

Power = model.Power


class NotFenced(exceptions.HaError):
    """The host may still write. Nothing goes on before another try succeeds."""


class Driver(abc.ABC):
    """Switches one host off.

    ``required`` and ``optional`` are the settings that the driver has in the fencing file, and
    ``numbers`` those of them that are numbers.
    ``is_power_control`` is False for a driver that cannot switch anything off itself: what it says
    is somebody's word, for which one look is enough. ``cuts_power`` is False for a driver that
    fences in the storage, OFF being "it cannot write": its host may run on, and report. Its proof
    says so, also to versions of the agent that do not have the driver; ``let_in`` takes it back.
    ``is_partial``: whether the last look saw a part of what it fences shut out, and not all.
    ``off_is_absence``: OFF is that the storage does not know the host, as one that was never let
    in, or that has another name there. So OFF counts only after a look of before the fence has seen
    ON; ``registration`` is how that is on record.
    ``is_one_machine``: at its address there is one machine and no other. ``apart`` is how many
    seconds must be between the two looks that see the power off.

    :param host: the host as Nova knows it.
    :param settings: the host's entry in the fencing file.
    :raises exceptions.Refused: a setting is missing or unknown; it is named.
    """

    name: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    is_power_control = True
    cuts_power = True
    is_one_machine = False
    is_partial = False
    off_is_absence = False
    apart = power_off.APART_SECONDS
    settings: Mapping[str, Any] = types.MappingProxyType({})

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        self.host = host
        numbers = {*self.numbers, 'timeout', 'apart'}
        settings = {k: words.number(v) if k in numbers else v for k, v in settings.items()}
        self.settings = settings
        known = {*self.required, *self.optional, 'driver', 'timeout', 'apart'}
        for key in self.required:
            if not settings.get(key):
                raise exceptions.Refused(f'host {host}: driver {self.name} needs {key}')
        for key in settings:
            if key not in known:
                raise exceptions.Refused(
                    f'host {host}: driver {self.name} has no setting {key!r}',
                    f'Known: {", ".join(sorted(known))}',
                )
        if 'address' in settings:
            check_address(host, 'address', settings['address'])
        for key in ('username', 'password'):
            check_secret(host, key, settings.get(key, ''))
        _check_timeout(host, settings)
        self.apart = _apart(host, settings.get('apart', self.apart))

    @property
    def timeout(self) -> float:
        """Seconds for each call, and within which the power must be seen off."""
        return float(self.settings.get('timeout', DEFAULT_TIMEOUT))

    @property
    def target(self) -> tuple[str, ...]:
        """What is switched off: equal for two hosts that name the same; () where nothing is."""
        if not self.is_power_control:
            return ()
        hidden = {'driver', 'timeout', 'apart', 'username', 'password', 'password_file'}
        chosen = sorted(f'{k}={v}' for k, v in self.settings.items() if k not in hidden)
        return (self.name, *chosen)

    @property
    def targets(self) -> tuple[tuple[str, ...], ...]:
        """All that is switched off, each by itself: no other host may have one of them."""
        return (self.target,) if self.target else ()

    @property
    def registration(self) -> str:
        """What stands on record for the target where OFF is absence; of another entry another."""
        return hashlib.sha256(repr(self.target).encode()).hexdigest()[:16]

    @abc.abstractmethod
    def power(self) -> tuple[Power, str]:
        """Ask for the host's power.

        :returns: it, with what was seen in words; a failed call is UNKNOWN, with its reason.
        """

    @abc.abstractmethod
    def switch_off(self) -> None:
        """Ask for the power to be cut; harmless when it is off. :raises NotFenced: refused."""

    @property
    def address(self) -> str:
        """Where the power control is asked, as it is compared; '' when it has no address."""
        return targets.plain_address(str(self.settings.get('address', '')))

    def facts(self) -> model.Facts:
        """What the power control said of its machine when it was last asked for the power."""
        return model.Facts()

    @property
    def has_facts(self) -> bool:
        """Whether ``facts`` may say anything."""
        return type(self).facts is not Driver.facts

    def keep_off(self) -> None:  # noqa: B027  power that is off stays off
        """Renew what ends by itself, where a fence does; called while the host must stay off."""

    def let_in(self) -> None:  # noqa: B027  a host that was switched off is switched on by others
        """Take back what keeps a living host from its storage, once nothing is left on it.

        :raises exceptions.HaError: that was not done; again is harmless.
        """

    def close(self) -> None:  # noqa: B027  most power controls keep no session
        """Log out, where the power control keeps a session; called when a driver is done."""

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


def check_address(host: str, key: str, value: Any) -> None:
    """:raises exceptions.Refused: the address of a power control is no text."""
    if not isinstance(value, str):
        raise exceptions.Refused(
            f'host {host}: {key} is {value!r}', 'An address is a text: put it in quotes'
        )


def check_secret(host: str, key: str, value: Any) -> None:
    """:raises exceptions.Refused: what logs in is not known as it was written, as of 1.10."""
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        # Without the value: the log has no passwords.
        raise exceptions.Refused(
            f'host {host}: {key} is neither a text nor a whole number', 'Put it in quotes'
        )


def _check_timeout(host: str, settings: Mapping[str, Any]) -> None:
    timeout = settings.get('timeout', DEFAULT_TIMEOUT)
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < math.inf:
        raise exceptions.Refused(
            f'host {host}: timeout is {timeout!r}', 'It is a number of seconds above 0'
        )


def _apart(host: str, value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LONGEST_APART:
        raise exceptions.Refused(
            f'host {host}: apart is {value!r}', f'It is 0 to {LONGEST_APART:.0f} seconds'
        )
    return float(value)


def ask(driver: Driver) -> tuple[Power, str]:
    """The power by a driver; whatever goes wrong in it means that nothing is known (S2)."""
    try:
        return driver.power()
    except Exception as exc:
        return Power.UNKNOWN, f'{type(exc).__name__}: {exc}'[:200]


def fence(
    driver: Driver,
    *,
    timeout: float,
    removals: absences.Removals | None = None,
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> model.Proof:
    """Switch the host off and return once it is *seen* to be off, twice and some seconds apart.

    OFF is sent always: a host that is off at one look may be in the middle of a restart. Where OFF
    may also be that the storage never knew the host, it must have known it before.

    :param removals: what fences of the same failure have removed before, where OFF is absence.
    :param timeout: seconds, from the answer to OFF until the power must first be seen off.
    :param now: the time that is written into the proof. It may be set to another one meanwhile.
    :param monotonic: a clock that nobody sets, for all that is measured.
    :returns: the proof, with the time by ``now`` at which the power was last seen to be off.
    :raises NotFenced: that was not seen in time; the host may still write.
    """
    if not driver.is_power_control:
        return _by_word(driver, now)
    if driver.off_is_absence:
        _remove(driver, removals or absences.Removals())
    else:
        _switch_off(driver)
    deadline = monotonic() + timeout
    looks: list[model.Look] = []
    while True:
        power, detail = ask(driver)
        looks.append(model.Look(monotonic(), power, detail))
        following = power_off.next_look(looks, deadline, driver.apart)
        if isinstance(following, power_off.SeenOff):
            done = 'switched off' if driver.cuts_power else 'shut out of its storage'
            how = f'{done}: {detail}, seen again after {driver.apart:.0f} s'
            return model.Proof(driver.name, how, now(), in_storage=_in_storage(driver))
        if isinstance(following, power_off.GiveUp):
            raise NotFenced(
                f'{driver.name} did not see host {driver.host} off within {timeout:.0f} s: '
                f'{following.reason}'
            )
        if following.is_off_due:
            _switch_off(driver)
        pause(following.seconds)


def _remove(driver: Driver, removals: absences.Removals) -> None:
    """Have the storage forget the host, which it must have known.

    :raises NotFenced: it was not seen to know it, or what removes it failed.
    """
    power, detail = ask(driver)
    registration = driver.registration
    is_removed = removals.has(registration)
    if why := absences.why_off_is_no_proof(power, driver.is_partial, is_removed):
        raise NotFenced(
            f'{driver.name} does not rely on OFF of host {driver.host}: {why}: {detail}'
        )
    if power is Power.ON and not driver.is_partial:
        # Should OFF fail now, a storage that loses its registrations later looks the same.
        removals.forget(registration)
    _switch_off(driver)
    removals.add(registration)


def _in_storage(driver: Driver) -> tuple[str, ...]:
    """What a proof says of a driver that leaves the host on, where its name does not."""
    is_said = driver.cuts_power or driver.name in model.TOLD_BY_NAME
    return () if is_said else (driver.name,)


def _by_word(driver: Driver, now: Callable[[], float]) -> model.Proof:
    """The proof of a driver that takes somebody's word. :raises NotFenced: nobody gave it."""
    power, detail = ask(driver)
    if power is not Power.OFF:
        _switch_off(driver)
        power, detail = ask(driver)
    if power is not Power.OFF:
        raise NotFenced(f'{driver.name} does not confirm host {driver.host}: {detail}')
    return model.Proof(driver.name, f'taken for off: {detail}', now())


def _switch_off(driver: Driver) -> None:
    try:
        driver.switch_off()
    except NotFenced:
        raise
    except Exception as exc:
        raise NotFenced(f'{driver.name}: {type(exc).__name__}: {exc}'[:250]) from exc
