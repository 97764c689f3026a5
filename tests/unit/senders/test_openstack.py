# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.unit.sender_bodies import SERVER, aodh, aodh_event, monasca
from tests.unit.senders.reading import ALARM, OK, REFUSED, assert_read
from tests.unit.service_bodies import wait_condition


def of_pool(current, *members):
    return aodh(
        current,
        'loadbalancer_member_health',
        count=len(members),
        unhealthy_members=[{'id': m, 'operating_status': 'ERROR'} for m in members],
        pool_id='p',
    )


def without(body, key):
    return {k: v for k, v in body.items() if k != key}


ROWS = [
    (aodh(None, 'threshold'), REFUSED, 'current is None'),
    (without(aodh('alarm', 'threshold'), 'current'), REFUSED, 'has no state'),
    (aodh(' Alarm', 'threshold'), ALARM, None),
    (aodh(True, 'threshold'), REFUSED, 'current is True'),
    (of_pool('alarm', 'm1'), ALARM, None),
    # Members of a pool have no name that a group knows, so two of them are no one's.
    (of_pool('alarm', 'm1', 'm2'), REFUSED, '2 members of the pool'),
    (of_pool('ok'), OK, None),
    (of_pool('ok', 'm1', 'm2'), OK, None),
    (
        aodh_event('alarm', {'name': 'instance_id', 'type': 1, 'value': SERVER}),
        ALARM,
        SERVER,
    ),
    (aodh_event('alarm', {'name': 'instance_id'}, None, 'instance_id'), ALARM, None),
    (monasca('ALARM'), ALARM, None),
    ({**monasca('ALARM'), 'metrics': None}, ALARM, None),
    ({**monasca('ALARM'), 'state': None}, REFUSED, 'state is None'),
    (wait_condition('FAILURE'), ALARM, None),
    (wait_condition('SUCCESS'), OK, None),
    (wait_condition('DONE'), REFUSED, "Status is 'DONE'"),
]


@pytest.mark.parametrize(('body', 'state', 'expected'), ROWS)
def test_what_openstack_posts_is_read_as_it_means_it(body, state, expected):
    assert_read(body, state, expected)
