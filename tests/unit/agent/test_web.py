# SPDX-License-Identifier: Apache-2.0
"""The agent's HTTP address, over HTTP, with friends, strangers and enemies."""

import contextlib
import http.client
import json
import random
import threading
import urllib.error
import urllib.request

import prometheus_client
import pytest

from heat_ha import exceptions
from heat_ha.agent import reception, report_table, web, web_server
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import sender_settings

TOKEN = 'token-of-pacemaker'
OPERATOR = 'token-of-an-operator'
NO_DESK = web.Desk(lambda: '', dict)


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
        {'pacemaker': TOKEN, 'alertmanager': 'x' * 20}, receiving(told), registry,
        NO_DESK,
    )  # fmt: skip
    server = web_server.Server(application, ['127.0.0.1:0'])
    server.start()
    [(host, port)] = server.addresses
    yield f'http://{host}:{port}'
    server.shutdown()


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


@pytest.mark.parametrize(
    'path', ['/healthz', '/metrics', '/v1', '/v1/hosts', '/v1/reports', '/v1/notifications', '/no']
)
def test_head_is_answered_as_get_is_without_the_body(address, path):
    found = {}
    # Over one connection: a body would be taken for the beginning of the next answer.
    connection = http.client.HTTPConnection(address.removeprefix('http://'), timeout=10)
    with contextlib.closing(connection):
        for method in ('HEAD', 'GET', 'HEAD', 'HEAD', 'GET'):
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            length = answer.getheader('Content-Length')
            kind = answer.getheader('Content-Type')
            assert found.setdefault('of all', (answer.status, kind)) == (answer.status, kind)
            assert bool(body) is (method == 'GET') and int(length) > 0


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
    assert post(address, b'x' * (web_server.MAX_BODY_BYTES + 1)) in (413, 400)
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
        {'p': TOKEN}, receiving(told), prometheus_client.CollectorRegistry(), NO_DESK
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


@pytest.mark.parametrize('line', ['no-colon', 'name:short', ':' + 'x' * 20])
def test_a_wrong_file_of_tokens_is_refused(tmp_path, line):
    (tmp_path / 'tokens').write_text(f'# a comment\n{line}\n')
    with pytest.raises(exceptions.Refused, match='tokens_file'):
        web.read_tokens(str(tmp_path / 'tokens'))


@pytest.mark.parametrize(
    ('lines', 'named'),
    [
        ('a: ' + 'x' * 20, "line of 'a' in tokens_file"),
        ('a :' + 'x' * 20, "line of 'a' in tokens_file"),
        ('a:tök' + 'x' * 20, "line of 'a' in tokens_file"),
        ('a:' + 'x' * 20 + '\na:' + 'y' * 20, "the name 'a', or its token, twice"),
        ('a:' + 'x' * 20 + '\nb:' + 'x' * 20, "the name 'b', or its token, twice"),
    ],
)
def test_a_token_that_could_never_be_used_is_refused(tmp_path, lines, named):
    (tmp_path / 'tokens').write_text(lines + '\n')
    with pytest.raises(exceptions.Refused, match=named):
        web.read_tokens(str(tmp_path / 'tokens'))


def test_each_token_that_is_taken_is_known_again(tmp_path):
    lines = '\ufeffa:' + 'x' * 20 + '\n  my host:a token of mine:1  \n\n#b:c\n'
    (tmp_path / 'tokens').write_text(lines, encoding='utf-8')
    found = web.read_tokens(str(tmp_path / 'tokens'))
    assert list(found) == ['a', 'my host']
    for name, token in found.items():
        assert web.bearer(f'Bearer {token}', found) == name


class Counter:
    """What an operator decides about the hosts c1 and fd00::1."""

    def __init__(self):
        self.asked = []

    def __call__(self, host, by):
        self.asked.append((host, by))
        if host == 'busy':
            raise exceptions.CouldNotAsk('the database', 'the incident', 'timeout')
        if host not in ('c1', 'fd00::1'):
            raise exceptions.Refused(f'host {host!r} has no incident', 'show lists them')
        return 'dropped'


def ask(application, method, path, token=None):
    """Ask without a server. :returns: the status, and what the body says."""
    seen = []
    environ = {
        'REQUEST_METHOD': method,
        'PATH_INFO': path.encode().decode('latin-1'),
        'HTTP_AUTHORIZATION': '' if token is None else f'Bearer {token}',
    }
    body = b''.join(application(environ, lambda status, headers: seen.append((status, headers))))
    [(status, _headers)] = seen
    return int(status[:3]), json.loads(body)


def at_desk(verb=None, health=''):
    return web.Application(
        {'pacemaker': TOKEN}, receiving([]), prometheus_client.CollectorRegistry(),
        web.Desk(lambda: health, lambda: {'c1': 'up'}, {'drop': verb or Counter()}),
        {'anna': OPERATOR},
    )  # fmt: skip


def test_the_agent_says_whether_it_works():
    assert ask(at_desk(), 'GET', '/healthz')[0] == 200
    status, answer = ask(at_desk(health='no round'), 'GET', '/healthz')
    assert status == 503 and answer['message'] == 'no round'


def test_an_operator_sees_the_hosts_and_decides_about_them_by_name():
    verb = Counter()
    application = at_desk(verb)
    assert ask(application, 'GET', '/v1/hosts', OPERATOR) == (200, {'c1': 'up'})
    for host in ('c1', 'fd00::1'):
        found = ask(application, 'POST', f'/v1/hosts/{host}/drop', OPERATOR)
        assert found == (200, {'host': host, 'phase': 'dropped'})
    status, answer = ask(application, 'POST', '/v1/hosts/ä/drop', OPERATOR)
    assert status == 409 and "'ä' has no incident" in answer['message']
    assert ask(application, 'POST', '/v1/hosts/busy/drop', OPERATOR)[0] == 503
    assert verb.asked == [(h, 'anna') for h in ('c1', 'fd00::1', 'ä', 'busy')]


# A sender may report; what becomes of a host that is held back is for people.
@pytest.mark.parametrize('token', [None, '', TOKEN, OPERATOR[:-1], 'ä'])
@pytest.mark.parametrize(('method', 'path'), [('GET', '/v1/hosts'), ('POST', '/v1/hosts/c1/drop')])
def test_only_an_operator_may_use_the_desk(token, method, path):
    verb = Counter()
    assert ask(at_desk(verb), method, path, token)[0] == 401 and verb.asked == []


@pytest.mark.parametrize(
    ('method', 'path', 'status'),
    [
        ('GET', '/', 404),
        ('GET', '', 404),
        ('GET', '/v1/hosts/c1', 404),
        ('POST', '/v1/hosts/c1/explode', 404),
        ('POST', '/v1/hosts/c1/drop/', 404),
        ('GET', '/v1/hosts/c1/drop', 405),
        ('DELETE', '/v1/hosts', 405),
        ('GET', '/v1/reports', 405),
        # Where it is not configured.
        ('POST', '/v1/notifications', 404),
        ('POST', '/v1/5f7a0d2c9b1e4f3a/notifications', 404),
        ('GET', '/v1/notifications', 405),
        ('POST', '/metrics', 405),
    ],
)
def test_what_is_not_there_is_answered_as_such(method, path, status):
    verb = Counter()
    assert ask(at_desk(verb), method, path, OPERATOR)[0] == status and verb.asked == []


def test_an_error_is_in_the_log_and_not_in_the_answer():
    def fails(host, by):
        raise RuntimeError('secret')

    status, answer = ask(at_desk(fails), 'POST', '/v1/hosts/c1/drop', OPERATOR)
    assert status == 500 and 'secret' not in str(answer)


def test_operators_who_wait_for_the_database_leave_threads_to_those_who_report():
    entered, leave = threading.Semaphore(0), threading.Event()

    def waits(host, by):
        entered.release()
        leave.wait(10)
        return 'dropped'

    application = at_desk(waits)
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(ask(application, 'POST', '/v1/hosts/c1/drop', OPERATOR)[0])
        )
        for _ in range(web.MAX_BY_HAND)
    ]
    for one in threads:
        one.start()
        assert entered.acquire(timeout=10)
    assert web.MAX_BY_HAND < web_server.THREADS
    assert ask(application, 'POST', '/v1/hosts/c1/drop', OPERATOR)[0] == 503
    leave.set()
    for one in threads:
        one.join()
    assert found == [200] * web.MAX_BY_HAND
    assert ask(application, 'POST', '/v1/hosts/c1/drop', OPERATOR)[0] == 200
