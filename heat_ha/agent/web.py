# SPDX-License-Identifier: Apache-2.0
"""The agent's HTTP address: what senders, Prometheus and operators may ask for.

``ROUTES`` has one row for each. ``web_server`` serves it.
"""

import dataclasses
import hmac
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import prometheus_client
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import notifications, reception
from heat_ha.agent.reception import Answer, say

LOG = logging.getLogger(__name__)

# Operators' requests that are answered at once. They wait for the database, and the threads that
# answer are few: the others are for those who report.
MAX_BY_HAND = 2

Start = Callable[[str, list[tuple[str, str]]], Any]
Environ = Mapping[str, Any]


def read_tokens(path: str, option: str = 'tokens_file') -> dict[str, str]:
    """The tokens by the name of who has them.

    :raises exceptions.Refused: the file cannot be read, or has a line of another form, or one that
        could never have an effect.
    """
    if not path:
        return {}
    found: dict[str, str] = {}
    try:
        with open(path, encoding='utf-8-sig') as stream:
            lines = [line.strip() for line in stream]
    except (OSError, UnicodeDecodeError) as exc:
        raise exceptions.Refused(f'{option} cannot be read: {exc}') from exc
    for line in lines:
        if not line or line.startswith('#'):
            continue
        name, _, token = line.partition(':')
        if not name or len(token) < 16:
            raise exceptions.Refused(
                f'a line of {option} is not NAME:TOKEN', 'A token has 16 characters or more'
            )
        if name != name.strip() or token != token.strip() or not token.isascii():
            raise exceptions.Refused(
                f'the line of {name.strip()!r} in {option} has a token that no request can have',
                'Write NAME:TOKEN without spaces around the colon, and the token in ASCII',
            )
        if name in found or token in found.values():
            raise exceptions.Refused(
                f'{option} has the name {name!r}, or its token, twice', 'Keep one of the lines'
            )
        found[name] = token
    return found


def bearer(given: str, tokens: Mapping[str, str]) -> str | None:
    """Whose token a header ``Authorization`` has, None when it has nobody's."""
    kind, _, token = given.partition(' ')
    if kind.lower() != 'bearer':
        return None
    found = None
    for name, wanted in tokens.items():
        # All are compared, so that the time gives no hint.
        if hmac.compare_digest(token.encode(), wanted.encode()):
            found = name
    return found


@dataclasses.dataclass(frozen=True)
class Desk:
    """What operators may ask of the agent.

    * ``health``: why it does not work, '' when it does.
    * ``hosts``: what it knows of the hosts.
    * ``verbs``: what a person may decide about a host, by its verb: the name of the host and of the
      person to the phase of its incident then.
    """

    health: Callable[[], str]
    hosts: Callable[[], Mapping[str, Any]]
    verbs: Mapping[str, Callable[[str, str], str]] = dataclasses.field(default_factory=dict)


class Application:
    """The WSGI application.

    :param senders: tokens by sender's name; without any, every report is refused.
    :param received: takes what they post.
    :param operators: tokens by the names of those who may use the desk.
    :param notified: takes what Masakari's monitors post, where it is configured.
    """

    def __init__(
        self,
        senders: Mapping[str, str],
        received: reception.Reception,
        registry: prometheus_client.CollectorRegistry,
        desk: Desk,
        operators: Mapping[str, str] = {},
        notified: notifications.Notifications | None = None,
    ) -> None:
        self._senders = senders
        self._operators = operators
        self._received = received
        self._desk = desk
        self._notified = notified
        self._by_hand = threading.BoundedSemaphore(MAX_BY_HAND)
        self._metrics = prometheus_client.make_wsgi_app(registry)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request. HEAD is answered as GET is, without the body."""
        if environ.get('REQUEST_METHOD') != 'HEAD':
            return self._respond(environ, start)
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        body = self._respond(
            {**environ, 'REQUEST_METHOD': 'GET'}, lambda *answer: begun.append(answer)
        )
        [(status, headers)] = begun
        others = [(name, value) for name, value in headers if name.lower() != 'content-length']
        start(status, [*others, ('Content-Length', str(sum(map(len, body))))])
        return []

    def _respond(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path, method = _path(environ), str(environ.get('REQUEST_METHOD'))
        if path == ('metrics',) and method == 'GET':
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        try:
            if self._notified and method == 'POST' and _is_notification(path):
                return self._notified.post(environ, start)
            found = self._answer(path, method, environ)
        except Exception:
            LOG.exception('%s %r failed', method, '/'.join(path)[:200])
            found = say(HTTPStatus.INTERNAL_SERVER_ERROR, 'see the log of the agent')
        return reception.send(found, start)

    def _answer(self, path: tuple[str, ...], method: str, environ: Environ) -> Answer:
        fitting = [route for route in ROUTES if route.fits(path)]
        if not fitting:
            known = ', '.join(f'{route.method} {route.path}' for route in ROUTES)
            return say(HTTPStatus.NOT_FOUND, f'not here. Known: {known}')
        route = next((route for route in fitting if route.method == method), None)
        if route is None:
            allowed = ', '.join(route.method for route in fitting)
            return say(HTTPStatus.METHOD_NOT_ALLOWED, f'use {allowed}')
        if route.answer is None:
            return say(HTTPStatus.NOT_FOUND, 'not here')
        return route.answer(self, environ, path)

    def healthz(self, environ: Environ, path: tuple[str, ...]) -> Answer:
        """Say whether the agent works."""
        problem = self._desk.health()
        if problem:
            return say(HTTPStatus.SERVICE_UNAVAILABLE, problem)
        return say(HTTPStatus.OK, 'it works')

    def report(self, environ: Environ, path: tuple[str, ...]) -> Answer:
        """Take a report of a sender with a token."""
        sender = bearer(str(environ.get('HTTP_AUTHORIZATION', '')), self._senders)
        if sender is None:
            return _unauthorized('tokens_file')
        raw = reception.body_of(environ)
        return raw if isinstance(raw, Answer) else self._received.post(sender, raw)

    def version(self, environ: Environ, path: tuple[str, ...]) -> Answer:
        """Show which version of Masakari's API there is a part of."""
        return Answer(HTTPStatus.OK, notifications.version())

    def hosts(self, environ: Environ, path: tuple[str, ...]) -> Answer:
        """Show all hosts to an operator."""
        return self._for_operator(environ, lambda _by: Answer(HTTPStatus.OK, self._desk.hosts()))

    def decide(self, environ: Environ, path: tuple[str, ...]) -> Answer:
        """Do what an operator decides about a host."""
        host, verb = path[2], path[3]
        act = self._desk.verbs.get(verb)
        if act is None:
            return say(HTTPStatus.NOT_FOUND, f'not here. Verbs: {", ".join(self._desk.verbs)}')

        def decided(by: str) -> Answer:
            phase = act(host, by)
            LOG.info('host=%s %s by=%s phase=%s', host, verb, by, phase)
            return Answer(HTTPStatus.OK, {'host': host, 'phase': phase})

        return self._for_operator(environ, decided)

    def _for_operator(self, environ: Environ, act: Callable[[str], Answer]) -> Answer:
        by = bearer(str(environ.get('HTTP_AUTHORIZATION', '')), self._operators)
        if by is None:
            return _unauthorized('operators_file')
        if not self._by_hand.acquire(blocking=False):
            return say(HTTPStatus.SERVICE_UNAVAILABLE, 'other operators are served; try again')
        try:
            return act(by)
        except exceptions.Refused as exc:
            return say(HTTPStatus.CONFLICT, str(exc))
        except exceptions.HaError as exc:
            return say(HTTPStatus.SERVICE_UNAVAILABLE, str(exc))
        finally:
            self._by_hand.release()


@dataclasses.dataclass(frozen=True)
class Route:
    """One thing that may be asked for; ``*`` in a path stands for one part of it."""

    method: str
    path: str
    who: str
    what: str
    answer: Callable[[Application, Environ, tuple[str, ...]], Answer] | None

    def fits(self, path: tuple[str, ...]) -> bool:
        """Whether this is the path that is asked for."""
        parts = self.path.strip('/').split('/')
        return len(parts) == len(path) and all(
            part.isupper() or part == given for part, given in zip(parts, path, strict=True)
        )


ROUTES = (
    Route('POST', '/v1/reports', 'senders', 'a report about hosts', Application.report),
    Route('GET', '/metrics', 'everybody', 'figures for Prometheus', None),
    Route(
        'GET', '/healthz', 'everybody',
        '200 while the agent finishes its rounds, 503 with the reason otherwise',
        Application.healthz,
    ),
    Route('GET', '/v1', 'everybody', "the version of Masakari's API", Application.version),
    Route(
        'POST', '/v1/notifications', 'roles of Keystone',
        "a notification of Masakari's monitors, with ``masakari_notifications``", None,
    ),
    Route(
        'GET', '/v1/hosts', 'operators', 'what the agent knows of each host', Application.hosts
    ),
    Route(
        'POST', '/v1/hosts/HOST/VERB', 'operators',
        'what ``heat-ha-agent VERB HOST`` does', Application.decide,
    ),
)  # fmt: skip


def _unauthorized(option: str) -> Answer:
    return say(HTTPStatus.UNAUTHORIZED, f'send a token of {option}: "Authorization: Bearer TOKEN"')


def _is_notification(path: tuple[str, ...]) -> bool:
    """Whether monitors post there; the catalogue may have the project in the address."""
    return path[0] == 'v1' and path[-1] == 'notifications' and len(path) in (2, 3)


def _path(environ: Environ) -> tuple[str, ...]:
    """The parts of the path; WSGI decodes its bytes as Latin-1."""
    text = str(environ.get('PATH_INFO', '')).encode('latin-1', 'replace').decode('utf-8', 'replace')
    parts = tuple(text.removeprefix('/').split('/'))
    # A service that is looked up in a catalogue is asked with a slash at the end.
    return ('v1',) if parts == ('v1', '') else parts
