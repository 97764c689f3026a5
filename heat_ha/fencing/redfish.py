# SPDX-License-Identifier: Apache-2.0
"""Fencing by Redfish: the host's BMC cuts the power."""

from collections.abc import Mapping
from typing import Any

import sushy
import sushy.exceptions
from sushy import connector

from heat_ha.fencing import driver
from heat_ha.fencing.driver import Power

# Seconds until one request is given up.
CALL_LIMIT = 10

_FAILURES = (sushy.exceptions.SushyError, OSError)


class Redfish(driver.Driver):
    """A system of a Redfish service."""

    name = 'redfish'
    required = ('address', 'system')
    optional = ('username', 'password', 'password_file', 'verify')

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        self._found: Any = None

    def _system(self) -> Any:
        if self._found is None:
            settings = self.settings
            login = settings.get('username'), self.secret('password') or None
            root = sushy.Sushy(
                settings['address'],
                *login,
                connector=connector.Connector(
                    settings['address'],
                    *login,
                    verify=settings.get('verify', True),
                    # One try for each look: the caller asks again until its own time is over.
                    server_side_retries=1,
                    default_request_timeout=CALL_LIMIT,
                ),
            )
            self._found = root.get_system(settings['system'])
        else:
            self._found.refresh(force=True)
        return self._found

    def power(self) -> tuple[Power, str]:
        """Ask the BMC."""
        try:
            state = self._system().power_state
        except _FAILURES as exc:
            self._found = None
            return Power.UNKNOWN, f'{type(exc).__name__}: {exc}'[:200]
        powers = {sushy.PowerState.ON: Power.ON, sushy.PowerState.OFF: Power.OFF}
        # A host in a state between these may be on again.
        return powers.get(state, Power.UNKNOWN), f'PowerState {state and state.value}'

    def switch_off(self) -> None:
        """Cut the power without asking the operating system."""
        try:
            self._system().reset_system(sushy.ResetType.FORCE_OFF)
        except _FAILURES as exc:
            raise driver.NotFenced(f'the BMC of {self.host} refused: {exc}'[:250]) from exc
