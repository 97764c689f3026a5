# SPDX-License-Identifier: Apache-2.0
"""Bodies of nobody that is known: what is no clear alarm is none."""

import itertools

import pytest

from heat_ha.senders import others
from heat_ha.senders.words import COMMON
from tests.unit.sender_bodies import NAMED, OTHER, SERVER
from tests.unit.senders.reading import ALARM, NO_DATA, OK, REFUSED, assert_read, parse, refusal
from tests.unit.service_bodies import icinga_event, nagios, pingdom, uptimerobot

WITHOUT_A_STATE = [
    {'text': 'web-1 has recovered'},
    {'message': 'all is well'},
    {'foo': 'bar'},
    {'alert': {'status': 'resolved'}},
    {'data': {'state': 'ok'}},
    {'previous': 'ok'},
    {'alarm': True},
    {'firing': False},
    {'level': 'ok'},
    {'title': '[Recovered] web-1', 'server_id': SERVER},
    # Chats.
    {'text': 'x', 'attachments': [{'color': 'good'}]},
    {'@type': 'MessageCard', 'summary': 'x'},
    {'embeds': [], 'content': 'x'},
    # Services that have no row.
    uptimerobot('1', 'Down'),
    uptimerobot('2', 'Up'),
    {'incident': {'state': 'closed'}, 'version': '1.2'},
    {'schemaId': 'azureMonitorCommonAlertSchema', 'data': {'essentials': {}}},
    {'AppName': 'GoAlert', 'Type': 'Test'},
    # What tells of hosts, and other parts of the cloud.
    {'notification': {'type': 'VM', 'payload': {}}},
    {'event_type': 'instance.power_on.end', 'payload': {}},
    {'Events': [], 'Index': 7},
]


@pytest.mark.parametrize('body', WITHOUT_A_STATE)
def test_without_a_word_for_a_state_only_names_and_reasons_are_an_alarm(body):
    refused = refusal(body)
    assert 'is of no known sender and has no state' in refused.reason
    assert '"state": "alarm"' in refused.remedy


@pytest.mark.parametrize('key', [key for key in others.SILENT_KEYS if key != 'member'])
def test_names_and_reasons_alone_are_an_alarm(key):
    named = SERVER if key in others.SERVER_KEYS else None
    assert_read({key: SERVER}, ALARM, named)


@pytest.mark.parametrize('key', others.STATE_KEYS)
def test_each_key_for_a_state_is_read_in_capitals_too(key):
    for name in (key, key.upper(), key.title()):
        assert_read({name: ' Problem\n', **NAMED}, ALARM, SERVER)
        assert_read({name: 'RESOLVED', **NAMED}, OK, SERVER)
        assert_read({name: 'unknown', **NAMED}, NO_DATA, SERVER)
        for odd in (
            None,
            '',
            'burning',
            0,
            200,
            7.5,
            True,
            ['alarm'],
            {'state': 'alarm'},
            'alarme',
        ):
            assert_read({name: odd, **NAMED}, REFUSED, f'{key} is ')


@pytest.mark.parametrize('key', others.SERVER_KEYS)
def test_each_key_for_a_server_names_one(key):
    assert_read({'state': 'down', key: 'web-1'}, ALARM, 'web-1')
    assert_read({'state': 'down', key.upper(): 'web-1'}, ALARM, 'web-1')
    assert_read({'state': 'up', key: 'web-1'}, OK, 'web-1')
    for odd in (7, ['web-1'], {'name': 'web-1'}, True, 'x' * 300):
        assert_read({'state': 'down', key: odd}, REFUSED, key)


def test_the_surest_key_names_the_server():
    body = {'state': 'down', 'host': 'compute-1', 'hostname': OTHER, **NAMED}
    assert_read(body, ALARM, SERVER)


@pytest.mark.parametrize('key', others.LABEL_KEYS)
def test_labels_name_the_server_and_are_surer_than_a_host(key):
    assert_read({'state': 'alarm', key: NAMED}, ALARM, SERVER)
    assert_read({'state': 'alarm', key: {'uuid': SERVER}, 'host': 'compute-1'}, ALARM, SERVER)
    assert_read({'state': 'alarm', key: {'x': 'y'}, 'host': 'web-1'}, ALARM, 'web-1')
    assert_read({'state': 'alarm', key: ['x'], **NAMED}, ALARM, SERVER)
    assert_read({'state': 'alarm', key: {'server_id': 7}}, REFUSED, 'server_id')


SPELLED = [
    'serverId', 'server-id', 'Server_ID', 'server.id', 'SERVER ID', 'InstanceId', 'instance-id',
    'resourceId', 'vmUuid', 'Server.Name',
]  # fmt: skip


@pytest.mark.parametrize('key', SPELLED)
def test_only_letters_and_digits_of_a_key_for_a_server_are_compared(key):
    assert_read({'state': 'down', key: SERVER, 'host': 'compute-1'}, ALARM, SERVER)
    assert_read({key: SERVER}, ALARM, SERVER)
    for labels in others.LABEL_KEYS:
        assert_read({'state': 'down', labels.title(): {key: SERVER}}, ALARM, SERVER)
    # Exactly as it is called here it is surer, and else nobody knows which one is meant.
    assert_read({'state': 'down', key: OTHER, **NAMED}, ALARM, SERVER)
    both = {'state': 'down', key: SERVER, f'{key}_': OTHER}
    assert_read(both, REFUSED, 'in several spellings')
    assert_read({**both, f'{key}_': SERVER}, ALARM, SERVER)


@pytest.mark.parametrize('key', ['hostName', 'host.name', 'Host-Name', 'vmname', 'HOST'])
def test_a_host_is_found_in_any_spelling(key):
    assert_read({'state': 'down', key: 'web-1'}, ALARM, 'web-1')
    assert_read({key: 'web-1'}, ALARM, 'web-1')


def test_an_instance_is_never_a_server():
    for key in ('instance', 'Instance', 'in.stance'):
        assert_read({'state': 'down', key: SERVER, 'labels': {key: SERVER}}, ALARM, None)


def test_an_id_names_the_server_also_beside_the_state():
    host = {'host': 'compute-1'}
    for key in ('uuid', 'resource', 'UUID', 'Resource'):
        assert_read({'state': 'down', key: SERVER}, ALARM, SERVER)
        # There it may as well be that of the event.
        assert_read({'state': 'down', key: SERVER, **host}, ALARM, 'compute-1')
        assert_read({'state': 'down', key: 'x', **host}, ALARM, 'compute-1')
        for surer in (NAMED, {'labels': NAMED}, {'servers': [SERVER]}):
            assert_read({'state': 'down', key: OTHER, **surer}, ALARM, SERVER)
        # It says nothing of a state, and may be that of anything.
        assert_read({key: SERVER}, REFUSED, 'has no state')
    assert_read({'state': 'down', 'id': SERVER}, ALARM, None)
    assert parse({'state': 'down', 'id': SERVER}).host == SERVER, 'where a member has it'
    assert_read({'state': 'down', 'id': SERVER, **host}, ALARM, 'compute-1')
    assert_read({'state': 'down', 'id': 7}, ALARM, None)


def test_an_object_under_resource_has_labels():
    for inside in (NAMED, {'id': SERVER, 'type': 'server'}, {'uuid': SERVER}):
        assert_read({'state': 'down', 'resource': inside, 'host': 'compute-1'}, ALARM, SERVER)
    assert_read({'state': 'down', 'resource': {'resource': NAMED}}, ALARM, SERVER)
    assert_read({'state': 'down', 'resource': {'name': 'x'}, 'host': 'web-1'}, ALARM, 'web-1')


@pytest.mark.parametrize('key', ['tags', 'labels', 'Tags'])
def test_a_list_of_texts_has_labels(key):
    assert_read({'state': 'down', key: ['env:prod', f'server_id:{SERVER}']}, ALARM, SERVER)
    assert_read({'state': 'down', key: [f'Server-ID: {SERVER}', 'env:a', 'env:b']}, ALARM, SERVER)
    assert_read({'state': 'down', key: ['server_id', 7, None, ':', 'x:']}, ALARM, None)
    two = [f'server_id:{SERVER}', f'server_id:{OTHER}']
    assert_read({'state': 'down', key: two}, REFUSED, "'server_id' is there twice")


@pytest.mark.parametrize('key', others.LIST_KEYS)
def test_a_list_names_one_server_or_is_refused(key):
    assert_read({'state': 'alarm', key: ['web-1']}, ALARM, 'web-1')
    assert_read({'state': 'alarm', key: [SERVER, SERVER]}, ALARM, SERVER)
    assert_read({'state': 'alarm', key: []}, ALARM, None)
    assert_read({'state': 'alarm', key: ['web-1', 'web-2']}, REFUSED, '2 different servers')
    assert_read({'state': 'ok', key: ['web-1', 'web-2']}, OK, None)
    for empty in ([''], ['web-1', ''], [' \n']):
        assert_read({'state': 'alarm', key: empty}, REFUSED, f'{key} has an empty name')
    for odd in ('web-1', {'id': 'web-1'}, [{'id': 'web-1'}], [7], 3):
        assert_read({'state': 'alarm', key: odd}, REFUSED, f'{key} is ')


SET = (True, 1, 'true', 'Yes', 'y', '1', 'on', 'T', 'Active', 'enabled')
NOT_SET = (
    False, 0, None, '', 'false', 'No', ' off ', '0', 'none', [], {},
    'n', 'F', 'null', 'N/A', 'na', 'inactive', 'disabled',
)  # fmt: skip
# How long, how often, why, what is tested: keys of the same name have that elsewhere.
NO_FLAG = (
    'since noon', {'by': 'me'}, {'active': False}, ['x'], '5 minutes', '2 % [3 h 2 m]', -1, 1.5,
    float('nan'), 'unacknowledged', 'conn', '$HOSTDOWNTIME$', '\u0661',
)  # fmt: skip


@pytest.mark.parametrize('flag', others.QUIET_FLAGS)
def test_a_flag_that_is_set_makes_a_state_ask_for_nothing(flag):
    for value in SET:
        assert_read({'state': 'down', flag: value, **NAMED}, OK, SERVER)
        assert_read({flag: value, **NAMED}, OK, SERVER)
    for value in NOT_SET:
        assert_read({'state': 'down', flag: value, **NAMED}, ALARM, SERVER)
    another = 'muted' if flag == 'acked' else 'acked'
    for value in NO_FLAG:
        if flag in others.COUNTED_FLAGS and isinstance(value, str):
            # Who has acknowledged it, or a macro that was not filled in.
            assert_read({'state': 'down', flag: value, **NAMED}, ALARM, SERVER)
            continue
        refused = refusal({'state': 'down', flag: value, another: True, **NAMED})
        assert refused.reason.startswith(f'{flag} is ')
        assert refused.remedy == 'Send true or false'


def test_icinga_writes_whole_numbers_with_a_point():
    body = {'host_name': 'web-1', 'state': 'CRITICAL', 'host_state': 'UP', 'state_type': 1.0,
            'downtime_depth': 0.0, 'acknowledgement': 0.0, 'is_flapping': '0.0'}  # fmt: skip
    assert_read(body, ALARM, 'web-1')
    for key, value in (('state_type', 0.0), ('downtime_depth', 1.0), ('is_flapping', 1.0)):
        assert_read({**body, key: value}, OK, 'web-1')


@pytest.mark.parametrize('key', ['instanceId', 'vmId', 'resource-ID', 'Server Id'])
def test_a_number_in_another_spelling_is_the_senders_own(key):
    assert_read({'state': 'alarm', key: 7, 'host': 'web-1'}, ALARM, 'web-1')
    assert_read({'state': 'alarm', key: 7}, ALARM, None)


def test_a_number_sets_a_flag_only_where_its_sender_counts():
    for flag in others.QUIET_FLAGS:
        for number in (2, 300, '12'):
            counts = flag in others.COUNTED_FLAGS
            state, expected = (OK, SERVER) if counts else (REFUSED, f'{flag} is ')
            assert_read({'state': 'down', flag: number, **NAMED}, state, expected)


@pytest.mark.parametrize('key', others.STATE_TYPE_KEYS)
def test_a_state_that_is_to_be_checked_again_asks_for_nothing_yet(key):
    for value in ('SOFT', 'Soft', ' soft', 0, '0'):
        assert_read({'state': 'down', key: value, **NAMED}, OK, SERVER)
        assert_read({'state': 'down', key.upper(): value, **NAMED}, OK, SERVER)
    for value in ('HARD', 1, '', None, 'x', [], {}):
        assert_read({'state': 'down', key: value, **NAMED}, ALARM, SERVER)


def test_two_keys_with_states_that_differ_are_refused_with_both():
    for first, second in itertools.combinations(others.STATE_KEYS, 2):
        for one, another in itertools.permutations(('alarm', 'ok', 'unknown'), 2):
            body = {second: another, first: one, **NAMED}
            is_beside = second.startswith('host') and not first.startswith('host')
            if is_beside and (one != 'ok' or first.startswith('service')):
                assert parse(body).alarm_state is parse({'state': one}).alarm_state
                continue
            reason = refusal(body).reason
            assert reason == f'{first} is {one!r} and {second} is {another!r}'
        assert_read({first: 'alarm', second: 'firing', **NAMED}, ALARM, SERVER)
        for unknown in ('delivered', '', None, 200, ['ok'], {'is': 'ok'}):
            assert_read({first: 'alarm', second: unknown, **NAMED}, ALARM, SERVER)
    # The second one of the two may be the state of a service as well.
    for occasion in ({}, {'notification_type': 'PROBLEM'}):
        body = {'status': 'ok', 'hoststate': 'DOWN', **occasion, **NAMED}
        assert_read(body, REFUSED, "status is 'ok' and hoststate is 'DOWN'")
    both = {'hoststate': 'up', 'servicestate': '', 'service_state': 'down', **NAMED}
    assert_read(both, ALARM, SERVER)
    assert_read({**both, 'servicestate': 'ok'}, REFUSED, 'service_state')


def test_without_a_state_a_severity_of_no_weight_asks_for_nothing():
    over = [word for word, state in COMMON.items() if state is OK]
    for severity in (*others.HARMLESS, *over, 'Warning', ' Recovery '):
        assert_read({'severity': severity, 'alarm_name': 'x', **NAMED}, OK, SERVER)
    for severity in (*others.HARMLESS, 'info', 'warning'):
        assert_read({'severity': severity, 'state': 'alarm', **NAMED}, ALARM, SERVER)


@pytest.mark.parametrize('state', [{}, {'state': 'problem'}])
def test_a_severity_may_say_that_an_alarm_is_over(state):
    for severity in (*others.OVER, 'Cleared', ' OK '):
        assert_read({'severity': severity, **state, **NAMED}, OK, SERVER)
    for severity in ('critical', 'low', 'indeterminate', '', None, 5):
        assert_read({'severity': severity, **state, **NAMED}, ALARM, SERVER)


@pytest.mark.parametrize('flag', others.TEST_FLAGS)
def test_a_test_is_refused(flag):
    for value in SET:
        assert_read({'state': 'down', flag: value, **NAMED}, REFUSED, 'is a test')
    for value in NOT_SET:
        assert_read({'state': 'down', flag: value, **NAMED}, ALARM, SERVER)
    for value in NO_FLAG:
        assert_read({'state': 'down', flag: value, **NAMED}, REFUSED, f'{flag} is ')


@pytest.mark.parametrize('key', others.OCCASION_KEYS)
@pytest.mark.parametrize(
    ('occasion', 'state'),
    [
        ('PROBLEM', ALARM),
        ('Problem', ALARM),
        ('RECOVERY', OK),
        ('ACKNOWLEDGEMENT', OK),
        ('FLAPPINGSTART', OK),
        ('FLAPPINGSTOP', OK),
        ('FlappingEnd', OK),
        ('FLAPPINGDISABLED', OK),
        ('DOWNTIMESTART', OK),
        ('DOWNTIMEEND', OK),
        ('DOWNTIMECANCELLED', OK),
        ('DowntimeRemoved', OK),
        ('CUSTOM', OK),
        ('burning', REFUSED),
        (None, REFUSED),
    ],
)
def test_a_state_that_was_there_before_asks_for_nothing(key, occasion, state):
    expected = SERVER if state else key
    assert_read({'state': 'DOWN', key: occasion, **NAMED}, state, expected)
    assert_read({key: occasion, **NAMED}, state, expected)
    assert_read({'state': 'UP', key: occasion, **NAMED}, state and OK, expected)


ROWS = [
    (nagios('DOWN', 'PROBLEM'), ALARM, SERVER),
    (nagios('DOWN', 'ACKNOWLEDGEMENT'), OK, SERVER),
    (
        {
            'NOTIFICATIONTYPE': 'PROBLEM',
            'HOSTSTATE': 'UP',
            'SERVICESTATE': 'CRITICAL',
            'HOSTNAME': 'web-1',
        },
        ALARM,
        'web-1',
    ),
    # A notification about a host has no service.
    ({'HOSTSTATE': 'DOWN', 'SERVICESTATE': '', 'HOSTNAME': 'web-1'}, ALARM, 'web-1'),
    ({'HOSTSTATE': 'DOWN', 'SERVICESTATE': '$SERVICESTATE$'}, REFUSED, 'SERVICESTATE'),
    # The state of the service counts, so the type of it does.
    (
        {'SERVICESTATE': 'CRITICAL', 'SERVICESTATETYPE': 'HARD', 'HOSTSTATETYPE': 'SOFT'},
        ALARM,
        None,
    ),
    (
        {'HOSTSTATE': 'DOWN', 'HOSTSTATETYPE': 'SOFT', 'SERVICESTATETYPE': '', 'HOSTNAME': 'web-1'},
        OK,
        'web-1',
    ),
    (
        nagios('DOWN', 'PROBLEM', state_type='HARD', downtime_depth=0, acknowledgement=0),
        ALARM,
        SERVER,
    ),
    (nagios('DOWN', 'PROBLEM', downtime_depth=1, acknowledgement=0), OK, SERVER),
    # Numbers of Icinga's own, 0 of which is up.
    (icinga_event(0), REFUSED, 'state is 0'),
    (icinga_event(2), REFUSED, 'state is 2'),
    (pingdom('DOWN', 'UP'), ALARM, None),
    (pingdom('UP', 'DOWN'), OK, None),
    ({'trigger_status': 'OK', **NAMED}, OK, SERVER),
    ({'event_status': 'PROBLEM', **NAMED}, ALARM, SERVER),
    ({'current_state': 'closed', 'incident_id': 1, 'condition_name': 'x'}, OK, None),
    ({'current_state': 'open', 'incident_id': 1}, REFUSED, "'open'"),
    ({'State': 'RESOLVED', 'ProblemID': '1', 'ImpactedEntity': 'web'}, OK, None),
    ({'status': 'closed', 'severity': 'ok', 'resource': 'web', 'event': 'NodeDown'}, OK, None),
    ({'status': 'CLEAR', 'host': 'web-1', 'alarm': 'x'}, OK, 'web-1'),
    ({'state': 'suppressed', **NAMED}, OK, SERVER),
    ({'state': 'maintenance', **NAMED}, OK, SERVER),
    ({'state': 'flapping', **NAMED}, OK, SERVER),
    ({'state': 'acknowledged', **NAMED}, OK, SERVER),
    # The same key twice, where JSON keeps both.
    ({'State': 'ok', 'state': 'alarm'}, REFUSED, "'state' is there twice"),
    ({'state': None, 'status': 'firing', **NAMED}, ALARM, SERVER),
    ({'state': float('nan')}, REFUSED, 'state is nan'),
    # Words that only look like known ones.
    ({'state': 'F\u0130RING'}, REFUSED, 'state is'),
    ({'state': '\uff46\uff49\uff52\uff49\uff4e\uff47'}, REFUSED, 'state is'),
    ({'state': '\ufeffalarm'}, REFUSED, 'state is'),
    ({'state': 'alarm', 'server_id': 'w\u00eab-\u540d'}, ALARM, 'w\u00eab-\u540d'),
    # A member beside a state, as a program of one's own may well write it.
    ({'state': 'alarm', 'member': 'web-1'}, ALARM, 'web-1'),
    ({'state': 'ok', 'member': 'web-1', 'source': 'x'}, OK, 'web-1'),
    ({'state': 'alarm', 'member': 7}, REFUSED, 'member is a number'),
    ({'state': 'alarm', 'action': 'failover'}, REFUSED, "unknown key 'state'"),
]


@pytest.mark.parametrize(('body', 'state', 'expected'), ROWS)
def test_what_an_operator_writes_is_read_as_it_is_meant_or_refused(body, state, expected):
    assert_read(body, state, expected)


def test_where_the_sender_cannot_be_known_the_refusal_names_the_key():
    assert "'text'" in refusal({'server_id': SERVER, 'text': 'x'}).reason
    assert OTHER not in str(refusal({'id': OTHER}))


def test_an_odd_id_beside_a_name_is_nobodys():
    assert_read({'state': 'alarm', 'server': 'web-1', 'Id': SERVER, 'ID': OTHER}, ALARM, 'web-1')
