# SPDX-License-Identifier: Apache-2.0
"""Bodies about hosts in the form in which each sender posts them, with made-up values.

Those of Alertmanager, Grafana, Consul and Pacemaker that are about servers too are in
``tests/unit/sender_bodies.py``.
"""


def masakari(kind='COMPUTE_HOST', host='c1', at='2026-11-01T10:00:00.000000', **payload):
    return {
        'notification': {
            'type': kind,
            'hostname': host,
            'generated_time': at,
            'payload': payload,
        }
    }


def masakari_host(event, cluster, host_status, **changes):
    payload = {'event': event, 'cluster_status': cluster, 'host_status': host_status}
    return masakari(**{k: v for k, v in payload.items() if v is not None}, **changes)


def fencing(task='off', rc='0', host='c1', at='1793527200', **changes):
    return {
        'CRM_alert_kind': 'fencing',
        'CRM_alert_version': '2.1.7',
        'CRM_alert_node': host,
        'CRM_alert_desc': f'Operation {task} of {host} by c2 for pacemaker-controld.7@c2: OK',
        'CRM_alert_task': task,
        'CRM_alert_rc': rc,
        'CRM_alert_timestamp_epoch': at,
        **changes,
    }


def nova(forced_down, host='c1', binary='nova-compute', at='2026-11-01 10:00:00.123456'):
    data = {'host': host, 'binary': binary, 'forced_down': forced_down, 'disabled': False}
    return {
        'event_type': 'service.update',
        'priority': 'INFO',
        'timestamp': at,
        'publisher_id': 'nova-api:ctl',
        'payload': {'nova_object.name': 'ServiceStatusPayload', 'nova_object.data': data},
    }
