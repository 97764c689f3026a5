# SPDX-License-Identifier: Apache-2.0
"""The agent's HTTP address, over HTTP, with friends, strangers and enemies."""

import json
import random
import socket
import urllib.error
import urllib.request

import prometheus_client
import pytest

from heat_ha import exceptions
from heat_ha.agent import reception, report_table, web
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import sender_settings

TOKEN = 'token-of-pacemaker'


@pytest.fixture
def told():
    return []


def receiving(told):
    def take(one):
        told.append(one)
        return report_table.Arrival.NEWS

    declared = sender_settings.SenderSettings(down_alerts=({'alertname': 'x'},))
    return reception.Reception(take, {'p': declared})


@pytest.fixture
def address(told):
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter('heat_ha_test', 'A figure', registry=registry).inc()
    application = web.Application(
        {'pacemaker': TOKEN, 'alertmanager': 'x' * 20}, receiving(told), registry
    )
    server = web.serve(application, '127.0.0.1', 0)
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def post(address, body, token=TOKEN, path='/v1/reports'):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {'Authorization': f'Bearer {token}'} if token is not None else {}
    request = urllib.request.Request(address + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as exc:
        return exc.code


def test_a_sender_is_known_by_its_token(address, told):
    assert post(address, {'host': 'c1', 'state': 'down'}) == 202
    [one] = told
    assert one.sender == 'pacemaker' and (one.host, one.claimed) == ('c1', Claimed.DOWN)


@pytest.mark.parametrize('token', [None, '', 'wrong', TOKEN[:-1], TOKEN + 'x', 'ä'])
def test_without_a_token_nothing_is_read(address, told, token):
    if token == 'ä':
        token = 'ä'.encode().decode('latin-1')
    assert post(address, {'host': 'c1', 'state': 'down'}, token) == 401
    assert told == []


def test_metrics_are_for_everybody(address):
    with urllib.request.urlopen(f'{address}/metrics', timeout=10) as answer:
        assert b'heat_ha_test_total 1.0' in answer.read()


def test_other_paths_are_not_there(address, told):
    assert post(address, {'host': 'c1', 'state': 'down'}, path='/v1/other') == 404


def test_a_body_that_is_too_large_is_not_read(address, told):
    assert post(address, b'x' * (web.MAX_BODY_BYTES + 1)) in (413, 400)
    assert told == []


def environ(body, length=None):
    class Input:
        def read(self, size):
            return body[:size]

    return {
        'REQUEST_METHOD': 'POST',
        'PATH_INFO': '/v1/reports',
        'HTTP_AUTHORIZATION': f'Bearer {TOKEN}',
        'CONTENT_LENGTH': str(len(body)) if length is None else length,
        'wsgi.input': Input(),
    }


def test_20000_hostile_bodies_do_no_harm():
    told = []
    application = web.Application(
        {'p': TOKEN}, receiving(told), prometheus_client.CollectorRegistry()
    )
    rng = random.Random(7)
    good = json.dumps(
        {'alerts': [{'status': 'firing', 'labels': {'host': 'c1:1', 'alertname': 'x'}}]}
    ).encode()
    deep = b'[' * 5000 + b']' * 5000
    statuses = set()
    for number in range(20_000):
        body = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        if number % 50 == 0:
            body = bytearray(rng.choice([b'', deep, b'null', b'{}', b'[]', b'1e999', b'"' * 999]))
        length = rng.choice([None, None, None, '-1', 'x', '0', '99999999'])
        application(environ(bytes(body), length), lambda status, _headers: statuses.add(status[:3]))
    assert statuses == {'202', '400', '413'} and told
    # Whatever got through has the form of a report; hosts that Nova does not have are refused.
    assert all(0 < len(one.host) <= 255 and one.host.isprintable() for one in told)


def test_a_sender_that_says_nothing_more_does_not_keep_others_out(address, monkeypatch):
    port = int(address.rpartition(':')[2])
    silent = [socket.create_connection(('127.0.0.1', port)) for _ in range(4)]
    for one in silent:
        one.sendall(b'POST /v1/reports HTTP/1.1\r\nContent-Length: 100\r\n')
    assert post(address, {'host': 'c1', 'state': 'up'}) == 202
    for one in silent:
        one.close()


@pytest.mark.parametrize('line', ['no-colon', 'name:short', ':' + 'x' * 20])
def test_a_wrong_file_of_tokens_is_refused(tmp_path, line):
    (tmp_path / 'tokens').write_text(f'# a comment\n{line}\n')
    with pytest.raises(exceptions.Refused, match='tokens_file'):
        web.read_tokens(str(tmp_path / 'tokens'))
