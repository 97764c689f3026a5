# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import reports
from tests.unit.agent.hostile_values import HOSTILE


@given(st.sampled_from(['service.update', 'instance.update', None]) | HOSTILE, HOSTILE)
def test_whatever_is_notified_is_read_or_dropped(event_type, payload):
    told = reports.of_notification(event_type, payload)
    assert told is None or told.host


def test_only_the_mark_on_a_nova_compute_counts():
    def payload(**data):
        return {'nova_object.data': {'host': 'c1', 'binary': 'nova-compute', **data}}

    marked = reports.of_notification('service.update', payload(forced_down=True))
    assert marked.claimed is Claimed.DOWN
    unmarked = reports.of_notification('service.update', payload(forced_down=False))
    assert unmarked.claimed is Claimed.SILENT
    assert reports.of_notification('service.update', payload()) is None
    other = payload(forced_down=True, binary='nova-conductor')
    assert reports.of_notification('service.update', other) is None


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('2026-11-01T10:00:00Z', 1793527200.0),
        ('2026-11-01T10:00:00.123456789Z', 1793527200.123456),
        ('2026-11-01T10:00:00.5+01:00', 1793523600.5),
        ('2026-11-01 10:00:00.1', 1793527200.1),
        ('2026-11-01T10:00:00', 1793527200.0),
        ('0001-01-01T00:00:00Z', None),
        ('0000-01-01T00:00:00Z', None),
        ('2026-13-01T10:00:00Z', None),
        ('2026-11-01', None),
        ('٢٠٢٦-11-01T10:00:00Z', None),
        ('', None),
        (None, None),
        (7, None),
    ],
)
def test_times_are_read_as_prometheus_and_openstack_write_them(text, seconds):
    assert reports.moment(text) == seconds
