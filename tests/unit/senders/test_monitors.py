# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from tests.unit.sender_bodies import NAMED, SERVER, check, consul, pacemaker, zabbix
from tests.unit.senders.reading import ALARM, NO_DATA, OK, REFUSED, assert_read
from tests.unit.service_bodies import influxdb, sensu

NODE, SERVICE = '_node_maintenance', '_service_maintenance:web'


def of_service(status, name='web', check_id='service:web', node='web-1'):
    return {**check(status, node, check_id), 'ServiceID': name, 'ServiceName': name}


@pytest.mark.parametrize(
    ('checks', 'state', 'expected'),
    [
        ([check('critical', check_id=NODE), check('critical')], OK, 'web-1'),
        ([check('critical', check_id=NODE), of_service('critical')], OK, 'web-1'),
        ([of_service('critical', check_id=SERVICE), of_service('critical')], OK, 'web-1'),
        # One service of a node rests, and the node or another service does not.
        ([of_service('critical', check_id=SERVICE), check('critical')], ALARM, 'web-1'),
        (
            [of_service('critical', check_id=SERVICE), of_service('critical', 'db')],
            ALARM,
            'web-1',
        ),
        # Another node rests.
        ([check('critical', 'web-2', NODE), check('critical')], ALARM, 'web-1'),
        # The maintenance is over.
        ([check('passing', check_id=NODE), check('critical')], ALARM, 'web-1'),
        ([check('maintenance')], OK, 'web-1'),
        ([{**check('critical'), 'CheckID': None}], ALARM, 'web-1'),
        ([{**check('critical'), 'CheckID': ['x']}], ALARM, 'web-1'),
    ],
)
def test_what_an_operator_has_put_into_maintenance_asks_for_nothing(checks, state, expected):
    for order in itertools.permutations(checks):
        assert_read(consul(*order), state, expected)


ROWS = [
    (zabbix(' 1 '), ALARM, SERVER),
    (zabbix(0), OK, SERVER),
    (zabbix(1.0), REFUSED, 'event_value is 1.0'),
    (zabbix('1', event_source=0), ALARM, SERVER),
    (zabbix('1', event_source='4'), REFUSED, 'event_source'),
    (zabbix('1', event_source=True), REFUSED, 'event_source'),
    (zabbix('1', event_update_status=1), OK, SERVER),
    (zabbix('1', event_update_status='{EVENT.UPDATE.STATUS}'), ALARM, SERVER),
    (
        {**pacemaker('Operation reboot of web-1', 'fencing'), 'CRM_alert_rc': '0'},
        REFUSED,
        'select_nodes',
    ),
    (sensu(2, 'failing', **NAMED), ALARM, SERVER),
    (sensu(2, 'failing'), ALARM, 'web-1'),
    (sensu(0, 'passing'), OK, 'web-1'),
    (sensu(1, 'failing'), OK, 'web-1'),
    (sensu(3, 'failing'), NO_DATA, 'web-1'),
    (sensu(127, 'failing'), REFUSED, 'status of the check is 127'),
    (sensu(2, 'flapping'), OK, 'web-1'),
    (sensu(2, 'failing', is_silenced=True), OK, 'web-1'),
    (sensu(2, 'failing', is_silenced='n'), ALARM, 'web-1'),
    (sensu(2, 'failing', is_silenced='by me'), REFUSED, "is_silenced is 'by me'"),
    (influxdb('crit', **NAMED), ALARM, SERVER),
    (influxdb('crit', host='web-1'), ALARM, None),
    (influxdb('warn', **NAMED), OK, SERVER),
    (influxdb('info', **NAMED), OK, SERVER),
    (influxdb('ok', **NAMED), OK, SERVER),
    (influxdb('unknown', **NAMED), NO_DATA, SERVER),
    (influxdb('burning'), REFUSED, '_level'),
]


@pytest.mark.parametrize(('body', 'state', 'expected'), ROWS)
def test_what_each_monitor_posts_is_read_as_it_means_it(body, state, expected):
    assert_read(body, state, expected)
