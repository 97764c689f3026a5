# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha import serialization
from heat_ha.cloud.model import ServerStatus
from heat_ha.rescue import model
from heat_ha.rescue.rules import server_states
from heat_ha.rescue.rules.server_states import Ends, Way

# Nova's own lists (InstanceState and InstanceTaskState in nova/objects/fields.py).
NOVA_STATES = [
    'active',
    'building',
    'paused',
    'suspended',
    'stopped',
    'rescued',
    'resized',
    'soft-delete',
    'deleted',
    'error',
    'shelved',
    'shelved_offloaded',
]
NOVA_TASKS = [
    'scheduling',
    'block_device_mapping',
    'networking',
    'spawning',
    'image_snapshot',
    'image_snapshot_pending',
    'image_pending_upload',
    'image_uploading',
    'image_backup',
    'updating_password',
    'resize_prep',
    'resize_migrating',
    'resize_migrated',
    'resize_finish',
    'resize_reverting',
    'resize_confirming',
    'rebooting',
    'reboot_pending',
    'reboot_started',
    'rebooting_hard',
    'reboot_pending_hard',
    'reboot_started_hard',
    'pausing',
    'unpausing',
    'suspending',
    'resuming',
    'powering-off',
    'powering-on',
    'rescuing',
    'unrescuing',
    'rebuilding',
    'rebuild_block_device_mapping',
    'rebuild_spawning',
    'migrating',
    'deleting',
    'soft-deleting',
    'restoring',
    'shelving',
    'shelving_image_pending_upload',
    'shelving_image_uploading',
    'shelving_offloading',
    'unshelving',
]


def server(vm_state, task='', **changes):
    return model.Server('s', ServerStatus.OTHER, 'old', task, vm_state=vm_state, **changes)


def test_every_state_of_nova_has_a_row_and_no_other():
    assert set(server_states.VM_STATES) == set(NOVA_STATES)
    assert set(server_states.TASK_STATES) == set(NOVA_TASKS)


@pytest.mark.parametrize('vm_state', NOVA_STATES)
def test_nova_is_asked_without_a_reset_for_what_it_evacuates_only(vm_state):
    is_direct = server_states.VM_STATES[vm_state].way is Way.EVACUATE
    assert is_direct is (vm_state in ('active', 'stopped', 'error'))


@pytest.mark.parametrize('task', NOVA_TASKS)
def test_with_a_task_nova_is_never_asked_without_a_reset(task):
    for vm_state in NOVA_STATES:
        assert server_states.row_of(server(vm_state, task)).way is not Way.EVACUATE


def test_what_its_owner_deletes_or_has_shelved_is_left_alone_whatever_the_task():
    for vm_state in ('shelved', 'shelved_offloaded', 'soft-delete', 'deleted'):
        for task in ('', 'deleting', 'soft-deleting', 'shelving_offloading'):
            assert server_states.row_of(server(vm_state, task)).way is Way.LEAVE
    for vm_state in NOVA_STATES:
        assert server_states.row_of(server(vm_state, 'deleting')).way is Way.LEAVE


@pytest.mark.parametrize('task', NOVA_TASKS)
def test_a_task_never_allows_what_the_state_does_not(task):
    more = (Way.EVACUATE, Way.RESET, Way.MIGRATION)
    for vm_state in ('building', 'soft-delete', 'deleted', 'shelved', 'resized', 'of tomorrow'):
        assert server_states.row_of(server(vm_state, task)).way not in more
        if vm_state != 'resized':
            assert server_states.row_of(server(vm_state, task)).way is not Way.FROM_VOLUME


def test_a_server_that_is_being_unshelved_is_not_taken_for_one_that_is_built():
    for task in ('spawning', 'networking', 'unshelving'):
        assert server_states.row_of(server('shelved_offloaded', task)).way is Way.PERSON


@pytest.mark.parametrize('task', ['scheduling', 'block_device_mapping', 'networking', 'spawning'])
def test_only_a_server_that_is_being_built_counts_as_one_that_never_ran(task):
    for vm_state in NOVA_STATES:
        is_built = server_states.row_of(server(vm_state, task)).way is Way.BUILD
        assert is_built is (vm_state == 'building')


def test_what_this_version_does_not_know_is_left_to_a_person():
    for vm_state, task in (('new', ''), ('new', 'rebooting'), ('active', 'new'), ('', '')):
        assert server_states.row_of(server(vm_state, task)).way is Way.PERSON


@pytest.mark.parametrize('vm_state', NOVA_STATES)
def test_what_did_not_run_is_left_stopped(vm_state):
    did_not_run = vm_state in ('stopped', 'paused', 'suspended', 'rescued', 'resized')
    for task in ['', *NOVA_TASKS]:
        row = server_states.row_of(server(vm_state, task))
        if row.way in (Way.LEAVE, Way.BUILD, Way.PERSON):
            continue
        ends = server_states.ends_in(server(vm_state, task, power_state=4))
        if row.ends is Ends.ACTIVE:
            assert ends is ServerStatus.ACTIVE
        elif did_not_run:
            assert ends is ServerStatus.SHUTOFF


@pytest.mark.parametrize('vm_state', NOVA_STATES)
def test_nothing_that_counts_later_is_left_out_of_the_record(vm_state):
    for task, status, power in itertools.product(
        ['', *NOVA_TASKS], ('ACTIVE', 'SHUTOFF', 'VERIFY_RESIZE', 'RESIZE', 'REBUILD'), (1, 4)
    ):
        seen = server(vm_state, task, detail=status, power_state=power, fault='why')
        kept = server_states.for_record(seen)
        assert server_states.ends_in(kept) is server_states.ends_in(seen)
        assert server_states.in_words(kept) == server_states.in_words(seen)


def test_the_version_before_reads_what_is_kept_of_a_server_that_runs_or_is_stopped():
    for vm_state, status in (('active', 'ACTIVE'), ('stopped', 'SHUTOFF'), ('error', 'ERROR')):
        seen = server(vm_state, detail=status, power_state=1, fault='why', is_locked=True,
                      fault_at=7.0)  # fmt: skip
        assert set(serialization.encode(server_states.for_record(seen))) == {
            'server', 'status', 'host', 'task', 'volumes', 'addresses', 'wording',
        }  # fmt: skip


def test_the_state_is_told_from_the_status_where_nova_does_not_show_it():
    for status, state in (('PAUSED', 'paused'), ('VERIFY_RESIZE', 'resized'), ('ACTIVE', 'active')):
        assert server_states.state_of(model.Server('s', ServerStatus.OTHER, detail=status)) == state
    assert server_states.state_of(model.Server('s', ServerStatus.SHUTOFF)) == 'stopped'
    assert server_states.state_of(model.Server('s', ServerStatus.OTHER, detail='NEW')) == ''
