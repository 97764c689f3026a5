# SPDX-License-Identifier: Apache-2.0
"""Fencing by Redfish: the host's BMC cuts the power."""

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import sushy
import sushy.exceptions
from sushy import auth, connector

from heat_ha import exceptions
from heat_ha.fencing import driver, model
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers

_FAILURES = (sushy.exceptions.SushyError, OSError)

# Older releases of sushy give each request a minute, and cannot be told otherwise.
_TAKES_A_TIMEOUT = 'default_request_timeout' in inspect.signature(connector.Connector).parameters

# Of a setting that is a boolean or a path, what would be taken for a path and is none.
_BOOLEANS = ('yes', 'no', 'on', 'off')

# How a BMC answers a request that does not fit the state of the system.
_CONFLICT = 409


class Redfish(driver.Driver):
    """A system of a Redfish service."""

    name = 'redfish'
    required = ('address', 'system')
    optional = ('username', 'password', 'password_file', 'verify')

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        verify = settings.get('verify', True)
        is_path = isinstance(verify, str) and verify.casefold() not in _BOOLEANS
        if not isinstance(verify, bool) and not is_path:
            raise exceptions.Refused(
                f'host {host}: verify is {verify!r}',
                'It is true, false, or the path of a file with certificates',
            )
        self._found: Any = None
        self._auth: Any = None

    @property
    def target(self) -> tuple[str, ...]:
        """The service, and the system in it."""
        system = str(self.settings['system']).strip('/')
        return (self.name, self.address, f'/{system}')

    def _system(self) -> Any:
        """The system as the BMC shows it now."""
        if self._found is None:
            settings = self.settings
            login = settings.get('username'), self.secret('password') or None
            self.close()
            self._auth = auth.SessionOrBasicAuth(*login)
            patience = {'default_request_timeout': self.timeout} if _TAKES_A_TIMEOUT else {}
            root = sushy.Sushy(
                settings['address'],
                auth=self._auth,
                connector=connector.Connector(
                    settings['address'],
                    *login,
                    verify=settings.get('verify', True),
                    # One try for each look: the caller asks again until its own time is over.
                    server_side_retries=1,
                    **patience,
                ),
            )
            self._found = root.get_system(settings['system'])
        else:
            self._found.refresh(force=True)
        return self._found

    def power(self) -> tuple[Power, str]:
        """Ask the BMC."""
        try:
            return answers.of_system(self._system().json)
        except Exception as exc:
            # Whatever a broken answer leads to in the library. The next look logs in again.
            self._found = None
            return Power.UNKNOWN, f'{type(exc).__name__}: {exc}'[:200]

    def facts(self) -> model.Facts:
        """The name that the operating system gave the BMC, and the UUID of the system."""
        found = {} if self._found is None else self._found.json
        texts = [found.get(key) for key in ('HostName', 'UUID')]
        return model.Facts(*(text if isinstance(text, str) else '' for text in texts))

    def close(self) -> None:
        """End the session: a BMC allows only a few at once."""
        if self._auth is not None:
            with contextlib.suppress(*_FAILURES):
                self._auth.close()
        self._auth = self._found = None

    def switch_off(self) -> None:
        """Cut the power without asking the operating system."""
        try:
            self._system().reset_system(sushy.ResetType.FORCE_OFF)
        except _FAILURES as exc:
            is_conflict = getattr(exc, 'status_code', None) == _CONFLICT
            if is_conflict or answers.is_off_already(str(exc)):
                return
            self._found = None
            raise driver.NotFenced(f'the BMC of {self.host} refused: {exc}'[:250]) from exc
