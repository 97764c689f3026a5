# SPDX-License-Identifier: Apache-2.0
"""The agent's HTTP server, with senders that take their time."""

import contextlib
import http.client
import socket
import threading
import time

import pytest

from heat_ha import exceptions
from heat_ha.agent import web_server

# Beyond what waitress would let in by default, and the threads of any server.
SLOW = 200


def application(environ, start):
    body = environ['wsgi.input'].read()
    start('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d bytes of %s' % (len(body), environ['REQUEST_METHOD'].encode())]


@contextlib.contextmanager
def serving(*listen, app=application):
    server = web_server.Server(app, listen or ('127.0.0.1:0',))
    server.start()
    try:
        yield server
    finally:
        server.shutdown()


def ask(place, method='GET', body=None, **headers):
    connection = http.client.HTTPConnection(*place, timeout=10)
    try:
        connection.request(method, '/metrics', body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextlib.contextmanager
def dripping(place, count):
    """So many connections, each of which sends a byte of its request now and then."""
    opened = [socket.create_connection(place) for _ in range(count)]
    is_over = threading.Event()

    def drip():
        for number in range(10_000):
            for one in opened:
                with contextlib.suppress(OSError):
                    one.send(b'POST /v1/reports HTTP/1.1\r\nContent-Length: 9\r\n\r\n'[number:][:1])
            if is_over.wait(0.2):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield opened
    finally:
        is_over.set()
        thread.join()
        for one in opened:
            one.close()


# W6
def test_200_senders_that_drip_keep_nobody_out_and_do_not_hold_up_the_end():
    with serving() as server, dripping(server.addresses[0], SLOW):
        time.sleep(0.5)
        for method, body in (('GET', None), ('POST', b'x' * 1000)) * 5:
            began = time.monotonic()
            status, answer = ask(server.addresses[0], method, body)
            assert status == 200 and answer == b'%d bytes of %s' % (
                len(body or b''), method.encode(),
            )  # fmt: skip
            assert time.monotonic() - began < 1
        began = time.monotonic()
        server.shutdown()
        assert time.monotonic() - began < 2 * web_server.STOP_SECONDS


def closed_within(connection, seconds):
    connection.settimeout(seconds)
    try:
        return connection.recv(1000) == b''
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_a_request_that_takes_too_long_is_cut_off_although_it_is_never_silent(monkeypatch):
    monkeypatch.setattr(web_server, 'REQUEST_SECONDS', 1.0)
    with serving() as server, dripping(server.addresses[0], 3) as opened:
        assert all(closed_within(one, 5) for one in opened)


def test_a_connection_that_is_silent_is_cut_off(monkeypatch):
    monkeypatch.setattr(web_server, 'IDLE_SECONDS', 1)
    with serving() as server, socket.create_connection(server.addresses[0]) as silent:
        assert closed_within(silent, 8)
        assert ask(server.addresses[0])[0] == 200


def test_connections_that_are_kept_are_answered_again_and_again(monkeypatch):
    monkeypatch.setattr(web_server, 'REQUEST_SECONDS', 0.2)
    with serving() as server:
        connection = http.client.HTTPConnection(*server.addresses[0], timeout=5)
        for _ in range(4):
            connection.request('GET', '/')
            assert connection.getresponse().read() == b'0 bytes of GET'
            time.sleep(0.15)
        connection.close()


def test_beyond_the_limit_connections_wait_and_are_served_when_others_end(monkeypatch):
    monkeypatch.setattr(web_server, 'MAX_CONNECTIONS', 10)
    monkeypatch.setattr(web_server, 'REQUEST_SECONDS', 1.0)
    with serving() as server, dripping(server.addresses[0], 20):
        assert ask(server.addresses[0])[0] == 200


@pytest.mark.parametrize(
    ('size', 'status'),
    [(web_server.MAX_BODY_BYTES, 200), (2 * web_server.MAX_BODY_BYTES + 1, 413)],
)
@pytest.mark.parametrize('is_chunked', [False, True])
def test_a_body_that_is_too_large_is_refused(size, status, is_chunked):
    body = iter([b'x' * size]) if is_chunked else b'x' * size
    with serving() as server:
        try:
            found = ask(server.addresses[0], 'POST', body)[0]
        except (BrokenPipeError, ConnectionResetError):
            # It does not wait for the rest.
            found = 413
        assert found == status


def test_headers_that_are_too_large_are_refused():
    with serving() as server:
        assert ask(server.addresses[0], Big='x' * 2 * web_server.MAX_HEADER_BYTES)[0] in (400, 431)


def test_an_application_that_fails_tells_nobody_why():
    def fails(environ, start):
        raise RuntimeError('secret')

    with serving(app=fails) as server:
        status, answer = ask(server.addresses[0])
        assert status == 500 and b'secret' not in answer


def test_it_listens_on_ipv6_and_on_several_addresses():
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip('this machine has no IPv6')
    with serving('127.0.0.1:0', '[::1]:0') as server:
        assert [host for host, _port in server.addresses] == ['127.0.0.1', '::1']
        for place in server.addresses:
            assert ask(place)[0] == 200


def test_an_address_that_is_taken_is_refused_by_its_name():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        place = f'127.0.0.1:{taken.getsockname()[1]}'
        with pytest.raises(exceptions.Refused, match=place):
            web_server.Server(application, [place])


def test_it_ends_where_a_request_wakes_it_up_at_the_very_moment():
    server = web_server.Server(application, ['127.0.0.1:0'])
    server.start()
    trigger, wake = server._listening[0].trigger, server._listening[0].trigger._physical_pull

    def woken_up_by_somebody_else():
        wake()
        server._thread.join(10)
        wake()

    trigger._physical_pull = woken_up_by_somebody_else
    server.shutdown()
    assert not server._thread.is_alive()


def test_a_server_that_never_began_ends_all_the_same():
    web_server.Server(application, ['127.0.0.1:0']).shutdown()


@pytest.mark.parametrize(
    ('listen', 'found'),
    [
        (['127.0.0.1'], ['127.0.0.1:9642']),
        (['0.0.0.0', '[::]'], ['0.0.0.0:9642', '[::]:9642']),
        (['::1'], ['[::1]:9642']),
        (['fe80::1%eth0'], ['[fe80::1%eth0]:9642']),
        (['[::1]:8779'], ['[::1]:8779']),
        ([' localhost:1 ', ''], ['localhost:1']),
        (['10.0.0.1:65535'], ['10.0.0.1:65535']),
    ],
)
def test_addresses_are_read(listen, found):
    assert web_server.places(listen, 9642) == found


@pytest.mark.parametrize(
    'text',
    ['', ':1', 'a:b', 'a:65536', 'a:-1', '[::1', '::1]:1', '[a]:1', '[::1]:', 'http://a:1', 'a b'],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(exceptions.Refused, match='listen'):
        web_server.places([text], 9642)
