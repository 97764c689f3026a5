# SPDX-License-Identifier: Apache-2.0
"""Alerts that are none, those that name a server in a label of an exporter, and odd bodies."""

import pytest

from heat_ha import senders
from heat_ha.senders import alertmanager as module
from heat_ha.senders import parts
from tests.unit.sender_bodies import (
    NAMED,
    OTHER,
    SERVER,
    alert,
    alertmanager,
    grafana,
    grafana_legacy,
)
from tests.unit.senders.reading import ALARM, NO_DATA, OK, REFUSED, assert_read, parse, refusal


@pytest.mark.parametrize('name', senders.TEST_ALERTS)
def test_what_a_button_for_tests_sends_is_refused_and_hides_nothing_else(name):
    test = alert('firing', alertname=name, instance='Grafana')
    for body in (grafana(test), alertmanager(test), alertmanager(test, alert('resolved'))):
        if len(body['alerts']) == 1:
            assert 'is a test of its sender' in refusal(body).reason
        else:
            assert parse(body).is_all_clear
    assert_read(grafana(test, alert('firing', **NAMED)), ALARM, SERVER)
    assert_read(grafana(alert('resolved', alertname=name)), OK, None)


def test_the_test_of_an_older_grafana_is_refused():
    body = grafana_legacy('alerting', None, None, ruleName='Test notification', ruleId=0)
    assert 'is a test of its sender' in refusal(body).reason
    assert_read({**body, 'state': 'ok'}, OK, None)


ALWAYS_FIRING = [
    *module.ALWAYS_FIRING, 'Watchdog', 'InfoInhibitor', 'DeadMansSwitch', 'DeadManSwitch',
    'dead-man-switch', 'Dead Mans Snitch', "Dead Man's Switch", 'DeadMansSnitch',
    'PrometheusAlertmanagerE2eDeadManSwitch',
]  # fmt: skip


@pytest.mark.parametrize('name', ALWAYS_FIRING)
def test_an_alert_that_always_fires_asks_for_nothing_and_hides_nothing_else(name):
    always = alert('firing', alertname=name, severity='critical')
    assert_read(alertmanager(always), OK, None)
    assert_read(always, OK, None)
    assert_read(alertmanager(always, alert('firing', **NAMED)), ALARM, SERVER)


def test_an_alert_without_any_severity_asks_for_nothing():
    for severity in ('none', 'None', ' NONE '):
        assert_read(alertmanager(alert('firing', severity=severity, **NAMED)), OK, SERVER)
    for severity in ('critical', 'warning', 'info', '', None, 0, ['none']):
        assert_read(alertmanager(alert('firing', severity=severity, **NAMED)), ALARM, SERVER)


def test_an_alert_whose_name_is_only_similar_is_one():
    for name in (
        'HardwareWatchdogFired',
        'SwitchDead',
        'DeadMan',
        'InfoInhibitorMissing',
        '',
        None,
        7,
    ):
        assert_read(alertmanager(alert('firing', alertname=name, **NAMED)), ALARM, SERVER)


def test_one_alert_by_itself_is_read_as_among_others():
    assert_read(alert('firing', **NAMED), ALARM, SERVER)
    assert_read(alert('resolved', **NAMED), OK, SERVER)
    assert_read(alert('firing', alertname='DatasourceNoData', **NAMED), NO_DATA, SERVER)
    why = {'annotations': {'grafana_state_reason': 'Error'}}
    assert_read({**alert('firing', **NAMED), **why}, NO_DATA, SERVER)
    assert_read(alert('firing', alertname='TestAlert'), REFUSED, 'is a test of its sender')
    for status in ({'state': 'active'}, None):
        assert_read({**alert('firing', **NAMED), 'status': status}, REFUSED, 'status is ')


@pytest.mark.parametrize(
    ('more', 'state', 'expected'),
    [
        ({'status': 'CRITICAL'}, ALARM, SERVER),
        ({'status': 'suppressed'}, OK, SERVER),
        ({'server_id': OTHER}, ALARM, OTHER),
        ({'host': 'web-1', 'labels': {'alertname': 'x'}}, ALARM, 'web-1'),
        ({'test': True}, REFUSED, 'is a test'),
        ({'silenced': True}, OK, SERVER),
        ({'acknowledged': 'yes'}, OK, SERVER),
        ({'severity': 'ok'}, OK, SERVER),
        ({'state': 'ok'}, REFUSED, 'Send one key for the state'),
        ({'labels': {'alertname': 'Watchdog', **NAMED}, 'server': 'web-1'}, OK, SERVER),
        ({'labels': {'alertname': 'DatasourceNoData'}, 'host': 'web-1'}, NO_DATA, 'web-1'),
        (
            {'annotations': {'grafana_state_reason': 'Error'}, 'server_id': OTHER},
            NO_DATA,
            OTHER,
        ),
        ({'labels': {'alertname': 'TestAlert'}, 'host': 'web-1'}, REFUSED, 'is a test'),
        # What Grafana adds says nothing.
        ({'labels': {'alertname': 'DatasourceNoData'}, 'ruleUID': 'x'}, NO_DATA, None),
        ({'labels': {'alertname': 'TestAlert'}, 'externalURL': 'x'}, REFUSED, 'is a test'),
        ({'embeddedImage': 'x', 'values': {'A': 1}}, ALARM, SERVER),
    ],
)
def test_what_says_more_than_an_alert_does_is_nobodys_that_is_known(more, state, expected):
    assert_read({**alert('firing', **NAMED), **more}, state, expected)


@pytest.mark.parametrize('reason', ['NoData', 'Error', 'NoData, KeepLast', 'Error, KeepLast'])
def test_a_rule_that_could_not_be_evaluated_lacks_data_under_its_own_name_too(reason):
    about = {'annotations': {'grafana_state_reason': reason}}
    assert_read(grafana({**alert('firing', **NAMED), **about}), NO_DATA, SERVER)
    assert_read(grafana({**alert('resolved', **NAMED), **about}), OK, SERVER)


@pytest.mark.parametrize('reason', ['', 'Updated', 'Paused', 'MissingSeries', None, 7, ['NoData']])
def test_other_reasons_of_grafana_change_nothing(reason):
    about = {'annotations': {'grafana_state_reason': reason}}
    assert_read(grafana({**alert('firing', **NAMED), **about}), ALARM, SERVER)


@pytest.mark.parametrize('key', parts.SERVER_KEYS)
def test_each_label_for_servers_names_one(key):
    assert_read(alertmanager(alert('firing', **{key: f' {SERVER}\n'})), ALARM, SERVER)
    assert_read(alertmanager(alert('firing', **{key: ' '})), ALARM, None)


@pytest.mark.parametrize('key', parts.ID_KEYS)
def test_a_label_that_often_has_something_else_names_a_server_only_by_an_id(key):
    assert_read(alertmanager(alert('firing', **{key: SERVER})), ALARM, SERVER)
    for other in ('pods', '7', 'nova', f'{SERVER}/x', ''):
        assert_read(alertmanager(alert('firing', **{key: other})), ALARM, None)
    assert_read(alertmanager(alert('firing', **{key: OTHER, **NAMED})), ALARM, SERVER)
    assert_read(alertmanager(alert('firing', **{key: SERVER.upper()})), ALARM, SERVER)


def test_labels_about_one_server_in_two_forms_are_about_one():
    alerts = (alert('firing', **NAMED), alert('firing', uuid=SERVER.upper()))
    assert_read(alertmanager(*alerts), ALARM, SERVER)


ODD = [
    (alertmanager(alert('FIRING', **NAMED)), ALARM, SERVER),
    # Keys of later releases.
    (
        alertmanager(alert('firing', **NAMED), routeLabels={}, notification_reason='x'),
        ALARM,
        SERVER,
    ),
    # Labels of the whole group are those of each alert as well.
    (alertmanager(alert('firing'), commonLabels=NAMED), ALARM, None),
    (alertmanager(), REFUSED, 'alerts is empty'),
    (alertmanager(status='resolved'), REFUSED, 'alerts is empty'),
    (alertmanager(alert('suppressed', **NAMED)), REFUSED, "'suppressed'"),
    # What its API answers, and nobody posts.
    (
        alertmanager({**alert('firing', **NAMED), 'status': {'state': 'suppressed'}}),
        REFUSED,
        'status of an alert',
    ),
    (alertmanager(alert('firing', **NAMED), status=None), ALARM, SERVER),
    (alertmanager(alert('firing', **NAMED), status='test'), REFUSED, "status is 'test'"),
    (alertmanager(alert('firing', resource={'id': SERVER, 'type': 'server'})), ALARM, SERVER),
    (grafana(alert('firing', **NAMED), state='pending'), ALARM, SERVER),
    (grafana_legacy('ok', evalMatches=None), OK, None),
    (grafana_legacy('alerting', tags=['a']), ALARM, None),
    (grafana_legacy('alerting', tags=None), ALARM, None),
]


@pytest.mark.parametrize(('body', 'state', 'expected'), ODD)
def test_odd_bodies_are_read_as_they_are_meant_or_refused(body, state, expected):
    assert_read(body, state, expected)
