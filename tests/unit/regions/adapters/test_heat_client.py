# SPDX-License-Identifier: Apache-2.0
"""Calls to another region's Heat end in time, and their answers are distinguished."""

import concurrent.futures
import contextlib
import copy
import dataclasses
import http.server
import json
import socket
import threading
import time

import hypothesis
import pytest
from hypothesis import strategies
from keystoneauth1 import access as ksa_access
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import fixture, token_endpoint
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import access as access_plugin

from heat_ha.regions import model
from heat_ha.regions.adapters import circuit_breaker, heat_client, transport
from heat_ha.regions.model import ErrorClass
from heat_ha.regions.rules import answers
from heat_ha.regions.rules.answers import Answer
from heat_ha.regions.rules.steps import Request
from lab.client.cut import Cut, Mode

LIMITS = transport.Limits(connect=0.3, look=0.6, write=0.6, patience=0.0, pause=60.0)

# Seconds that a busy machine may take beyond a bound; without the bound a call never ends.
BUSY = 3.0

PART = model.Part('B', 'mark', 'name', 'id')
STACK = {
    'id': 'id', 'stack_name': 'name', 'stack_status': 'UPDATE_COMPLETE', 'updated_time': 'then',
    'tags': ['heat-ha', 'heat-ha:part:mark', 'heat-ha:rev:r1'],
    'outputs': [{'output_key': 'a', 'output_value': 1}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_memory(monkeypatch):
    monkeypatch.setattr(circuit_breaker, 'BREAKER', circuit_breaker.CircuitBreaker())


@pytest.fixture
def heat():
    """A server that gives the answer that a test puts on it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            sent = self.rfile.read(int(self.headers.get('Content-Length') or 0))
            self.server.asked.append((self.command, self.path, json.loads(sent or 'null')))
            status, body = self.server.answer
            text = json.dumps(body).encode() if not isinstance(body, bytes) else body
            self.send_response(status)
            self.send_header('Content-Length', str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.answer = (200, {'stack': STACK})
    server.asked = []
    serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    serving.start()
    yield server
    server.shutdown()
    server.server_close()


def port_to(port, limits=LIMITS, **more):
    auth = token_endpoint.Token(endpoint=f'http://127.0.0.1:{port}', token='t')
    access = transport.Access(keystone_session.Session(auth=auth), 'B', 'public')
    return heat_client.RemoteHeat('B', lambda: access, limits, **more)


@pytest.fixture
def region(heat):
    return port_to(heat.server_address[1])


@pytest.mark.parametrize(
    'mode', [Mode.REFUSED, Mode.DROPPED, Mode.SILENT, Mode.EATEN, Mode.EATEN_HELD]
)
@pytest.mark.parametrize('request_', list(Request))
def test_a_write_over_a_cut_ends_in_time_and_says_whether_it_may_have_arrived(heat, mode, request_):
    cut = Cut(heat.server_address)
    cut.be(mode)
    begin = time.monotonic()
    reply = port_to(cut.port).send(request_, PART, {'tags': ('x',)})
    took = time.monotonic() - begin
    cut.close()
    assert took < LIMITS.connect + LIMITS.write + BUSY
    assert reply.answer is (
        Answer.NOT_SENT if mode in (Mode.REFUSED, Mode.DROPPED) else Answer.UNKNOWN
    )


@pytest.mark.parametrize('mode', [Mode.REFUSED, Mode.DROPPED, Mode.SILENT])
def test_a_look_over_a_cut_ends_in_time_and_says_nothing_of_the_stack(heat, mode):
    cut = Cut(heat.server_address)
    cut.be(mode)
    begin = time.monotonic()
    observed = port_to(cut.port).look(PART, True)
    assert time.monotonic() - begin < LIMITS.connect + LIMITS.look + BUSY
    cut.close()
    assert isinstance(observed, answers.Silent) and observed.error_class is ErrorClass.UNREACHABLE


def test_an_answer_that_drips_ends_in_time():
    with socket.create_server(('127.0.0.1', 0)) as server:

        def drip():
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n')
                for _ in range(100):
                    client.sendall(b' ')
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        begin = time.monotonic()
        observed = port_to(server.getsockname()[1]).look(PART, True)
        assert time.monotonic() - begin < 3
    assert isinstance(observed, answers.Silent)


def test_a_stack_is_read_as_it_is_shown(region):
    observed = region.look(PART, True)
    assert observed == answers.Present(
        'id', 'name', 'UPDATE', 'COMPLETE', '', 'then', 'mark', 'r1', {'a': 1}
    )


def error(status, kind, message='why'):
    return status, {'code': status, 'error': {'type': kind, 'message': message}}


@pytest.mark.parametrize(
    ('answer', 'told'),
    [
        (error(404, 'EntityNotFound'), answers.Absent),
        ((404, b'<html>not here</html>'), ErrorClass.UNREACHABLE),
        ((200, b'<html>welcome</html>'), ErrorClass.UNREACHABLE),
        ((503, b''), ErrorClass.UNREACHABLE),
        (error(500, 'MessagingTimeout'), ErrorClass.UNREACHABLE),
        (error(500, 'Forbidden'), ErrorClass.AUTH),
        (error(401, ''), ErrorClass.AUTH),
        (error(403, 'Forbidden'), ErrorClass.REFUSED),
    ],
)
def test_only_heats_own_word_means_that_there_is_no_stack(heat, region, answer, told):
    heat.answer = answer
    observed = region.look(PART, False)
    if told is answers.Absent:
        assert observed == answers.Absent()
    else:
        assert isinstance(observed, answers.Silent) and observed.error_class is told


def test_a_stack_is_found_by_its_mark_and_nobody_elses_is_taken_for_it(heat, region):
    asked = dataclasses.replace(PART, stack_id='')
    heat.answer = (200, {'stacks': []})
    assert region.look(asked, False) == answers.Absent()
    heat.answer = (200, {'stacks': [STACK]})
    assert region.look(asked, False).stack_id == 'id'
    assert heat.asked[-1][1].endswith('/stacks?tags=heat-ha:part:mark&limit=2')
    # What takes no notice of the filter shows the project's other stacks.
    for tags in ([], ['heat-ha', 'heat-ha:part:other']):
        heat.answer = (200, {'stacks': [{**STACK, 'tags': tags}]})
        observed = region.look(asked, False)
        assert isinstance(observed, answers.Silent) and 'has not the tag' in observed.reason


@pytest.mark.parametrize('outputs', [['no map'], 'no list', {'a': 1}, 7])
def test_malformed_outputs_do_not_replace_those_known(heat, region, outputs):
    heat.answer = (200, {'stack': {**STACK, 'outputs': outputs}})
    assert isinstance(region.look(PART, True), answers.Silent)
    assert isinstance(region.look(PART, False), answers.Present)


def test_a_snapshot_without_an_id_is_not_taken_for_one(heat, region):
    shot = model.PartSnapshot('B', 'name', 'id', 'mine', 'r1')
    for found, observed in (
        ({'id': 'x'}, answers.Present),
        ({}, answers.Silent),
        ({'id': ''}, answers.Silent),
    ):
        heat.answer = (200, {'snapshots': [{'name': 'mine', 'status': 'COMPLETE', **found}]})
        assert isinstance(region.look(shot, False), observed)


@pytest.mark.parametrize(
    ('answer', 'told'),
    [
        ((201, {'stack': {'id': 'new'}}), (Answer.ACCEPTED, None)),
        ((202, b''), (Answer.ACCEPTED, None)),
        (error(400, 'StackValidationFailed'), (Answer.REFUSED, ErrorClass.INVALID)),
        (error(403, 'Forbidden'), (Answer.REFUSED, ErrorClass.REFUSED)),
        (error(401, ''), (Answer.REFUSED, ErrorClass.AUTH)),
        (error(500, 'Forbidden'), (Answer.REFUSED, ErrorClass.AUTH)),
        (error(404, 'EntityNotFound'), (Answer.GONE, None)),
        (error(409, 'ActionInProgress'), (Answer.BUSY, None)),
        (error(409, 'StackExists'), (Answer.TAKEN, None)),
        (error(409, 'Other'), (Answer.REFUSED, ErrorClass.CONFLICT)),
        (error(500, 'MessagingTimeout'), (Answer.UNKNOWN, None)),
        ((502, b'bad gateway'), (Answer.UNKNOWN, None)),
    ],
)
def test_answers_to_a_write_differ_by_what_may_be_done_next(heat, region, answer, told):
    heat.answer = answer
    reply = region.send(Request.UPDATE, PART, {'tags': ()})
    assert (reply.answer, reply.error_class) == told


def test_a_region_that_is_known_to_be_silent_is_not_waited_for_again(heat):
    cut = Cut(heat.server_address)
    cut.be(Mode.SILENT)
    port_to(cut.port).look(PART, False)
    begin = time.monotonic()
    observed = port_to(cut.port).look(PART, False)
    assert time.monotonic() - begin < LIMITS.look
    assert observed.is_known and 'silent for' in observed.reason
    cut.be(Mode.OPEN)
    assert isinstance(port_to(cut.port, is_asked_for=True).look(PART, False), answers.Present)
    assert isinstance(port_to(cut.port).look(PART, False), answers.Present)
    cut.close()


@pytest.mark.parametrize('is_back', [True, False])
def test_what_one_work_asks_beside_a_persons_try_waits_for_its_end(heat, is_back):
    cut = Cut(heat.server_address)
    cut.be(Mode.REFUSED)
    assert port_to(cut.port).look(PART, False).error_class is ErrorClass.UNREACHABLE
    # The call takes a while, so that all of them are there before the first ends.
    cut.be(Mode.DELAYED if is_back else Mode.SILENT, 0.2)
    calls, record = [], circuit_breaker.BREAKER.record
    circuit_breaker.BREAKER.record = lambda *given: (calls.append(given), record(*given))
    port = port_to(cut.port, is_asked_for=True)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: port.look(PART, False), range(4)))
    cut.close()
    if is_back:
        assert all(isinstance(observed, answers.Present) for observed in found), found
    else:
        assert all(observed.error_class is ErrorClass.UNREACHABLE for observed in found)
        assert not any('being tried' in observed.reason for observed in found), found
        assert len(calls) == 1, 'the others tried once more'


@pytest.mark.parametrize('path', ['', '/', '/v3', '/v3/'])
def test_a_region_that_is_newer_than_the_token_is_found(heat, path):
    """Heat's API keeps what it learned of a token, and with it the catalogue, for 300 s."""
    url = f'http://127.0.0.1:{heat.server_address[1]}'
    token = fixture.V3Token()
    token.add_service('orchestration').add_standard_endpoints(public=url, region='A')
    known = ksa_access.create(body=copy.deepcopy(token), auth_token='t')
    auth = access_plugin.AccessInfoPlugin(known, auth_url=url + path)
    access = transport.Access(keystone_session.Session(auth=auth), 'B', 'public')
    region = heat_client.RemoteHeat('B', lambda: access, LIMITS)

    heat.answer = 200, {'catalog': token['token']['catalog']}
    observed = region.look(PART, with_outputs=False)
    assert observed.error_class is ErrorClass.INVALID and 'correct region_name' in observed.reason

    token.add_service('orchestration').add_standard_endpoints(public=url, region='B')
    heat.answer = 200, {'catalog': token['token']['catalog'][-1:], 'stack': STACK}
    found = region.look(PART, with_outputs=False)
    assert isinstance(found, answers.Present), found


class Login(token_endpoint.Token):
    """A login whose token has ended, or that Keystone answers with an error."""

    def __init__(self, port, token, error=None):
        super().__init__(endpoint=f'http://127.0.0.1:{port}', token=token)
        self._error = error

    def get_token(self, session):
        if self._error is not None:
            raise self._error
        return super().get_token(session)


@pytest.mark.parametrize('has_other', [True, False])
def test_a_token_that_has_ended_is_replaced_where_there_is_another_login(heat, has_other):
    port = heat.server_address[1]
    used = []

    def renew():
        heat.answer = (200, {'stack': STACK})
        used.append('other')
        return has_other

    def access():
        auth = Login(port, 'other' if used else 'old')
        return transport.Access(keystone_session.Session(auth=auth), 'B', 'public', renew=renew)

    heat.answer = error(401, '')
    observed = heat_client.RemoteHeat('B', access, LIMITS).look(PART, False)
    assert used == ['other']
    if has_other:
        assert isinstance(observed, answers.Present)
    else:
        assert observed.error_class is ErrorClass.AUTH


@pytest.mark.parametrize(
    ('failure', 'told'),
    [
        (ksa_exceptions.NotFound(), ErrorClass.AUTH),
        (ksa_exceptions.Unauthorized(), ErrorClass.AUTH),
        (ksa_exceptions.Forbidden(), ErrorClass.AUTH),
        # Newer libraries have a class of its own for that.
        (ksa_exceptions.HTTPClientError(http_status=429), ErrorClass.UNREACHABLE),
        (ksa_exceptions.InternalServerError(), ErrorClass.UNREACHABLE),
        (ksa_exceptions.ConnectFailure(), ErrorClass.UNREACHABLE),
        (transport.BadCredential('no such secret'), ErrorClass.INVALID),
    ],
)
def test_a_refused_login_is_not_a_keystone_that_does_not_answer(failure, told):
    def access():
        raise failure

    observed = heat_client.RemoteHeat('B', access, LIMITS).look(PART, False)
    assert isinstance(observed, answers.Silent) and observed.error_class is told


def test_recent_events_are_those_of_the_last_action(heat, region):
    def event(name, status, physical=''):
        return {
            'resource_name': name, 'resource_status': status, 'physical_resource_id': physical
        }  # fmt: skip

    heat.answer = (
        200,
        {
            'events': [
                event('name', 'UPDATE_COMPLETE', 'id'),
                event('b', 'UPDATE_FAILED'),
                event('a', 'CREATE_COMPLETE'),
                event('a', 'CREATE_IN_PROGRESS'),
                event('name', 'UPDATE_IN_PROGRESS', 'id'),
                event('old', 'CREATE_COMPLETE'),
            ]
        },
    )
    assert region.recent_events(PART) == 'a CREATE_COMPLETE, b UPDATE_FAILED'
    heat.answer = (503, b'')
    assert region.recent_events(PART) == ''


# --- snapshots ------------------------------------------------------------------------------

SHOT = model.PartSnapshot('B', 'name', 'id', 'heat-ha-1', 'r1')
TOMBSTONE = model.Tombstone('B', 'mark', 'name', 'id', snapshot='heat-ha-1', snapshot_id='snap')


@pytest.mark.parametrize('one', [SHOT, TOMBSTONE])
@pytest.mark.parametrize('action', [None, 'CREATE', 'DELETE'])
def test_a_snapshot_is_found_by_its_name_among_others(heat, region, one, action):
    heat.answer = (200, {'snapshots': [
        {'id': 'x', 'name': None, 'status': 'COMPLETE'},
        {'id': 'snap', 'name': 'heat-ha-1', 'status': 'FAILED', 'status_reason': 'why',
         'action': action, 'data': None},
    ]})  # fmt: skip
    observed = region.look(one, False)
    assert (observed.stack_id, observed.snapshot_id, observed.reason) == ('id', 'snap', 'why')
    assert (observed.action, observed.status) == (action or 'CREATE', 'FAILED')
    heat.answer = (200, {'snapshots': []})
    assert region.look(one, False) == answers.Absent()
    heat.answer = (404, {'error': {'type': 'EntityNotFound', 'message': 'no stack'}})
    assert region.look(one, False) == answers.Absent()


@pytest.mark.parametrize('answer', [(200, b'<html>'), (200, {}), (500, {'error': {'type': 'X'}})])
def test_an_answer_that_is_no_list_of_snapshots_says_nothing_of_them(heat, region, answer):
    heat.answer = answer
    assert isinstance(region.look(SHOT, False), answers.Silent)


@pytest.mark.parametrize(
    ('request_', 'one', 'body', 'asked'),
    [
        (Request.SNAPSHOT, SHOT, {'name': 'heat-ha-1'},
         ('POST', '/stacks/name/id/snapshots', {'name': 'heat-ha-1'})),
        (Request.RESTORE, model.Part('B', 'mark', 'name', 'id', restore='snap'), {},
         ('POST', '/stacks/name/id/snapshots/snap/restore', None)),
        (Request.TAG, PART, {'tags': ('a', 'b')}, ('PATCH', '/stacks/name/id', {'tags': 'a,b'})),
        (Request.REPEAT, PART, {'tags': ('a', 'b')}, ('PUT', '/stacks/name/id', {'tags': 'a,b'})),
        (Request.DELETE, TOMBSTONE, {}, ('DELETE', '/stacks/name/id/snapshots/snap', None)),
        (Request.DELETE, PART, {}, ('DELETE', '/stacks/name/id', None)),
    ],
)  # fmt: skip
def test_each_request_is_what_heat_understands(heat, region, request_, one, body, asked):
    assert region.send(request_, one, body).answer is Answer.ACCEPTED
    assert heat.asked == [asked]


def shown(name, status, *rels, parent=None, updated='then'):
    found = {
        'resource_name': name, 'resource_type': f'Type of {name}', 'resource_status': status,
        'physical_resource_id': 'id', 'updated_time': updated,
        'links': [{'rel': rel} for rel in rels],
    }  # fmt: skip
    return found if parent is None else {**found, 'parent_resource': parent}


def test_a_fingerprint_names_what_is_unfinished_and_changes_with_whatever_moves(heat, region):
    event = {'id': 'e1'}
    group = shown('group', 'UPDATE_IN_PROGRESS', 'self', 'nested')
    inner = shown('thing', 'CREATE_IN_PROGRESS', 'self', parent='group')
    done = shown('other', 'CREATE_COMPLETE', 'self')

    def fingerprint(event, *resources):
        heat.answer = (200, {'events': [event], 'resources': list(resources)})
        return region.fingerprint(PART)

    first = fingerprint(event, group, inner, done)
    assert first.unfinished == (
        answers.Unfinished('group', 'Type of group', 'UPDATE', 'IN_PROGRESS', is_stack=True),
        answers.Unfinished('group.thing', 'Type of thing', 'CREATE', 'IN_PROGRESS'),
    )
    assert fingerprint(event, done, inner, group).digest == first.digest, 'the order says nothing'
    moved = {**inner, 'updated_time': 'since'}
    others = [fingerprint({'id': 'e2'}, group, inner, done), fingerprint(event, group, moved, done)]
    assert all(s.digest != first.digest for s in others)
    # A malformed link does not make it a nested stack, and is not an error.
    assert not fingerprint(event, {**group, 'links': ['no map']}).unfinished[0].is_stack


@pytest.mark.parametrize(
    'answer',
    [
        (500, {}),
        (200, {'events': []}),
        (404, {'error': {}}),
        (200, {'events': [], 'resources': ['no map']}),
        (200, {'events': ['no map'], 'resources': []}),
    ],
)
def test_without_an_answer_there_is_no_fingerprint(heat, region, answer):
    heat.answer = answer
    assert region.fingerprint(PART) is None


KEYS = (
    'stack', 'stacks', 'resources', 'events', 'snapshots', 'error', 'id', 'stack_name', 'links',
    'stack_status', 'tags', 'outputs', 'output_key', 'parameters', 'name', 'resource_name',
    'parent_resource', 'resource_status', 'physical_resource_id', 'message', 'type', 'status',
)  # fmt: skip
LEAVES = strategies.sampled_from([None, True, 0, 1.5, '', 'id', 'name', 'CREATE_FAILED', 'nested'])
BODIES = strategies.recursive(
    LEAVES,
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@hypothesis.settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    strategies.sampled_from([200, 201, 300, 400, 404, 409, 429, 500, 503]),
    strategies.sampled_from(KEYS[:5]),
    BODIES,
)
def test_whatever_answers_instead_of_heat_ends_no_action(monkeypatch, status, key, body):
    """The tests above show what a wrong reply means; here, that none raises."""
    region = port_to(9)
    answer = transport.Response(status, {key: body})
    monkeypatch.setattr(region, '_call', lambda *_args: answer)
    for one in (
        PART,
        model.Tombstone('B', 'mark', 'name', snapshot='s'),
        model.Part('B', 'm', 'n'),
    ):
        assert isinstance(region.look(one, True), answers.Silent | answers.Absent | answers.Present)
    assert isinstance(region.cause(PART), str) and isinstance(region.recent_events(PART), str)
    assert isinstance(region.fingerprint(PART), answers.Fingerprint | None)
    wanted = {'template': {}, 'files': {}, 'parameters': {'a': 1}, 'environment': {}}
    assert region.is_equal(PART, wanted) in (True, False)
    for request in Request:
        assert isinstance(region.send(request, PART, {}), answers.Reply)
