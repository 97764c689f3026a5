# SPDX-License-Identifier: Apache-2.0
"""All hosts together at one moment: what is the same for each of those that have failed."""

import functools
from collections.abc import Callable, Mapping

from heat_ha.agent import service_table
from heat_ha.agent.model import Incident
from heat_ha.agent.rules import heartbeats, storm


class Moment:
    """All hosts together at one moment, for each of them that has failed.

    A cloud may have thousands of hosts, and a hundred that have failed. What is the same for each
    of these is found out once, when the first one needs it.

    :param incidents: all on record, by host.
    :param now: Unix time.
    :param limits: of the storm guard.
    :param find_down: finds the hosts that ``down`` has.
    """

    def __init__(
        self,
        incidents: Mapping[str, Incident],
        now: float,
        table: service_table.ServiceTable,
        limits: storm.Limits,
        find_down: Callable[['Moment'], list[str]],
    ) -> None:
        self.incidents = incidents
        self.now = now
        self.services = table.services
        self._table = table
        self._limits = limits
        self._find_down = find_down

    @functools.cached_property
    def beats(self) -> Mapping[str, tuple[float, ...]]:
        """When each host gave its last heartbeats."""
        return self._table.heartbeat_times()

    @functools.cached_property
    def newest(self) -> float:
        """The youngest report of a host that is up, by Nova's clock; infinity without one."""
        living = [one for one in self.services.values() if one.is_up]
        written = [one.heartbeat_at for one in living if one.heartbeat_at is not None]
        return max(written, default=float('inf'))

    @functools.cached_property
    def expected(self) -> frozenset[str]:
        """The hosts that should give heartbeats.

        Who was dead before the period of the storm guard, and is neither marked nor disabled, says
        nothing about what fails now.
        """
        return frozenset(
            host
            for host, service in self.services.items()
            if not (service.is_in_maintenance or service.is_forced_down)
        ) - heartbeats.long_silent(self.services, self._limits.period)

    @functools.cached_property
    def on_time(self) -> frozenset[str]:
        """Of those the ones that are not silent."""
        return heartbeats.on_time(self.expected, self.beats, self.now)

    @functools.cached_property
    def down(self) -> list[str]:
        """Hosts that are down by the sources, without an open incident or suspected for long."""
        return self._find_down(self)

    @functools.cached_property
    def domains(self) -> Mapping[str, frozenset[str]]:
        """The hosts of each failure domain, by its name."""
        return self._limits.domains.of({host: one.zone for host, one in self.services.items()})
