# SPDX-License-Identifier: Apache-2.0
"""What Prometheus can read of the agent."""

import prometheus_client

REGISTRY = prometheus_client.CollectorRegistry()
prometheus_client.ProcessCollector(registry=REGISTRY)

REPORTS = prometheus_client.Counter(
    'heat_ha_agent_reports', 'Reports about hosts', ['source', 'says'], registry=REGISTRY
)
REFUSED = prometheus_client.Counter(
    'heat_ha_agent_reports_refused',
    'Reports that do not count. why: host (not one of Nova), late, form (not understood)',
    ['source', 'why'], registry=REGISTRY,
)  # fmt: skip
IGNORED = prometheus_client.Counter(
    'heat_ha_agent_alerts_ignored', 'Alerts and notifications that mean neither a death nor life',
    ['sender'], registry=REGISTRY,
)  # fmt: skip
MALFORMED = prometheus_client.Counter(
    'heat_ha_agent_notifications_malformed', 'Notifications that could not be parsed',
    registry=REGISTRY,
)  # fmt: skip
NOTIFICATION_AGE = prometheus_client.Histogram(
    'heat_ha_agent_notification_age_seconds',
    'Age of the notifications about hosts when they were read',
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
    registry=REGISTRY,
)
DECISIONS = prometheus_client.Counter(
    'heat_ha_agent_decisions', 'Decisions about hosts, except to wait', ['step'],
    registry=REGISTRY,
)  # fmt: skip
HOSTS = prometheus_client.Gauge(
    'heat_ha_agent_hosts', 'Hosts with an incident, by its phase', ['phase'], registry=REGISTRY
)
HELD_BACK = prometheus_client.Counter(
    'heat_ha_agent_held_back', 'Hosts that were held back until a person decides',
    registry=REGISTRY,
)  # fmt: skip
FENCES = prometheus_client.Counter(
    'heat_ha_agent_fences', 'Attempts to fence a host', ['driver', 'outcome'], registry=REGISTRY
)
FENCE_REACHABLE = prometheus_client.Gauge(
    'heat_ha_agent_fence_reachable', 'Whether the fence of a host gave a clear answer',
    ['host', 'level', 'driver'], registry=REGISTRY,
)  # fmt: skip
FENCE_ASKED = prometheus_client.Gauge(
    'heat_ha_agent_fence_asked_timestamp_seconds', 'When the fence of a host was last asked',
    ['host', 'level', 'driver'], registry=REGISTRY,
)  # fmt: skip
FENCE_WRONG = prometheus_client.Gauge(
    'heat_ha_agent_fence_wrong', 'Whether the entry of a host is wrong, so that it is not used',
    ['host'], registry=REGISTRY,
)  # fmt: skip
SIGNALS = prometheus_client.Counter(
    'heat_ha_agent_signals', 'Signals sent to policies', ['kind', 'outcome'], registry=REGISTRY
)
INSTANCE_FAILURES = prometheus_client.Counter(
    'heat_ha_agent_instance_failures',
    "Guests that ended, by Nova's notifications, and what followed: signalled, held_back, "
    'given_up, too_many, or why no policy was signalled',
    ['outcome'], registry=REGISTRY,
)  # fmt: skip
LOOKS_FAILED = prometheus_client.Counter(
    'heat_ha_agent_looks_failed', 'Looks for unfinished work that failed, by its kind', ['kind'],
    registry=REGISTRY,
)  # fmt: skip
ISOLATED = prometheus_client.Gauge(
    'heat_ha_agent_isolated', 'Whether the agent considers itself cut off', registry=REGISTRY
)
ROUND_SECONDS = prometheus_client.Histogram(
    'heat_ha_agent_round_seconds', 'How long one look at all hosts takes', registry=REGISTRY
)
