# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.fencing.rules import targets


@pytest.mark.parametrize(
    ('text', 'plain'),
    [
        ('bmc-1', 'bmc-1'), (' BMC-1. ', 'bmc-1'), ('https://bmc-1', 'bmc-1'),
        ('https://BMC-1:443/redfish/v1?x=y#z', 'bmc-1'), ('https://u:p@bmc-1/', 'bmc-1'),
        ('http://bmc-1:80', 'bmc-1'), ('http://bmc-1:443', 'bmc-1:443'), ('bmc-1:443', 'bmc-1'),
        ('https://bmc-1:8443', 'bmc-1:8443'), ('10.0.0.1', '10.0.0.1'),
        ('fd00::1', 'fd00::1'), ('FD00:0::1', 'fd00::1'), ('[fd00::1]', 'fd00::1'),
        ('https://[fd00:0:0:0::1]:443/x', 'fd00::1'), ('https://[fd00::1]:8443', '[fd00::1]:8443'),
        ('fd00::443', 'fd00::443'), ('::ffff:10.0.0.1', '10.0.0.1'), ('', ''), ('://', ''),
        ('[', ''), ('::::', '::::'),
    ],
)  # fmt: skip
def test_an_address_has_one_form(text, plain):
    assert targets.plain_address(text) == plain
    assert targets.plain_address(plain) == plain or 'http:' in text


SAME = {'ip': 'pdu', 'plug': '3'}


@pytest.mark.parametrize(
    'options',
    [
        {'ipaddr': 'pdu', 'port': 3}, {'ipaddress': 'PDU', 'nodename': '3'},
        {'IP': ' pdu ', 'Plug': '3 '}, {'ip': 'pdu.', 'plug': 3, 'ssl-insecure': 1},
        {**SAME, 'username': 'u', 'passwd': 'p', 'any_option': 'of a program of ours'},
    ],
    ids=str,
)  # fmt: skip
def test_a_plug_at_an_address_is_one_thing_however_it_is_spelled(options):
    assert targets.of_program('/sbin/fence_a', options) == targets.of_program('/sbin/fence_b', SAME)
    assert targets.address_of_machine(options) == ''


@pytest.mark.parametrize(
    'options',
    [
        {'ip': 'pdu', 'plug': 4}, {'ip': 'pdu-2', 'plug': 3}, {**SAME, 'switch': 2},
        {**SAME, 'ipport': 8443}, {**SAME, 'systems_uri': '/x'}, {'ip': 'pdu'}, {'plug': 3}, {},
        {**SAME, 'plug': 'VM1'},
    ],
    ids=str,
)  # fmt: skip
def test_another_plug_is_another_thing(options):
    assert targets.of_program('/sbin/fence_a', options) != targets.of_program('/sbin/fence_a', SAME)


def test_without_a_plug_the_program_and_its_options_tell_which_host():
    one = targets.of_program('/sbin/fence_a', {'ip': 'bmc', 'lanplus': 1, 'verbose': 1})
    assert one == targets.of_program('/sbin/fence_a', {'ipaddr': 'BMC'})
    assert one != targets.of_program('/sbin/fence_b', {'ip': 'bmc'})
    one, other = (targets.of_program('/sbin/fence_a', {'x': number}) for number in (1, 2))
    assert one != other


@pytest.mark.parametrize(
    ('options', 'address'),
    [
        ({'ip': 'BMC'}, 'bmc'), ({'ipaddr': 'bmc', 'ipport': 623}, 'bmc'), ({}, ''),
        ({'ip': 'bmc', 'ipport': 6230}, 'bmc:6230'),
        ({'ip': 'fd00::1', 'ipport': 1}, '[fd00::1]:1'),
    ],
    ids=str,
)  # fmt: skip
def test_a_bmc_is_one_machine_at_its_address(options, address):
    assert targets.address_of_machine(options) == address


def test_names_of_machines_differ_by_case_and_uuids_do_not():
    def told(plug):
        return targets.of_program('/sbin/fence_virsh', {'ip': 'hv', 'plug': plug})

    assert told('VM1') != told('vm1')
    for uuid in ('4c4c4544-0043-3510-8052-b4c04f4e3132', '4c4c45440043351080 52b4c04f4e3132'):
        plain = uuid.replace(' ', '')
        assert told(plain) == told(plain.upper())


@pytest.mark.parametrize(
    ('more', 'is_same'),
    [
        ({'password': 'p', 'power-wait': 1}, True), ({'ip': 'PDU.'}, True),
        ({'zone': 'a'}, False), ({'Plug': 4}, False), ({'port': 4}, False), ({'plug': 4}, False),
    ],
    ids=str,
)  # fmt: skip
def test_of_a_program_of_the_operator_any_option_may_tell_which_host(more, is_same):
    one, other = (targets.of_program('/sbin/ours', found) for found in (SAME, SAME | more))
    assert (one == other) is is_same


def test_of_any_two_programs_the_same_plug_at_an_address_is_one():
    assert targets.of_program('/sbin/ours', SAME) == targets.of_program('/sbin/other', SAME)
    assert targets.of_program('/sbin/ours', SAME) == targets.of_program('/sbin/fence_a', SAME)
    alone = {'plug': 3}
    assert targets.of_program('/sbin/ours', alone) != targets.of_program('/sbin/other', alone)


def test_only_what_is_no_text_and_tells_no_host_may_have_a_fraction():
    assert all(map(targets.may_have_a_fraction, ('power_wait', 'delay', 'Power-Timeout')))
    assert not any(
        map(targets.may_have_a_fraction, ('plug', 'ip', 'password', 'login', 'switch', 'ours'))
    )
