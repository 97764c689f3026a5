# SPDX-License-Identifier: Apache-2.0
"""Which of Nova's notifications say that a guest ended by itself: the table of the admin guide."""

import itertools

import pytest

from heat_ha.agent.rules import instance_reports
from heat_ha.agent.rules.instance_reports import Meaning

SERVER = '178b0921-8f85-4257-88b6-2e743b5a975c'


def payload(**changes):
    """What Nova 31 sends of a server, as far as it is read; a key with ... is left out."""
    data = {
        'uuid': SERVER, 'host': 'compute-1', 'state': 'stopped', 'power_state': 'shutdown',
        'task_state': None, 'tenant_id': 'project', 'action_initiator_user': None,
        'action_initiator_project': None,
    } | changes  # fmt: skip
    return {
        'nova_object.name': 'InstanceActionPayload',
        'nova_object.namespace': 'nova',
        'nova_object.data': {key: value for key, value in data.items() if value is not ...},
    }


def read(event_type=instance_reports.ENDED, **changes):
    return instance_reports.of_notification(event_type, payload(**changes))


def test_what_nova_itself_powered_off_has_failed():
    assert read() == instance_reports.InstanceReport(SERVER, 'compute-1', Meaning.FAILED)


def test_only_a_user_and_a_project_that_are_null_mean_that_nobody_had_asked():
    values = ('someone', None, '', ..., 7)
    for user, project in itertools.product(values, values):
        meaning = read(action_initiator_user=user, action_initiator_project=project).meaning
        if user is None and project is None:
            assert meaning is Meaning.FAILED
        elif {user, project} & {'someone', 7}:
            assert meaning is Meaning.ASKED_FOR, (user, project)
        else:
            assert meaning is Meaning.UNKNOWN, (user, project)


OTHERS = [
    f'instance.{action}.{phase}'
    for action in ('power_on', 'reboot', 'shutdown', 'delete', 'soft_delete', 'suspend', 'pause',
                   'shelve', 'rebuild', 'evacuate', 'live_migration_post', 'resize', 'create')
    for phase in ('start', 'end', 'error')
]  # fmt: skip


@pytest.mark.parametrize(
    'event_type',
    [*OTHERS, 'instance.power_off.start', 'instance.power_off', 'instance.update',
     'instance.exists', 'service.update', 'INSTANCE.POWER_OFF.END', '', None, 3, ['x']],
)  # fmt: skip
def test_no_other_notification_reports_the_end_of_a_guest(event_type):
    for state in ('stopped', 'error', 'active'):
        assert read(event_type, state=state) is None


@pytest.mark.parametrize(
    'state', ['active', 'error', 'deleted', 'building', 'paused', None, ..., 4]
)
def test_a_server_that_is_not_stopped_in_nova_has_not_ended(state):
    assert read(state=state) is None


@pytest.mark.parametrize('server', ['', 'x', SERVER + '\n', SERVER.upper(), None, ..., 7, [SERVER]])
def test_what_is_no_id_of_a_server_is_not_looked_for(server):
    assert read(uuid=server) is None


@pytest.mark.parametrize('host', ['x' * 300, 'a\nb', None, ..., 7, ['x']])
def test_a_host_that_is_no_name_is_left_out(host):
    assert read(host=host).host == ''


@pytest.mark.parametrize('body', [None, [], 'x', {}, {'nova_object.data': None}, {'x': 1}])
def test_a_malformed_payload_says_nothing(body):
    assert instance_reports.of_notification(instance_reports.ENDED, body) is None
