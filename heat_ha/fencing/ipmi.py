# SPDX-License-Identifier: Apache-2.0
"""Fencing by IPMI: the host's BMC cuts the power, and ipmitool talks to it."""

from heat_ha.fencing import driver, model, program
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers, targets

# Ipmitool sends a request again so often when the BMC does not answer.
RETRIES = 3

USUAL_PORT = '623'


class Ipmi(driver.Driver):
    """A BMC that speaks IPMI over LAN.

    The password goes by the environment: arguments can be read by every user of the machine.
    """

    name = 'ipmi'
    is_one_machine = True
    required = ('address', 'username')
    optional = ('password', 'password_file', 'port', 'interface', 'cipher_suite')
    numbers = ('port', 'cipher_suite')

    @property
    def target(self) -> tuple[str, ...]:
        """The BMC."""
        return (self.name, self.address)

    @property
    def address(self) -> str:
        """Where the BMC is asked; its usual port need not be written."""
        port = str(self.settings.get('port', USUAL_PORT))
        return super().address if port == USUAL_PORT else targets.with_port(super().address, port)

    def _call(self, *words: str) -> model.Said:
        settings = self.settings
        # So that a slow BMC may take its time for one answer, and a lost packet is sent again.
        patience = max(3, round(self.timeout / (2 * RETRIES)))
        command = [
            'ipmitool', '-I', str(settings.get('interface', 'lanplus')),
            '-H', str(settings['address']), '-p', str(settings.get('port', USUAL_PORT)),
            '-U', str(settings['username']), '-E', '-R', str(RETRIES), '-N', str(patience),
        ]  # fmt: skip
        if 'cipher_suite' in settings:
            command += ['-C', str(settings['cipher_suite'])]
        return program.run(
            [*command, *words],
            limit=self.timeout,
            environment={'IPMI_PASSWORD': self.secret('password')},
        )

    def power(self) -> tuple[Power, str]:
        """Ask the BMC."""
        try:
            return answers.of_chassis(self._call('chassis', 'power', 'status'))
        except (driver.NotFenced, OSError) as exc:
            return Power.UNKNOWN, str(exc)

    def switch_off(self) -> None:
        """Cut the power without asking the operating system."""
        said = self._call('chassis', 'power', 'off')
        if said.code and not answers.is_off_already(said.text):
            raise driver.NotFenced(f'the BMC of {self.host} refused: {said.text[-200:]}')
