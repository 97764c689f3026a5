# SPDX-License-Identifier: Apache-2.0
"""Fencing by a command: any agent of the fence-agents project."""

import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.fencing import driver, model, program
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers, programs, targets


class Command(driver.Driver):
    """A program with the interface of fence-agents: options on its input, one a line.

    ``status`` ends with 0 for on and 2 for off, and says ``Status: ON`` or ``Status: OFF``, or what
    ``says_on`` and ``says_off`` name; ``off`` ends with 0 when the host is off.
    """

    name = 'command'
    required = ('program',)
    optional = ('options', 'says_on', 'says_off')

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        self._path = shutil.which(str(settings['program']))
        if self._path is None:
            raise exceptions.Refused(
                f'host {host}: the program {settings["program"]} is not installed'
            )
        options = settings.get('options') or {}
        if not isinstance(options, Mapping):
            raise exceptions.Refused(f'host {host}: options must be a map')
        programs.check(host, pathlib.Path(str(settings['program'])).name, map(str, options))
        for key, value in options.items():
            if targets.is_secret(str(key)):
                driver.check_secret(host, str(key), value)
            is_seconds = isinstance(value, float) and targets.may_have_a_fraction(str(key))
            if not isinstance(value, (str, int)) and not is_seconds:
                # Of 1.10 only 1.1 is left.
                raise exceptions.Refused(
                    f'host {host}: the value of the option {key!r} is neither a text nor a whole '
                    'number',
                    'Put it in quotes',
                )
            if targets.is_address(str(key)):
                driver.check_address(host, str(key), value)
            if len(f'{key}{value}.'.splitlines()) > 1:
                raise exceptions.Refused(f'host {host}: the option {key!r} has more than one line')

    @property
    def target(self) -> tuple[str, ...]:
        """The plug at an address, or the program and the options that tell it which host."""
        found = targets.of_program(str(self._path), self.settings.get('options') or {})
        return (self.name, *found)

    @property
    def address(self) -> str:
        """Where a BMC is asked; of a power control with plugs many machines have one address."""
        return targets.address_of_machine(self.settings.get('options') or {})

    def _call(self, action: str) -> model.Said:
        options = {**(self.settings.get('options') or {}), 'action': action}
        stdin = ''.join(f'{key}={value}\n' for key, value in options.items())
        return program.run([str(self.settings['program'])], limit=self.timeout, stdin=stdin)

    def power(self) -> tuple[Power, str]:
        """Ask the program for the status."""
        own = (str(self.settings.get(key) or '') for key in ('says_on', 'says_off'))
        try:
            return answers.of_status(self._call('status'), *own)
        except (driver.NotFenced, OSError) as exc:
            return Power.UNKNOWN, str(exc)

    def switch_off(self) -> None:
        """Let the program cut the power."""
        said = self._call('off')
        if said.code:
            raise driver.NotFenced(
                f'{self.settings["program"]} ended with {said.code}: {said.text[-200:]}'
            )
