# SPDX-License-Identifier: Apache-2.0
"""The agent's HTTP address: ``POST /v1/reports`` for senders of reports, ``GET /metrics``."""

import hmac
import json
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import prometheus_client
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import reception
from heat_ha.agent.reception import Answer, say

LOG = logging.getLogger(__name__)

# A report is small; Alertmanager groups some dozens of alerts in a body.
MAX_BODY_BYTES = 256 * 1024
# Seconds until a sender that falls silent is cut off.
SOCKET_LIMIT = 10
# Requests that are answered at once; more wait in the kernel's queue.
MAX_CONCURRENT = 16

Start = Callable[[str, list[tuple[str, str]]], Any]


def read_tokens(path: str) -> dict[str, str]:
    """The senders' tokens by name.

    :raises exceptions.Refused: the file cannot be read, or has a line of another form.
    """
    if not path:
        return {}
    found = {}
    try:
        with open(path) as stream:
            lines = [line.strip() for line in stream]
    except OSError as exc:
        raise exceptions.Refused(f'tokens_file cannot be read: {exc}') from exc
    for line in lines:
        if not line or line.startswith('#'):
            continue
        name, _, token = line.partition(':')
        if not name or len(token) < 16:
            raise exceptions.Refused(
                'a line of tokens_file is not NAME:TOKEN', 'A token has 16 characters or more'
            )
        found[name] = token
    return found


class Application:
    """The WSGI application.

    :param tokens: by sender's name; without any, every report is refused.
    :param received: takes what they post.
    """

    def __init__(
        self,
        tokens: Mapping[str, str],
        received: reception.Reception,
        registry: prometheus_client.CollectorRegistry,
    ) -> None:
        self._tokens = tokens
        self._received = received
        self._metrics = prometheus_client.make_wsgi_app(registry)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request."""
        where = environ.get('REQUEST_METHOD'), environ.get('PATH_INFO')
        if where == ('GET', '/metrics'):
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        if where == ('POST', '/v1/reports'):
            answer_ = self._report(environ)
        else:
            answer_ = say(HTTPStatus.NOT_FOUND, 'POST /v1/reports or GET /metrics')
        body = json.dumps(answer_.body).encode()
        start(
            f'{answer_.status.value} {answer_.status.phrase}',
            [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))],
        )
        return [body]

    def _report(self, environ: Mapping[str, Any]) -> Answer:
        sender = self._sender(str(environ.get('HTTP_AUTHORIZATION', '')))
        if sender is None:
            return say(HTTPStatus.UNAUTHORIZED, 'send a token: "Authorization: Bearer ..."')
        try:
            size = int(environ.get('CONTENT_LENGTH') or 0)
        except ValueError:
            return say(HTTPStatus.BAD_REQUEST, 'Content-Length is not a number')
        if not 0 < size <= MAX_BODY_BYTES:
            return say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f'send 1 to {MAX_BODY_BYTES} bytes')
        try:
            raw = environ['wsgi.input'].read(size)
        except OSError:
            return say(HTTPStatus.REQUEST_TIMEOUT, 'the body did not arrive in time')
        return self._received.post(sender, raw)

    def _sender(self, given: str) -> str | None:
        kind, _, token = given.partition(' ')
        if kind.lower() != 'bearer':
            return None
        found = None
        for name, wanted in self._tokens.items():
            # All are compared, so that the time gives no hint.
            if hmac.compare_digest(token.encode(), wanted.encode()):
                found = name
        return found


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    _slots = threading.BoundedSemaphore(MAX_CONCURRENT)

    def process_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(SOCKET_LIMIT)
        self._slots.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        LOG.debug('A request of %s ended early', client_address, exc_info=True)


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        LOG.debug(format, *args)


def serve(application: Application, address: str, port: int) -> wsgiref.simple_server.WSGIServer:
    """Answer in threads until ``shutdown`` is called on what is returned."""
    server = wsgiref.simple_server.make_server(address, port, application, _Server, _Handler)
    threading.Thread(target=server.serve_forever, name='web', daemon=True).start()
    return server
