# SPDX-License-Identifier: Apache-2.0
"""What several reports about one host mean together, and which come too late. Pure."""

from collections.abc import Iterable

from heat_ha.agent.model import Claimed, Report


def is_late(report: Report, known: Report | None, valid: float) -> bool:
    """Whether a report says how things were, and not how they are.

    An event is late as well when it happened longer ago than reports count: nobody knows what
    happened since. An alert may be as old as it likes: it still fires.

    :param known: what was last said of the same thing, by the same sender.
    :param valid: seconds for which a report counts.
    """
    if known is not None and report.said_at < known.said_at:
        # Alerts that are merged begin with the first of them; that is nothing older.
        return report.is_event or report.claimed is not known.claimed
    return report.is_event and report.said_at < report.at - valid


def is_same_event(report: Report, known: Report | None) -> bool:
    """Whether an event is sent once more, which does not make it younger."""
    return (
        known is not None
        and report.is_event
        and report.said_at == known.said_at
        and report.claimed is known.claimed
    )


def together(told: Iterable[Report], heard_at: float) -> Claimed:
    """What one source claims about a host, by all that was reported and still counts.

    What was received last counts, be it of which sender it may. At the same time UP counts more
    than DOWN. That an alert is resolved ends what was claimed by this alert, and nothing else. It
    means that the host is up only once the host has sent a heartbeat since: the sender may have
    been restarted, and have forgotten.

    Invariant: DOWN only when a report itself claims it, and no younger one claims UP.

    :returns: RESOLVED where nothing more is known than that.

    :param heard_at: when the host sent Nova its last heartbeat.
    """
    reports = list(told)
    spoken = [r for r in reports if r.claimed in (Claimed.DOWN, Claimed.UP)]
    if spoken:
        return max(spoken, key=lambda r: (r.at, r.claimed is Claimed.UP)).claimed
    resolved = [r for r in reports if r.claimed is Claimed.RESOLVED]
    if any(heard_at > r.at for r in resolved):
        return Claimed.UP
    return Claimed.RESOLVED if resolved else Claimed.SILENT
