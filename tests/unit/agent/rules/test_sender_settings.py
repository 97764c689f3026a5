# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha import exceptions
from heat_ha.agent.rules import sender_settings
from heat_ha.agent.rules.sender_settings import SenderSettings


def test_what_an_operator_writes_is_read():
    found = sender_settings.parse(
        {
            'am': {'host_labels': ['node'], 'down_alerts': ['HostDown', {'a': 'x', 'b': 'y'}]},
            'pcmk': {'lost_is_down': True},
            'consul': {},
        }
    )
    assert found == {
        'am': SenderSettings(('node',), ({'alertname': 'HostDown'}, {'a': 'x', 'b': 'y'})),
        'pcmk': SenderSettings(lost_is_down=True),
        'consul': SenderSettings(),
    }
    assert found['consul'].host_labels == ('hostname', 'host')
    assert sender_settings.parse(None) == {}


@pytest.mark.parametrize(
    ('found', 'reason'),
    [
        (['am'], 'the senders file is a list'),
        ({'am': None}, 'sender am in the senders file is a null'),
        ({'am': {'labels': []}}, "unknown key 'labels'"),
        ({'am': {1: []}}, "unknown key '1'"),
        ({'am': {'host_labels': 'host'}}, 'host_labels of sender am'),
        ({'am': {'host_labels': []}}, 'host_labels of sender am'),
        ({'am': {'host_labels': ['']}}, 'host_labels of sender am'),
        ({'am': {'down_alerts': 'HostDown'}}, 'down_alerts of sender am'),
        # It would mean each alert.
        ({'am': {'down_alerts': [{}]}}, 'down_alerts of sender am has {}'),
        ({'am': {'down_alerts': ['']}}, "has ''"),
        ({'am': {'down_alerts': [{'level': 1}]}}, "has {'level': 1}"),
        ({'am': {'lost_is_down': 'nope'}}, 'lost_is_down of sender am is a text'),
    ],
)
def test_what_is_wrong_is_named(found, reason):
    with pytest.raises(exceptions.Refused) as caught:
        sender_settings.parse(found)
    assert reason in caught.value.reason and caught.value.remedy


@pytest.mark.parametrize(
    ('labels', 'expected'),
    [
        ({'alertname': 'HostDown'}, True),
        ({'a': 'x', 'b': 'y', 'c': 'z'}, True),
        ({'a': 'x'}, False),
        ({'alertname': 'hostdown'}, False),
        ({'alertname': ['HostDown']}, False),
        ({}, False),
    ],
)
def test_an_alert_means_a_death_when_it_has_all_labels_of_one_row(labels, expected):
    found = SenderSettings(down_alerts=({'alertname': 'HostDown'}, {'a': 'x', 'b': 'y'}))
    assert found.means_a_death(labels) is expected
    assert not SenderSettings().means_a_death(labels)
