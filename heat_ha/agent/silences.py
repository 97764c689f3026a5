# SPDX-License-Identifier: Apache-2.0
"""Whether a host that was not heard would have been heard if it lived.

Read only, from the hosts as they were last seen; what a silence is, is decided by
``rules.heartbeats``.
"""

from heat_ha.agent import isolation, service_table
from heat_ha.agent.model import Incident
from heat_ha.agent.moment import Moment
from heat_ha.agent.rules import heartbeats


class Silences:
    """What the silence of a host means.

    :param mark_settle: seconds; see ``heartbeats.has_settled``.
    """

    def __init__(
        self,
        table: service_table.ServiceTable,
        monitor: isolation.IsolationMonitor,
        mark_settle: float,
    ) -> None:
        self._table = table
        self._monitor = monitor
        self._mark_settle = mark_settle
        self._enough = max(mark_settle, heartbeats.SILENT_ENOUGH)

    def unclear(self, host: str, proof_at: float, moment: Moment) -> str:
        """Why it is not known whether a host lived after its fence; '' when it is."""
        doubted_at = heartbeats.doubted_at(
            proof_at,
            self._table.heartbeats_of(host),
            self._table.written(host),
            self._table.services.get(host),
        )
        if doubted_at is None or self._is_silence(host, doubted_at, moment):
            return ''
        return (
            'Nova has shown it alive, and it is not known whether that was after its fence: it '
            f'must be silent for {self._enough:.0f} s'
        )

    def is_settled(self, host: str, incident: Incident | None, moment: Moment) -> bool:
        """Whether the mark of others on a host is later than its last sign of life."""
        service = moment.services.get(host)
        is_marked = service is not None and service.is_forced_down
        if not is_marked or incident is None or not incident.is_believed:
            # Nobody's word is asked for.
            return False
        return heartbeats.has_settled(
            moment.beats.get(host, ()),
            self._table.written_at(host),
            self._heard_since(host),
            self._mark_settle,
            moment.expected - {host},
            moment.beats,
            self._table.looked_at,
        )

    def hidden(self, host: str, shown_since: float, moment: Moment) -> str:
        """Why a host may only not have been heard yet; '' when it would have been."""
        if shown_since == float('-inf') or self._is_silence(host, shown_since, moment):
            return ''
        return (
            f'Nova shows the host for {moment.now - shown_since:.0f} s only: it is new, or the '
            f'database of its cell did not answer. It must be silent for {self._enough:.0f} s'
        )

    def _is_silence(self, host: str, since: float, moment: Moment) -> bool:
        since = max(since, self._heard_since(host))
        others = moment.expected - {host}
        return heartbeats.is_silence(
            since, self._enough, others, moment.beats, self._table.looked_at
        )

    def _heard_since(self, host: str) -> float:
        """Since when a host would have been heard if it had sent heartbeats."""
        # What was seen while the agent was cut off may not be all.
        return max(self._monitor.trusted_since, self._table.shown_since(host))
