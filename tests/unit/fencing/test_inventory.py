# SPDX-License-Identifier: Apache-2.0
import contextlib

import pytest

from heat_ha import exceptions
from heat_ha.fencing import command, inventory

REDFISH = '{driver: redfish, address: %s, system: %s}'
IPMI = '{driver: ipmi, username: u, address: %s}'
COMMAND = '{driver: command, program: "true", options: {%s}}'


@pytest.mark.parametrize(
    ('one', 'other', 'is_same'),
    [
        (REDFISH % ('https://bmc', '/1'), REDFISH % ('https://bmc', '/1'), True),
        (REDFISH % ('https://bmc', '/1'), REDFISH % ('https://BMC:443/', '/1/'), True),
        (REDFISH % ('https://bmc', '/1'), REDFISH % ('https://bmc./redfish/v1', '/1'), True),
        (REDFISH % ('https://bmc', '/1'), REDFISH % ('https://bmc', '/2'), False),
        (REDFISH % ('https://bmc', '/1'), REDFISH % ('https://bmc-2', '/1'), False),
        (REDFISH % ('https://bmc', '/1'), REDFISH % ('https://bmc:8443', '/1'), False),
        (IPMI % 'bmc', IPMI % 'BMC', True),
        (IPMI % 'bmc', IPMI % 'bmc, port: 623', True),
        (IPMI % 'bmc', IPMI % 'bmc, password: x', True),
        (IPMI % 'bmc', IPMI % 'bmc, port: 624', False),
        (IPMI % 'bmc', IPMI % 'bmc-2', False),
        (COMMAND % 'ip: pdu, plug: 3', COMMAND % 'plug: 3, ip: pdu', True),
        (COMMAND % 'ip: pdu, plug: 3', COMMAND % 'ip: pdu, plug: 3, password: x', True),
        (COMMAND % '', COMMAND % '', True),
        (COMMAND % 'ip: pdu, plug: 3', COMMAND % 'ip: pdu, plug: 4', False),
        (IPMI % 'bmc', f'{{levels: [{COMMAND % "plug: 1"}, {IPMI % "bmc"}]}}', True),
        (COMMAND % 'ip: pdu, plug: 3', COMMAND % 'ipaddr: pdu, port: 3', True),
        (COMMAND % 'ip: pdu, plug: 3', COMMAND % 'ip: PDU., plug: 3, ssl_insecure: 1', True),
        (COMMAND % 'ip: pdu, switch: 1, plug: 3', COMMAND % 'ip: pdu, switch: 2, plug: 3', False),
        (COMMAND % 'ip: pdu, plug: 3', COMMAND % 'ip: pdu-2, plug: 3', False),
        (COMMAND % 'ip: bmc, lanplus: 1', COMMAND % 'ip: BMC', True),
        (IPMI % 'bmc', REDFISH % ('https://bmc', '/1'), True),
        (IPMI % 'bmc', REDFISH % ('https://bmc-2', '/1'), False),
        (IPMI % 'bmc, port: 6230', REDFISH % ('https://bmc', '/1'), False),
        (IPMI % '127.0.0.1', REDFISH % ('http://127.0.0.1:8000', '/1'), False),
        (IPMI % 'bmc', COMMAND % 'ip: bmc, lanplus: 1', True),
        (IPMI % 'bmc', COMMAND % 'ip: bmc, plug: 1', False),
        (IPMI % '"fd00::1"', IPMI % '"FD00:0::1"', True),
        (IPMI % '"fd00::1"', IPMI % '"[fd00::1]"', True),
        (IPMI % '"fd00::1"', REDFISH % ('"https://[fd00:0:0::1]/"', '/1'), True),
        (IPMI % '"fd00::1"', IPMI % '"fd00::443"', False),
        ('{driver: none}', '{driver: none}', False),
        ('{driver: nova_forced_down}', '{driver: nova_forced_down}', False),
    ],
)
def test_two_hosts_with_one_power_control_are_refused(one, other, is_same):
    found = inventory.parse(f'hosts: {{c1: {one}, c2: {other}}}')
    if is_same:
        with pytest.raises(exceptions.Refused, match=r'c1 and c2 .* the same power control'):
            found.check()
    else:
        found.check()


@pytest.mark.parametrize(
    'settings',
    [
        '{driver: ipmi, username: u, address: [fd00::1]}',
        '{driver: ipmi, username: u, address: 10}',
        '{driver: redfish, system: /1, address: {a: b}}',
        COMMAND % 'ip: 10, plug: 1',
        COMMAND % 'ipaddr: true',
    ],
)
def test_an_address_that_is_no_text_is_refused(settings):
    with pytest.raises(exceptions.Refused, match=r'host c1: .*put it in quotes'):
        inventory.parse(f'hosts: {{c1: {settings}}}').check()


@pytest.mark.parametrize(
    ('options', 'is_same'),
    [('ipaddr: pdu, port: 3', True), ('ip: pdu, plug: 3, any: 1', True), ('plug: 3', False)],
)
def test_what_an_option_of_fence_agents_means_is_known(monkeypatch, options, is_same):
    monkeypatch.setattr(command.shutil, 'which', lambda name: f'/usr/sbin/{name}')
    one, other = (
        f'{{driver: command, program: {name}, options: {{{own}}}}}'
        for name, own in (('fence_apc', 'ip: pdu, plug: 3'), ('fence_apc_snmp', options))
    )
    found = inventory.parse(f'hosts: {{c1: {one}, c2: {other}}}')
    with pytest.raises(exceptions.Refused) if is_same else contextlib.nullcontext():
        found.check()


@pytest.mark.parametrize(
    ('settings', 'key'),
    [
        (IPMI % 'a, password: 1.10', 'password'),
        ('{driver: ipmi, address: a, username: true}', 'username'),
        (REDFISH % ('a', '/1, password: [x]'), 'password'),
        (COMMAND % 'ip: a, password: 1.10', 'password'),
        (COMMAND % 'ip: a, login: true', 'login'),
    ],
)
def test_what_logs_in_and_is_not_known_as_it_was_written_is_refused(settings, key):
    with pytest.raises(exceptions.Refused, match=f'host c1: {key} is neither.*in quotes') as found:
        inventory.parse(f'hosts: {{c1: {settings}}}').check()
    assert '1.1' not in str(found.value), 'it is a secret'


def test_a_password_may_be_a_whole_number_or_look_like_one():
    for written in ('123', '"1.10"', '0123', 'on'):
        made = inventory.parse(f'hosts: {{c1: {IPMI % f"a, password: {written}"}}}').driver('c1')
        assert made.secret('password') == written.strip('"')


@pytest.mark.parametrize(
    ('written', 'seconds'),
    [('+30', 30.0), ('0x1e', 30.0), ('.5', 0.5), ('5.', 5.0), ('1.5', 1.5), ('"7"', 7.0)],
)
def test_a_setting_that_is_a_number_is_read_as_one(written, seconds):
    made = inventory.parse(
        f'hosts: {{c1: {IPMI % f"a, timeout: {written}, apart: {written}, port: +623"}}}'
    ).driver('c1')
    assert made.timeout == made.apart == seconds and made.address == 'a'


@pytest.mark.parametrize('option', ['power_wait', 'delay', 'shell-timeout'])
def test_an_option_that_is_a_time_may_have_a_fraction(option):
    inventory.parse(f'hosts: {{c1: {COMMAND % f"ip: a, {option}: 0.5"}}}').check()


def test_entries_may_have_what_they_share_in_one_place():
    shared = f'&shared {IPMI % "a"}'
    found = inventory.parse(f'hosts: {{c1: {shared}, c2: {{<<: *shared, address: b}}}}')
    found.check()
    assert [found.driver(host).address for host in ('c1', 'c2')] == ['a', 'b']


def test_several_drivers_of_one_host_may_have_one_address():
    levels = f'[{IPMI % "bmc"}, {REDFISH % ("https://bmc", "/1")}]'
    inventory.parse(f'hosts: {{c1: {{levels: {levels}}}}}').check()


@pytest.mark.parametrize(
    ('settings', 'is_refused'),
    [
        (REDFISH % ('https://bmc', '/1'), True),
        (IPMI % 'bmc', True),
        (COMMAND % 'ip: pdu', True),
        (f'{{levels: [{{driver: nova_forced_down}}, {IPMI % "bmc"}]}}', True),
        ('{driver: nova_forced_down}', False),
        ('{driver: none}', False),
    ],
)
def test_a_default_that_switches_something_off_is_refused(settings, is_refused):
    found = inventory.parse(f'default: {settings}')
    if is_refused:
        with pytest.raises(exceptions.Refused, match='default'):
            found.check()
    else:
        found.check()


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('hosts: {c1: {driver: none}, c1: {driver: ipmi}}', "'c1' is there twice"),
        ('hosts: {c1: {driver: none, driver: ipmi}}', "'driver' is there twice"),
        ('hosts: {}\nhosts: {}', "'hosts' is there twice"),
        ('hosts: {1: {driver: none}}', 'quotes'),
        ('hosts: {true: {driver: none}}', 'quotes'),
        ('hosts: {[a]: {driver: none}}', 'not valid YAML'),
        ('hosts: {c1: {levels: {driver: none}}}', 'levels of host c1'),
        ('default: {levels: []}', 'levels of host default'),
        ('\x00', 'not valid YAML'),
    ],
)
def test_what_would_be_lost_or_mistaken_in_the_file_is_refused(text, why):
    with pytest.raises(exceptions.Refused, match=why):
        inventory.parse(text)


@pytest.mark.parametrize(
    ('settings', 'key'),
    [
        ('{driver: none, timeout: }', 'timeout'),
        ('{driver: ipmi, address: ~, username: u}', 'address'),
        ('{driver: command, program: "true", options: {ip: pdu, plug: }}', 'plug'),
        ('{driver: command, program: "true", options: {ip: pdu, plug: null}}', 'plug'),
        ('{driver: command, program: "true", says_off: }', 'says_off'),
        ('{levels: [{driver: command, program: "true", options: {plug: }}]}', 'plug'),
        ('{levels: [[{driver: ipmi, address: a, username: u, password: }]]}', 'password'),
    ],
)
def test_a_key_without_a_value_is_refused_by_the_names_of_the_host_and_the_key(settings, key):
    for text in (f'hosts: {{c1: {settings}}}', f'default: {settings}'):
        with pytest.raises(exceptions.Refused, match=rf'host \w+: {key} has no value.*in quotes'):
            inventory.parse(text)


@pytest.mark.parametrize(
    ('value', 'is_refused'),
    [
        ('1:2', False), ('010', False), ('2_1', False), ('3', False), ('true', False),
        ('off', False), ('"1.10"', False), ('1.10', True), ('[3]', True), ('{a: b}', True),
    ],
)  # fmt: skip
def test_an_option_of_a_program_is_told_as_it_is_written(value, is_refused):
    made = inventory.parse(f'hosts: {{c1: {COMMAND % f"ip: pdu, plug: {value}"}}}')
    if is_refused:
        with pytest.raises(exceptions.Refused, match=r"host c1: .*option 'plug'.*in quotes"):
            made.check()
    else:
        told = str(made.driver('c1').settings['options']['plug'])
        assert told.casefold() == value.strip('"')


@pytest.mark.parametrize('value', ['1', '[a]', '{a: b}', '1.5'])
def test_a_setting_that_is_true_or_false_is_nothing_else(value):
    made = inventory.parse(
        f'hosts: {{c1: {(REDFISH % ("https://b", "/1"))[:-1]}, verify: {value}}}}}'
    )
    with pytest.raises(exceptions.Refused, match='true, false, or'):
        made.check()


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / 'fencing.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(exceptions.Refused, match='cannot be read'):
        inventory.read(str(tmp_path / 'fencing.yaml'))


def test_each_level_has_its_drivers_with_their_own_timeouts():
    other = '{driver: command, program: "true", timeout: 7}'
    levels = f'[[{COMMAND % "plug: 1"}, {other}], {{driver: nova_forced_down}}]'
    text = f'hosts: {{c1: {{levels: {levels}}}}}'
    found = inventory.parse(text)
    found.check()
    assert [[(d.name, d.timeout) for d in level] for level in found.levels('c1')] == [
        [('command', 90.0), ('command', 7.0)],
        [('nova_forced_down', 90.0)],
    ]
    assert [[d.name for d in level] for level in found.levels('c2')] == [['nova_forced_down']]
    assert not found.levels('c1')[1][0].target


@pytest.mark.parametrize(
    ('who', 'is_word'),
    [
        ('nova_forced_down by a', True), ('none by a', False), ('command by a', False),
        ('command and nova_forced_down by a', True), ('nova_forced_down by hand', True),
        ('nova_forced_down by command by a', False), ('', False),
    ],
)  # fmt: skip
def test_the_proof_of_a_driver_that_switches_nothing_off_is_a_word(who, is_word):
    levels = f'[{COMMAND % "plug: 1"}, {{driver: nova_forced_down}}]'
    found = inventory.parse(f'hosts: {{c1: {{levels: {levels}}}}}')
    assert found.takes_word('c1', who) is is_word
