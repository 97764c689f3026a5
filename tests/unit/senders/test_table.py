# SPDX-License-Identifier: Apache-2.0
"""One body for each sender and state, in the form that the sender posts, and what is read of it."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat_ha import exceptions, senders
from tests.unit import service_bodies
from tests.unit.sender_bodies import (
    NAMED,
    OTHER,
    SERVER,
    alert,
    alertmanager,
    aodh,
    aodh_event,
    check,
    consul,
    grafana,
    grafana_legacy,
    kapacitor,
    monasca,
    pacemaker,
    vitrage,
    zabbix,
)
from tests.unit.senders.reading import ALARM, NO_DATA, OK, REFUSED, assert_short, parse, refusal

# --- each of them ---------------------------------------------------------------------------

ROWS = [
    # Aodh: event alarms name the server, the other kinds do not.
    ('Aodh', aodh_event('alarm', ['instance_id', 1, SERVER]), ALARM, SERVER),
    ('Aodh', aodh_event('alarm', ['resource_id', 1, SERVER]), ALARM, SERVER),
    ('Aodh', aodh_event('ok', ['instance_id', 1, SERVER]), OK, SERVER),
    *(
        ('Aodh', aodh(current, kind, **reason_data), state, None)
        for (current, state), (kind, reason_data) in itertools.product(
            {'alarm': ALARM, 'ok': OK, 'insufficient data': NO_DATA}.items(),
            {
                # Alarms of Gnocchi's and Prometheus's metrics have this form too.
                'threshold': {'disposition': 'outside', 'count': 1, 'most_recent': 97.5},
                'composite': {
                    'composition_form': '(rule1 and rule2)',
                    'causative_rules': {'rule1': {'resource_id': SERVER}},
                },
                'loadbalancer_member_health': {
                    'count': 1,
                    'unhealthy_members': [{'id': 'm1', 'address': '10.0.0.7'}],
                    'pool_id': 'p',
                    'stack_id': 's',
                    'asg_id': 'g',
                },
            }.items(),
        )
    ),
    ('Aodh', aodh('burning', 'threshold'), REFUSED, "current is 'burning'"),
    # Alertmanager.
    ('Prometheus Alertmanager', alertmanager(alert('firing', **NAMED)), ALARM, SERVER),
    ('Prometheus Alertmanager', alertmanager(alert('firing')), ALARM, None),
    ('Prometheus Alertmanager', alertmanager(alert('resolved', **NAMED)), OK, SERVER),
    ('Prometheus Alertmanager', alertmanager(alert('resolved')), OK, None),
    (
        'Prometheus Alertmanager',
        alertmanager(alert('resolved', **NAMED), alert('resolved', server_id=OTHER)),
        OK,
        None,
    ),
    (
        'Prometheus Alertmanager',
        alertmanager(alert('resolved', server_id=OTHER), alert('firing', **NAMED)),
        ALARM,
        SERVER,
    ),
    (
        'Prometheus Alertmanager',
        alertmanager(alert('firing', **NAMED), alert('firing', instance_id=SERVER)),
        ALARM,
        SERVER,
    ),
    (
        'Prometheus Alertmanager',
        alertmanager(alert('firing', **NAMED), alert('firing', server_id=OTHER)),
        REFUSED,
        'different servers',
    ),
    (
        'Prometheus Alertmanager',
        alertmanager(alert('firing', **NAMED), alert('firing')),
        REFUSED,
        'different servers',
    ),
    (
        'Prometheus Alertmanager',
        alertmanager(alert('firing', **NAMED), truncatedAlerts=3),
        REFUSED,
        'truncatedAlerts is 3',
    ),
    # Its own state is that of its alerts.
    (
        'Prometheus Alertmanager',
        alertmanager(alert('resolved'), status='firing'),
        OK,
        None,
    ),
    # One alert, as what stands in between sends it on.
    ('One alert of Alertmanager or Grafana', alert('firing', **NAMED), ALARM, SERVER),
    ('One alert of Alertmanager or Grafana', alert('firing'), ALARM, None),
    ('One alert of Alertmanager or Grafana', alert('resolved', **NAMED), OK, SERVER),
    # Grafana.
    ('Grafana', grafana(alert('firing', **NAMED)), ALARM, SERVER),
    ('Grafana', grafana(alert('resolved', **NAMED)), OK, SERVER),
    ('Grafana', grafana(alert('firing', alertname='DatasourceNoData')), NO_DATA, None),
    ('Grafana', grafana(alert('firing', alertname='DatasourceError')), NO_DATA, None),
    ('Grafana', grafana(alert('resolved', alertname='DatasourceError')), OK, None),
    ('Grafana', grafana(alert('firing'), state='burning'), REFUSED, "state is 'burning'"),
    # Grafana of old.
    ('Grafana, legacy alerts', grafana_legacy('alerting'), ALARM, None),
    ('Grafana, legacy alerts', grafana_legacy('alerting', NAMED), ALARM, SERVER),
    ('Grafana, legacy alerts', grafana_legacy('alerting', None), ALARM, None),
    ('Grafana, legacy alerts', grafana_legacy('alerting', None, tags=NAMED), ALARM, SERVER),
    (
        'Grafana, legacy alerts',
        grafana_legacy('alerting', NAMED, {'server_id': OTHER}),
        REFUSED,
        'different servers',
    ),
    ('Grafana, legacy alerts', grafana_legacy('ok'), OK, None),
    ('Grafana, legacy alerts', grafana_legacy('pending'), OK, None),
    ('Grafana, legacy alerts', grafana_legacy('paused'), OK, None),
    ('Grafana, legacy alerts', grafana_legacy('no_data'), NO_DATA, None),
    ('Grafana, legacy alerts', grafana_legacy('unknown'), NO_DATA, None),
    ('Grafana, legacy alerts', grafana_legacy('firing'), REFUSED, "state is 'firing'"),
    # Monasca.
    ('Monasca', monasca('ALARM', SERVER), ALARM, SERVER),
    ('Monasca', monasca('ALARM', None), ALARM, None),
    ('Monasca', monasca('ALARM', SERVER, SERVER), ALARM, SERVER),
    ('Monasca', monasca('ALARM', SERVER, OTHER), REFUSED, 'different servers'),
    ('Monasca', monasca('OK', SERVER), OK, SERVER),
    ('Monasca', monasca('UNDETERMINED', SERVER), NO_DATA, SERVER),
    # Zabbix.
    ('Zabbix', zabbix('1'), ALARM, SERVER),
    ('Zabbix', zabbix(1), ALARM, SERVER),
    ('Zabbix', zabbix('1', server_id=''), ALARM, None),
    ('Zabbix', zabbix('1', event_update_status='1'), OK, SERVER),
    ('Zabbix', zabbix('0'), OK, SERVER),
    ('Zabbix', zabbix(True), REFUSED, 'event_value is True'),
    ('Zabbix', zabbix('{EVENT.VALUE}'), REFUSED, '{EVENT.VALUE}'),
    ('Zabbix', zabbix('1', event_source='3'), REFUSED, "event_source is '3'"),
    # Consul.
    ('Consul', consul(check('critical')), ALARM, 'web-1'),
    ('Consul', consul(check('passing', 'web-2'), check('critical')), ALARM, 'web-1'),
    ('Consul', consul(check('critical'), check('critical', 'web-2')), REFUSED, "'web-2'"),
    ('Consul', consul(check('critical', check_id='_node_maintenance')), OK, 'web-1'),
    ('Consul', consul(check('critical', check_id='_service_maintenance:a')), OK, 'web-1'),
    ('Consul', consul(check('warning')), OK, 'web-1'),
    ('Consul', consul(check('passing'), check('passing', 'web-2')), OK, None),
    ('Consul', consul(), OK, None),
    ('Consul', check('critical'), ALARM, 'web-1'),
    ('Consul', consul(check('burning')), REFUSED, "'burning'"),
    ('Consul', {'checks': 7}, REFUSED, 'checks is a number'),
    # Pacemaker.
    ('Pacemaker', pacemaker('lost'), ALARM, 'web-1'),
    ('Pacemaker', pacemaker('member'), OK, 'web-1'),
    ('Pacemaker', pacemaker('Timed Out'), REFUSED, 'CRM_alert_desc'),
    ('Pacemaker', pacemaker('ok', 'resource'), REFUSED, "CRM_alert_kind is 'resource'"),
    ('Pacemaker', pacemaker('Operation', 'fencing'), REFUSED, "CRM_alert_kind is 'fencing'"),
    # Vitrage.
    ('Vitrage', vitrage('vitrage.alarm.activate'), ALARM, SERVER),
    ('Vitrage', vitrage('vitrage.deduced_alarm.activate'), ALARM, SERVER),
    ('Vitrage', vitrage('vitrage.alarm.deactivate'), OK, SERVER),
    ('Vitrage', vitrage('vitrage.deduced_alarm.deactivate'), OK, SERVER),
    ('Vitrage', vitrage('vitrage.mark_down.activate'), REFUSED, 'notification'),
    ('Vitrage', vitrage('vitrage.alarm.activate', 'nova.host'), REFUSED, "'nova.host'"),
    # Kapacitor.
    ('Kapacitor', kapacitor('CRITICAL', NAMED), ALARM, SERVER),
    ('Kapacitor', kapacitor('CRITICAL'), ALARM, None),
    ('Kapacitor', kapacitor('CRITICAL', NAMED, {'server_id': OTHER}), REFUSED, 'different'),
    ('Kapacitor', kapacitor('WARNING', NAMED), OK, SERVER),
    ('Kapacitor', kapacitor('INFO', NAMED), OK, SERVER),
    ('Kapacitor', kapacitor('OK', NAMED), OK, SERVER),
    # Those whose other bodies are in test_monitors.py, test_services.py and test_openstack.py.
    ('InfluxDB', service_bodies.influxdb('crit', **NAMED), ALARM, SERVER),
    ('InfluxDB', service_bodies.influxdb('ok', **NAMED), OK, SERVER),
    ('InfluxDB', service_bodies.influxdb('unknown', **NAMED), NO_DATA, SERVER),
    ('Sensu Go', service_bodies.sensu(2, 'failing'), ALARM, 'web-1'),
    ('Sensu Go', service_bodies.sensu(0, 'passing'), OK, 'web-1'),
    ('Sensu Go', service_bodies.sensu(3, 'failing'), NO_DATA, 'web-1'),
    ('Opsgenie', service_bodies.opsgenie('Create'), ALARM, None),
    ('Opsgenie', service_bodies.opsgenie('Close'), OK, None),
    ('PagerDuty', service_bodies.pagerduty('incident.triggered'), ALARM, None),
    ('PagerDuty', service_bodies.pagerduty('incident.resolved'), OK, None),
    ('PagerDuty, V2', service_bodies.pagerduty_of_old('incident.trigger'), ALARM, None),
    ('PagerDuty, V2', service_bodies.pagerduty_of_old('incident.resolve'), OK, None),
    ("PagerDuty's events", service_bodies.pagerduty_event('trigger'), ALARM, None),
    ("PagerDuty's events", service_bodies.pagerduty_event('resolve'), OK, None),
    ('Datadog', service_bodies.datadog(alert_transition='Triggered'), ALARM, None),
    ('Datadog', service_bodies.datadog(alert_transition='Recovered'), OK, None),
    ('Datadog', service_bodies.datadog(alert_transition='No Data'), NO_DATA, None),
    ('Uptime Kuma', service_bodies.uptime_kuma(0), ALARM, None),
    ('Uptime Kuma', service_bodies.uptime_kuma(1), OK, None),
    ('CloudWatch', service_bodies.cloudwatch('ALARM'), ALARM, None),
    ('CloudWatch', service_bodies.cloudwatch('OK'), OK, None),
    ('CloudWatch', service_bodies.cloudwatch('INSUFFICIENT_DATA'), NO_DATA, None),
    ('VictorOps', service_bodies.victorops('CRITICAL'), ALARM, None),
    ('VictorOps', service_bodies.victorops('RECOVERY'), OK, None),
    ('cfn-signal', service_bodies.wait_condition('FAILURE'), ALARM, None),
    ('cfn-signal', service_bodies.wait_condition('SUCCESS'), OK, None),
    # Whoever else, such as Nagios and Icinga, with a body that an operator wrote.
    ('Any other', {}, ALARM, None),
    ('Any other', {'reason': 'by hand'}, ALARM, None),
    ('Any other', {'server_id': SERVER}, ALARM, SERVER),
    ('Any other', {'state': 'DOWN', 'server_id': SERVER}, ALARM, SERVER),
    ('Any other', {'status': 'firing'}, ALARM, None),
    ('Any other', {'status': 'Resolved'}, OK, None),
    ('Any other', {'state': 'UP', 'server_id': SERVER}, OK, SERVER),
    ('Any other', {'state': 'UNREACHABLE', 'server_id': SERVER}, NO_DATA, SERVER),
    ('Any other', {'status': 'burning'}, REFUSED, "status is 'burning'"),
    # A number may be the exit code of a check, or a status of HTTP: 0 and 200 say that all is well.
    ('Any other', {'status': 200}, REFUSED, 'status is 200'),
    # What Heat's own policies read decides, whatever else a sender calls a status.
    ('Any other', {'state': 'alarm', 'status': 'burning'}, ALARM, None),
    ('Any other', {'current': 'ok', 'state': 'resolved'}, OK, None),
    # Unless it has a word for a state as well, for something else.
    ('Any other', {'current': 'alarm', 'status': 'ok'}, REFUSED, "'alarm' and status is 'ok'"),
    ('Any other', {'current': 'ok', 'state': 'alarm'}, REFUSED, "'ok' and state is 'alarm'"),
    ('Any other', {'server_id': 7}, REFUSED, 'server_id is a number'),
]


@pytest.mark.parametrize(('sender', 'body', 'state', 'expected'), ROWS)
def test_what_each_sender_posts_is_read_as_it_means_it(sender, body, state, expected):
    assert next(s.name for s in senders.SENDERS if s.is_from(body)) == sender
    if state is REFUSED:
        assert expected in refusal(body).reason
        return
    signal = parse(body)
    assert (signal.action, signal.alarm_state, signal.member) == (None, state, expected)


@pytest.mark.parametrize('member', ['web-7', f' {SERVER}\n', 'Web-7'])
def test_a_member_beside_the_form_of_any_known_sender_is_whom_it_is_about(member):
    for sender, body, state, _ in ROWS:
        if state is REFUSED or sender == 'Any other':
            continue
        signal = parse({**body, 'member': member})
        assert (signal.action, signal.alarm_state) == (None, state), sender
        assert signal.member == member.strip(), sender
        assert parse({**body, 'member': None}) == parse(body), sender
        assert 'member is a number' in refusal({**body, 'member': 7}).reason, sender


def test_a_member_takes_no_body_about_several_servers_for_one():
    two = alertmanager(alert('firing', **NAMED), alert('firing', server_id=OTHER))
    assert 'different servers' in refusal({**two, 'member': 'web-7'}).reason


def test_a_member_and_a_reason_are_a_request_and_a_typing_error_beside_them_is_seen():
    request = {'member': 'web-7', 'reason': 'by hand'}
    signal = parse(request)
    assert (signal.member, signal.reason, signal.alarm) == ('web-7', 'by hand', '')
    for key in ('severity', 'acknowledged', 'reson'):
        assert f'unknown key {key!r}' in refusal({**request, key: 'x'}).reason


def test_each_sender_has_a_body_for_each_kind_of_state_that_it_has_a_word_for():
    for sender in senders.SENDERS:
        states = {state for name, _, state, _ in ROWS if name == sender.name}
        assert states >= set(sender.words.values()), sender.name


@pytest.mark.parametrize('word', senders.WORDS)
def test_each_word_is_one_of_a_sender_and_in_lower_case(word):
    assert word == word.lower()
    assert any(word in sender.words for sender in senders.SENDERS)


@pytest.mark.parametrize('key', ['server_id', 'instance_id', 'resource_id', 'member'])
def test_labels_name_the_server(key):
    assert parse(alertmanager(alert('firing', **{key: SERVER}))).member == SERVER


def test_the_surest_label_names_the_server():
    labels = {'resource_id': 'volume', 'member': 'a', 'server_id': SERVER, 'instance_id': ''}
    assert parse(alertmanager(alert('firing', **labels))).member == SERVER


@pytest.mark.parametrize(
    'alerts',
    [
        None,
        [],
        {},
        'firing',
        7,
        ['firing'],
        [None],
        [{}],
        [{'labels': {}}],
        [{'status': 'firing'}],
        [{'status': 'firing', 'labels': None}],
        [{'status': 'firing', 'labels': ['server_id']}],
        [{'status': 'burning', 'labels': {}}],
        [{'status': 7, 'labels': {}}],
        [{'status': 'firing', 'labels': {'server_id': 7}}],
        [{'status': 'firing', 'labels': {'server_id': 'x' * 300}}],
        [{'status': 'resolved', 'labels': {}}, {'status': 'burning', 'labels': {}}],
    ],
)
def test_alerts_that_are_not_understood_are_refused(alerts):
    for body in ({'alerts': alerts}, alertmanager() | {'alerts': alerts}):
        refusal(body)


def test_a_refusal_of_an_unknown_word_lists_the_known_ones():
    assert refusal({'status': 'burning'}).remedy.startswith('Known: alarm, ok, ')
    assert refusal(alertmanager(alert('burning'))).remedy == 'Known: firing, resolved'


def test_a_body_about_several_servers_is_refused_with_what_makes_it_one():
    body = alertmanager(*(alert('firing', server_id=f's{i}') for i in range(9)))
    refused = refusal(body)
    assert 'names 9 different servers' in refused.reason
    assert 'group_by [server_id]' in refused.remedy


THRESHOLD = aodh('alarm', 'threshold', count=1, disposition='outside', most_recent=99.0)


@pytest.mark.parametrize(
    ('body', 'is_repeat'),
    [
        ({**THRESHOLD, 'previous': 'ok'}, False),
        ({**THRESHOLD, 'previous': 'insufficient data'}, False),
        ({**THRESHOLD, 'previous': 'alarm'}, True),
        ({**THRESHOLD, 'previous': 'Alarm'}, True),
        ({'current': 'alarm', 'previous': 'alarm'}, True),
        # Each event is one of its own, although the alarm stays in its state.
        ({**aodh_event('alarm', ['instance_id', 1, SERVER]), 'previous': 'alarm'}, False),
        ({**aodh_event('alarm'), 'previous': 'alarm'}, False),
        ({k: v for k, v in THRESHOLD.items() if k != 'previous'}, False),
        ({**THRESHOLD, 'previous': None}, False),
        ({**THRESHOLD, 'previous': ['alarm']}, False),
        ({'state': 'alarm'}, False),
        ({}, False),
        (None, False),
    ],
)
def test_an_alarm_of_aodh_says_whether_it_was_sent_before(body, is_repeat):
    assert parse(body).is_repeat is is_repeat


def test_what_people_read_comes_with_the_alarm():
    for body, name, reason in (
        (alertmanager(alert('firing')), 'InstanceDown', 'It does not answer'),
        (grafana_legacy('alerting'), 'sick', 'It does not answer'),
        (monasca('ALARM', SERVER), 'sick', 'Thresholds were exceeded'),
        (zabbix('1'), 'Host is unavailable', ''),
    ):
        signal = parse(body)
        assert (signal.alarm, signal.reason) == (name, reason)


POOL = {'unhealthy_members': [{'id': 'm1', 'address': '10.0.0.7'}]}
HOST = {'hostname': 'web-1'}


@pytest.mark.parametrize(
    ('firing', 'resolved', 'source'),
    [
        (alertmanager(alert('firing', **HOST)), alertmanager(alert('resolved', **HOST)),
         'InstanceDown of web-1'),
        (grafana(alert('firing', **HOST)), grafana(alert('resolved', **HOST)),
         'InstanceDown of web-1'),
        (alertmanager(alert('firing')), alertmanager(alert('resolved')), 'InstanceDown'),
        (service_bodies.influxdb('crit', **HOST), service_bodies.influxdb('ok', **HOST),
         'alive of web-1'),
        # They name the host only as long as it is sick.
        (aodh('alarm', 'pool', **POOL), aodh('ok', 'pool', unhealthy_members=[]), 'sick'),
        (grafana_legacy('alerting', HOST), grafana_legacy('ok'), 'sick'),
    ],
)  # fmt: skip
def test_an_alarm_is_known_again_when_it_says_ok(firing, resolved, source):
    assert parse(firing).alarm_state is ALARM and parse(resolved).alarm_state is OK
    (found,) = parse(firing).sources
    assert parse(resolved).over == (found,) and found.partition(' (')[0] == source
    assert parse(firing).over == ()
    other = alertmanager(alert('resolved', hostname='web-2'))
    assert found not in parse(other).over


@pytest.mark.parametrize('send', [alertmanager, grafana])
def test_alerts_of_one_rule_with_other_labels_are_others(send):
    more = ({}, {'device': 'vdb'}, {'device': 'vdc'}, {'server_id': SERVER})
    found = [parse(send(alert('resolved', **HOST, **labels))).over for labels in more]
    assert len(set(found)) == len(more) and all(len(one) == 1 for one in found)
    assert all('InstanceDown' in one for (one,) in found)


def test_a_name_and_a_host_alone_need_nothing_else_to_be_told_apart():
    body = alertmanager(alert('firing'))
    body['alerts'][0]['labels'] = {'alertname': 'Down', 'hostname': 'web-1'}
    assert parse(body).sources == ('Down of web-1',)


@pytest.mark.parametrize('hosts', [*itertools.product((None, 'web-1', 'web-2'), repeat=2)])
@pytest.mark.parametrize('names', [('A', 'A'), ('A', 'B')])
def test_each_alert_of_a_body_asks_and_ends_by_itself(names, hosts):
    for states in itertools.product(('firing', 'resolved'), repeat=2):
        said, alerts = {'firing': set(), 'resolved': set()}, []
        for name, host, state in zip(names, hosts, states, strict=True):
            labels = {'hostname': host} if host else {}
            alerts.append(alert(state, alertname=name, **labels))
            # As it is by itself.
            (own,) = parse(alertmanager(alert('firing', alertname=name, **labels))).sources
            said[state].add(own)
        found = parse(alertmanager(*alerts))
        assert set(found.over) == said['resolved'] - said['firing'], states
        assert set(found.sources) == (said['firing'] or said['resolved']), states


def test_alerts_that_are_too_many_or_have_no_name_are_not_told_apart():
    many = [alert('firing', alertname=f'n{number}') for number in range(21)]
    assert parse(alertmanager(*many)).sources == ()
    assert len(parse(alertmanager(*many[1:])).sources) == 20
    assert parse(alertmanager(many[0], alert('firing', alertname=''))).sources == ()


def test_a_list_of_checks_is_read_and_no_other_list():
    assert parse([check('critical')]).member == 'web-1'
    assert parse([check('passing')]).is_all_clear
    for body in ([], [check('passing'), 7], [alert('firing')]):
        assert 'list' in refusal(body).reason


# --- any body -------------------------------------------------------------------------------

KEYS = re.findall(
    r'\w+',
    """alarm_id current state status reason_data event traits alerts orgId labels annotations
    truncatedAlerts ruleName evalMatches tags alarm_definition_id metrics dimensions event_value
    event_source event_update_status checks CheckID Status Node CRM_alert_kind CRM_alert_desc
    CRM_alert_node notification payload resource vitrage_type id level data series server_id
    instance_id resource_id alertname action member reason""",
)
TEXTS = st.sampled_from([*senders.WORDS, 'node', 'nova.instance', 'replace']) | st.text()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
OBJECTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), OBJECTS, max_size=6))
def test_any_object_is_read_or_refused_in_one_short_line(body):
    try:
        signal = parse(body)
    except exceptions.Refused as refused:
        assert_short(refused)
    else:
        for text in (signal.reason, signal.alarm):
            assert len(text) <= 250 or 'member' in body or 'action' in body


@given(st.sampled_from([body for _, body, _, _ in ROWS if body]), st.data())
def test_a_body_with_one_part_changed_is_read_or_refused(body, data):
    changed = dict(body)
    changed[data.draw(st.sampled_from(sorted(body)))] = data.draw(OBJECTS)
    try:
        parse(changed)
    except exceptions.Refused as refused:
        assert_short(refused)


@pytest.mark.parametrize('key', KEYS)
def test_a_body_that_is_nested_as_deeply_as_can_be_is_read_or_refused(key):
    for depth in (100, 900, 980, 100_000):
        deep = 'x'
        for _ in range(depth):
            deep = [deep]
        try:
            parse({'data': {}, key: deep})
        except exceptions.Refused as refused:
            assert_short(refused)
