# SPDX-License-Identifier: Apache-2.0
"""What the sources have reported about the hosts, and what of that still counts."""

import dataclasses
import enum
import threading
import time
from collections.abc import Collection, Mapping

from heat_ha.agent import model, sources
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import claims, heartbeats, reports
from heat_ha.cloud import model as cloud

# Alerts of one sender about one host; beyond that the oldest one is dropped.
MAX_THINGS = 50

# Seconds for which it is known what was said last, so that what arrives late is known as late.
# Longer than any sender retries.
KEPT = 86400.0

# Seconds for which reports about a host are kept that Nova does not show.
HIDDEN_FOR = 3600.0


class Arrival(enum.Enum):
    """What a report that arrives is, beside what is known."""

    NEWS = 'news'
    REPEATED = 'repeated'
    LATE = 'late'


class ReportTable:
    """What was reported last about each host, of each thing. Threads write and read it.

    :param valid: seconds for which a report counts.
    :param lasting: sources whose reports do not expire.
    """

    def __init__(self, valid: float, lasting: Collection[str]) -> None:
        self._valid = valid
        self._lasting = frozenset(lasting)
        self._guard = threading.Lock()
        self._reports: dict[str, dict[tuple[str, str, str], model.Report]] = {}
        # When Nova was last seen to have each host.
        self._shown: dict[str, float] = {}

    def add(self, report: model.Report) -> Arrival:
        """Take a report, unless it is late. :returns: whether it claims anything new."""
        key = (report.source, report.sender, report.thing)
        with self._guard:
            of_host = self._reports.setdefault(report.host, {})
            old = of_host.get(key)
            if claims.is_late(report, old, self._valid):
                return Arrival.LATE
            if claims.is_same_event(report, old):
                return Arrival.REPEATED
            if old is not None and old.said_at > report.said_at:
                report = dataclasses.replace(report, said_at=old.said_at)
            of_host[key] = report
            _bound(of_host, report)
            if old is None or old.claimed is not report.claimed or not self._counts(old, report.at):
                return Arrival.NEWS
            return Arrival.REPEATED

    def has(self, host: str) -> bool:
        """Whether anything was reported about a host that is still known."""
        return host in self._reports

    def claims(
        self,
        host: str,
        service: cloud.ComputeService | None,
        problems: Mapping[str, str],
        now: float,
        since: float = 0.0,
        heard_at: float = float('-inf'),
    ) -> dict[str, Claimed]:
        """What each source claims about a host.

        :param problems: by source that cannot be asked, the reason.
        :param since: a report of before that time does not count.
        :param heard_at: when the host sent Nova its last heartbeat.
        """
        found = {name: Claimed.COULD_NOT_ASK for name, why in problems.items() if why}
        if service is not None:
            by_nova = Claimed.UP if service.is_up else Claimed.DOWN
            found.setdefault(sources.ServicesApi.name, by_nova)
        by_source: dict[str, list[model.Report]] = {}
        with self._guard:
            for report in self._reports.get(host, {}).values():
                if report.at > since and self._counts(report, now):
                    by_source.setdefault(report.source, []).append(report)
        for source, told in by_source.items():
            found.setdefault(source, claims.together(told, heard_at))
        return found

    def up_since(self, host: str, since: float) -> list[str]:
        """The sources whose last word after a time was that the host is up."""
        with self._guard:
            found = self._reports.get(host, {}).values()
            return sorted({r.source for r in found if r.claimed is Claimed.UP and r.at > since})

    def refuted(self, service: cloud.ComputeService | None, at: float) -> frozenset[str]:
        """The sources whose claim of a time, that the host is down, Nova itself shows to be over.

        What Nova has notified of, its record shows as well. So a notification does not outlast the
        mark that it was about, also when that was lost which says so, or the service was deleted.
        """
        is_in_use = heartbeats.is_written_since(service, at)
        return self._lasting if is_in_use else frozenset()

    def check(self, services: Mapping[str, cloud.ComputeService], now: float) -> None:
        """Take back what lasts of reports, where Nova itself shows that it is over."""
        with self._guard:
            for host, of_host in self._reports.items():
                service = services.get(host)
                for key, one in of_host.items():
                    is_down = one.claimed is Claimed.DOWN
                    if is_down and one.source in self.refuted(service, one.at):
                        of_host[key] = dataclasses.replace(one, claimed=Claimed.SILENT, at=now)

    def expire(self, hosts: Collection[str], now: float) -> None:
        """Drop reports that are old, or about hosts that Nova does not have: senders may lie.

        A host of which Nova is silent for a while is not gone: its cell may not answer.

        :param hosts: those that Nova has shown just now.
        """
        with self._guard:
            known = {h: at for h, at in self._shown.items() if now - at <= HIDDEN_FOR}
            self._shown = known | dict.fromkeys(hosts, now)
            self._reports = {
                host: {
                    key: r
                    for key, r in of_host.items()
                    if self._counts(r, now) or now - r.at <= KEPT
                }
                for host, of_host in self._reports.items()
                if host in self._shown
            }

    def is_valid(self, at: float, now: float) -> bool:
        """Whether a report of that time counts, if it is not of a source whose reports last."""
        return now - at <= self._valid

    def _counts(self, report: model.Report, now: float) -> bool:
        return report.source in self._lasting or self.is_valid(report.at, now)

    def __len__(self) -> int:
        return sum(len(of_host) for of_host in self._reports.values())


def _bound(of_host: dict[tuple[str, str, str], model.Report], new: model.Report) -> None:
    """Drop the oldest report of a sender that has too many about one host."""
    of_sender = [key for key in of_host if key[:2] == (new.source, new.sender)]
    if len(of_sender) > MAX_THINGS:
        del of_host[min(of_sender, key=lambda key: of_host[key].at)]


def stamp(source: str, parsed: reports.ParsedReport) -> model.Report:
    """What was reported just now, with the time."""
    now = time.time()
    # A clock that is ahead must not make all later reports look late.
    said_at = now if parsed.said_at is None else min(parsed.said_at, now)
    return model.Report(
        source, parsed.host, parsed.claimed, now, parsed.detail, said_at,
        parsed.sender, parsed.thing, parsed.is_event,
    )  # fmt: skip
