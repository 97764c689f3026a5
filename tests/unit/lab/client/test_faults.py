# SPDX-License-Identifier: Apache-2.0
"""The proxy of lab/client/faults.py, before a small service of the standard library's."""

import collections
import http.server
import threading

import pytest
import requests

# The proxy's library is needed for the real cloud only, so not every environment has it.
pytest.importorskip('aiohttp')

from lab.client import faults


class Service(http.server.BaseHTTPRequestHandler):
    """Answers every request with what it was, and counts them."""

    seen: collections.Counter = collections.Counter()

    def do_GET(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        type(self).seen[self.command] += 1
        text = f'{self.command} {self.path} {self.headers["Host"]} {body.decode()}'.encode()
        self.send_response(202)
        self.send_header('Content-Length', str(len(text)))
        self.send_header('X-Own', 'yes')
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_DELETE = do_PUT = do_GET

    def log_message(self, *_args):
        pass


@pytest.fixture
def service():
    Service.seen.clear()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}/v2.1'
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_a_rate_everything_passes_as_it_was_sent(service):
    with faults.Proxy({'nova': service}, seed=1) as proxy:
        url = proxy.urls['nova']
        answer = requests.post(f'{url}/servers/a%2Fb?x=1', data='body', timeout=10)
        host = url.split('/')[2]
        assert answer.text == f'POST /v2.1/servers/a%2Fb?x=1 {host} body'
        assert answer.status_code == 202 and answer.headers['X-Own'] == 'yes'
        assert proxy.passed == 1 and not proxy.counts


def outcome(proxy, method='GET', path='/servers/1'):
    try:
        return requests.request(method, proxy.urls['nova'] + path, timeout=10).status_code
    except requests.ConnectionError:
        return 'cut'


def test_each_kind_of_fault_reaches_the_client(service, monkeypatch):
    monkeypatch.setattr(faults, 'SHORTEST', 0.01)
    monkeypatch.setattr(faults, 'LONGEST', 0.01)
    with faults.Proxy({'nova': service}, seed=3, rate=1.0) as proxy:
        found = {outcome(proxy, 'DELETE') for _ in range(60)}
        assert found == {500, 503, 409, 429, 202, 'cut'}
        assert set(proxy.counts) == {k.name.lower() for k in faults.Kind}
        before = sum(Service.seen.values())
        # Of a refused request the service hears nothing; one whose reply is lost it carries out.
        heard = proxy.counts['delay'] + proxy.counts['lost_reply']
        assert before == heard
        with proxy.calm():
            assert outcome(proxy) == 202
        assert proxy.rate == 1.0


def test_a_dead_service_is_told_from_a_fault():
    with faults.Proxy({'nova': 'http://127.0.0.1:1/v2.1'}, seed=1) as proxy:
        assert outcome(proxy) == 502


def test_the_choice_depends_on_seed_and_number_alone():
    def row(seed):
        return [faults.choose(seed, n, 0.2, 'DELETE', '/servers/1') for n in range(2000)]

    assert row(1) == row(1) != row(2)
    hits = [f for f in row(1) if f is not None]
    assert 0.17 < len(hits) / 2000 < 0.23
    assert {f.kind for f in hits} == set(faults.Kind)
    assert all((f.seconds > 0) == (f.kind is faults.Kind.DELAY) for f in hits)
    assert not any(faults.choose(1, n, 0.0, 'GET', '/servers/1') for n in range(500))


@pytest.mark.parametrize('path', ['/v2.1/flavors/1', '/v3/abc/limits?x=/servers/', '/'])
def test_what_a_failover_does_not_call_is_never_hit(path):
    assert not any(faults.choose(1, n, 1.0, 'GET', path) for n in range(500))


def test_a_read_meets_no_conflict():
    kinds = {faults.choose(5, n, 1.0, 'GET', '/v2.1/servers/1').kind for n in range(300)}
    assert kinds == set(faults.Kind) - {faults.Kind.CONFLICT}


def test_no_reply_to_a_create_is_lost():
    for path in ('/v2.1/servers', '/v3/abc/volumes?x=1', '/v3/abc/attachments'):
        kinds = {faults.choose(5, n, 1.0, 'POST', path).kind for n in range(300)}
        assert faults.Kind.LOST_REPLY not in kinds
    attach = {
        faults.choose(5, n, 1.0, 'POST', '/v2.1/servers/1/os-volume_attachments').kind
        for n in range(300)
    }
    assert faults.Kind.LOST_REPLY in attach
