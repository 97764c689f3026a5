# SPDX-License-Identifier: Apache-2.0
"""Remind a person, once an hour, of what a policy waits for; ``rules.reminders`` has the table."""

from typing import Any

from heat_ha.cloud import clock, compare_and_set, resource_data
from heat_ha.failover import events, record, remembered
from heat_ha.failover.rules import reminders

# Since when (UTC) something waits, or when a person was reminded of it last.
REMINDED = 'ha_reminded'


def remind(policy: Any, emitter: events.EventEmitter) -> None:
    """Make an event of each thing that the policy waits for, where that is due."""
    data = resource_data.fresh(policy)
    since = data.get(REMINDED)
    found = reminders.waits(record.record_of(data), remembered.among(data))
    if not found:
        if since is not None:
            compare_and_set.swap(policy, REMINDED, since, None)
        return
    is_due = since is not None and reminders.is_due(since, clock.now())
    if since is not None and not is_due:
        return
    # Of several engines that come to this at once, one makes the events.
    if compare_and_set.swap(policy, REMINDED, since, clock.now_text()) and is_due:
        for one in found:
            text = events.with_remedy('reminder: ', one.reason, one.remedy)
            emitter.emit(events.IN_PROGRESS, text)
