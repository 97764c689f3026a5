# SPDX-License-Identifier: Apache-2.0
"""Fencing by a command: any agent of the fence-agents project."""

import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.fencing import driver, model, program
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers, programs

# Options that say how a program logs in and how long it waits, not which host it switches.
_NOT_THE_TARGET = {
    'username', 'login', 'password', 'passwd', 'password_script', 'passwd_script', 'identity_file',
    'timeout', 'verbose', 'debug_file', 'power_wait', 'power_timeout', 'shell_timeout',
    'login_timeout', 'delay', 'retry_on',
}  # fmt: skip


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
        if shutil.which(str(settings['program'])) is None:
            raise exceptions.Refused(
                f'host {host}: the program {settings["program"]} is not installed'
            )
        options = settings.get('options') or {}
        if not isinstance(options, Mapping):
            raise exceptions.Refused(f'host {host}: options must be a map')
        programs.check(host, pathlib.Path(str(settings['program'])).name, map(str, options))
        for key, value in options.items():
            if not isinstance(value, (str, int)):
                # Of 1.10 only 1.1 is left.
                raise exceptions.Refused(
                    f'host {host}: the value of the option {key!r} is no text and no whole number',
                    'Put it in quotes',
                )
            if len(f'{key}{value}.'.splitlines()) > 1:
                raise exceptions.Refused(f'host {host}: the option {key!r} has more than one line')

    @property
    def target(self) -> tuple[str, ...]:
        """The program, and the options that tell it which host."""
        options = self.settings.get('options') or {}
        chosen = sorted(f'{k}={v}' for k, v in options.items() if k not in _NOT_THE_TARGET)
        return (self.name, str(self.settings['program']), *chosen)

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
