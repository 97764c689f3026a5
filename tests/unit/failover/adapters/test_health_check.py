# SPDX-License-Identifier: Apache-2.0
"""Health checks against a server on this machine that answers well, badly, slowly or not."""

import contextlib
import errno
import socket
import threading
import time

import pytest
from oslo_config import cfg

from heat_ha.cloud import model as cloud
from heat_ha.conf import health as health_conf
from heat_ha.failover import model
from heat_ha.failover.adapters import health_check
from heat_ha.failover.model import HealthState


@pytest.fixture(autouse=True)
def _loopback_is_allowed():
    health_conf.register(cfg.CONF)
    cfg.CONF.set_override('networks', ['127.0.0.0/8', 'no network'], health_conf.GROUP)
    yield
    cfg.CONF.clear_override('networks', health_conf.GROUP)


@contextlib.contextmanager
def answering(pieces, pause=0.0):
    """A server that answers each connection with these pieces, with a pause before each."""
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    for piece in pieces:
                        time.sleep(pause)
                        connection.sendall(piece)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()


def ask(port, path='/', timeout=0.5, addresses=('127.0.0.1',)):
    server = cloud.Server('s', cloud.ServerStatus.ACTIVE, addresses=addresses)
    return health_check.check(server, model.HealthCheck(port, path, timeout))


@pytest.mark.parametrize(
    ('line', 'state'),
    [
        (b'HTTP/1.0 200 OK\r\n', HealthState.WELL),
        (b'HTTP/1.1 302 Found\r\n', HealthState.WELL),
        (b'HTTP/1.1 404 Not Found\r\n', HealthState.SICK),
        (b'HTTP/1.1 503 Busy\r\n', HealthState.SICK),
        (b'SSH-2.0-OpenSSH\r\n', HealthState.SICK),
        (b'HTTP/1.1 abc\r\n', HealthState.SICK),
        (b'\xff' * 5000, HealthState.SICK),
        (b'', HealthState.SICK),
    ],
)
def test_the_status_line_decides(line, state):
    with answering([line]) as port:
        assert ask(port).state is state


def test_tcp_is_content_with_a_connection():
    with answering([]) as port:
        assert ask(port, path=None).state is HealthState.WELL


def test_a_refused_connection_is_an_answer_and_no_address_is_none():
    with answering([]) as port:
        pass
    time.sleep(0.05)
    assert ask(port).state is HealthState.SICK
    assert ask(port, addresses=()).state is HealthState.COULD_NOT_ASK


def test_a_server_that_answers_in_drops_keeps_nobody_longer_than_the_timeout():
    with answering([b'H'] * 1000, pause=0.05) as port:
        before = time.monotonic()
        found = ask(port, timeout=0.4)
        assert found.state is HealthState.SICK and 'did not answer' in found.detail
        assert time.monotonic() - before < 2


def test_only_addresses_in_the_operators_networks_are_asked():
    with answering([b'HTTP/1.0 200 OK\r\n']) as port:
        cfg.CONF.set_override('networks', ['10.0.0.0/8'], health_conf.GROUP)
        found = ask(port)
        assert found.state is HealthState.COULD_NOT_ASK and health_conf.GROUP in found.detail
        cfg.CONF.set_override('networks', [], health_conf.GROUP)
        assert ask(port).state is HealthState.COULD_NOT_ASK


@pytest.mark.parametrize(
    'error', [TimeoutError('timed out'), OSError(errno.EHOSTUNREACH, 'No route to host')]
)
def test_an_address_that_is_not_reached_says_nothing_of_the_server(monkeypatch, error):
    def create_connection(_address, _timeout):
        raise error

    monkeypatch.setattr(socket, 'create_connection', create_connection)
    assert ask(80).state is HealthState.COULD_NOT_ASK
