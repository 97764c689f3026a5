# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha import exceptions
from heat_ha.fencing import driver
from heat_ha.fencing.rules import programs

# Of fence-agents: what cuts the power of a machine.
POWER = [
    'fence_ipmilan', 'fence_idrac', 'fence_ilo4', 'fence_redfish', 'fence_apc_snmp', 'fence_virsh',
    'fence_xvm', 'fence_vmware_rest', 'fence_vmware_soap', 'fence_vmware_vcloud', 'fence_vmware',
    'fence_aws', 'fence_openstack', 'fence_ironic', 'fence_eaton_snmp', 'fence_of_ours',
]  # fmt: skip


@pytest.mark.parametrize('program', programs.NOT_THE_POWER)
def test_a_program_that_does_not_cut_the_power_is_refused_with_the_reason(program):
    with pytest.raises(exceptions.Refused) as found:
        programs.check('c1', program, [])
    text = str(found.value)
    assert 'host c1' in text and programs.NOT_THE_POWER[program] in text
    assert 'name a program that cuts its power' in text.lower()


@pytest.mark.parametrize(
    'program',
    [
        'fence_sbd', 'fence_nova', 'fence_aws_vpc_net', 'fence_heuristics_resource', 'fence_dummy',
        'fence_kdump', 'fence_compute', 'fence_evacuate', 'fence_ack_manual', 'fence_zvmip',
    ],
)  # fmt: skip
def test_what_reports_something_else_than_the_power_as_off_is_among_them(program):
    assert program in programs.NOT_THE_POWER


@pytest.mark.parametrize('program', POWER)
def test_a_program_that_cuts_the_power_is_taken(program):
    programs.check('c1', program, ['ip', 'plug', 'username', 'method', 'actions'])


@pytest.mark.parametrize(
    ('option', 'why'),
    [
        ('action', 'without the key'), ('ACTION', 'without the key'), ('option', 'without the key'),
        (' operation', 'without the key'), ('missing_as_off', 'counts as off'),
        ('missing-as-off', 'counts as off'), ('Missing_As_Off', 'counts as off'),
        ('network-fencing', 'network is blocked counts as off'),
    ],
)  # fmt: skip
def test_an_option_that_changes_what_is_asked_or_what_off_means_is_refused(option, why):
    with pytest.raises(exceptions.Refused, match=why):
        programs.check('c1', 'fence_virsh', ['plug', option])


@pytest.mark.parametrize('break_', ['\n', '\r', '\x0b', '\u2028'], ids=repr)
@pytest.mark.parametrize('form', ['{}x', 'x{}y', 'x{}'])
def test_an_option_has_one_line(form, break_):
    for options in ({form.format(break_): 'v'}, {'k': form.format(break_)}):
        with pytest.raises(exceptions.Refused, match='one line'):
            driver.load('c1', {'driver': 'command', 'program': 'true', 'options': options})


def test_the_driver_looks_at_the_name_that_the_file_gives(tmp_path):
    program = tmp_path / 'fence_compute'
    program.write_text('#!/bin/sh\n')
    program.chmod(0o755)
    settings = {'driver': 'command', 'program': str(program)}
    with pytest.raises(exceptions.Refused, match='marks the host in Nova'):
        driver.load('c1', settings)
    (tmp_path / 'fence_by_word').symlink_to(program)
    driver.load('c1', settings | {'program': str(tmp_path / 'fence_by_word')})
