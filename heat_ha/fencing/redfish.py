# SPDX-License-Identifier: Apache-2.0
"""Fencing by Redfish: the host's BMC cuts the power."""

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import sushy
import sushy.exceptions
from sushy import auth, connector

from heat_ha import exceptions
from heat_ha.conf import words
from heat_ha.fencing import deadline, driver, model
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers

T = TypeVar('T')

_FAILURES = (sushy.exceptions.SushyError, OSError)

# Older releases of sushy give each request a minute, and cannot be told otherwise.
_TAKES_A_TIMEOUT = 'default_request_timeout' in inspect.signature(connector.Connector).parameters

# OFF is not sent: the BMC does not name it among what it can do, or names nothing at all.
_NOT_OFFERED = (
    sushy.exceptions.InvalidParameterValueError,
    sushy.exceptions.MissingActionError,
)

# How a BMC answers a request that does not fit the state of the system.
_CONFLICT = 409


class _Connector(connector.Connector):  # type: ignore[misc]
    """Begins no request but a logout once ``is_over``: an OFF that comes late hits a new start.

    The library tries requests again by itself, for longer than the caller waits.
    """

    is_over = False

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        send = self._session.request

        def request(method: str, url: str, **more: Any) -> Any:
            if self.is_over and method != 'DELETE':
                raise sushy.exceptions.ConnectionError(url=url, error='it was given up')
            return send(method, url, **more)

        self._session.request = request


class _Login:
    """A session with a BMC, and the system in it as it was last seen; None before."""

    def __init__(self, settings: Mapping[str, Any], timeout: float, password: str) -> None:
        self._settings = settings
        user = settings.get('username'), password or None
        self._auth = auth.SessionOrBasicAuth(*user)
        patience = {'default_request_timeout': timeout} if _TAKES_A_TIMEOUT else {}
        self._connector = _Connector(
            settings['address'],
            *user,
            verify=words.boolean(settings.get('verify', True)),
            # One try for each look: the caller asks again until its own time is over.
            server_side_retries=1,
            **patience,
        )
        self._root: Any = None
        self._is_running = False
        self.found: Any = None

    def enter(self) -> None:
        """Log in."""
        address = self._settings['address']
        self._root = sushy.Sushy(address, auth=self._auth, connector=self._connector)

    def look(self) -> Any:
        """The system as the BMC shows it now."""
        if self.found is None:
            self.found = self._root.get_system(self._settings['system'])
        else:
            self.found.refresh(force=True)
        return self.found

    def run(self, work: Callable[['_Login'], T]) -> T:
        """Do something, and log out behind it when nobody waits for it any more."""
        self._is_running = True
        try:
            return work(self)
        finally:
            # In this order, and in ``give_up`` the other way round, one of the two sees the other.
            self._is_running = False
            if self._connector.is_over:
                self.end()

    def give_up(self) -> bool:
        """Let nothing follow the request that is under way.

        :returns: whether none is: it has ended just now, and nobody logs out behind it.
        """
        self._connector.is_over = True
        return not self._is_running

    def end(self) -> None:
        """End the session: a BMC allows only a few at once. One that cannot be ended ends later."""
        with contextlib.suppress(Exception):
            self._auth.close()


class Redfish(driver.Driver):
    """A system of a Redfish service.

    The limit of the library is for each read, and a BMC may answer byte by byte. So a login, a look
    and a reset are each given up after ``timeout``, each with all of its requests. All of them as
    one call would shut out a BMC that takes its time for each request.
    """

    name = 'redfish'
    required = ('address', 'system')
    optional = ('username', 'password', 'password_file', 'verify')

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        verify = words.boolean(settings.get('verify', True))
        if not isinstance(verify, (bool, str)):
            raise exceptions.Refused(
                f'host {host}: verify is {verify!r}',
                'It is true, false, or the path of a file with certificates',
            )
        self._login: _Login | None = None

    @property
    def target(self) -> tuple[str, ...]:
        """The service, and the system in it."""
        system = str(self.settings['system']).strip('/')
        return (self.name, self.address, f'/{system}')

    def _call(self, work: Callable[[_Login], T]) -> T:
        """Do something with the BMC, after a login where there is none.

        :raises deadline.Over: one of the two took too long.
        """
        if self._login is None:
            login = _Login(self.settings, self.timeout, self.secret('password'))
            self._limited(login, _Login.enter)
            self._login = login
        return self._limited(self._login, work)

    def _limited(self, login: _Login, work: Callable[[_Login], T]) -> T:
        whom = ' '.join(self.target)
        try:
            return deadline.call(lambda: login.run(work), self.timeout, whom)
        except deadline.Over:
            self._login = None
            if login.give_up():
                # Nobody waits for it: the time of this call is over.
                with contextlib.suppress(deadline.Over):
                    deadline.call(login.end, 0.0, whom)
            raise

    def power(self) -> tuple[Power, str]:
        """Ask the BMC."""
        try:
            return self._call(lambda login: answers.of_system(login.look().json))
        except Exception as exc:
            # Whatever a broken answer leads to in the library. The next look logs in again.
            self.close()
            return Power.UNKNOWN, f'{type(exc).__name__}: {exc}'[:200]

    def facts(self) -> model.Facts:
        """The name that the operating system gave the BMC, and the UUID of the system."""
        system = None if self._login is None else self._login.found
        found = {} if system is None else system.json
        texts = [found.get(key) for key in ('HostName', 'UUID')]
        return model.Facts(*(text if isinstance(text, str) else '' for text in texts))

    def close(self) -> None:
        """End the session."""
        if self._login is not None:
            with contextlib.suppress(deadline.Over):
                self._limited(self._login, _Login.end)
        self._login = None

    def switch_off(self) -> None:
        """Cut the power without asking the operating system."""
        try:
            self._call(_Login.look)
            self._call(self._force_off)
        except deadline.Over as exc:
            raise driver.NotFenced(f'the BMC of {self.host}: {exc}') from exc
        except _FAILURES as exc:
            is_conflict = getattr(exc, 'status_code', None) == _CONFLICT
            if is_conflict or answers.is_off_already(str(exc)):
                return
            self.close()
            raise driver.NotFenced(f'the BMC of {self.host} refused: {exc}'[:250]) from exc

    def _force_off(self, login: _Login) -> None:
        system = login.found
        try:
            system.reset_system(sushy.ResetType.FORCE_OFF)
        except _NOT_OFFERED as exc:
            power, detail = answers.of_system(system.json)
            if power is Power.OFF:
                # Some BMCs offer only what can be done now. The looks that follow decide.
                return
            raise driver.NotFenced(
                f'the BMC of {self.host} does not offer ForceOff, and shows {detail}'
            ) from exc
