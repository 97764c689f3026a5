# SPDX-License-Identifier: Apache-2.0
"""What an alert that names no server says of a host."""

import pytest

from heat_ha.senders import parts
from tests.unit import service_bodies as bodies
from tests.unit.sender_bodies import (
    NAMED,
    alert,
    alertmanager,
    aodh,
    grafana,
    grafana_legacy,
    kapacitor,
    monasca,
    zabbix,
)
from tests.unit.senders.reading import parse

# How each sender that has labels is given some.
WITH = {
    'Alertmanager': lambda labels: alertmanager(alert('firing', **labels)),
    'Grafana': lambda labels: grafana(alert('firing', **labels)),
    'Grafana without data': lambda labels: grafana(
        alert('firing', **{'alertname': 'DatasourceNoData', **labels})
    ),
    'Grafana, match': lambda labels: grafana_legacy('alerting', labels, tags={'host': 'x'}),
    'Grafana, rule': lambda labels: grafana_legacy('alerting', {'cpu': 'x'}, tags=labels),
    'Monasca': lambda labels: {**monasca('ALARM'), 'metrics': [{'dimensions': labels}]},
    'Zabbix': lambda labels: zabbix('1', **{'server_id': '', **labels}),
    'Kapacitor': lambda labels: kapacitor('CRITICAL', labels),
    'InfluxDB': lambda labels: bodies.influxdb('crit', **labels),
    "PagerDuty's events": lambda labels: bodies.pagerduty_event('trigger', **labels),
    'Opsgenie': lambda labels: bodies.opsgenie('Create', details=labels),
    'Datadog': lambda labels: bodies.datadog(alert_transition='Triggered', **labels),
    'Datadog, tags': lambda labels: bodies.datadog(
        alert_transition='Triggered', tags=[f'{key}:{value}' for key, value in labels.items()]
    ),
    'Uptime Kuma': lambda labels: bodies.uptime_kuma(0, *labels.items()),
    'CloudWatch': lambda labels: bodies.cloudwatch('ALARM', **labels),
    'VictorOps': lambda labels: bodies.victorops('CRITICAL', **labels),
}
SENDERS = pytest.mark.parametrize('made', WITH.values(), ids=WITH)


def of(body):
    signal = parse(body)
    assert signal.action is None
    return signal.member, signal.host


@SENDERS
@pytest.mark.parametrize('key', [*parts.HOST_KEYS, 'hostName', 'Host-Name', 'VM.name', 'HOST'])
def test_a_host_is_kept_beside_an_alert_that_names_no_server(made, key):
    assert of(made({key: 'web-1'})) == (None, 'web-1')
    assert of(made({key: 'web-1', **NAMED})) == (NAMED['server_id'], None)


@SENDERS
def test_the_surest_host_is_kept_and_what_is_none_is_passed_over(made):
    assert of(made({'host': 'compute-1', 'vm_name': 'web-1'})) == (None, 'web-1')
    for key in ('instance', 'name', 'hypervisor_hostname'):
        assert of(made({key: 'web-1'})) in ((None, None), (None, 'x'))


def test_a_host_in_an_odd_form_is_none_and_refuses_nothing():
    for odd in (7, '', ' ', None, ['web-1'], {'name': 'web-1'}, 'x' * 256):
        assert of(alertmanager(alert('firing', host=odd))) == (None, None)
    assert of(alertmanager(alert('firing', **{'Host-Name': 'a', 'hostName': 'b'})))[1] == 'a'
    assert of(bodies.uptime_kuma(0, monitor={'id': 1, 'hostname': '10.0.0.8'})) == (
        None,
        '10.0.0.8',
    )


def test_alerts_of_one_body_with_different_hosts_have_none():
    one, another = (alert('firing', host=name) for name in ('web-1', 'web-2'))
    assert of(alertmanager(one, one)) == (None, 'web-1')
    assert of(alertmanager(one, another)) == (None, None)
    assert of(alertmanager(one, alert('firing'))) == (None, None)
    # What asks for nothing says nothing of what another alert asks for.
    assert of(alertmanager(one, {**another, 'status': 'resolved'})) == (None, 'web-1')
    # An all-clear is of the alarm that named the host.
    assert of(alertmanager({**one, 'status': 'resolved'})) == (None, 'web-1')


def unhealthy(*members):
    return aodh('alarm', 'loadbalancer_member_health', unhealthy_members=list(members))


def test_the_one_unhealthy_member_of_a_pool_has_an_address_else_a_name():
    member = {'id': 'm1', 'name': 'web-1', 'address': '10.0.0.8', 'protocol_port': 80}
    assert of(unhealthy(member)) == (None, '10.0.0.8')
    assert of(unhealthy({**member, 'address': None})) == (None, 'web-1')
    for none in ({'id': 'm1'}, 'm1', None):
        assert of(unhealthy(none)) == (None, None)
    assert of(unhealthy()) == (None, None)


def test_a_host_in_a_body_of_ones_own_is_a_name_of_a_server():
    assert of({'state': 'alarm', 'host': 'web-1'}) == ('web-1', None)
    assert of({'state': 'alarm', 'labels': {'host': 'web-1'}}) == (None, None)


@pytest.mark.parametrize('key', ['url', 'target', 'destination', 'URL'])
def test_the_host_of_who_has_looked_is_nobody(key):
    assert parts.named({'host': 'web-2', key: ''}) == (None, 'web-2')
    assert parts.named({'host': 'web-2', key: 'http://10.0.0.5'}) == (None, None)
    # In a body it is most often where a person finds more.
    assert parts.named_beside({'host': 'web-2', key: 'http://monitor'}) == (None, 'web-2')
