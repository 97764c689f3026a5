# SPDX-License-Identifier: Apache-2.0
"""The driver ``command`` with a program that cuts a host off from its storage.

The program is a stand-in for fence_scsi: it keeps a file with keys for each device, and what that
program's source says of exit statuses, words and keys. The real one needs a SAN. The dummy of
fence-agents is driven in ``tests/functional/test_power_controls.py``.
"""

import json
import sys
import textwrap

import pytest

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory, let_in, model, survey, topology
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import absences

# The machine on which it runs has the key ``own``; "on" registers that machine, as the real one
# does, with the key that it is given.
PROGRAM = """
    #!{python}
    import json, pathlib, sys
    options = dict(line.strip().split('=', 1) for line in sys.stdin)
    state = pathlib.Path({state!r})
    keys, key, action = json.loads(state.read_text()), options['key'], options['action']
    if not set(options['devices'].split(',')) <= keys.keys():
        sys.exit('Failed: device does not exist')
    found = [keys[device] for device in options['devices'].split(',')]
    is_on = any(key in one for one in found)
    if action == 'status':
        print('Status: ' + ('ON' if is_on else 'OFF'))
        sys.exit(0 if is_on else 2)
    if action == 'off' and not is_on:
        print('Success: Already OFF')
        sys.exit(0)
    if action == 'off' and not all('own' in one for one in found):
        sys.exit('Failed: Cannot open file')
    for one in found:
        if action == 'on' and key not in one:
            one.append(key)
        if action == 'off' and key in one:
            one.remove(key)
    state.write_text(json.dumps(keys))
    print('Success: Powered ' + action.upper())
"""


class San:
    """The keys that the devices have, and a program that removes one."""

    def __init__(self, folder):
        self._state = folder / 'keys'
        self.keys = {'/dev/mapper/a': ['own', '1', '2'], '/dev/mapper/b': ['own', '1', '2']}
        self.program = folder / 'by_ssh'
        text = textwrap.dedent(PROGRAM).lstrip()
        self.program.write_text(text.format(python=sys.executable, state=str(self._state)))
        self.program.chmod(0o755)

    @property
    def keys(self):
        return json.loads(self._state.read_text())

    @keys.setter
    def keys(self, found):
        self._state.write_text(json.dumps(found))

    def settings(self, unfence, key='1', devices='/dev/mapper/a,/dev/mapper/b'):
        return {
            'driver': 'command', 'program': str(self.program), 'cuts': 'storage',
            'unfence': unfence, 'options': {'key': key, 'devices': devices}, 'apart': 0,
            'timeout': 20,
        }  # fmt: skip

    def fences(self, unfence, **more):
        hosts = {'c1': self.settings(unfence, **more)}
        return inventory.Inventory(hosts, {'driver': 'nova_forced_down'})


@pytest.fixture
def san(tmp_path):
    return San(tmp_path)


def registered(san, key='1'):
    return [key in found for found in san.keys.values()]


@pytest.mark.parametrize('unfence', ['by_hand', 'program'])
def test_the_key_of_the_host_and_no_other_is_gone_after_the_fence(san, unfence):
    fences, removals = san.fences(unfence), absences.Removals()
    proof = topology.fence('c1', fences.levels('c1'), removals=removals)
    assert registered(san) == [False, False] and registered(san, '2') == [True, True]
    assert proof.who == 'command' and proof.in_storage == ('command',) and proof.leaves_on
    assert 'shut out of its storage: Status: OFF' in proof.how
    again = topology.fence('c1', fences.levels('c1'), removals=removals)
    assert again.leaves_on, 'OFF does no harm twice'
    [answer] = survey.ask('c1', fences)
    assert answer.power is Power.OFF and not answer.cuts_power


def test_a_machine_that_is_not_registered_itself_fences_nothing(san):
    san.keys = {device: ['1', '2'] for device in san.keys}
    with pytest.raises(driver.NotFenced, match='ended with 1: Failed'):
        topology.fence('c1', san.fences('by_hand').levels('c1'))


@pytest.mark.parametrize('lost', [('a', 'b'), ('a',)], ids=['all', 'a_part'])
def test_a_host_that_the_storage_did_not_know_before_is_not_fenced_by_that(san, lost):
    for device in lost:
        san.keys = san.keys | {f'/dev/mapper/{device}': ['own', '2']}
    before = san.keys
    fences = san.fences('by_hand')
    with pytest.raises(driver.NotFenced, match=r'not know the host.*confirm c1 --by'):
        topology.fence('c1', fences.levels('c1'))
    assert san.keys == before
    # Another failure of before, or another entry, says nothing about this one.
    with pytest.raises(driver.NotFenced, match='no fence of this failure'):
        topology.fence('c1', fences.levels('c1'), removals=absences.Removals(('of another',)))


def test_keys_that_are_lost_after_a_fence_that_failed_are_no_proof(san):
    # The machine of the agent is not registered, and the storage loses its power after that.
    san.keys = {device: ['1', '2'] for device in san.keys}
    fences, removals = san.fences('by_hand'), absences.Removals()
    with pytest.raises(driver.NotFenced, match='ended with 1'):
        topology.fence('c1', fences.levels('c1'), removals=removals)
    san.keys = {device: [] for device in san.keys}
    with pytest.raises(driver.NotFenced, match='may have lost its registrations'):
        topology.fence('c1', fences.levels('c1'), removals=removals)


def test_a_host_that_has_registered_itself_after_its_fence_has_to_be_removed_again(san):
    fences, removals = san.fences('by_hand'), absences.Removals()
    topology.fence('c1', fences.levels('c1'), removals=removals)
    san.keys = {device: ['1'] for device in san.keys}
    for _time in range(2):
        with pytest.raises(driver.NotFenced):
            topology.fence('c1', fences.levels('c1'), removals=removals)
        san.keys = {device: ['own'] for device in san.keys}


def test_whether_a_storage_knows_the_host_must_be_clear_before_its_fence(san):
    text = san.program.read_text()
    san.program.write_text('#!/bin/sh\nexit 1\n')
    fences = san.fences('by_hand')
    with pytest.raises(driver.NotFenced, match='is not clear'):
        topology.fence('c1', fences.levels('c1'))
    san.program.write_text(text)
    assert topology.fence('c1', fences.levels('c1')).leaves_on


@pytest.mark.parametrize('unfence', ['by_hand', 'program'])
def test_a_host_is_let_in_only_once_each_device_has_its_key(san, unfence):
    fences = san.fences(unfence)
    made = fences.driver('c1')
    san.keys = san.keys | {'/dev/mapper/b': ['own']}
    power, detail = made.power()
    assert power is Power.ON and made.is_partial and 'not of /dev/mapper/b' in detail
    [answer] = survey.ask('c1', fences)
    assert answer.shuts_out
    if unfence == 'by_hand':
        with pytest.raises(exceptions.Refused, match='not of /dev/mapper/b'):
            made.let_in()
        san.keys = {device: ['own', '1'] for device in san.keys}
    made.let_in()
    assert registered(san) == [True, True] and not made.is_partial


def test_a_device_that_gives_no_clear_answer_lets_nobody_in(san):
    san.program.write_text(
        '#!/bin/sh\ngrep -q =/dev/mapper/b$ && exit 1\necho Status: ON; exit 0\n'
    )
    made = san.fences('by_hand').driver('c1')
    assert made.power()[0] is Power.UNKNOWN
    with pytest.raises(exceptions.Refused, match='did not answer'):
        made.let_in()


def test_a_device_that_is_not_there_is_no_answer(san):
    fences = san.fences('by_hand', devices='/dev/mapper/a,/dev/mapper/c')
    [made] = fences.levels('c1')[0]
    assert made.power()[0] is Power.UNKNOWN
    with pytest.raises(driver.NotFenced):
        topology.fence('c1', fences.levels('c1'))


def test_with_power_and_storage_in_one_level_the_host_was_switched_off(san, tmp_path):
    off = tmp_path / 'power'
    off.write_text(
        f'#!/bin/sh\ngrep -q =status && {{ [ -e {off}.off ] && echo Status: OFF && exit 2; exit 0; '
        f'}}\ntouch {off}.off\n'
    )
    off.chmod(0o755)
    power = {'driver': 'command', 'program': str(off), 'apart': 0}
    hosts = {'c1': {'levels': [[power, san.settings('by_hand')]]}}
    fences = inventory.Inventory(hosts, {'driver': 'nova_forced_down'})
    proof = topology.fence('c1', fences.levels('c1'))
    assert proof.who == 'command and command' and proof.in_storage == ('command',)
    assert not proof.leaves_on


def test_a_person_gives_the_storage_back_and_the_status_must_say_so(san):
    fences = san.fences('by_hand')
    proof = topology.fence('c1', fences.levels('c1'))
    with pytest.raises(exceptions.Refused, match='host c1: by_ssh still shuts it out'):
        let_in.let_in('c1', fences, proof)
    assert registered(san) == [False, False], 'the driver does not do it from here'
    san.keys = {device: [*keys, '1'] for device, keys in san.keys.items()}
    assert let_in.let_in('c1', fences, proof) == 1
    san.program.write_text('#!/bin/sh\nexit 1\n')
    with pytest.raises(exceptions.Refused, match='or did not answer'):
        let_in.let_in('c1', fences, proof)


def test_the_program_gives_the_storage_back_and_the_status_must_say_so(san):
    fences = san.fences('program')
    proof = topology.fence('c1', fences.levels('c1'))
    for _time in range(2):
        assert let_in.let_in('c1', fences, proof) == 1, 'again is harmless'
        assert registered(san) == [True, True]


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('exit 1', 'action=on ended with 1'),
        # It says that it did, and its status does not.
        ('grep -q =on && exit 0; echo Status: OFF; exit 2', 'its status is off'),
        ('grep -q =on && exit 0; exit 5', 'its status is unknown'),
        ('sleep 60', 'did not end within'),
    ],
)
def test_a_program_that_does_not_give_the_storage_back_lets_nobody_in(san, text, why):
    san.program.write_text(f'#!/bin/sh\n{text}\n')
    made = driver.load('c1', san.settings('program') | {'timeout': 1})
    with pytest.raises(exceptions.CouldNotAsk, match=why):
        made.let_in()


@pytest.mark.parametrize('name', ['command', 'ceph'])
def test_a_fence_that_its_entry_does_not_have_any_more_is_named(san, caplog, name):
    proof = model.Proof(f'{name} by a1', 'x', 1.0, in_storage=() if name == 'ceph' else (name,))
    power = {'driver': 'command', 'program': str(san.program)}
    fences = inventory.Inventory({'c1': power}, {'driver': 'nova_forced_down'})
    assert let_in.let_in('c1', fences, proof) == 0
    assert 'was not taken back' in caplog.text and name in caplog.text
    caplog.clear()
    let_in.let_in('c1', fences, model.Proof('command by a1', 'x', 1.0))
    assert not caplog.text
