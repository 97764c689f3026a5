# SPDX-License-Identifier: Apache-2.0
"""Each word of each service that watches from outside."""

import pytest

from heat_ha.senders import services
from tests.unit import service_bodies as bodies
from tests.unit.sender_bodies import NAMED, SERVER, zabbix
from tests.unit.senders.reading import ALARM, NO_DATA, OK, REFUSED, assert_read, parse

# The row of the table, how a body is made with a word for the state, and whom it names.
EACH = [
    (services.PAGERDUTY, bodies.pagerduty, None),
    (services.PAGERDUTY_OF_OLD, bodies.pagerduty_of_old, None),
    (services.PAGERDUTY_EVENT, lambda word: bodies.pagerduty_event(word, **NAMED), SERVER),
    (services.OPSGENIE, lambda word: bodies.opsgenie(word, details=NAMED), SERVER),
    (services.DATADOG, lambda word: bodies.datadog(alert_transition=word, **NAMED), SERVER),
    (services.UPTIME_KUMA, lambda word: bodies.uptime_kuma(word, *NAMED.items()), SERVER),
    (services.CLOUDWATCH, lambda word: bodies.cloudwatch(word, **NAMED), SERVER),
    (services.VICTOROPS, lambda word: bodies.victorops(word, **NAMED), SERVER),
]


@pytest.mark.parametrize(('sender', 'made', 'named'), EACH, ids=[s.name for s, _, _ in EACH])
def test_each_word_of_a_service_is_read_as_it_means_it(sender, made, named):
    for word, state in sender.words.items():
        for spelled in (word, word.upper(), word.title()):
            assert_read(made(spelled), state, named)
    for odd in ('burning', '', None, 77, True, ['x'], {'x': 1}):
        assert_read(made(odd), REFUSED, '')


def both(first, second, same=True):
    messages = [bodies.pagerduty_of_old(event)['messages'][0] for event in (first, second)]
    if not same:
        messages[1]['incident']['id'] = 'ANOTHER'
    return {'messages': messages}


ROWS = [
    (bodies.pagerduty('incident.triggered'), ALARM, None),
    (bodies.pagerduty('incident.resolved'), OK, None),
    (bodies.pagerduty('incident.acknowledged'), OK, None),
    (bodies.pagerduty('incident.reopened'), ALARM, None),
    (bodies.pagerduty('pagey.ping'), REFUSED, 'is a test'),
    (bodies.pagerduty('incident.conference_bridge.updated'), REFUSED, 'event_type'),
    (bodies.pagerduty_of_old('incident.trigger'), ALARM, None),
    (bodies.pagerduty_of_old('incident.resolve', status='resolved'), OK, None),
    ({'messages': []}, REFUSED, 'has no alert'),
    # What is over by the end of a body asks for nothing; another incident does.
    (both('incident.trigger', 'incident.resolve'), OK, None),
    (both('incident.resolve', 'incident.trigger'), ALARM, None),
    (both('incident.trigger', 'incident.resolve', same=False), ALARM, None),
    ({'messages': 'x'}, REFUSED, 'messages is a text'),
    (bodies.pagerduty_event('trigger', **NAMED), ALARM, SERVER),
    (bodies.pagerduty_event('trigger'), ALARM, None),
    (bodies.pagerduty_event('resolve', **NAMED), OK, SERVER),
    (bodies.opsgenie('Create', details=NAMED), ALARM, SERVER),
    (bodies.opsgenie('Create'), ALARM, None),
    (bodies.opsgenie('Close', details=NAMED), OK, SERVER),
    (bodies.opsgenie('Acknowledge', details=NAMED), OK, SERVER),
    # An action of ours stays one, and with a foreign key it is refused.
    ({'action': 'failover', 'alert': {}}, REFUSED, "action is 'failover'"),
    ({'action': 'failover', 'alert': 'x'}, REFUSED, "unknown key 'alert'"),
    (bodies.datadog(), REFUSED, '$ALERT_TRANSITION'),
    (bodies.datadog(alert_transition='Renotify', **NAMED), REFUSED, "'Renotify'"),
    (bodies.datadog(alert_transition='$ALERT_TRANSITION'), REFUSED, '$ALERT_TRANSITION'),
    (bodies.datadog(alert_transition='Triggered'), ALARM, None),
    (bodies.datadog(alert_transition='No Data', **NAMED), NO_DATA, SERVER),
    (bodies.uptime_kuma(0, ('server_id', SERVER)), ALARM, SERVER),
    (bodies.uptime_kuma(0), ALARM, None),
    (bodies.uptime_kuma(1), OK, None),
    (bodies.uptime_kuma(3), OK, None),
    ({'heartbeat': None, 'monitor': None, 'msg': 'x Testing'}, REFUSED, 'is a test'),
    (bodies.uptime_kuma(0, heartbeat=None), REFUSED, 'about a certificate'),
    (bodies.uptime_kuma(0, monitor=None), ALARM, None),
    (bodies.cloudwatch('ALARM', InstanceId=SERVER), ALARM, SERVER),
    (bodies.cloudwatch('ALARM', Host='x'), ALARM, None),
    (bodies.cloudwatch('INSUFFICIENT_DATA', **NAMED), NO_DATA, SERVER),
    ({**bodies.cloudwatch('ALARM'), 'Trigger': None}, ALARM, None),
    (bodies.datadog(alert_transition='Triggered', tags=[f'server_id:{SERVER}']), ALARM, SERVER),
]

# How each service that has keys of one's own is given one.
LABELLED = {
    "PagerDuty's events": lambda labels: bodies.pagerduty_event('trigger', **labels),
    'Opsgenie': lambda labels: bodies.opsgenie('Create', details=labels),
    'Datadog': lambda labels: bodies.datadog(alert_transition='Triggered', **labels),
    'Uptime Kuma': lambda labels: bodies.uptime_kuma(0, *labels.items()),
    'CloudWatch': lambda labels: bodies.cloudwatch('ALARM', **labels),
    'VictorOps': lambda labels: bodies.victorops('CRITICAL', **labels),
    'Zabbix': lambda labels: zabbix('1', server_id='', **labels),
    'Sensu Go': lambda labels: bodies.sensu(2, 'failing', **labels),
}


@pytest.mark.parametrize('sender', LABELLED)
def test_a_key_that_has_an_id_names_the_server_in_each_service(sender):
    for key in ('uuid', 'UUID', 'resource', 'id', 'serverId', 'Instance-ID'):
        read = parse(LABELLED[sender]({key: SERVER}))
        is_beside_all = sender in ('Zabbix', 'Datadog', 'VictorOps')
        if is_beside_all and len(key) < 9 and key != 'serverId':
            # There it may as well be that of the event: it counts where a member has it.
            assert (read.member, read.host) == (None, SERVER)
        else:
            assert (read.member, read.host) == (SERVER, None)


@pytest.mark.parametrize(('body', 'state', 'expected'), ROWS)
def test_what_each_service_posts_is_read_as_it_means_it(body, state, expected):
    assert_read(body, state, expected)
