# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from tests.unit.sender_bodies import NAMED, SERVER, alert, alertmanager, aodh, aodh_event
from tests.unit.senders.reading import ALARM, NO_DATA, OK, REFUSED, assert_read
from tests.unit.service_bodies import cloudevent, cloudwatch, sns

ENVELOPES = {
    'CloudEvents': cloudevent,
    'Amazon SNS': sns,
    'Zaqar': lambda body: {'body': body, 'ttl': 3600, 'queue_name': 'q'},
}
BODIES = [
    (aodh('ok', 'threshold'), OK, None),
    (aodh('alarm', 'threshold'), ALARM, None),
    (aodh_event('alarm', ['instance_id', 1, SERVER]), ALARM, SERVER),
    (alertmanager(alert('firing', **NAMED)), ALARM, SERVER),
    (alertmanager(alert('resolved', **NAMED)), OK, SERVER),
    (cloudwatch('ALARM', **NAMED), ALARM, SERVER),
    (cloudwatch('OK'), OK, None),
    (cloudwatch('INSUFFICIENT_DATA'), NO_DATA, None),
    ({'state': 'alarm', **NAMED}, ALARM, SERVER),
    # What tells of a server that has started or recovered names it as well.
    (NAMED, REFUSED, 'in the envelope is of no known sender and has no state'),
    ({**NAMED, 'reason': 'back to normal'}, REFUSED, 'has no state'),
    ({'acknowledged': True, **NAMED}, REFUSED, 'has no state'),
    ({'text': 'x'}, REFUSED, 'is of no known sender'),
    ({'action': 'failover'}, REFUSED, 'is of no known sender'),
    ({}, REFUSED, 'is empty'),
    (sns(cloudwatch('ALARM')), REFUSED, 'is an envelope again'),
    (cloudevent(cloudwatch('ALARM')), REFUSED, 'is an envelope again'),
]


@pytest.mark.parametrize('name', ENVELOPES)
@pytest.mark.parametrize(('body', 'state', 'expected'), BODIES)
def test_what_is_in_an_envelope_is_read_and_nothing_else(name, body, state, expected):
    assert_read(ENVELOPES[name](body), state, expected)


@pytest.mark.parametrize(
    'body',
    [
        sns('You have chosen to subscribe', 'SubscriptionConfirmation'),
        sns('the server is down'),
        sns('["alarm"]'),
        sns('null'),
        sns(''),
        sns('[' * 5000),
        sns('{"state": "alarm"'),
        {**sns('x'), 'Message': None},
        cloudevent(None),
        cloudevent('alarm'),
        cloudevent(json.dumps('alarm')),
        cloudevent([alertmanager(alert('firing'))]),
        {'specversion': '1.0', 'type': 'x', 'data_base64': 'e30='},
        {'specversion': '1.0', 'type': 'alarm.resolved', 'state': 'alarm'},
    ],
)
def test_an_envelope_with_nothing_that_is_known_is_refused(body):
    assert_read(body, REFUSED, '')


ANY_STATE = {'state': 'alarm', **NAMED}


@pytest.mark.parametrize(
    ('body', 'state', 'expected'),
    [
        # A body of one's own with an object under this key is no envelope.
        ({'state': 'resolved', 'title': 'web-2 is back', 'body': NAMED}, OK, SERVER),
        ({'STATUS': 'ok', 'body': {'reason': 'all checks pass'}}, OK, None),
        ({'notification_type': 'RECOVERY', 'body': NAMED}, OK, SERVER),
        ({'state': 'firing', 'acknowledged': True, 'body': {'host': 'web-2'}}, OK, None),
        ({'acknowledged': True, 'body': NAMED}, REFUSED, "'body'"),
        ({'test': True, 'body': ANY_STATE}, REFUSED, 'is a test'),
        ({'state': 'alarm', 'body': NAMED}, ALARM, SERVER),
        # Nobody knows which of the two is meant.
        ({'state': 'ok', 'body': ANY_STATE}, REFUSED, 'both have a state'),
        ({**cloudevent(ANY_STATE), 'status': 'ok'}, REFUSED, 'both have a state'),
        ({**sns(ANY_STATE), 'state': 'ok'}, REFUSED, 'both have a state'),
    ],
)
def test_what_is_said_around_an_object_is_not_passed_over(body, state, expected):
    assert_read(body, state, expected)


def test_a_program_may_name_a_member_in_its_message():
    assert_read({'body': {'member': 'web-1', 'reason': 'x'}, 'ttl': 60}, ALARM, 'web-1')
    for nobody in ('', None):
        assert_read({'body': {'member': nobody, 'reason': 'x'}}, REFUSED, '')
    # What tells of events does not ask for anything by naming one.
    assert_read(cloudevent({'member': 'web-1'}), REFUSED, 'has no state')
