# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.fencing.model import Power, Said
from heat_ha.fencing.rules import answers
from heat_ha.fencing.rules.answers import Word

TEXTS = {
    Word.ON: ['Status: ON', 'status: on', '\x1b[1mStatus:\x1b[0m ON', 'a\nStatus: ON\nb'],
    Word.OFF: ['Status: OFF', 'STATUS:OFF', '\x1b[31mStatus: OFF\x1b[0m\r\n', 'x\n Status: OFF.'],
    Word.OTHER: [
        'Status: UNKNOWN', 'Status: OFFLINE', 'Status: OFF or ON', 'Status: ERROR', 'status : N/A',
        'Status: STANDBY', 'Status:', 'Status: OFF (cached)', 'Status: O\x08\x08OFF',
        'Status: \u200bOFF', 'Status: OFF\x00', 'Status: FAILED\nStatus: RUNNING',
    ],
    Word.NONE: [
        '', '\n\n', 'usage: [Status: OFF]', 'off', 'OK: off', 'ValueError: Status: OFF',
        '\x00Status: OFF', 'Powered OFF', 'Success: Already OFF', 'status=off', '1,node1,OFF',
    ],
    Word.BOTH: [
        'Status: ON\nStatus: OFF', 'Status: OFF\nStatus: ON\nStatus: OFF',
        'Status: OFF\nStatus: UNKNOWN', 'Status: ERROR\nStatus: ON',
    ],
}  # fmt: skip

CODES = {'0': [0], '2': [2], 'other': [1, 3, 64, 126, 127, 255, -9, -15]}


@pytest.mark.parametrize('row', answers.STATUS, ids=lambda row: f'{row.code}-{row.word.value}')
def test_each_row_of_the_table_holds(row):
    for code, text in itertools.product(CODES[row.code], TEXTS[row.word]):
        said = Said(code, out=text)
        assert answers.word_of(said) is row.word, text
        assert answers.of_status(said)[0] is row.power, said
        assert answers.of_status(Said(code, text, is_whole=False))[0] is Power.UNKNOWN


def test_the_table_has_one_row_for_each_answer_and_one_that_means_off():
    assert {(row.code, row.word) for row in answers.STATUS} == set(
        itertools.product(CODES, Word)
    ) and len(answers.STATUS) == len(CODES) * len(Word)
    [off] = [row for row in answers.STATUS if row.power is Power.OFF]
    assert (off.code, off.word) == ('2', Word.OFF)


def test_the_error_output_can_contradict_but_not_prove():
    assert answers.of_status(Said(2, err='Status: OFF'))[0] is Power.UNKNOWN
    assert answers.of_status(Said(2, out='Status: OFF', err='Status: ON'))[0] is Power.UNKNOWN
    assert answers.of_status(Said(2, out='Status: OFF', err='Status: OFF'))[0] is Power.OFF
    assert answers.of_status(Said(2, out='Status: OFF', err='a warning'))[0] is Power.OFF
    assert answers.of_status(Said(2, out='Status: OFF', err='Status: 200'))[0] is Power.OFF


def test_own_words_join_the_usual_ones():
    own = {'says_on': 'Lit', 'says_off': 'Outlet 3: dark'}
    assert answers.of_status(Said(2, 'outlet 3:  DARK'), **own)[0] is Power.OFF
    assert answers.of_status(Said(2, 'outlet 3: dark\nlit'), **own)[0] is Power.UNKNOWN
    assert answers.of_status(Said(2, 'outlet 33: dark'), **own)[0] is Power.UNKNOWN
    assert answers.of_status(Said(2, 'Status: OFF'), **own)[0] is Power.OFF
    assert answers.of_status(Said(2, 'Status: OFF\nlit'), **own)[0] is Power.UNKNOWN


@pytest.mark.parametrize(
    ('own', 'text', 'code', 'power'),
    [
        ({'says_off': 'Status: Standby'}, 'status: STANDBY', 2, Power.OFF),
        ({'says_off': 'Status: Standby'}, 'Status: Standby\nStatus: ON', 2, Power.UNKNOWN),
        ({'says_off': 'Status: Standby'}, 'Status: Standby\nStatus: Error', 2, Power.UNKNOWN),
        ({'says_on': 'Status: Running'}, 'Status: Running', 0, Power.ON),
        ({'says_on': 'Status: Running'}, 'Status: Stopped', 0, Power.UNKNOWN),
        # What is on elsewhere is not off here.
        ({'says_off': 'Status: ON'}, 'Status: ON', 2, Power.UNKNOWN),
        ({'says_on': 'Status: OFF'}, 'Status: OFF', 2, Power.UNKNOWN),
    ],
    ids=str,
)
def test_an_own_word_may_be_a_line_of_the_usual_form(own, text, code, power):
    assert answers.of_status(Said(code, text), **own)[0] is power


OFF, ON = 'Chassis Power is off', 'Chassis Power is on'


@pytest.mark.parametrize(
    ('said', 'power'),
    [
        (Said(0, OFF), Power.OFF),
        (Said(0, ON), Power.ON),
        (Said(0, f'{OFF}\r\n'), Power.OFF),
        (Said(0, 'chassis power is OFF'), Power.OFF),
        (Said(0, OFF, 'Unable to Get Channel Cipher Suites'), Power.OFF),
        (Said(0, f'Chassis Power Control: Down/Off\n{OFF}'), Power.OFF),
        (Said(0, f'{ON}\n{OFF}'), Power.UNKNOWN),
        (Said(0, OFF, ON), Power.UNKNOWN),
        (Said(0, '', OFF), Power.UNKNOWN),
        (Said(1, OFF), Power.UNKNOWN),
        (Said(-9, OFF), Power.UNKNOWN),
        (Said(0, OFF, is_whole=False), Power.UNKNOWN),
        (Said(0), Power.UNKNOWN),
        (Said(0, 'Chassis Power Control: Down/Off'), Power.UNKNOWN),
        (Said(0, 'Chassis Power is unknown'), Power.UNKNOWN),
        (Said(0, 'was: Chassis Power is off'), Power.UNKNOWN),
        (Said(1, '', 'Error: Unable to establish IPMI v2 / RMCP+ session'), Power.UNKNOWN),
        (Said(1, '', 'Error: Unable to establish LAN session'), Power.UNKNOWN),
        (Said(1, '', 'Unable to get Chassis Power Status'), Power.UNKNOWN),
        (Said(1, '', 'Get Chassis Power Status failed: Node busy'), Power.UNKNOWN),
        (Said(0, 'System Power         : off'), Power.UNKNOWN),
        (Said(0, 'Chassis Power is disabled'), Power.UNKNOWN),
        (Said(0, 'Chassis Power is of'), Power.UNKNOWN),
        (Said(0, 'Chassis Power is off (1)'), Power.UNKNOWN),
        (Said(0, 'Device Power is off'), Power.UNKNOWN),
        (Said(0, OFF, 'Close Session command failed: Invalid session ID'), Power.OFF),
    ],
    ids=str,
)
def test_of_ipmitool_only_its_own_line_and_a_good_end_mean_anything(said, power):
    assert answers.of_chassis(said)[0] is power


@pytest.mark.parametrize(
    ('resource', 'power'),
    [
        *(({'PowerState': state}, power) for state, power in answers.POWER_STATES.items()),
        ({'PowerState': None}, Power.UNKNOWN),
        ({}, Power.UNKNOWN),
        ({'PowerState': ''}, Power.UNKNOWN),
        ({'PowerState': 'Unknown'}, Power.UNKNOWN),
        ({'PowerState': False}, Power.UNKNOWN),
        ({'PowerState': ['Off']}, Power.UNKNOWN),
        ({'PowerState': {'Off': 1}}, Power.UNKNOWN),
        ({'Power': 'Off'}, Power.UNKNOWN),
        *(({'PowerState': word}, Power.UNKNOWN) for word in ('OFF', 'off', 'Off ', 'PoweredOff')),
        *(({'PowerState': word}, Power.UNKNOWN) for word in ('Reset', 'Standby', 'Null', 'S5')),
        (None, Power.UNKNOWN),
        ([], Power.UNKNOWN),
        ('Off', Power.UNKNOWN),
    ],
    ids=str,
)
def test_of_redfish_only_the_power_state_off_means_off(resource, power):
    assert answers.of_system(resource)[0] is power


def test_off_is_the_only_power_state_that_means_off():
    assert [s for s, power in answers.POWER_STATES.items() if power is Power.OFF] == ['Off']


# Redfish's own list of Status.State.
STATES = [
    'Absent', 'Deferring', 'Degraded', 'Disabled', 'Enabled', 'InTest', 'Qualified', 'Quiesced',
    'StandbyOffline', 'StandbySpare', 'Starting', 'UnavailableOffline', 'Updating', None, 7, '',
]  # fmt: skip


@pytest.mark.parametrize('state', STATES, ids=str)
@pytest.mark.parametrize('shown', answers.POWER_STATES)
def test_an_empty_slot_and_a_system_that_comes_on_are_not_known_to_be_off(shown, state):
    found = answers.of_system({'PowerState': shown, 'Status': {'State': state}})[0]
    is_doubted = shown == 'Off' and state in ('Absent', 'Starting')
    assert found is (Power.UNKNOWN if is_doubted else answers.POWER_STATES[shown])
    bare = answers.of_system({'PowerState': shown, 'Status': state})[0]
    assert bare is answers.POWER_STATES[shown]


@pytest.mark.parametrize(
    ('more', 'is_host'),
    [
        ({'@odata.type': '#ComputerSystem.v1_20_0.ComputerSystem'}, True),
        ({'@odata.type': '#ComputerSystem.ComputerSystem'}, True),
        ({'@odata.type': ''}, True),
        ({'@odata.type': None}, True),
        ({'@odata.type': '#Chassis.v1_21_0.Chassis'}, False),
        ({'@odata.type': '#Manager.v1_5_0.Manager'}, False),
        ({'@odata.type': '#Outlet.v1_4_0.Outlet'}, False),
        ({'@odata.type': '#ComputerSystemCollection.ComputerSystemCollection'}, False),
        ({'SystemType': 'DPU'}, False),
        *(({'SystemType': kind}, True) for kind in ('Physical', 'Virtual', 'OS', 'Composed', None)),
    ],
    ids=str,
)
@pytest.mark.parametrize('shown', ['On', 'Off'])
def test_the_power_of_something_else_is_not_that_of_the_host(shown, more, is_host):
    found = answers.of_system({'PowerState': shown} | more)[0]
    assert found is (answers.POWER_STATES[shown] if is_host else Power.UNKNOWN)


REFUSED = 'Set Chassis Power Control to Down/Off failed'


@pytest.mark.parametrize(
    ('refusal', 'is_off'),
    [
        (f'{REFUSED}: Command not supported in present state', True),
        ('iLO.2.14.InvalidOperationForSystemState', True),
        ('Server is already powered OFF.', True),
        ('Base.1.18.ResourceInStandby: The request could not be performed', True),
        ('It could not be performed because the resource is in standby.', True),
        ('The operation cannot be performed because the system is powered off.', True),
        ('Ensure that the system is powered off and try again.', False),
        ('It cannot be performed because the system is not powered off.', False),
        ('IDRAC.1.6.PSU501: Server is already powered ON.', False),
        (f'{REFUSED}: Insufficient privilege level', False),
        (f'{REFUSED}: Node busy', False),
        ('Unable to set Chassis Power Control to Down/Off', False),
        ('Base.1.0.ActionNotSupported', False),
        ('Base.1.8.ActionParameterValueNotInList', False),
        ('HTTP POST returned code 403', False),
        ('', False),
    ],
)  # fmt: skip
def test_a_refusal_because_nothing_is_on_is_told_from_others(refusal, is_off):
    assert answers.is_off_already(refusal) is is_off


def test_what_is_shown_of_an_answer_is_short_and_printable():
    for text in ('x' * 100_000, '\x1b[31m\x07\x00bell', 'a\n' * 5):
        shown = answers.of_status(Said(1, text))[1]
        assert len(shown) <= answers.SHOWN + 100 and shown.isprintable()
