# SPDX-License-Identifier: Apache-2.0
"""Fencing by a program: ipmitool, or any agent of the fence-agents project."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from heat_ha import exceptions
from heat_ha.fencing import driver
from heat_ha.fencing.driver import Power

# Seconds until one call of a program is given up.
CALL_LIMIT = 30.0


def _run(
    command: Sequence[str], *, stdin: str = '', environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program without a shell. :raises driver.NotFenced: it did not end in time."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CALL_LIMIT,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise driver.NotFenced(f'{command[0]}: {exc}'[:250]) from exc
    return done.returncode, (done.stdout + done.stderr).strip()


class Ipmi(driver.Driver):
    """A BMC that speaks IPMI over LAN, by way of ipmitool.

    The password goes by the environment: arguments can be read by every user of the machine.
    """

    name = 'ipmi'
    required = ('address', 'username')
    optional = ('password', 'password_file', 'port', 'interface', 'cipher_suite')

    def _call(self, *words: str) -> tuple[int, str]:
        settings = self.settings
        command = [
            'ipmitool', '-I', str(settings.get('interface', 'lanplus')),
            '-H', str(settings['address']), '-p', str(settings.get('port', 623)),
            '-U', str(settings['username']), '-E', '-R', '2', '-N', '3',
        ]  # fmt: skip
        if 'cipher_suite' in settings:
            command += ['-C', str(settings['cipher_suite'])]
        return _run([*command, *words], environment={'IPMI_PASSWORD': self.secret('password')})

    def power(self) -> tuple[Power, str]:
        """Ask the BMC."""
        try:
            code, said = self._call('chassis', 'power', 'status')
        except driver.NotFenced as exc:
            return Power.UNKNOWN, str(exc)
        if code == 0 and said.endswith('Chassis Power is off'):
            return Power.OFF, said
        if code == 0 and said.endswith('Chassis Power is on'):
            return Power.ON, said
        return Power.UNKNOWN, said[-200:]

    def switch_off(self) -> None:
        """Cut the power without asking the operating system."""
        code, said = self._call('chassis', 'power', 'off')
        if code:
            raise driver.NotFenced(f'the BMC of {self.host} refused: {said[-200:]}')


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
            raise exceptions.Refused(f'host {host}: there is no program {settings["program"]}')
        options = settings.get('options') or {}
        if not isinstance(options, Mapping) or 'action' in options:
            raise exceptions.Refused(f'host {host}: options is to be a map without "action"')

    def _call(self, action: str) -> tuple[int, str]:
        options = {**(self.settings.get('options') or {}), 'action': action}
        stdin = ''.join(f'{key}={value}\n' for key, value in options.items())
        return _run([str(self.settings['program'])], stdin=stdin)

    def power(self) -> tuple[Power, str]:
        """Ask the program for the status."""
        try:
            code, said = self._call('status')
        except driver.NotFenced as exc:
            return Power.UNKNOWN, str(exc)
        last = said.splitlines()[-1] if said else f'it ended with {code}'
        return {0: Power.ON, 2: Power.OFF}.get(code, Power.UNKNOWN), last[:200]

    def switch_off(self) -> None:
        """Let the program cut the power."""
        code, said = self._call('off')
        if code:
            raise driver.NotFenced(f'{self.settings["program"]} ended with {code}: {said[-200:]}')
