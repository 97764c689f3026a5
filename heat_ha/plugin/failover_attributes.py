# SPDX-License-Identifier: Apache-2.0
"""What can be read from an OS::Heat::FailoverPolicy."""

import time

from heat.common.i18n import _
from heat.engine import attributes, resource

from heat_ha.cloud import resource_data
from heat_ha.failover import attributes as failover_attributes
from heat_ha.failover import record, remembered
from heat_ha.failover.rules import decide

# Seconds for which attributes show the same record. Heat resolves them one after another, and the
# one whose members have to be listed takes a moment.
TOGETHER = 3.0


class FailoverAttributes(resource.Resource):
    """The names, schemas and values of the attributes."""

    ATTRIBUTES = (
        ACTIVE, ACTIVE_SERVER, STANDBYS, STATE, EPOCH, PLAN, HISTORY, LAST_SECONDS, REASON,
        ALARM_URL, SIGNAL_URL, PENDING,
    ) = (
        'active', 'active_server', 'standbys', 'state', 'epoch', 'plan', 'history',
        'last_failover_seconds', 'reason', 'alarm_url', 'signal_url', 'pending',
    )  # fmt: skip

    attributes_schema = {
        ACTIVE: attributes.Schema(
            _('The name of the active member.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        ACTIVE_SERVER: attributes.Schema(
            _('The id of the server of the active member.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        STANDBYS: attributes.Schema(
            _('The names of the other members, oldest first.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        STATE: attributes.Schema(
            _(
                'What the policy is doing: ready, running, waiting_for_fence, stopped, paused, '
                'replacing (the failover is over, what it has left is being replaced), waiting '
                '(a signal is kept, and decided again) or incomplete (nobody is active, or a '
                'dropped failover has left something elsewhere).'
            ),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        EPOCH: attributes.Schema(
            _('A number that grows each time that another member becomes the active one.'),
            type=attributes.Schema.INTEGER,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        PLAN: attributes.Schema(
            _(
                'The steps of the running or last failover as a graph: nodes with state and '
                'seconds, edges, and under graphviz the text for dot.'
            ),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        HISTORY: attributes.Schema(
            _(
                'The failovers so far, oldest first: time, cause, from, to, outcome and seconds '
                'of each step. The reason begins with the sender of the first signal: alarm and '
                'its name, or heat-ha-agent.'
            ),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        LAST_SECONDS: attributes.Schema(
            _(
                'Seconds from the acceptance of the last signal that moved something until the '
                'new active held every volume.'
            ),
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        REASON: attributes.Schema(
            _('Why the policy is stopped and what to do about it; empty otherwise.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        PENDING: attributes.Schema(
            _(
                'What is left to do: under signals those that are kept and decided again, under '
                'replacements the members that failovers have left, under retained those that '
                'are kept for a look, each with the reason and the time of the next try; under '
                'left_over what a dropped failover has left and where it is, under suspects the '
                'members that were reported sick and not replaced.'
            ),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        ALARM_URL: attributes.Schema(
            _('A signed url that an alarm can post to without further credentials.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        SIGNAL_URL: attributes.Schema(
            _('A url to signal the policy with the native API, for alarms with trust+http.'),
            type=attributes.Schema.STRING,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    _shown_data, _shown_at = None, float('-inf')

    def _shown(self):
        """The data that attributes show: of one moment for those that are asked for together."""
        if time.monotonic() - self._shown_at > TOGETHER:
            self._shown_data = resource_data.fresh(self)
            self._shown_at = time.monotonic()
        return self._shown_data

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        if name == self.ALARM_URL:
            return str(self._get_ec2_signed_url(never_expire=True))
        if name == self.SIGNAL_URL:
            return str(self._get_heat_signal_url())
        if name == self.HISTORY:
            return record.history_of(self._shown())
        if name == self.LAST_SECONDS:
            moved = [p['handoff_seconds'] for p in record.history_of(self._shown())]
            return moved[-1] if moved else None
        found = record.record_of(self._shown())
        waiting = remembered.among(self._shown())
        if name == self.STANDBYS:
            return failover_attributes.names_of_standbys(self._group(), found)
        return {
            self.ACTIVE: found.active and found.active.member,
            self.ACTIVE_SERVER: found.active and found.active.server,
            self.STATE: decide.state(found, has_signals=bool(waiting)).value,
            self.EPOCH: found.epoch,
            self.REASON: failover_attributes.reason(found, waiting),
            self.PENDING: failover_attributes.pending(found, waiting),
            self.PLAN: failover_attributes.graph_attribute(found),
        }[name]
