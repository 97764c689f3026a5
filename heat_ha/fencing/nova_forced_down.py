# SPDX-License-Identifier: Apache-2.0
"""Fencing by others: an operator or a cluster manager fences, and marks the host in Nova."""

from heat_ha.fencing import driver, model
from heat_ha.fencing.driver import Power


class NovaForcedDown(driver.Driver):
    """Waits for Nova's mark ``forced_down``, which is set only after the host was fenced.

    :ivar is_marked: whether Nova shows the mark; the caller sets it before it asks.
    :ivar is_own: whether the mark is that of heat-ha itself, which is the result of a fence and
        says nothing about a later one; likewise.
    :ivar is_settled: whether the host has been silent since for long enough that the mark is later
        than its last sign of life; likewise.
    """

    name = model.BY_MARK
    is_power_control = False
    is_marked = False
    is_own = False
    is_settled = False

    def power(self) -> tuple[Power, str]:
        """Off where the mark is."""
        if self.is_marked and self.is_own:
            return Power.UNKNOWN, 'heat-ha has marked it as forced down itself, after another fence'
        if self.is_marked and not self.is_settled:
            return Power.UNKNOWN, (
                'Nova shows it as forced down, but its record was written within mark_settle '
                'seconds, by the mark or by its nova-compute. If it lives, unset forced_down'
            )
        if self.is_marked:
            return Power.OFF, 'Nova shows it as forced down, which is set only after fencing'
        return Power.UNKNOWN, 'Nova does not show it as forced down yet'

    def switch_off(self) -> None:
        """:raises driver.NotFenced: always, since others switch the host off."""
        if self.is_marked:
            raise driver.NotFenced(self.power()[1])
        raise driver.NotFenced(
            f'waiting until host {self.host} is fenced by others and marked as forced down'
        )
