# SPDX-License-Identifier: Apache-2.0
"""The incidents on record, of which a newer version may have written some."""

import dataclasses
from collections.abc import Mapping

from heat_ha import exceptions, serialization
from heat_ha.agent.adapters import store as agent_store
from heat_ha.agent.model import Incident, Phase


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The incidents by host.

    ``incidents`` has all. Of a host in ``unreadable``, by which it is said why, it has only what
    this version understands: other hosts are counted together with it, and nothing is done about
    the host itself.
    """

    incidents: Mapping[str, Incident]
    unreadable: Mapping[str, str]

    def removed_of(self, host: str) -> tuple[str, ...] | None:
        """What the fences of an open incident have removed from storages; None: not understood."""
        incident = self.incidents.get(host)
        if host in self.unreadable:
            return None
        return incident.removed if incident is not None and incident.is_open else ()


def read(entries: Mapping[str, agent_store.Entry], now: float) -> Recorded:
    """Read the incidents, each by itself: one that is not understood holds no other host."""
    incidents: dict[str, Incident] = {}
    unreadable: dict[str, str] = {}
    for host, entry in entries.items():
        try:
            incidents[host] = serialization.decode(Incident, entry.value, _what(host))
        except exceptions.Unreadable as exc:
            unreadable[host] = str(exc)
            incidents[host] = _stand_in(host, entry, now)
    return Recorded(incidents, unreadable)


def _stand_in(host: str, entry: agent_store.Entry, now: float) -> Incident:
    """What is understood of an incident; a failure of just now where that is too little (S6)."""
    try:
        known = serialization.pruned(Incident, entry.value)
        return serialization.decode(Incident, known, _what(host))
    except exceptions.Unreadable:
        return Incident(host, Phase.DEFERRED, now, 'not understood', now)


def _what(host: str) -> str:
    return f'the incident of host {host}'
