# SPDX-License-Identifier: Apache-2.0
import configparser
import pathlib
import pkgutil

import pytest
import stevedore

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory, model
from heat_ha.fencing.driver import Power


class Bmc(driver.Driver):
    """Says what it is told to, one answer a look."""

    name = 'fake'

    def __init__(self, *answers, refuses=False):
        self.host = 'c1'
        self.answers = list(answers)
        self.refuses = refuses
        self.asked_off = 0

    def power(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer, f'Power is {answer.value}'

    def switch_off(self):
        self.asked_off += 1
        if self.refuses:
            raise driver.NotFenced('the BMC refused')


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def now(self):
        return self.seconds

    def pause(self, seconds):
        self.seconds += seconds


def fence(bmc, timeout=30):
    clock = Clock()
    return driver.fence(bmc, timeout=timeout, now=clock.now, monotonic=clock.now, pause=clock.pause)


@pytest.mark.parametrize('first', list(Power))
def test_off_is_always_sent_and_the_power_seen_off_twice(first):
    bmc = Bmc(first, Power.OFF)
    clock = Clock()
    proof = driver.fence(bmc, timeout=30, now=clock.now, monotonic=clock.now, pause=clock.pause)
    assert bmc.asked_off >= 1 and proof.who == 'fake' and 'switched off' in proof.how
    assert proof.at - 1000.0 >= driver.Driver.apart, 'the looks are some seconds apart'


def test_a_host_that_is_in_the_middle_of_a_restart_is_switched_off_again():
    bmc = Bmc(Power.OFF, Power.ON, Power.OFF, Power.OFF)
    assert 'switched off' in fence(bmc).how and bmc.asked_off == 2
    with pytest.raises(driver.NotFenced):
        fence(Bmc(*[Power.OFF, Power.ON] * 100))


class Reset(Clock):
    """A clock that is set to another time after some seconds; ``now`` shows it."""

    def __init__(self, after, by):
        super().__init__()
        self.after, self.by = self.seconds + after, by

    def monotonic(self):
        return self.seconds

    def now(self):
        return self.seconds + (self.by if self.seconds >= self.after else 0.0)


@pytest.mark.parametrize('by', [-3600.0, -3.0, 3.0, 3600.0])
@pytest.mark.parametrize('after', [0.0, 2.0, 10.0])
def test_a_clock_that_is_set_makes_a_fence_neither_longer_nor_shorter(after, by):
    def took(*answers):
        clock = Reset(after, by)
        try:
            proof = driver.fence(
                Bmc(*answers), timeout=30, now=clock.now, monotonic=clock.monotonic,
                pause=clock.pause,
            )  # fmt: skip
        except driver.NotFenced:
            return clock.seconds - 1000.0
        assert proof.at == clock.now()
        return clock.seconds - 1000.0

    assert took(Power.OFF) == driver.Driver.apart
    assert took(Power.ON, Power.ON, Power.OFF) == 1.0 + driver.Driver.apart
    assert took(Power.ON) == took(Power.UNKNOWN) == 30.0


def test_an_error_of_a_driver_is_no_answer():
    class Broken(Bmc):
        def power(self):
            raise ValueError('no JSON')

    assert driver.ask(Broken(Power.OFF)) == (Power.UNKNOWN, 'ValueError: no JSON')
    with pytest.raises(driver.NotFenced, match='no JSON'):
        fence(Broken(Power.OFF))


@pytest.mark.parametrize('apart', ['five', -1, 61, True, None, [5]], ids=repr)
def test_looks_that_are_apart_by_no_number_of_seconds_are_refused(apart):
    assert driver.load('c1', {'driver': 'none', 'apart': 7}).apart == 7.0
    with pytest.raises(exceptions.Refused, match='apart'):
        driver.load('c1', {'driver': 'none', 'apart': apart})


@pytest.mark.parametrize('timeout', ['five', 0, -1, True, None, float('inf'), [5]], ids=repr)
def test_a_timeout_that_is_no_number_of_seconds_is_refused(timeout):
    with pytest.raises(exceptions.Refused, match='timeout'):
        driver.load('c1', {'driver': 'none', 'timeout': timeout})


@pytest.mark.parametrize('first', [Power.ON, Power.UNKNOWN])
def test_the_proof_is_what_was_seen_not_what_was_asked_for(first):
    bmc = Bmc(first, Power.ON, Power.UNKNOWN, Power.OFF)
    assert 'switched off: Power is off' in fence(bmc).how
    assert bmc.asked_off == 1


@pytest.mark.parametrize('stays', [Power.ON, Power.UNKNOWN])
def test_power_that_is_not_seen_off_in_time_is_no_fence(stays):
    with pytest.raises(driver.NotFenced, match='within 30 s'):
        fence(Bmc(stays))


def test_a_refusal_is_no_fence():
    with pytest.raises(driver.NotFenced, match='refused'):
        fence(Bmc(Power.ON, refuses=True))


def registered():
    """By name, the classes of the drivers that setup.cfg registers."""
    parser = configparser.RawConfigParser(delimiters=('=',))
    parser.read(pathlib.Path(__file__).parents[3] / 'setup.cfg')
    lines = parser['entry_points'][driver.NAMESPACE].strip().splitlines()
    pairs = [line.replace(' ', '').split('=') for line in lines]
    return {name: pkgutil.resolve_name(target) for name, target in pairs}


def whole(of):
    """The least that a driver must be told; the only program among it must be there."""
    known = {'program': 'true', 'addresses': '127.0.0.1'}
    return {key: known.get(key, 'http://127.0.0.1') for key in of.required}


@pytest.mark.parametrize(('name', 'of'), registered().items())
def test_every_driver_has_its_name_and_names_what_it_lacks_or_does_not_know(name, of):
    assert issubclass(of, driver.Driver) and of.name == name
    settings = {'driver': name, 'timeout': 5, **whole(of)}
    assert of('c1', settings).host == 'c1'
    for key in of.required:
        with pytest.raises(exceptions.Refused, match=key):
            of('c1', {k: v for k, v in settings.items() if k != key})
    with pytest.raises(exceptions.Refused, match="'colour'"):
        of('c1', settings | {'colour': 'red'})


def test_a_driver_is_found_by_the_name_under_which_it_is_installed():
    names = stevedore.ExtensionManager(driver.NAMESPACE).names()
    assert {'none', 'nova_forced_down'} <= set(names)
    for name in names:
        of = registered().get(name)
        assert of is None or type(driver.load('c1', {'driver': name, **whole(of)})) is of


def test_without_a_file_somebody_else_fences():
    found = inventory.parse('')
    assert found.driver('c1').name == 'nova_forced_down'
    with pytest.raises(driver.NotFenced):
        driver.fence(found.driver('c1'), timeout=1)


def test_the_drivers_whose_name_says_that_they_leave_a_host_on_are_those_of_earlier_versions():
    manager = stevedore.ExtensionManager(driver.NAMESPACE)
    assert {'ceph'} == model.TOLD_BY_NAME
    assert all(not one.plugin.cuts_power for one in manager if one.name in model.TOLD_BY_NAME)


@pytest.mark.parametrize(
    ('name', 'cuts_power', 'in_storage', 'leaves_on'),
    [
        ('theirs', True, (), False),
        ('theirs', False, ('theirs',), True),
        # Its name is enough, and older versions read the record.
        ('ceph', False, (), True),
    ],
)
def test_the_proof_says_whether_its_driver_leaves_the_host_on(
    name, cuts_power, in_storage, leaves_on
):
    bmc = Bmc(Power.OFF)
    bmc.name, bmc.cuts_power = name, cuts_power
    proof = fence(bmc)
    assert (proof.in_storage, proof.leaves_on) == (in_storage, leaves_on)
    assert ('shut out of its storage' in proof.how) is leaves_on
    assert ('switched off' in proof.how) is not leaves_on


def test_nothing_is_unfenced_unless_spelled_out():
    found = inventory.parse('hosts: {c1: {driver: none}}')
    assert 'not fenced' in driver.fence(found.driver('c1'), timeout=1).how
    assert found.driver('c2').name == 'nova_forced_down'
    with pytest.raises(exceptions.Refused, match='driver: none'):
        inventory.parse('hosts: {c1: {address: x}}').check()


@pytest.mark.parametrize(
    'text', ['[', 'host: {}', 'hosts: [c1]', 'hosts: {c1: redfish}', 'hosts: {c1: {driver: x}}']
)
def test_a_wrong_file_is_refused(text):
    with pytest.raises(exceptions.Refused):
        inventory.parse(text).check()


def test_a_password_may_be_in_a_file_of_its_own(tmp_path):
    (tmp_path / 'secret').write_text('hidden\n')
    settings = {
        'driver': 'ipmi', 'address': 'a', 'username': 'u', 'password_file': tmp_path / 'secret',
    }  # fmt: skip
    assert driver.load('c1', settings).secret('password') == 'hidden'
