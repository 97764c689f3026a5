# SPDX-License-Identifier: Apache-2.0
"""The driver against a small Redfish service that answers as BMCs do, in all their ways."""

import concurrent.futures
import http.server
import json
import threading
import time

import pytest

from heat_ha.fencing import deadline, driver, model, redfish
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers

SYSTEM = '/redfish/v1/Systems/1'
SESSIONS = '/redfish/v1/SessionService/Sessions'
RESET = f'{SYSTEM}/Actions/ComputerSystem.Reset'
STATES = [*answers.POWER_STATES, None, '', 'Reset', 'off']


class Service(http.server.ThreadingHTTPServer):
    """``state``: its PowerState. ``refusal``: the status and the text that it answers to OFF."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        # Older releases of sushy ask for Boot.
        self.system = {'Id': '1', 'PowerState': 'On', 'HostName': 'c1', 'UUID': 'u-1', 'Boot': {}}
        self.types = ['On', 'ForceOff']
        self.seconds = 0.0
        # Seconds between two bytes of an answer.
        self.drip = 0.0
        self.refusal = None
        self.broken = None
        self.asked_off = 0
        # Those that are open; None where the service has none, as where basic authentication does.
        self.sessions = None
        self.logins = 0

    def settings(self, **more):
        address = f'http://127.0.0.1:{self.server_port}'
        return {'driver': 'redfish', 'address': address, 'system': SYSTEM, 'timeout': 20} | more


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        for part in [data[n : n + 1] for n in range(len(data))] if self.server.drip else [data]:
            time.sleep(self.server.drip)
            self.wfile.write(part)

    def do_GET(self):
        time.sleep(self.server.seconds)
        if self.path.rstrip('/') == '/redfish/v1':
            root = {'Id': 'root', 'Name': 'r', 'RedfishVersion': '1.6.0'}
            return self.answer(200, root | {'Systems': {'@odata.id': '/redfish/v1/Systems'}})
        if self.path != SYSTEM:
            return self.answer(404, {})
        if self.server.broken is not None:
            return self.answer(*self.server.broken)
        action = {'target': RESET, 'ResetType@Redfish.AllowableValues': self.server.types}
        actions = {} if self.server.types is None else {'#ComputerSystem.Reset': action}
        return self.answer(200, self.server.system | {'Actions': actions})

    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        time.sleep(self.server.seconds)
        if self.path == SESSIONS and self.server.sessions is not None:
            self.server.logins += 1
            where = f'{SESSIONS}/{self.server.logins}'
            self.server.sessions.add(where)
            return self.answer(201, {}, {'X-Auth-Token': 't', 'Location': where})
        if self.path != RESET:
            return self.answer(404, {})
        self.server.asked_off += 1
        if self.server.refusal:
            status, text = self.server.refusal
            return self.answer(status, {'error': {'code': 'x', 'message': text}})
        self.server.system['PowerState'] = 'Off'
        return self.answer(204, b'')

    def do_DELETE(self):
        self.server.sessions.discard(self.path)
        return self.answer(204, b'')


@pytest.fixture
def service():
    made = Service()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(driver.Driver, 'apart', 0.0)


@pytest.mark.parametrize('state', STATES, ids=repr)
def test_only_off_is_off_and_each_state_may_follow_another(service, state):
    made = driver.load('c1', service.settings())
    assert made.power()[0] is Power.ON
    service.system['PowerState'] = state
    assert made.power()[0] is answers.POWER_STATES.get(state, Power.UNKNOWN)
    del service.system['PowerState']
    assert made.power()[0] is Power.UNKNOWN


@pytest.mark.parametrize(
    'broken',
    [(200, b'<html>'), (200, []), (200, b''), *((n, {}) for n in (401, 403, 404, 500)), (503, b'')],
    ids=str,
)
def test_what_is_no_answer_of_a_system_is_unknown_and_the_next_one_counts(service, broken):
    made = driver.load('c1', service.settings())
    service.broken = broken
    assert made.power()[0] is Power.UNKNOWN
    service.broken = None
    assert made.power()[0] is Power.ON
    service.broken = broken
    with pytest.raises(driver.NotFenced):
        driver.fence(made, timeout=0.5)


@pytest.mark.parametrize(
    ('refusal', 'is_fenced'),
    [
        ((409, 'busy'), True),
        ((400, 'iLO.2.14.InvalidOperationForSystemState'), True),
        ((400, 'Server is already powered OFF.'), True),
        ((400, 'Base.1.18.ResourceInStandby'), True),
        ((400, 'The request could not be performed because the system is powered off.'), True),
        ((400, 'ActionParameterNotSupported'), False),
        ((400, 'PropertyMissing'), False),
        ((401, 'x'), False),
        ((403, 'InsufficientPrivilege'), False),
        ((500, 'x'), False),
    ],
    ids=str,
)
def test_off_may_be_refused_only_because_nothing_is_on(service, refusal, is_fenced):
    service.system['PowerState'], service.refusal = 'Off', refusal
    made = driver.load('c1', service.settings())
    if is_fenced:
        assert 'switched off' in driver.fence(made, timeout=20).how
    else:
        with pytest.raises(driver.NotFenced, match='refused'):
            driver.fence(made, timeout=20)
    service.system['PowerState'] = 'On'
    with pytest.raises(driver.NotFenced):
        driver.fence(made, timeout=0.5)


@pytest.mark.parametrize('types', [['GracefulShutdown'], ['On', 'PushPowerButton'], None], ids=str)
@pytest.mark.parametrize('state', STATES, ids=repr)
def test_a_bmc_that_does_not_offer_to_switch_off_is_a_fence_only_while_it_shows_off(
    service, types, state
):
    service.types, service.system['PowerState'] = types, state
    made = driver.load('c1', service.settings())
    if state == 'Off':
        assert 'switched off' in driver.fence(made, timeout=20).how
        service.system['PowerState'] = 'On'
    with pytest.raises(driver.NotFenced) as found:
        driver.fence(made, timeout=1)
    assert 'the BMC of c1 does not offer ForceOff, and shows' in str(found.value)
    assert 'ResetType' not in str(found.value) and service.asked_off == 0


def test_a_bmc_that_drips_holds_a_call_up_no_longer_than_its_timeout(service):
    service.drip = 0.05
    made = [driver.load('c1', service.settings(timeout=0.5)) for _ in range(3)]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert {power for power, _detail in pool.map(lambda one: one.power(), made)} == {
            Power.UNKNOWN
        }
    with pytest.raises(driver.NotFenced, match='no answer within'):
        made[0].switch_off()
    for one in made:
        one.close()
    assert time.monotonic() - began < 5
    service.drip = 0.0
    for thread in [thread for left in deadline._left.values() for thread in left]:
        thread.join(20)
    assert service.asked_off == 0, 'what was given up sends no OFF later'
    assert made[0].power()[0] is Power.ON


def test_several_requests_of_one_call_have_one_deadline(service):
    service.seconds = 0.4
    began = time.monotonic()
    assert driver.load('c1', service.settings(timeout=0.6)).power()[0] is Power.UNKNOWN
    assert time.monotonic() - began < 2


@pytest.mark.skipif(not redfish._TAKES_A_TIMEOUT, reason='older releases of sushy wait a minute')
def test_a_request_may_take_as_long_as_the_timeout_of_the_host(service):
    service.seconds = 1.2
    hasty = driver.load('c1', service.settings(timeout=0.4))
    assert hasty.power()[0] is Power.UNKNOWN
    with pytest.raises(driver.NotFenced):
        driver.fence(hasty, timeout=0.4)
    assert 'switched off' in driver.fence(driver.load('c1', service.settings()), timeout=20).how


def test_the_bmc_says_whose_machine_it_has(service):
    made = driver.load('c1', service.settings())
    assert made.facts() == model.Facts()
    made.power()
    assert made.facts() == model.Facts('c1', 'u-1')
    service.system.update(HostName=None, UUID=7)
    made.power()
    assert made.facts() == model.Facts()
    made.close()
    made.close()
    assert made.power()[0] is Power.ON


def test_a_bmc_that_takes_most_of_the_timeout_for_its_login_is_a_fence_with_one_login(service):
    service.sessions, service.seconds = set(), 0.4
    made = driver.load('c1', service.settings(timeout=1.1))
    assert 'switched off' in driver.fence(made, timeout=20).how
    made.close()
    assert service.logins == 1 and not service.sessions


def test_a_call_that_ends_right_when_it_is_given_up_leaves_no_session(service, monkeypatch):
    service.sessions = set()
    made, call = driver.load('c1', service.settings()), deadline.call
    assert made.power()[0] is Power.ON and service.sessions

    def late(work, seconds, whom):
        call(work, 20, whom)
        if seconds:
            raise deadline.Over('it has ended since')

    monkeypatch.setattr(deadline, 'call', late)
    assert made.power()[0] is Power.UNKNOWN
    assert not service.sessions
