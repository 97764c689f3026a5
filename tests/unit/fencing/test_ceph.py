# SPDX-License-Identifier: Apache-2.0
"""The driver beside monitors that answer, refuse or hang; the real ones are in the lab."""

import json
import threading
import time

import pytest

from heat_ha import exceptions
from heat_ha.fencing import ceph, driver, inventory, let_in, model, survey
from heat_ha.fencing.driver import Power

SETTINGS = {'driver': 'ceph', 'addresses': ['10.78.0.11', 'fd00::1'], 'timeout': 0.3}


class Monitors:
    """A cluster. ``code``: what commands end with. ``hangs``: the commands that do not end."""

    def __init__(self):
        self.listed = {}
        self.code = 0
        self.hangs = threading.Event()
        self.hangs.set()
        self.sent = []
        self.open = self.made = self.waited = 0
        self.forgets, self.refuses = (), False

    def Rados(self, **settings):
        # It has threads and descriptors from then on, connected or not.
        self.settings = settings
        self.made += 1
        self.open += 1
        return self

    def connect(self):
        self.hangs.wait()
        if self.refuses:
            raise PermissionError('error connecting to the cluster')

    def shutdown(self):
        self.open -= 1

    def wait_for_latest_osdmap(self):
        self.waited += 1

    def mon_command(self, text, _data):
        self.hangs.wait()
        asked = json.loads(text)
        self.sent.append(asked)
        if self.code:
            return self.code, b'', 'access denied'
        if asked['prefix'] == 'osd blocklist ls':
            found = [{'addr': a, 'until': u} for a, u in self.listed.items()]
            return 0, json.dumps(found).encode(), ''
        if asked['blocklistop'] == 'add':
            until = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time.time() + asked['expire']))
            self.listed[asked['addr']] = f'{until}.000000+0000'
        elif asked['addr'] not in self.forgets:
            self.listed.pop(asked['addr'], None)
        return 0, b'', ''

    def added(self):
        return [one['addr'] for one in self.sent if one.get('blocklistop') == 'add']


@pytest.fixture
def monitors(monkeypatch):
    made = Monitors()
    monkeypatch.setattr(ceph, 'rados', made)
    yield made
    made.hangs.set()


def test_a_host_is_fenced_once_all_of_its_addresses_are_refused_everywhere(monitors):
    one = driver.load('c1', SETTINGS)
    assert one.power()[0] is Power.ON
    # No command outlives its caller.
    assert monitors.settings['conf']['rados_mon_op_timeout'] == '1'
    proof = driver.fence(one, timeout=5.0)
    assert proof.who == 'ceph' and 'until' in proof.how
    assert set(monitors.listed) == {'10.78.0.11:0/0', '[fd00::1]:0/0'} and monitors.waited == 1
    one.close()
    assert monitors.open == 0


def test_a_fence_that_is_there_already_begins_again(monitors):
    one = driver.load('c1', SETTINGS)
    driver.fence(one, timeout=5.0)
    driver.fence(one, timeout=5.0)
    assert len(monitors.added()) == 4


@pytest.mark.parametrize('code', [-13, -22, -110])
def test_monitors_that_refuse_fence_nothing(monitors, code):
    monitors.code = code
    one = driver.load('c1', SETTINGS)
    assert one.power()[0] is Power.UNKNOWN and 'access denied' in one.power()[1]
    with pytest.raises(driver.NotFenced, match='access denied'):
        driver.fence(one, timeout=1.0)
    assert not monitors.listed


def test_a_part_of_the_addresses_is_no_fence_and_is_told(monitors):
    fences = inventory.Inventory({'c1': SETTINGS}, {})
    for addresses in ([], ['10.78.0.11:0/0'], ['10.78.0.11:0/0', '[fd00::1]:0/0']):
        monitors.listed = dict.fromkeys(addresses, '2099-01-01T00:00:00.000000+0000')
        (found,) = survey.ask('c1', fences)
        assert found.power is (Power.OFF if len(addresses) == 2 else Power.ON)
        assert found.is_partial is (len(addresses) == 1)
        assert found.shuts_out is bool(addresses)


def test_monitors_that_hang_fence_nothing_and_hold_up_nobody(monitors):
    monitors.hangs.clear()
    one = driver.load('c1', SETTINGS)
    begin = time.monotonic()
    assert one.power()[0] is Power.UNKNOWN
    with pytest.raises(driver.NotFenced, match='no answer within'):
        one.switch_off()
    assert time.monotonic() - begin < 20.0


def test_a_host_is_let_in_when_no_entry_of_its_is_left(monitors):
    one = driver.load('c1', SETTINGS)
    monitors.listed['10.78.0.11:0/77'] = '2100-01-01T00:00:00.000000+0000'
    driver.fence(one, timeout=5.0)
    one.let_in()
    # Those of single clients are of librbd, and end by themselves.
    assert list(monitors.listed) == ['10.78.0.11:0/77']
    driver.fence(one, timeout=5.0)
    monitors.forgets = ('[fd00::1]:0/0',)
    with pytest.raises(exceptions.CouldNotAsk, match='still refuses fd00::1'):
        one.let_in()


def test_only_what_ends_soon_is_renewed(monitors):
    one = driver.load('c1', SETTINGS | {'duration': 3600})
    one.keep_off()
    assert not monitors.added()
    driver.fence(one, timeout=5.0)
    one.keep_off()
    assert len(monitors.added()) == 2
    monitors.listed['10.78.0.11:0/0'] = time.strftime(
        '%Y-%m-%dT%H:%M:%S.000000+0000', time.gmtime(time.time() + 1700)
    )
    one.keep_off()
    assert monitors.added()[2:] == ['10.78.0.11:0/0']


@pytest.mark.parametrize(
    ('more', 'text'),
    [
        ({'addresses': []}, 'needs addresses'),
        ({'addresses': 'compute-1'}, 'is not an IP address'),
        ({'addresses': ['10.0.0.1', '10.0.0']}, 'is not an IP address'),
        ({'duration': 60}, 'duration is 60'),
        ({'duration': 'long'}, "duration is 'long'"),
        ({'duration': True}, 'duration is True'),
        ({'pools': 'vms'}, "no setting 'pools'"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(monitors, more, text):
    with pytest.raises(exceptions.Refused, match=text):
        driver.load('c1', SETTINGS | more)


def test_a_driver_without_its_library_names_the_package(monkeypatch):
    monkeypatch.setattr(ceph, 'rados', None)
    one = driver.load('c1', SETTINGS)
    assert one.power()[0] is Power.UNKNOWN and 'python3-rados' in one.power()[1]
    with pytest.raises(driver.NotFenced, match='python3-rados'):
        driver.fence(one, timeout=1.0)


def test_two_hosts_do_not_have_one_address(monitors):
    fences = inventory.parse(
        'hosts:\n'
        '  c1: {driver: ceph, addresses: [10.0.0.1]}\n'
        "  c2: {driver: ceph, addresses: ['::ffff:10.0.0.1']}\n"
    )
    with pytest.raises(exceptions.Refused, match='hosts c1 and c2'):
        fences.check()


def test_two_hosts_do_not_share_one_of_their_addresses(monitors):
    text = (
        'hosts:\n'
        "  c1: {driver: ceph, addresses: [10.0.0.1, 'fd00::5']}\n"
        '  c2:\n'
        '    levels:\n'
        "      - {driver: ceph, addresses: [10.0.0.2, 'fd00:0::5']}\n"
        '      - {driver: ceph, addresses: 10.0.0.2}\n'
    )
    with pytest.raises(exceptions.Refused, match=r'hosts c1 and c2.*fd00::5'):
        inventory.parse(text).check()
    inventory.parse(text.replace('fd00:0::5', 'fd00::6')).check()


FENCES = """
hosts:
  c1:
    levels:
      - {driver: ceph, addresses: 10.0.0.1, duration: 3600}
      - {driver: nova_forced_down}
  c2: {driver: nova_forced_down}
"""


def test_a_host_that_is_let_in_gets_its_storage_back_and_others_are_left_alone(monitors):
    fences = inventory.parse(FENCES)
    driver.fence(driver.load('c1', {'driver': 'ceph', 'addresses': '10.0.0.1'}), timeout=5.0)
    assert let_in.let_in('c2', fences) == 0 and monitors.listed
    assert let_in.let_in('c1', fences) == 1 and not monitors.listed
    assert let_in.let_in('c1', fences) == 1


@pytest.mark.parametrize(
    ('host', 'who', 'is_named'),
    [
        ('c2', 'redfish and ceph by a1', True),
        ('c2', 'redfish by a1', False),
        ('c1', 'redfish and ceph by a1', False),
    ],
)
def test_a_fence_that_its_entry_has_no_more_is_named_when_the_host_is_let_in(
    monitors, caplog, host, who, is_named
):
    proof = model.Proof(who, "on Ceph's blocklist: 10.0.0.7", 1.0)
    let_in.let_in(host, inventory.parse(FENCES), proof)
    assert ('was not taken back' in caplog.text) is is_named
    assert ('10.0.0.7' in caplog.text) is is_named


@pytest.mark.parametrize(
    ('who', 'is_renewed'),
    [('ceph by a1', True), ('nova_forced_down by a1', False), ('Ada by hand', False)],
)
def test_a_fence_is_renewed_that_has_given_the_proof(monitors, who, is_renewed):
    fences = inventory.parse(FENCES)
    monitors.listed['10.0.0.1:0/0'] = '2020-01-01T00:00:00.000000+0000'
    let_in.keep_off('c1', model.Proof(who, 'x', 1.0), fences)
    assert bool(monitors.added()) is is_renewed


def test_a_renewal_that_fails_is_logged_and_tried_later(monitors, caplog):
    monitors.code = -13
    let_in.keep_off('c1', model.Proof('ceph by a1', 'x', 1.0), inventory.parse(FENCES))
    assert 'is not renewed' in caplog.text
