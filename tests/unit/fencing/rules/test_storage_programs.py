# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory
from heat_ha.fencing.rules import storage_programs

DEVICES = '/dev/disk/by-id/wwn-0x5000c500a0b1c2d3,/dev/disk/by-id/dm-uuid-mpath-3600508b400105e21'
A = '/dev/mapper/3600508b400105df70000e00000ac000f'
B = '/dev/disk/by-id/scsi-3600508b400105df70000e00000ac0010'
OPTIONS = {'key': '4a5b0001', 'devices': DEVICES}
BY_HAND = {'cuts': 'storage', 'unfence': 'by_hand'}


@pytest.fixture
def programs(tmp_path):
    """By name, the path of a program that does nothing."""
    found = {}
    for name in ('fence_scsi', 'fence_mpath', 'fence_apc', 'fence_sbd', 'by_ssh'):
        found[name] = tmp_path / name
        found[name].write_text('#!/bin/sh\n')
        found[name].chmod(0o755)
    return found


def load(programs, name, **settings):
    options = settings.pop('options', OPTIONS)
    settings = {'driver': 'command', 'program': str(programs[name]), 'options': options, **settings}
    return driver.load('c1', settings)


@pytest.mark.parametrize(
    ('name', 'settings', 'cuts_power'),
    [
        ('fence_apc', {}, True),
        ('fence_apc', {'cuts': 'power'}, True),
        ('by_ssh', BY_HAND, False),
        ('by_ssh', {'cuts': 'storage', 'unfence': 'program'}, False),
        ('fence_scsi', BY_HAND, False),
        ('fence_mpath', BY_HAND, False),
        ('fence_scsi', {**BY_HAND, 'options': {'nodename': 'c1', 'devices': DEVICES}}, False),
        ('fence_mpath', {**BY_HAND, 'options': {'plug': '1', 'devices': DEVICES}}, False),
        ('fence_scsi', {**BY_HAND, 'options': {'key': 10, 'devices': A}}, False),
        ('by_ssh', {**BY_HAND, 'options': {'key': '0x0', 'devices': '/dev/sdb'}}, False),
    ],
)
def test_what_a_program_cuts_is_what_the_file_says(programs, name, settings, cuts_power):
    assert load(programs, name, **settings).cuts_power is cuts_power


# A kind of wrong setting: the program, its settings, what is named, and the remedy.
WRONG = [
    ('fence_apc', {'cuts': 'network'}, "cuts is 'network'", 'It is power'),
    ('fence_apc', {'cuts': ['storage']}, 'cuts is', 'storage where the host may run on'),
    ('fence_apc', {'cuts': True}, 'cuts is True', 'It is power'),
    ('fence_apc', {'unfence': 'program'}, 'unfence is set, and cuts is power', 'cuts: storage'),
    ('by_ssh', {'cuts': 'storage'}, 'cuts: storage needs unfence', 'by_hand .* or program'),
    ('by_ssh', {'cuts': 'storage', 'unfence': 'on'}, "unfence is 'on'", 'by_hand .* or program'),
    ('by_ssh', {'cuts': 'storage', 'unfence': {}}, 'unfence is {}', 'by_hand .* or program'),
    ('fence_scsi', {}, 'does not switch it off', 'Write cuts: storage, name'),
    ('fence_mpath', {'cuts': 'power'}, 'does not switch it off', 'Write cuts: storage, name'),
    ('fence_sbd', BY_HAND, 'message on a disk', 'Name a program that cuts its power'),
    *(
        (name, {'cuts': 'storage', 'unfence': 'program'}, 'registers the machine', 'as by ssh')
        for name in ('fence_scsi', 'fence_mpath')
    ),
    *(
        (name, {**BY_HAND, 'options': options}, what, remedy)
        for name in ('fence_scsi', 'fence_mpath')
        for options, what, remedy in (
            ({'devices': DEVICES}, 'names the key', 'Write one of key, '),
            ({'key': '', 'devices': DEVICES}, 'names the key', 'Write one of key, '),
            ({'key': '1'}, 'needs the option devices', 'Name all devices'),
            ({'key': '1', 'devices': ' '}, 'needs the option devices', 'Name all devices'),
            *(
                ({'key': key, 'devices': DEVICES}, 'always count as fenced', 'hexadecimal digits')
                for key in ('0x1', '01', '0', 'AB', 'node-1', '1,2', '1' * 17)
            ),
            *(
                ({'key': '1', 'devices': devices}, 'another disk', '/dev/disk/by-id/wwn-')
                for devices in ('/dev/sdb', f'{DEVICES},/dev/dm-3', f'{A} {B}', f'{A}, {B}',
                                f'{A},',
                                '/dev/mapper/mpatha', f'{A},/dev/mapper/mpathb',
                                '/dev/mapper/shared-vg', '/dev/disk/by-id/dm-name-mpatha',
                                '/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.x:y-lun-1',
                                '/dev/disk/by-label/x', '/dev/disk/by-id/../by-path/x',
                                '/dev/disk/by-id/wwn-0x5/../../by-path/x')
            ),
        )
    ),
    ('fence_mpath', {**BY_HAND, 'options': {'nodename': 'c1', 'devices': DEVICES}}, 'names the key',
     'Write one of key, plug, port'),
    ('fence_mpath', {**BY_HAND, 'options': {'plug': 'n1', 'devices': DEVICES}}, "option 'plug'",
     'hexadecimal digits'),
]  # fmt: skip


@pytest.mark.parametrize(('name', 'settings', 'what', 'remedy'), WRONG)
def test_a_wrong_setting_is_refused_with_its_name_and_the_remedy(
    programs, name, settings, what, remedy
):
    with pytest.raises(exceptions.Refused, match=f'host c1: .*{what}') as found:
        load(programs, name, **settings)
    with pytest.raises(exceptions.Refused, match=remedy):
        raise found.value


@pytest.mark.parametrize(
    ('one', 'other', 'is_same'),
    [
        ({'key': '1', 'devices': A}, {'key': '2', 'devices': A}, False),
        ({'key': '1', 'devices': A}, {'key': 1, 'devices': A}, True),
        # The same devices may have other names, and a key is that of one host on all of them.
        ({'key': '1', 'devices': A}, {'key': '1', 'devices': B}, True),
        (
            {'key': '1', 'devices': A, 'nodename': 'c1'},
            {'key': '1', 'devices': A, 'nodename': 'c2'},
            True,
        ),
        (
            {'nodename': 'c1', 'devices': A},
            {'nodename': 'c2', 'devices': A},
            False,
        ),
    ],
)
def test_no_two_hosts_have_one_key(programs, one, other, is_same):
    entry = {'driver': 'command', 'program': str(programs['fence_scsi']), **BY_HAND}
    hosts = {'c1': entry | {'options': one}, 'c2': entry | {'options': other}}
    found = inventory.Inventory(hosts, {'driver': 'nova_forced_down'})
    if is_same:
        with pytest.raises(exceptions.Refused, match='c1 and c2'):
            found.check()
    else:
        found.check()


def test_only_what_removes_keys_is_held_to_the_rules_about_keys():
    storage_programs.check('c1', 'fence_of_ours', 'program', {'key': '0x0'})
    assert not storage_programs.is_reserving('fence_of_ours')


def test_each_of_several_devices_is_asked_by_itself():
    options = {'Devices': f'{A},{B}', 'key': '1'}
    assert storage_programs.one_by_one(options) == (
        {'Devices': A, 'key': '1'},
        {'Devices': B, 'key': '1'},
    )
    assert storage_programs.one_by_one({'devices': A}) == storage_programs.one_by_one({}) == ()
