# SPDX-License-Identifier: Apache-2.0
"""Fencing by a command: any agent of the fence-agents project."""

import shutil
from collections.abc import Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.fencing import driver, program
from heat_ha.fencing.driver import Power


class Command(driver.Driver):
    """A program with the interface of fence-agents: options on its input, one a line.

    ``status`` ends with 0 for on and 2 for off; ``off`` ends with 0 when the host is off.
    """

    name = 'command'
    required = ('program',)
    optional = ('options',)

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        if shutil.which(settings['program']) is None:
            raise exceptions.Refused(
                f'host {host}: the program {settings["program"]} is not installed'
            )
        options = settings.get('options') or {}
        if not isinstance(options, Mapping) or 'action' in options:
            raise exceptions.Refused(f'host {host}: options must be a map without the key "action"')

    def _call(self, action: str) -> tuple[int, str]:
        options = {**(self.settings.get('options') or {}), 'action': action}
        stdin = ''.join(f'{key}={value}\n' for key, value in options.items())
        return program.run([str(self.settings['program'])], stdin=stdin)

    def power(self) -> tuple[Power, str]:
        """Ask the program for the status."""
        try:
            code, output = self._call('status')
        except driver.NotFenced as exc:
            return Power.UNKNOWN, str(exc)
        last = output.splitlines()[-1] if output else f'it ended with {code}'
        return {0: Power.ON, 2: Power.OFF}.get(code, Power.UNKNOWN), last[:200]

    def switch_off(self) -> None:
        """Let the program cut the power."""
        code, output = self._call('off')
        if code:
            raise driver.NotFenced(f'{self.settings["program"]} ended with {code}: {output[-200:]}')
