# SPDX-License-Identifier: Apache-2.0
"""Bodies in the form in which each monitoring system posts them, with made-up values."""

SERVER = 'e5d6f7a8-0000-4000-8000-000000000001'
OTHER = 'e5d6f7a8-0000-4000-8000-000000000002'


def aodh(current, kind, **reason_data):
    return {
        'severity': 'low',
        'alarm_name': 'sick',
        'alarm_id': 'b2c3d4e5-0000-4000-8000-000000000002',
        'current': current,
        'previous': 'ok',
        'reason': 'Transition',
        'reason_data': {'type': kind, **reason_data},
    }


def aodh_event(current, *traits):
    event = {
        'message_id': 'm',
        'event_type': 'compute.instance.power_off.end',
        'generated': '2026-11-01T10:00:00',
        'traits': [['state', 1, 'stopped'], *traits],
        'raw': {},
    }
    return aodh(current, 'event', event=event)


def alert(status, **labels):
    return {
        'status': status,
        'labels': {'alertname': 'InstanceDown', 'instance': '10.0.0.7:9100', **labels},
        'annotations': {'summary': 'It does not answer'},
        'startsAt': '2026-11-01T10:00:00.000Z',
        'endsAt': '0001-01-01T00:00:00Z',
        'generatorURL': 'http://prometheus:9090/graph',
        'fingerprint': 'c6eadffa33fcdf37',
    }


def alertmanager(*alerts, **changes):
    is_firing = any(a.get('status') == 'firing' for a in alerts if isinstance(a, dict))
    return {
        'version': '4',
        'groupKey': '{}:{alertname="InstanceDown"}',
        'truncatedAlerts': 0,
        'status': 'firing' if is_firing else 'resolved',
        'receiver': 'heat',
        'groupLabels': {'alertname': 'InstanceDown'},
        'commonLabels': {'alertname': 'InstanceDown'},
        'commonAnnotations': {},
        'externalURL': 'http://alertmanager:9093',
        'alerts': list(alerts),
        **changes,
    }


def grafana(*alerts, **changes):
    body = alertmanager(*alerts, version='1', orgId=1, title='[FIRING:1] sick')
    return {
        **body,
        'state': 'alerting' if body['status'] == 'firing' else 'ok',
        'message': '**Firing**',
        **changes,
    }


def grafana_legacy(state, *tags, **changes):
    return {
        'dashboardId': 1,
        'evalMatches': [{'value': 1, 'metric': 'up', 'tags': one} for one in tags],
        'message': 'It does not answer',
        'orgId': 0,
        'panelId': 2,
        'ruleId': 1,
        'ruleName': 'sick',
        'ruleUrl': 'http://grafana:3000/',
        'state': state,
        'tags': {},
        'title': '[Alerting] sick',
        **changes,
    }


def monasca(state, *servers):
    dimensions = [{'hostname': 'a', **({'resource_id': s} if s else {})} for s in servers]
    return {
        'alarm_id': 'b2c3d4e5-0000-4000-8000-000000000003',
        'alarm_definition_id': 'b2c3d4e5-0000-4000-8000-000000000004',
        'alarm_name': 'sick',
        'alarm_description': '',
        'alarm_timestamp': 1793527200,
        'state': state,
        'old_state': 'OK',
        'message': 'Thresholds were exceeded',
        'tenant_id': 't',
        'metrics': [{'name': 'vm.host_alive_status', 'dimensions': d} for d in dimensions],
    }


def zabbix(value, **changes):
    return {
        'event_value': value,
        'event_source': '0',
        'event_update_status': '0',
        'event_name': 'Host is unavailable',
        'server_id': SERVER,
        **changes,
    }


def check(status, node='web-1', check_id='serfHealth'):
    return {
        'Node': node,
        'CheckID': check_id,
        'Name': 'Serf Health Status',
        'Status': status,
        'Notes': '',
        'Output': 'Agent not live or unreachable',
        'ServiceID': '',
        'ServiceName': '',
    }


def consul(*checks):
    return {'checks': list(checks)}


def pacemaker(desc, kind='node'):
    return {
        'CRM_alert_kind': kind,
        'CRM_alert_version': '2.1.7',
        'CRM_alert_node': 'web-1',
        'CRM_alert_nodeid': '1',
        'CRM_alert_desc': desc,
        'CRM_alert_node_sequence': '4',
        'CRM_alert_timestamp': '10:00:00.000000',
    }


def vitrage(kind, vitrage_type='nova.instance'):
    return {
        'notification': kind,
        'payload': {
            'vitrage_id': 'v1',
            'name': 'Instance unreachable',
            'vitrage_type': 'vitrage',
            'vitrage_category': 'ALARM',
            'state': 'Active',
            'vitrage_operational_severity': 'CRITICAL',
            'resource': {'vitrage_id': 'v2', 'vitrage_type': vitrage_type, 'id': SERVER},
        },
    }


def kapacitor(level, *tags):
    return {
        'id': 'alive/server',
        'message': 'It does not answer',
        'details': '',
        'time': '2026-11-01T10:00:00Z',
        'duration': 0,
        'level': level,
        'previousLevel': 'OK',
        'data': {'series': [{'name': 'ping', 'tags': t, 'columns': ['time']} for t in tags]},
    }


NAMED = {'server_id': SERVER}

# Sender, body, state or REFUSED, member or a part of the refusal.
