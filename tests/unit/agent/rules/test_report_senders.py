# SPDX-License-Identifier: Apache-2.0
import contextlib
import json

import pytest
from hypothesis import given, settings

from heat_ha import exceptions
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import report_senders
from heat_ha.agent.rules.sender_settings import SenderSettings
from tests.unit.agent.host_bodies import fencing, masakari, masakari_host, nova
from tests.unit.agent.hostile_values import HOSTILE
from tests.unit.sender_bodies import (
    alert,
    alertmanager,
    check,
    consul,
    grafana,
    grafana_legacy,
    pacemaker,
)
from tests.unit.service_bodies import cloudevent, nagios, pagerduty, sns

DOWN, UP, RESOLVED, SILENT = Claimed.DOWN, Claimed.UP, Claimed.RESOLVED, Claimed.SILENT
IGNORED, REFUSED = 'ignored', 'refused'

OURS = SenderSettings(down_alerts=({'alertname': 'HostDown'}, {'role': 'compute', 'level': '1'}))

PROMETHEUS = 'Prometheus Alertmanager and Grafana'
MASAKARI = "Masakari's monitors"


def dead(status='firing', **labels):
    return alert(status, **{'alertname': 'HostDown', **labels})


def without(body, *keys):
    return {key: value for key, value in body.items() if key not in keys}


# Sender, body, claim or IGNORED or REFUSED, the host or a part of the reason.
ROWS = [
    (PROMETHEUS, alertmanager(dead(hostname='c1')), DOWN, 'c1'),
    (PROMETHEUS, alertmanager(dead(host='c1')), DOWN, 'c1'),
    (PROMETHEUS, alertmanager(dead(host='c2', hostname='c1')), DOWN, 'c1'),
    (PROMETHEUS, alertmanager(dead(host='c1', hostname='')), DOWN, 'c1'),
    (PROMETHEUS, alertmanager(dead('resolved', host='c1')), RESOLVED, 'c1'),
    (PROMETHEUS, grafana(dead(host='c1')), DOWN, 'c1'),
    (PROMETHEUS, grafana(dead('resolved', host='c1')), RESOLVED, 'c1'),
    (PROMETHEUS, alertmanager(alert('firing', role='compute', level='1', host='c1')), DOWN, 'c1'),
    (PROMETHEUS, alertmanager(alert('firing', role='compute', host='c1')), IGNORED, 'InstanceDown'),
    # The exporter runs on another host than the one that it tells of.
    (
        PROMETHEUS,
        alertmanager(dead(hostname='c2', service='nova-compute', instance='c1:9180')),
        DOWN,
        'c2',
    ),
    (PROMETHEUS, alertmanager(dead(instance='c1:9100')), REFUSED, 'no label hostname or host'),
    (PROMETHEUS, alertmanager(alert('firing', host='c1')), IGNORED, "alert 'InstanceDown' is not"),
    (PROMETHEUS, alertmanager(alert('resolved', host='c1')), IGNORED, 'down_alerts'),
    (
        PROMETHEUS,
        grafana(alert('firing', alertname='DatasourceNoData', role='compute', level='1')),
        IGNORED,
        'could not be evaluated',
    ),
    # Under its own name a rule of Grafana may fire because it could not be evaluated.
    *(
        (
            PROMETHEUS,
            grafana({**dead(host='c1'), 'annotations': {'grafana_state_reason': why}}),
            IGNORED,
            'could not be evaluated',
        )
        for why in ('NoData', 'Error', 'NoData, KeepLast')
    ),
    (
        PROMETHEUS,
        grafana(
            {
                **dead('resolved', host='c1'),
                'annotations': {'grafana_state_reason': 'MissingSeries'},
            }
        ),
        RESOLVED,
        'c1',
    ),
    # The button of a contact point, with labels that somebody gave it.
    (
        PROMETHEUS,
        grafana(alert('firing', alertname='TestAlert', role='compute', level='1', host='c1')),
        IGNORED,
        'is a test of its sender',
    ),
    (PROMETHEUS, alertmanager(alert('firing', alertname='Watchdog')), IGNORED, "'Watchdog'"),
    (PROMETHEUS, alertmanager(status='resolved'), IGNORED, 'alerts is empty'),
    (PROMETHEUS, alertmanager(dead(host=' c1\n')), DOWN, 'c1'),
    (PROMETHEUS, alertmanager(dead('pending', host='c1')), REFUSED, "status of an alert is 'pend"),
    (PROMETHEUS, alertmanager(dead(host=['c1'])), REFUSED, 'label host is'),
    (PROMETHEUS, alertmanager(dead(host='c' * 256)), REFUSED, 'label host is'),
    (PROMETHEUS, alertmanager({**dead(), 'labels': None}), REFUSED, 'labels of an alert'),
    (PROMETHEUS, {'alerts': {}}, REFUSED, 'alerts is a dict'),
    (PROMETHEUS, {'alerts': 'firing'}, REFUSED, 'alerts is a text'),
    (PROMETHEUS, {'alerts': ['firing']}, REFUSED, 'an item of alerts'),
    *(
        (MASAKARI, masakari_host(event, cluster, host), claim, what)
        for event in ('STOPPED', 'STARTED')
        for cluster in ('OFFLINE', 'ONLINE', None)
        for host in ('NORMAL', 'UNKNOWN', None)
        for claim, what in [
            {
                ('STOPPED', 'OFFLINE', 'NORMAL'): (DOWN, 'c1'),
                ('STARTED', 'ONLINE', 'NORMAL'): (UP, 'c1'),
            }.get((event, cluster, host), (IGNORED, f'host_status {host or "not sent"}'))
        ]
    ),
    (MASAKARI, masakari_host('stopped', 'offline', 'normal'), DOWN, 'c1'),
    (MASAKARI, masakari('PROCESS', event='STOPPED', process_name='nova-compute'), IGNORED, 'PROC'),
    (
        MASAKARI,
        masakari('VM', event='LIFECYCLE', instance_uuid='i', vir_domain_event='STOPPED_FAILED'),
        IGNORED,
        'VM',
    ),
    (MASAKARI, masakari('RACK', event='STOPPED'), REFUSED, "type is 'RACK'"),
    (MASAKARI, masakari_host('CRASHED', 'OFFLINE', 'NORMAL'), REFUSED, "event is 'CRASHED'"),
    (MASAKARI, masakari_host('STOPPED', 'LOST', 'NORMAL'), REFUSED, "cluster_status is 'LOST'"),
    (MASAKARI, masakari_host('STOPPED', 'OFFLINE', 'NORMAL', host=''), REFUSED, 'hostname is'),
    (MASAKARI, {'notification': 'x'}, REFUSED, 'notification is a text'),
    ('Consul', consul(check('critical', 'c1')), DOWN, 'c1'),
    ('Consul', [check('critical', 'c1')], DOWN, 'c1'),
    ('Consul', check('critical', 'c1'), DOWN, 'c1'),
    ('Consul', consul(check('passing', 'c1')), UP, 'c1'),
    ('Consul', consul(check('warning', 'c1')), IGNORED, 'still answers'),
    ('Consul', consul(check('critical', 'c1', '_node_maintenance')), IGNORED, 'only serfHealth'),
    ('Consul', [], IGNORED, 'checks is empty'),
    (
        'Consul',
        [{'Node': {'Node': 'c1'}, 'Service': {}, 'Checks': [check('critical', 'c1')]}],
        REFUSED,
        'CheckID is None',
    ),
    ('Consul', {**check('critical'), 'Node': {'Node': 'c1'}}, REFUSED, 'Node is'),
    ('Consul', consul(check('critical', 'c1', 'service:web')), IGNORED, 'only serfHealth'),
    ('Consul', consul(check('left', 'c1')), REFUSED, "Status of a check is 'left'"),
    ('Consul', [{'Node': 'c1', 'Address': '10.0.0.1'}], REFUSED, 'CheckID is None'),
    ('Pacemaker', fencing('off'), DOWN, 'c1'),
    ('Pacemaker', fencing('reboot', rc=0), DOWN, 'c1'),
    ('Pacemaker', fencing('on'), IGNORED, "'on'"),
    ('Pacemaker', fencing('off', rc='-62'), IGNORED, 'failed'),
    ('Pacemaker', fencing('off', rc=None), IGNORED, 'failed'),
    ('Pacemaker', fencing('off', rc=False), IGNORED, 'failed'),
    ('Pacemaker', fencing('off', host=None), REFUSED, 'CRM_alert_node is None'),
    # Somebody who stops pacemaker in order loses the node as well.
    ('Pacemaker', pacemaker('lost'), IGNORED, 'lost_is_down'),
    ('Pacemaker', pacemaker('member'), UP, 'web-1'),
    ('Pacemaker', pacemaker('online'), REFUSED, "CRM_alert_desc is 'online'"),
    ('Pacemaker', pacemaker('lost', kind='resource'), IGNORED, 'resource'),
    ('Pacemaker', pacemaker('lost', kind='quorum'), REFUSED, "CRM_alert_kind is 'quorum'"),
    ('Nova', nova(True), DOWN, 'c1'),
    # Without a payload it is nothing of Nova's, and a death is not passed over.
    (
        'Any other',
        {'event_type': 'host.failed', 'host': 'c1', 'state': 'down'},
        REFUSED,
        "unknown key 'event_type'",
    ),
    ('Nova', nova(False), SILENT, 'c1'),
    ('Nova', nova(True, binary='nova-conductor'), IGNORED, 'service.update'),
    ('Nova', nova('yes'), IGNORED, 'service.update'),
    ('Any other', {'host': 'c1', 'state': 'down', 'reason': 'by hand'}, DOWN, 'c1'),
    ('Any other', {'host': 'c1', 'state': 'UP', 'time': '2026-11-01T10:00:00Z'}, UP, 'c1'),
    ('Any other', {'host': ' c1 ', 'state': ' Down\n'}, DOWN, 'c1'),
    ('Any other', {'host': 'c1', 'state': 'acknowledged'}, REFUSED, "state is 'acknowledged'"),
    ('Any other', {'host': 'c1', 'state': 'unreachable'}, REFUSED, "state is 'unreachable'"),
    ('Any other', {'host': 'c1', 'state': None}, REFUSED, 'state is None'),
    ('Any other', {'host': 'c1\u202e', 'state': 'down'}, REFUSED, 'host is'),
    ('Any other', {'host': '\ud800', 'state': 'down'}, REFUSED, 'host is'),
    # What watches from outside tells policies of servers, and nobody of hosts.
    ('Any other', grafana_legacy('alerting', {'host': 'c1'}), REFUSED, 'unknown key'),
    ('Any other', nagios('DOWN', 'PROBLEM'), REFUSED, 'unknown key'),
    (None, pagerduty('incident.triggered'), REFUSED, 'no known sender'),
    (None, sns({'host': 'c1', 'state': 'down'}), REFUSED, 'no known sender'),
    (None, cloudevent({'host': 'c1', 'state': 'down'}), REFUSED, 'no known sender'),
    ('Any other', {'host': 'c1', 'state': 'sick'}, REFUSED, "state is 'sick'"),
    ('Any other', {'host': 'c1', 'state': 'down', 'force': True}, REFUSED, "key 'force'"),
    ('Any other', {'host': 'c1', 'state': 'down', 'time': 'noon'}, REFUSED, "time is 'noon'"),
    ('Any other', {'host': 'c1'}, REFUSED, 'state is None'),
    ('Any other', {'state': 'down'}, REFUSED, 'host is None'),
    (None, {'text': 'a host is down'}, REFUSED, 'no known sender'),
    (None, {}, REFUSED, 'no known sender'),
    (None, 'down', REFUSED, 'the body is a text'),
    (None, None, REFUSED, 'the body is a null'),
]


@pytest.mark.parametrize(('sender', 'body', 'expected', 'what'), ROWS)
def test_what_each_sender_posts_is_read_as_it_means_it(sender, body, expected, what):
    body = json.loads(json.dumps(body))
    if expected is REFUSED:
        with pytest.raises(exceptions.Refused) as caught:
            report_senders.read(body, OURS)
        assert what in str(caught.value)
        return
    found = report_senders.read(body, OURS)
    assert found.refused == ()
    if expected is IGNORED:
        assert found.reports == () and what in found.ignored[0]
    else:
        assert [(one.host, one.claimed) for one in found.reports] == [(what, expected)]
    if isinstance(body, dict):
        assert next(row.name for row in report_senders.SENDERS if row.is_from(body)) == sender


@pytest.mark.parametrize('sender', report_senders.SENDERS, ids=lambda row: row.name)
def test_each_sender_has_a_body_for_each_thing_that_it_may_mean(sender):
    found = {expected for name, _body, expected, _what in ROWS if name == sender.name}
    alive = {'Nova': {SILENT}, PROMETHEUS: {RESOLVED}}.get(sender.name, {UP})
    others = {REFUSED} if sender.name == 'Any other' else {IGNORED}
    assert found >= {DOWN} | alive | others


@pytest.mark.parametrize('node', ['c1', 'c2'])
@pytest.mark.parametrize('status', ['critical', 'passing'])
def test_a_host_that_an_operator_works_on_is_not_reported_as_dead(node, status):
    checks = [check('critical', 'c1'), check(status, node, '_node_maintenance')]
    for order in (checks, checks[::-1]):
        found = report_senders.read(consul(*order), OURS)
        rests = node == 'c1' and status == 'critical'
        assert [r.claimed for r in found.reports] == ([] if rests else [DOWN])
        assert any('in maintenance' in why for why in found.ignored) is rests
    # It may say that it lives.
    alive = [check('passing', 'c1'), check('critical', 'c1', '_node_maintenance')]
    [one] = report_senders.read(alive, OURS).reports
    assert one.claimed is UP


# W1
@pytest.mark.parametrize('status', ['firing', 'resolved'])
def test_without_a_configuration_no_alert_means_a_death(status):
    found = report_senders.read(alertmanager(dead(status, host='c1')), SenderSettings())
    assert found.reports == () and len(found.ignored) == 1


def test_only_an_operator_may_declare_that_the_exporter_runs_on_the_host():
    declared = SenderSettings(('instance',), OURS.down_alerts)
    [one] = report_senders.read(alertmanager(dead(instance='c1:9100')), declared).reports
    assert one.host == 'c1:9100'


def test_a_lost_node_is_down_where_the_operator_says_so():
    declared = SenderSettings(lost_is_down=True)
    [one] = report_senders.read(pacemaker('lost'), declared).reports
    assert one.claimed is DOWN


ODD = [None, 7, 'firing', [], {}, {'labels': {}}, dead('odd', host='x'), dead(), dead(host=7)]


@pytest.mark.parametrize('odd', ODD, ids=range(len(ODD)))
@pytest.mark.parametrize('place', [0, 1, 2])
def test_one_odd_alert_loses_nothing_of_the_others(odd, place):
    items = [dead(host='c1'), dead('resolved', host='c2')]
    items.insert(place, odd)
    found = report_senders.read(alertmanager(*items), OURS)
    assert [(r.host, r.claimed) for r in found.reports] == [('c1', DOWN), ('c2', RESOLVED)]
    assert len(found.refused) == 1


def test_alerts_that_the_sender_has_left_out_are_told():
    found = report_senders.read(alertmanager(dead(host='c1'), truncatedAlerts=3), OURS)
    assert len(found.reports) == 1 and 'truncatedAlerts is 3' in found.refused[0]


def test_items_beyond_the_limit_are_told():
    many = [check('passing', f'c{n}') for n in range(report_senders.MAX_ITEMS + 2)]
    found = report_senders.read(many, OURS)
    assert len(found.reports) == report_senders.MAX_ITEMS and '5002 items' in found.refused[0]


def test_alerts_about_one_host_are_told_apart():
    two = [without(dead(host='c1', disk=d), 'fingerprint') for d in ('a', 'b')]
    same = [without(dead(s, host='c1', disk='a'), 'fingerprint') for s in ('firing', 'resolved')]
    things = [r.thing for r in report_senders.read(alertmanager(*two, *same), OURS).reports]
    assert things[0] != things[1] and things[2] == things[3] == things[0]
    [one] = report_senders.read(alertmanager(dead(host='c1')), OURS).reports
    assert one.thing == 'c6eadffa33fcdf37'


@pytest.mark.parametrize(
    ('body', 'said_at', 'is_event'),
    [
        (alertmanager(dead(host='c1')), 1793527200.0, False),
        (alertmanager({**dead(host='c1'), 'startsAt': 'soon'}), None, False),
        (
            alertmanager({**dead('resolved', host='c1'), 'endsAt': '2026-11-01T10:00:01.5Z'}),
            1793527201.5,
            False,
        ),
        # Never, in Alertmanager.
        (alertmanager(dead('resolved', host='c1')), None, False),
        (masakari_host('STOPPED', 'OFFLINE', 'NORMAL'), 1793527200.0, True),
        (masakari_host('STOPPED', 'OFFLINE', 'NORMAL', at=None), None, False),
        (fencing(), 1793527200.0, True),
        (fencing(at='x'), None, False),
        (consul(check('critical', 'c1')), None, False),
        (nova(True), 1793527200.123456, False),
        ({'host': 'c1', 'state': 'down'}, None, False),
        ({'host': 'c1', 'state': 'down', 'time': '2026-11-01T12:00:00+02:00'}, 1793527200.0, True),
    ],
)
def test_when_it_became_so_is_taken_from_the_body(body, said_at, is_event):
    [one] = report_senders.read(body, OURS).reports
    assert (one.said_at, one.is_event) == (said_at, is_event)


@settings(max_examples=300)
@given(HOSTILE)
def test_whatever_is_sent_is_read_or_refused(body):
    told = ()
    with contextlib.suppress(exceptions.Refused):
        told = report_senders.read(body, OURS).reports
    for one in told:
        assert 0 < len(one.host) <= 255 and one.host.isprintable()
        assert one.claimed in (DOWN, UP, RESOLVED, SILENT)
