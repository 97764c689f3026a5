# SPDX-License-Identifier: Apache-2.0
"""One call to another region's Heat, bounded whatever the other side does.

Each call ends within its limits however the other side behaves: refuses, swallows packets,
accepts and says nothing, or sends a byte now and then. What is asked, and what the answers mean,
is in ``heat_client``.
"""

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
import urllib3.exceptions
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import plugin as keystone_plugin
from keystoneauth1.access import service_catalog

from heat_ha import exceptions
from heat_ha.regions.adapters import circuit_breaker
from heat_ha.regions.model import ErrorClass

_FAILURES = (keystone_exceptions.ClientException, requests.RequestException)

# A stack with all of its outputs; a longer answer is not Heat's.
MAX_BYTES = 16 * 1024 * 1024
# So much of it at once, at most.
PIECE_BYTES = 64 * 1024

OWN_HANDS = 'update the parent stack as its owner, whose own token can do it'

# Answers to a login that say nothing about the credential: too slow, too often.
_TRY_LATER = (408, 429)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds: to connect, until a look or a write is answered in whole; see ``heat_ha.conf``.

    ``stalled_after`` is for how long nothing may move in a stack that is in progress.
    """

    connect: float
    look: float
    write: float
    patience: float
    pause: float
    stalled_after: float = 180.0


@dataclasses.dataclass(frozen=True)
class Access:
    """A way into a region: a keystoneauth session that logs in, and what to look for.

    ``verify`` is how the region's certificate is checked. ``renew`` is called when the login was
    not accepted, and says whether there is another one to try.
    """

    session: Any
    region: str | None
    interface: str
    verify: bool | str = True
    renew: Callable[[], bool] = lambda: False


class BadCredential(exceptions.HaError):
    """The credential for a region cannot be read."""


class Unreachable(Exception):
    """There is no answer that says anything about the stack."""

    def __init__(self, error: ErrorClass, reason: str, *, was_sent: bool, known: bool = False):
        self.error = error
        self.reason = reason[:300]
        self.was_sent = was_sent
        self.is_known = known
        super().__init__(reason)


class _NotTried(Unreachable):
    """The region is silent, or is being tried by others: no call was made."""

    def __init__(self, verdict: circuit_breaker.Verdict) -> None:
        super().__init__(
            ErrorClass.UNREACHABLE, verdict.reason, was_sent=False, known=verdict.is_known
        )


class _NotAccepted(Unreachable):
    """The login has ended or was revoked; nothing was carried out with it."""

    def __init__(self, access: Access, reason: str) -> None:
        self.is_renewed = access.renew()
        super().__init__(ErrorClass.AUTH, reason, was_sent=False)


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer that was read in whole."""

    status: int
    body: Mapping[str, Any]

    @property
    def error(self) -> str:
        found = self.body.get('error')
        return str(found.get('type', '')) if isinstance(found, Mapping) else ''

    @property
    def message(self) -> str:
        found = self.body.get('error')
        text = found.get('message') if isinstance(found, Mapping) else None
        return str(text or f'HTTP {self.status}')[:500]


class Transport:
    """Makes calls to one region's Heat as the owner of the parent stack.

    :param access: called at each request; logging in may fail as the request may.
    :param is_asked_for: a person asks, so a region that was silent is tried at once.
    """

    def __init__(
        self, name: str, access: Callable[[], Access], limits: Limits, *, is_asked_for: bool = False
    ) -> None:
        self._name = name
        self._access = access
        self._limits = limits
        self._is_asked_for = is_asked_for
        self._first = threading.Lock()
        self._first_failure: Unreachable | None = None

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Response:
        """Make one call. :raises Unreachable: no answer says anything about the stack.

        When a person asks, the circuit breaker allows one call. The other calls of the same
        reconciler wait for its end; they would fail otherwise because the region is being tried.
        """
        if not self._is_asked_for:
            return self._call(method, path, body, is_asked_for=False)
        with self._first:
            if self._is_asked_for:
                return self._call_first(method, path, body)
            failure = self._first_failure
        if failure is not None and failure.error is ErrorClass.UNREACHABLE:
            raise Unreachable(failure.error, failure.reason, was_sent=False, known=failure.is_known)
        return self._call(method, path, body, is_asked_for=False)

    def _call_first(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        try:
            answer = self._call(method, path, body, is_asked_for=True)
        except _NotTried:
            raise
        except Unreachable as exc:
            self._first_failure, self._is_asked_for = exc, False
            raise
        self._is_asked_for = False
        return answer

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, is_asked_for: bool
    ) -> Response:
        limits = self._limits
        verdict = circuit_breaker.BREAKER.allow(
            self._name, limits.patience, limits.pause, is_asked_for
        )
        if not verdict.may_call:
            raise _NotTried(verdict)
        began = time.monotonic()
        failure = 'the call was interrupted'
        try:
            answer = self._ask(method, path, body)
            failure = ''
            return answer
        except Unreachable as exc:
            failure = exc.reason if exc.error is ErrorClass.UNREACHABLE else ''
            raise
        finally:
            # A write may rightly take longer than ``patience``, so its time is not a silence.
            since = began if method == 'GET' else time.monotonic()
            circuit_breaker.BREAKER.record(self._name, since, failure)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        try:
            return self._ask_once(method, path, body)
        except _NotAccepted as exc:
            if not exc.is_renewed:
                raise
        return self._ask_once(method, path, body)

    def _ask_once(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response:
        access, base = self._enter()
        whole = self._limits.look if method == 'GET' else self._limits.write
        deadline = time.monotonic() + whole
        try:
            response = access.session.request(
                base + path,
                method,
                json=body,
                headers={'Accept': 'application/json'},
                raise_exc=False,
                connect_retries=0,
                redirect=1 if method == 'GET' else 0,
                # The answer is read below, against the deadline.
                stream=True,
                log=False,
                verify=access.verify,
                timeout=(self._limits.connect, whole),
            )
            text = b''.join(_until(deadline, response))
        except keystone_exceptions.Unauthorized as exc:
            raise _NotAccepted(access, _short(exc)) from exc
        except (*_FAILURES, urllib3.exceptions.HTTPError) as exc:
            raise Unreachable(
                ErrorClass.UNREACHABLE, _short(exc), was_sent=not _never_connected(exc)
            ) from exc
        answer = Response(response.status_code, _parsed(text))
        if answer.status == 401:
            raise _NotAccepted(access, f'the credentials are not accepted: {answer.message}')
        if answer.status >= 500 and answer.error in ('Forbidden', 'Unauthorized'):
            # Its Keystone refused it what it needs for a stack: a trust from this token.
            reason = f"the region's Heat was refused by Keystone ({answer.message}); {OWN_HANDS}"
            raise Unreachable(ErrorClass.AUTH, reason, was_sent=False)
        is_heats = answer.status < 300 or bool(answer.error)
        if answer.status >= 500 or answer.status == 429 or not is_heats:
            error = answer.error or 'not as Heat does'
            raise Unreachable(
                ErrorClass.UNREACHABLE, f'answered {answer.status}, {error}', was_sent=True
            )
        return answer

    def _enter(self) -> tuple[Access, str]:
        """Log in and find the service; nothing is sent to the region yet."""
        access = None
        try:
            access = self._access()
            found = _from_catalogue_of_token(access) or _from_catalogue_of_now(access)
        except BadCredential as exc:
            raise Unreachable(ErrorClass.INVALID, str(exc), was_sent=False) from exc
        except keystone_exceptions.HttpError as exc:
            # A credential that was revoked is "not found" to some Keystones.
            if exc.http_status in _TRY_LATER or exc.http_status >= 500:
                raise _not_let_in(exc) from exc
            if access is not None and exc.http_status == 401:
                raise _NotAccepted(access, _short(exc)) from exc
            raise Unreachable(ErrorClass.AUTH, _short(exc), was_sent=False) from exc
        except _FAILURES as exc:
            raise _not_let_in(exc) from exc
        if not found:
            raise Unreachable(
                ErrorClass.INVALID,
                f'the catalogue has no orchestration service in region {access.region}; '
                'correct region_name',
                was_sent=False,
            )
        return access, str(found).rstrip('/')


def _not_let_in(exc: Exception) -> Unreachable:
    reason = f'its Keystone did not let us in: {_short(exc)}'
    return Unreachable(ErrorClass.UNREACHABLE, reason, was_sent=False)


def _from_catalogue_of_token(access: Access) -> str | None:
    with contextlib.suppress(keystone_exceptions.CatalogException):
        found: str | None = access.session.get_endpoint(
            service_type='orchestration', region_name=access.region, interface=access.interface
        )
        return found
    return None


def _from_catalogue_of_now(access: Access) -> str | None:
    """Heat's address in the catalogue as Keystone has it now.

    A token that Heat's API was sent comes with the catalogue of when it was first looked at there
    (keystonemiddleware keeps it for 300 s): a region that is newer is missing in it.
    """
    base = access.session.get_endpoint(interface=keystone_plugin.AUTH_INTERFACE)
    if not base:
        return None
    answer = access.session.get(f'{base.rstrip("/").removesuffix("/v3")}/v3/auth/catalog')
    catalogue = service_catalog.ServiceCatalogV3(answer.json().get('catalog') or [])
    with contextlib.suppress(keystone_exceptions.CatalogException):
        found: str | None = catalogue.url_for(
            service_type='orchestration', region_name=access.region, interface=access.interface
        )
        return found
    return None


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _until(deadline: float, response: Any) -> Iterator[bytes]:
    """The answer's body as it comes, but not longer than until the deadline."""
    size = 0
    for piece in _pieces(response.raw):
        size += len(piece)
        if time.monotonic() > deadline or size > MAX_BYTES:
            response.close()
            raise requests.exceptions.ReadTimeout('the answer did not end in time')
        yield piece


def _pieces(raw: Any) -> Iterator[bytes]:
    """What has come of a body; ``iter_content`` would wait until a whole piece is full."""
    if hasattr(raw, 'read1'):
        while piece := raw.read1(PIECE_BYTES, decode_content=True):
            yield piece
        return
    # urllib3 before 2, which is not changed any more, has this only below.
    raw._init_decoder()
    with raw._error_catcher():
        while raw._fp is not None and (piece := raw._fp.read1(PIECE_BYTES)):
            yield raw._decode(piece, decode_content=True, flush_decoder=False)
        yield raw._decode(b'', decode_content=True, flush_decoder=True)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """The error and those below it: keystoneauth's, requests', urllib3's, the system's."""
    waiting: list[Any] = [exc]
    for _ in range(16):
        if not waiting:
            return
        found = waiting.pop(0)
        if isinstance(found, BaseException):
            yield found
            inner = found.args[0] if found.args else None
            waiting += [found.__cause__ or found.__context__, inner, getattr(found, 'reason', None)]


def _never_connected(exc: BaseException) -> bool:
    """Whether the request surely did not reach the other side."""
    never = (
        requests.exceptions.ConnectTimeout,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
    )
    return any(isinstance(cause, never) for cause in _causes(exc))


def _short(exc: BaseException) -> str:
    """Why there was no answer, in words that help to examine the network."""
    causes = list(_causes(exc))
    words = (
        (ConnectionRefusedError, 'the connection is refused'),
        (urllib3.exceptions.ConnectTimeoutError, 'no connection is made in time'),
        (TimeoutError, 'connected, but there is no answer in time'),
        (requests.exceptions.ReadTimeout, 'connected, but there is no answer in time'),
        (requests.exceptions.ConnectionError, 'the connection broke before the answer'),
    )
    for kind, text in words:
        if any(isinstance(cause, kind) for cause in causes):
            return text
    return f'{type(exc).__name__}: {exc}'[:200]
