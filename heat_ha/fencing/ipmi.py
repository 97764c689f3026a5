# SPDX-License-Identifier: Apache-2.0
"""Fencing by IPMI: the host's BMC cuts the power, and ipmitool talks to it."""

from heat_ha.fencing import driver, program
from heat_ha.fencing.driver import Power


class Ipmi(driver.Driver):
    """A BMC that speaks IPMI over LAN.

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
        return program.run(
            [*command, *words], environment={'IPMI_PASSWORD': self.secret('password')}
        )

    def power(self) -> tuple[Power, str]:
        """Ask the BMC."""
        try:
            code, output = self._call('chassis', 'power', 'status')
        except driver.NotFenced as exc:
            return Power.UNKNOWN, str(exc)
        if code == 0 and output.endswith('Chassis Power is off'):
            return Power.OFF, output
        if code == 0 and output.endswith('Chassis Power is on'):
            return Power.ON, output
        return Power.UNKNOWN, output[-200:]

    def switch_off(self) -> None:
        """Cut the power without asking the operating system."""
        code, output = self._call('chassis', 'power', 'off')
        if code:
            raise driver.NotFenced(f'the BMC of {self.host} refused: {output[-200:]}')
