# SPDX-License-Identifier: Apache-2.0
import base64
import configparser
import struct

import pytest

from lab import problems
from lab.real import ceph, paths
from lab.real.addresses import Plan

PLAN = Plan(27000)


def test_a_key_has_the_form_that_ceph_takes_and_is_the_same_each_time():
    for user in ceph.users():
        kind, _seconds, _nanoseconds, size = struct.unpack_from(
            '<HIIH', base64.b64decode(ceph.key_of(user))
        )
        assert (kind, size) == (1, 16)
        assert len(base64.b64decode(ceph.key_of(user))) == 12 + 16
        assert ceph.key_of(user) == ceph.key_of(user)
    assert len({ceph.key_of(user) for user in ceph.users()}) == len(ceph.users())


def test_the_user_of_nova_and_cinder_reaches_their_pools_and_no_more():
    rights = configparser.ConfigParser()
    rights.read_string(ceph.keyring_of('client.cinder').replace('\t', ''))
    assert rights['client.cinder']['caps mon'] == '"profile rbd"'
    assert rights['client.cinder']['caps osd'] == (
        '"profile rbd pool=volumes, profile rbd pool=vms"'
    )
    assert 'caps mgr' not in rights['client.cinder']


def test_the_monitor_is_made_with_all_users():
    keys = configparser.ConfigParser()
    keys.read_string(ceph.all_keys().replace('\t', ''))
    assert keys.sections() == ceph.users()


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """What is called, with the folders in a place of their own."""
    made = []
    monkeypatch.setattr(paths, 'CEPH_DATA', tmp_path / 'ceph')
    monkeypatch.setattr(ceph, '_call', lambda *command, **_: made.append(command) or '')
    return made


def test_monitor_and_disk_are_made_once_the_disk_as_a_sparse_file(calls):
    for _ in range(2):
        ceph.prepare_monitor(PLAN)
        ceph.prepare_manager()
        ceph.prepare_disk(PLAN)
    assert [command[0] for command in calls] == ['monmaptool', 'ceph-mon', 'ceph', 'ceph-osd']
    disk = (paths.CEPH_DATA / 'osd' / 'block').stat()
    assert disk.st_size == ceph.DISK_BYTES and disk.st_blocks == 0


def test_a_disk_that_was_made_by_half_is_made_again(calls, monkeypatch):
    ceph.prepare_monitor(PLAN)

    def refuse(*command, **_):
        raise problems.Problem('no room')

    with monkeypatch.context() as broken:
        broken.setattr(ceph, '_call', refuse)
        with pytest.raises(problems.Problem):
            ceph.prepare_disk(PLAN)
    ceph.prepare_disk(PLAN)
    assert [command[0] for command in calls][-2:] == ['ceph', 'ceph-osd']


def test_a_command_that_finds_no_monitor_ends(monkeypatch):
    monkeypatch.setattr(ceph.subprocess, 'run', _never)
    with pytest.raises(problems.Problem, match='did not end within 3 s'):
        ceph.ceph('status', seconds=3)
    assert not ceph.monitor_answers()


def _never(command, timeout, **_):
    raise ceph.subprocess.TimeoutExpired(command, timeout)


@pytest.mark.parametrize(
    ('pid', 'available', 'size', 'up', 'wanted'),
    [
        (7, True, 10, 1, True),
        (7, True, 0, 0, True),
        # The disk is there, and the manager has not heard of it yet.
        (7, True, 0, 1, False),
        (7, False, 10, 1, False),
        # What is remembered of the process before.
        (8, True, 10, 1, False),
        (None, True, 10, 1, False),
    ],
)
def test_a_manager_is_active_when_it_is_this_one_and_knows_the_disk(
    monkeypatch, pid, available, size, up, wanted
):
    answers = {
        ('mgr', 'dump'): {'available': available, 'active_addrs': {'addrvec': [{'nonce': 7}]}},
        ('status',): {'pgmap': {'bytes_total': size}, 'osdmap': {'num_up_osds': up}},
    }
    monkeypatch.setattr(ceph, '_ask', lambda *what: answers[what])
    assert ceph.manager_is_active(pid) is wanted


def test_a_disk_is_up_when_it_is_this_process_s(monkeypatch):
    disk = {'up': 1, 'public_addr': '10.78.14.1:6801/678'}
    monkeypatch.setattr(ceph, '_ask', lambda *_: {'osds': [disk]})
    assert ceph.disk_is_up(678)
    assert not ceph.disk_is_up(78) and not ceph.disk_is_up(None)
    disk['up'] = 0
    assert not ceph.disk_is_up(678)


def test_without_an_answer_nothing_is_ready(monkeypatch):
    monkeypatch.setattr(ceph, '_ask', lambda *_: {})
    assert not ceph.disk_is_up(7) and not ceph.manager_is_active(7) and not ceph.monitor_answers()
