# SPDX-License-Identifier: Apache-2.0
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat_ha import exceptions
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import reports

KEYS = st.sampled_from(
    ['host', 'state', 'reason', 'alerts', 'notification', 'labels', 'status', 'type', 'payload',
     'event', 'hostname', 'nova_object.data', 'binary', 'forced_down', 'instance']
)  # fmt: skip
WORDS = st.sampled_from(
    ['down', 'up', 'firing', 'resolved', 'COMPUTE_HOST', 'STOPPED', 'STARTED', 'c1', 'c1:9100',
     'nova-compute', '', 'x' * 300, 'a\nb', '\u202e']
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
HOSTILE = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(HOSTILE)
def test_whatever_is_sent_is_read_or_refused(body):
    told = []
    with contextlib.suppress(exceptions.Refused):
        told = reports.of_body(body)
    for one in told:
        assert 0 < len(one.host) <= 255 and one.host.isprintable()
        assert one.claimed in (Claimed.DOWN, Claimed.UP)


@given(st.sampled_from(['service.update', 'instance.update', None]) | HOSTILE, HOSTILE)
def test_whatever_is_notified_is_read_or_dropped(event_type, payload):
    told = reports.of_notification(event_type, payload)
    assert told is None or told.host


@pytest.mark.parametrize(
    'body',
    [
        {'host': 'c1', 'state': 'down', 'reason': 'consul'},
        {'alerts': [{'status': 'firing', 'labels': {'instance': 'c1:9100', 'alertname': 'Down'}}]},
        {'notification': {'type': 'COMPUTE_HOST', 'hostname': 'c1', 'generated_time': 'x',
                          'payload': {'event': 'STOPPED', 'host_status': 'UNKNOWN'}}},
    ],
)  # fmt: skip
def test_the_three_forms_say_the_same(body):
    [told] = reports.of_body(json.loads(json.dumps(body)))
    assert (told.host, told.claimed) == ('c1', Claimed.DOWN)


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
