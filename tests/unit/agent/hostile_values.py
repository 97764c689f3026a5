# SPDX-License-Identifier: Apache-2.0
"""Values of JSON that look like what senders post, and are not."""

from hypothesis import strategies as st

KEYS = st.sampled_from(
    ['host', 'state', 'reason', 'time', 'alerts', 'notification', 'labels', 'status', 'type',
     'payload', 'event', 'hostname', 'nova_object.data', 'binary', 'forced_down', 'instance',
     'checks', 'CheckID', 'Status', 'Node', 'CRM_alert_kind', 'CRM_alert_node', 'event_type',
     'alertname', 'startsAt', 'endsAt', 'generated_time', 'fingerprint', 'truncatedAlerts']
)  # fmt: skip
WORDS = st.sampled_from(
    ['down', 'up', 'firing', 'resolved', 'COMPUTE_HOST', 'STOPPED', 'STARTED', 'c1', 'c1:9100',
     'nova-compute', 'HostDown', 'critical', 'serfHealth', 'fencing', 'service.update', '',
     'x' * 300, 'a\nb', '\u202e', '2026-11-01T10:00:00Z', '9999-99-99T99:99:99Z']
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
HOSTILE = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
