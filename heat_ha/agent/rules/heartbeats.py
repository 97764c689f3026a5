# SPDX-License-Identifier: Apache-2.0
"""What counts as a heartbeat of a host, and which hosts have outlived another one. Pure.

Times are seconds by the agent's own clock.

The agent knows a heartbeat by two looks at Nova's record: one that showed it as before, and one
that showed it written. All that is known is that it came between them. Looks may be far apart: Nova
did not answer, or answered late. So whoever asks whether a host lived after a time takes the
beginning of the first look, and whoever asks since when it is silent takes the second. What came in
between is neither life nor death: a silence follows that settles it, or another heartbeat does.
"""

import dataclasses
import itertools
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from heat_ha.cloud.model import CLOCKS_APART, ComputeService

# So many heartbeats a host must have sent since another's last one. Of hosts that die in the same
# moment, one may send two after the other's last: in the interval in which they die, and when the
# two intervals overlap. With three, the other one has left out a whole interval.
OUTLIVED_BY = 3

# A host is overdue when its next heartbeat is later than so many of its usual intervals.
OVERDUE = 1.25

# Seconds after a host was seen to be off within which Nova may write a heartbeat that was sent
# before.
WRITTEN_LATE = 10.0

# One report of a host may be under way when it dies, for as long as Nova's conductor is stopped. So
# many heartbeats after that are life for certain.
SURE_LIFE = 2

# Seconds for which a host must at least be silent before a heartbeat that may have been sent before
# its fence counts as sent before it.
SILENT_ENOUGH = 15.0

# A host that is silent for so many times ``mark_settle`` fell silent before others marked it: a
# look at which the mark was new may have hidden heartbeats, but not so many.
SURELY_SILENT = 3.0

# Heartbeats that are retained of a host: enough for its usual interval.
RETAINED = 8


def is_heartbeat(before: ComputeService, after: ComputeService) -> bool:
    """Whether nova-compute itself has written its record between two looks.

    Nova's API shows when the record was written. It does not show by whom, nor the time of the last
    report. Whoever disables a host, or marks it as down, writes it too. So a write that came with
    another change is not counted as a heartbeat. A living host soon writes again.
    """
    if after.heartbeat_at is None or (
        before.heartbeat_at is not None and after.heartbeat_at <= before.heartbeat_at
    ):
        return False
    return _as_marked(before) == _as_marked(after)


def _as_marked(service: ComputeService) -> ComputeService:
    """The record without what the host's own reports change."""
    return dataclasses.replace(service, heartbeat_at=None, is_up=False)


class Heartbeat(NamedTuple):
    """One heartbeat: written by Nova after the time ``after``, and seen by the agent at ``seen``.

    ``after`` is -infinity where no look had shown the record before.
    """

    after: float
    seen: float


def life_after(
    proof_at: float,
    own: Sequence[Heartbeat],
    service: ComputeService | None,
    says_up: Collection[str],
    enough: int = 1,
    seen_on: str = '',
) -> str:
    """What was seen of a host after its fence; '' for no sign of life (S1).

    The agent may have begun later than the host came back. Then Nova's record, written later than
    the agents' mark, shows it.

    :param proof_at: when the host was seen to be off, in Unix time.
    :param own: its heartbeats.
    :param says_up: the sources that have reported since that it is up.
    :param enough: how many heartbeats are a sign of life. Where the host is fenced again after it,
        one is: that does no harm. Where nobody can, ``SURE_LIFE`` are.
    :param seen_on: what has shown since that its power is on; '' when nothing has.
    """
    sent = sum(one.after > proof_at + WRITTEN_LATE for one in own)
    if sent >= enough:
        return f'its nova-compute has sent heartbeats since ({sent})'
    if says_up:
        return f'{", ".join(says_up)}: up'
    if seen_on:
        return seen_on
    if service is None or not service.is_forced_down or service.heartbeat_at is None:
        return ''
    if service.marked_at is None:
        return ''
    later = service.heartbeat_at - max(service.marked_at, proof_at)
    if later <= CLOCKS_APART:
        return ''
    return f'its record in Nova was written {later:.0f} s after it was marked as down'


def doubted_at(
    proof_at: float,
    own: Sequence[Heartbeat],
    written: Heartbeat | None,
    service: ComputeService | None,
) -> float | None:
    """When the last heartbeat was seen that may have been sent after the fence; None without one.

    Invariant: whatever the host sent later than ``WRITTEN_LATE`` after the proof, and the agent has
    seen, is not before what is returned.

    A host that Nova still shows as up has not been missed, because other sources told of its
    failure first. Or it lives, and its power control showed another machine.

    :param written: when its record was written as it is now.
    """
    if service is not None and service.is_up and not service.is_forced_down:
        return own[-1].seen if own else proof_at
    late = [one.seen for one in own if one.seen > proof_at + WRITTEN_LATE]
    if late:
        return late[-1]
    if written is None or written.after != float('-inf') or written.seen <= proof_at + WRITTEN_LATE:
        return None
    # The agent began after the fence. What we have marked shows by itself what came after that.
    if service is None or service.heartbeat_at is None or service.marked_at is not None:
        return None
    return written.seen if service.heartbeat_at > proof_at - CLOCKS_APART else None


def is_written_since(service: ComputeService | None, since: float) -> bool:
    """Whether Nova shows a host as up, by a record that was surely written after a time.

    A host that has died is shown as up for a while, but what it wrote last is older than that.
    """
    if service is None or service.heartbeat_at is None:
        return False
    return service.is_up and service.heartbeat_at > since + CLOCKS_APART


def is_silence(
    since: float,
    seconds: float,
    others: Collection[str],
    beats: Mapping[str, Sequence[float]],
    looked_at: float,
) -> bool:
    """Whether a host has been silent for so long that it would have been heard if it lived.

    Invariant: a time in which nobody could be heard is no silence, whoever was the cause: the
    agent, Nova's API, or what writes the reports.

    :param since: when its last heartbeat was seen.
    :param others: the other hosts that should send heartbeats.
    :param looked_at: when the last look that was answered began.
    """
    if looked_at - since < seconds:
        return False
    # Before, between and after two of them there may be a gap; in three is a whole interval.
    known = [own for host in others if len(own := beats.get(host, ())) >= OUTLIVED_BY]
    heard = sum(own[-OUTLIVED_BY] > since for own in known)
    return heard * 2 >= len(others)


def has_settled(
    own: Sequence[float],
    written: float | None,
    trusted_since: float,
    settle: float,
    others: Collection[str],
    beats: Mapping[str, Sequence[float]],
    looked_at: float,
) -> bool:
    """Whether a mark that others have set may be taken for the word that the host is down (S1).

    nova-compute goes on writing its record while the host is marked. So a mark that is older than
    the host's last sign of life, as one that was left after maintenance, is no proof.

    :param own: when heartbeats of the host were seen, the oldest first.
    :param written: when its record was first seen as it is now; None when it was never seen.
    :param trusted_since: since when the agent has seen all that Nova shows.
    :param settle: seconds for which the record must not have been written; 0 believes at once.
    :param others, beats, looked_at: see :func:`is_silence`.
    """
    if not settle:
        return True
    is_known = bool(own) and trusted_since <= own[-1]
    if is_known and is_silence(own[-1], SURELY_SILENT * settle, others, beats, looked_at):
        return True
    if written is None:
        return False
    return is_silence(max(written, trusted_since), settle, others, beats, looked_at)


def on_time(
    hosts: Collection[str], beats: Mapping[str, Sequence[float]], now: float
) -> frozenset[str]:
    """Which of the hosts are not silent now: for no longer than they usually are.

    Invariant: a host of which fewer than ``OUTLIVED_BY`` heartbeats are known is not among them.

    :param beats: by host, when it sent heartbeats, the oldest first.
    """
    return frozenset(host for host in hosts if _is_on_time(beats.get(host, ()), now))


def _is_on_time(own: Sequence[float], now: float) -> bool:
    if len(own) < OUTLIVED_BY:
        return False
    usual = statistics.median(later - at for at, later in itertools.pairwise(own))
    return now - own[-1] <= OVERDUE * usual


def outlived(
    silent_since: float, living: Collection[str], beats: Mapping[str, Sequence[float]]
) -> frozenset[str]:
    """Which of the hosts that are on time have outlived one that has been silent since a time.

    Invariant: a host that died before the other one had left out a whole interval between reports
    is not among them.

    :param silent_since: when the other one sent its last heartbeat.
    :param living: hosts that :func:`on_time` has found.
    :param beats: by host, when it sent heartbeats, the oldest first.
    """
    return frozenset(host for host in living if beats[host][-OUTLIVED_BY] > silent_since)


def is_old_silence(service: ComputeService | None, old_silence: float, now: float) -> bool:
    """Whether a host has been silent, and nobody has marked it, for so many seconds.

    One that has never reported has nothing that could be rescued. Any mark writes its record.
    """
    if service is None:
        return False
    if service.heartbeat_at is None:
        return not (service.is_up or service.is_forced_down)
    return now - service.heartbeat_at > old_silence


def long_silent(services: Mapping[str, ComputeService], seconds: float) -> frozenset[str]:
    """The hosts that are down, and have been for so long that nobody expects heartbeats of them.

    One that has never sent a heartbeat is among them. All times are of Nova's clock: whoever's
    clock was set makes no host silent.

    Invariant: while no host is up, none is among them. Then nobody could be heard.

    :param seconds: between its last heartbeat and the youngest one of those that are up.
    """
    written = [s.heartbeat_at for s in services.values() if s.is_up and s.heartbeat_at is not None]
    if not written:
        return frozenset()
    before = max(written) - seconds
    return frozenset(
        host
        for host, service in services.items()
        if not service.is_up and (service.heartbeat_at is None or service.heartbeat_at < before)
    )


def silent_since(own: Sequence[float], written: float | None) -> float:
    """When a host sent its last heartbeat, at the latest; infinity when that is unknown.

    An agent that began after the host had died has seen no heartbeat of it. But it has seen the
    host's record, and every heartbeat would have written that again.

    Invariant: no heartbeat came after what is returned, however late the agent began.

    :param own: when it sent heartbeats, the oldest first.
    :param written: when the record was first seen as it is now.
    """
    if own:
        return own[-1]
    return float('inf') if written is None else written
