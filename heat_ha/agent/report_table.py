# SPDX-License-Identifier: Apache-2.0
"""What the sources have reported about the hosts, and what of that still counts."""

import threading
import time
from collections.abc import Collection, Mapping

from heat_ha.agent import model, sources
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import reports
from heat_ha.cloud import model as cloud


class ReportTable:
    """The last report of each source about each host. Threads write and read it.

    :param valid: seconds for which a report counts.
    :param lasting: sources whose reports do not expire.
    """

    def __init__(self, valid: float, lasting: Collection[str]) -> None:
        self._valid = valid
        self._lasting = frozenset(lasting)
        self._guard = threading.Lock()
        self._reports: dict[str, dict[str, model.Report]] = {}

    def add(self, report: model.Report) -> bool:
        """Take a report, unless the table has a newer one of the same source.

        :returns: whether it claims anything else than the one before it.
        """
        with self._guard:
            of_host = self._reports.setdefault(report.host, {})
            old = of_host.get(report.source)
            if old is not None and old.at > report.at:
                return False
            of_host[report.source] = report
            return (
                old is None or old.claimed is not report.claimed or not self._counts(old, report.at)
            )

    def claims(
        self,
        host: str,
        service: cloud.ComputeService | None,
        problems: Mapping[str, str],
        now: float,
        since: float = 0.0,
    ) -> dict[str, Claimed]:
        """What each source claims about a host.

        :param problems: by source that cannot be asked, the reason.
        :param since: a report of before that time does not count.
        """
        found = {name: Claimed.COULD_NOT_ASK for name, why in problems.items() if why}
        if service is not None:
            by_nova = Claimed.UP if service.is_up else Claimed.DOWN
            found.setdefault(sources.ServicesApi.name, by_nova)
        with self._guard:
            for source, report in self._reports.get(host, {}).items():
                if report.at > since and self._counts(report, now):
                    found.setdefault(source, report.claimed)
        return found

    def expire(self, hosts: Collection[str], now: float) -> None:
        """Drop reports that are old, or about hosts that Nova does not have: senders may lie."""
        with self._guard:
            self._reports = {
                host: {source: r for source, r in of_host.items() if self._counts(r, now)}
                for host, of_host in self._reports.items()
                if host in hosts
            }

    def _counts(self, report: model.Report, now: float) -> bool:
        return report.source in self._lasting or now - report.at <= self._valid

    def __len__(self) -> int:
        return sum(len(of_host) for of_host in self._reports.values())


def stamp(source: str, parsed: reports.ParsedReport) -> model.Report:
    """What was reported just now, with the time."""
    return model.Report(source, parsed.host, parsed.claimed, time.time(), parsed.detail)
