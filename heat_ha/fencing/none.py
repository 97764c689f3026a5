# SPDX-License-Identifier: Apache-2.0
"""No fencing at all, for a host that cannot be fenced."""

from heat_ha.fencing import driver
from heat_ha.fencing.driver import Power


class Unfenced(driver.Driver):
    """Nothing fences, because the operator configured it so. The host may still write."""

    name = 'none'
    is_power_control = False

    def power(self) -> tuple[Power, str]:
        """Taken for off, by the operator's word."""
        return Power.OFF, 'not fenced: the operator configured "driver: none" for it'

    def switch_off(self) -> None:
        """Do nothing."""
