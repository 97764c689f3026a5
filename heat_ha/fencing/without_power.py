# SPDX-License-Identifier: Apache-2.0
"""Drivers that switch nothing off: somebody else does, or nobody."""

from heat_ha.fencing import driver
from heat_ha.fencing.driver import Power


class NovaForcedDown(driver.Driver):
    """Somebody else fences, and says so by ``forced_down``; we wait for that mark.

    :ivar is_marked: whether Nova shows the mark; who uses the driver sets it before asking.
    """

    name = 'nova_forced_down'
    is_marked = False

    def power(self) -> tuple[Power, str]:
        """Off where the mark is."""
        if self.is_marked:
            return Power.OFF, 'Nova shows it as forced down, which is set only after fencing'
        return Power.UNKNOWN, 'Nova does not show it as forced down yet'

    def switch_off(self) -> None:
        """:raises driver.NotFenced: always, since that is another's part."""
        raise driver.NotFenced(
            f'waiting until another fences host {self.host} and marks it as forced down'
        )


class Unfenced(driver.Driver):
    """Nothing fences, because the operator wrote so. The host may still write."""

    name = 'none'

    def power(self) -> tuple[Power, str]:
        """Taken for off, by the operator's word."""
        return Power.OFF, 'not fenced: the operator configured "driver: none" for it'

    def switch_off(self) -> None:
        """Do nothing."""
