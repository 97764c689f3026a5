# SPDX-License-Identifier: Apache-2.0
"""Bodies of services that watch from outside, and envelopes, with made-up values.

Those of programs that usually run beside a cloud are in ``tests/unit/sender_bodies.py``.
"""

import json

from tests.unit.sender_bodies import SERVER


def pagerduty(event_type, **data):
    return {
        'event': {
            'id': '01EX',
            'event_type': event_type,
            'resource_type': 'incident',
            'occurred_at': '2026-11-01T10:00:00.000Z',
            'agent': {'id': 'PLH1HKV', 'type': 'user_reference'},
            'client': None,
            'data': {'id': 'PGR0', 'type': 'incident', 'title': 'It does not answer', **data},
        }
    }


def pagerduty_of_old(event, status='triggered'):
    incident = {'id': 'PRORDTY', 'title': 'It does not answer', 'status': status}
    return {'messages': [{'event': event, 'log_entries': [], 'incident': incident}]}


def pagerduty_event(event_action, **details):
    return {
        'routing_key': 'r' * 32,
        'dedup_key': 'srv01/sick',
        'event_action': event_action,
        'payload': {
            'summary': 'It does not answer',
            'source': 'prometheus',
            'severity': 'critical',
            'custom_details': details,
        },
    }


def opsgenie(action, **alert):
    return {
        'action': action,
        'alert': {
            'alertId': 'a1',
            'message': 'It does not answer',
            'tags': [],
            'tinyId': '1791',
            'entity': '',
            **alert,
        },
        'source': {'name': 'web', 'type': 'API'},
        'integrationName': 'heat',
        'integrationId': 'i1',
        'integrationType': 'Webhook',
    }


def datadog(**changes):
    return {
        'id': '7',
        'event_type': 'metric_alert_monitor',
        'title': '[Triggered on {host:web-1}] It does not answer',
        'body': '%%% it %%%',
        'date': '1793527200000',
        'last_updated': '1793527200000',
        'org': {'id': '1', 'name': 'us'},
        **changes,
    }


def uptime_kuma(status, *tags, **changes):
    return {
        'heartbeat': {
            'monitorID': 1,
            'status': status,
            'time': '2026-11-01 10:00:00.000',
            'msg': 'timeout',
            'important': True,
            'duration': 20,
        },
        'monitor': {
            'id': 1,
            'name': 'web',
            'hostname': None,
            'maintenance': False,
            'tags': [{'tag_id': 1, 'monitor_id': 1, 'name': n, 'value': v} for n, v in tags],
        },
        'msg': '[web] [Down] timeout',
        **changes,
    }


def cloudwatch(state, **dimensions):
    return {
        'AlarmName': 'sick',
        'AlarmDescription': None,
        'AWSAccountId': '0',
        'NewStateValue': state,
        'NewStateReason': 'Threshold Crossed',
        'StateChangeTime': '2026-11-01T10:00:00.000+0000',
        'OldStateValue': 'OK',
        'Trigger': {
            'MetricName': 'StatusCheckFailed',
            'Dimensions': [{'name': k, 'value': v} for k, v in dimensions.items()],
        },
    }


def sns(message, kind='Notification'):
    return {
        'Type': kind,
        'MessageId': 'm',
        'TopicArn': 'arn:aws:sns:r:0:heat',
        'Subject': 'ALARM: "sick"',
        'Message': message if isinstance(message, str) else json.dumps(message),
        'Timestamp': '2026-11-01T10:00:00.000Z',
        'SignatureVersion': '1',
        'Signature': 's',
    }


def cloudevent(data, kind='com.example.alert'):
    return {
        'specversion': '1.0',
        'id': '1',
        'source': '/monitoring',
        'type': kind,
        'datacontenttype': 'application/json',
        'data': data,
    }


def azure(condition):
    return {
        'schemaId': 'azureMonitorCommonAlertSchema',
        'data': {
            'essentials': {
                'alertId': '/subscriptions/s/alerts/a',
                'alertRule': 'sick',
                'severity': 'Sev3',
                'signalType': 'Metric',
                'monitorCondition': condition,
                'configurationItems': ['web-1'],
                'description': 'It does not answer',
            },
            'alertContext': {},
        },
    }


def google(state, **labels):
    return {
        'version': '1.2',
        'incident': {
            'incident_id': 'i',
            'policy_name': 'sick',
            'condition_name': 'It does not answer',
            'state': state,
            'summary': 'It does not answer',
            'resource': {'type': 'gce_instance', 'labels': labels},
        },
    }


def sensu(status, state, is_silenced=False, **labels):
    return {
        'timestamp': 1793527200,
        'entity': {
            'entity_class': 'agent',
            'metadata': {'name': 'web-1', 'namespace': 'default', 'labels': labels or None},
        },
        'check': {
            'status': status,
            'state': state,
            'is_silenced': is_silenced,
            'output': 'CRITICAL: it does not answer',
            'metadata': {'name': 'alive', 'namespace': 'default'},
            'occurrences': 1,
        },
    }


def influxdb(level, **tags):
    return {
        '_check_id': '1',
        '_check_name': 'alive',
        '_level': level,
        '_measurement': 'notifications',
        '_message': 'Check: alive is crit',
        '_notification_rule_name': 'heat',
        '_status_timestamp': 1793527200000000000,
        '_type': 'deadman',
        **tags,
    }


def victorops(message_type, **changes):
    return {
        'message_type': message_type,
        'entity_id': 'alive/web-1',
        'entity_display_name': 'It does not answer',
        'state_message': 'timeout',
        'monitoring_tool': 'x',
        **changes,
    }


def nagios(state, notification_type, **changes):
    return {'state': state, 'notification_type': notification_type, 'server_id': SERVER, **changes}


def icinga_event(state, **check_result):
    """What the stream of events of Icinga's API has."""
    return {
        'type': 'StateChange',
        'timestamp': 1793527200.1,
        'host': 'web-1',
        'service': 'alive',
        'state': state,
        'state_type': 1,
        'check_result': {'exit_status': state, 'output': 'it', **check_result},
        'acknowledgement': False,
    }


def pingdom(current, previous):
    return {
        'check_id': 7,
        'check_name': 'web',
        'check_type': 'HTTP',
        'check_params': {'hostname': 'www.example.com'},
        'importance_level': 'HIGH',
        'previous_state': previous,
        'current_state': current,
        'state_changed_timestamp': 1793527200,
        'description': 'it',
        'tags': [],
    }


def uptimerobot(kind, word):
    return {
        'monitorID': '7',
        'monitorURL': 'https://www.example.com',
        'monitorFriendlyName': 'web',
        'alertType': kind,
        'alertTypeFriendlyName': word,
        'alertDetails': 'timeout',
    }


def wait_condition(status):
    return {'Status': status, 'Reason': 'r', 'Data': 'd', 'UniqueId': 'u'}
