# SPDX-License-Identifier: Apache-2.0
"""Decide what became of the records of one volume: pure, over what was read."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from lab.real.checker import consoles, records

# Milliseconds by which two guests' clocks may differ. A guest keeps its clock with its firmware's,
# which starts with the guest from the host's, cut to whole seconds.
CLOCK_TOLERANCE = 1500

Range = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Run:
    """Records of one writer with no other's between them; times in milliseconds since 1970."""

    writer: records.Writer
    first: int
    last: int
    first_t: int
    last_t: int


@dataclasses.dataclass(frozen=True)
class Interruption:
    """From the last record of one run to the first of the next.

    A record has the time when its write began. Of a write that had to wait, for instance for a
    dead client's lock, only the console says when it ended.

    :ivar milliseconds: by the guests' clocks; below zero when the new one began before the old
        one ended.
    :ivar until_acknowledged: milliseconds until the first write of the new one was acknowledged:
        how long nobody could write. None where the new one's console does not say.
    """

    old: records.Writer
    new: records.Writer
    first_of_new: int
    milliseconds: int
    until_acknowledged: int | None


@dataclasses.dataclass(frozen=True)
class Pause:
    """How long no record was begun before the one with the number ``before``, by whomever."""

    before: int
    milliseconds: int


@dataclasses.dataclass(frozen=True)
class Lost:
    """Writes that were acknowledged, and whose records are not on the volume.

    :ivar instead: the writer of the records that are there; None where there is none.
    """

    writer: records.Writer
    first: int
    last: int
    instead: records.Writer | None


@dataclasses.dataclass(frozen=True)
class AcknowledgedTwice:
    """Numbers that two writers had acknowledged, each for a record of its own."""

    one: records.Writer
    other: records.Writer
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A write that failed in the guest, and what became of it.

    :ivar is_there: whether its record is on the volume all the same. Neither is a fault.
    """

    writer: records.Writer
    seq: int
    is_there: bool


@dataclasses.dataclass(frozen=True)
class Report:
    """What is on a volume, compared with what the guests reported.

    :ivar runs: in the order of the numbers.
    :ivar longest_pause: between two records that follow each other; None for less than two.
    :ivar gaps: ranges of places without a record, before the last record.
    :ivar bad: places with something that is no record, or with a wrong checksum.
    :ivar misplaced: places whose record has another number.
    :ivar doubled: numbers that lie in more than one place.
    :ivar intrusions: runs that begin where no session of that writer began by its console, so
        that another one wrote between its records. Known only of writers with a console.
    :ivar without_console: writers on the volume of whom there is no console: of their records it
        is not known whether any was lost.
    """

    count: int
    runs: tuple[Run, ...]
    interruptions: tuple[Interruption, ...]
    longest_pause: Pause | None
    gaps: tuple[Range, ...]
    bad: tuple[Range, ...]
    misplaced: tuple[Range, ...]
    doubled: tuple[int, ...]
    intrusions: tuple[Run, ...]
    lost: tuple[Lost, ...]
    acknowledged_twice: tuple[AcknowledgedTwice, ...]
    unknown: tuple[Unknown, ...]
    without_console: tuple[records.Writer, ...]
    tolerance: int = CLOCK_TOLERANCE

    @property
    def overlaps(self) -> tuple[Interruption, ...]:
        """Where a new writer began before the old one had ended, beyond what clocks may differ."""
        return tuple(i for i in self.interruptions if i.milliseconds < -self.tolerance)

    @property
    def lost_count(self) -> int:
        """How many acknowledged records are not on the volume."""
        return sum(lost.last - lost.first + 1 for lost in self.lost)

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be, in sentences; nothing when all is well."""
        return (
            *(f'no record at {_range(gap)}' for gap in self.gaps),
            *(f'bad record or checksum at {_range(bad)}' for bad in self.bad),
            *(f'record with another number at {_range(each)}' for each in self.misplaced),
            *(f'number {seq} lies in several places' for seq in self.doubled),
            *(
                f'{run.writer} goes on at {run.first} after records of another writer'
                for run in self.intrusions
            ),
            *(
                f'{each.new} began {-each.milliseconds} ms before {each.old} ended,'
                f' at {each.first_of_new}'
                for each in self.overlaps
            ),
            *(
                f'{lost.writer} had {_range((lost.first, lost.last))} acknowledged; there is'
                f' {"nothing" if lost.instead is None else f"what {lost.instead} wrote"}'
                for lost in self.lost
            ),
            *(
                f'{each.one} and {each.other} both had {_range((each.first, each.last))}'
                ' acknowledged'
                for each in self.acknowledged_twice
            ),
        )


def decide(
    found: records.Found,
    reported: Sequence[consoles.Session],
    *,
    clock_offsets: Mapping[str, int] | None = None,
    tolerance: int = CLOCK_TOLERANCE,
) -> Report:
    """Compare what a volume holds with what the guests reported.

    Invariant: a record that was acknowledged, by its console, is on the volume, written by that
    guest in that boot, or it is reported as lost.

    :param reported: of this volume only. Read the consoles before the volume: read after it, they
        may name later records, which would count as lost.
    :param clock_offsets: milliseconds by which a server's clock is ahead, per server id.
    :param tolerance: milliseconds by which two clocks may still differ.
    """
    offsets = clock_offsets or {}
    in_place = {record.seq: record for record in found.records if record.seq == record.place}
    runs = _runs(list(in_place.values()), offsets)
    reporting = {session.writer for session in reported}
    misplaced = [record.place for record in found.records if record.seq != record.place]
    return Report(
        count=len(found.records),
        runs=runs,
        interruptions=_interruptions(runs, reported, offsets),
        longest_pause=_longest_pause(list(in_place.values()), offsets),
        gaps=records.ranges(found.blank),
        bad=records.ranges(found.bad),
        misplaced=records.ranges(misplaced),
        doubled=_doubled(found),
        intrusions=_intrusions(runs, reported),
        lost=tuple(itertools.chain.from_iterable(_lost(session, in_place) for session in reported)),
        acknowledged_twice=_twice(reported),
        unknown=tuple(
            Unknown(session.writer, seq, _is_its(in_place.get(seq), session))
            for session in reported
            for seq in session.unknown
        ),
        without_console=tuple(sorted({run.writer for run in runs} - reporting)),
        tolerance=tolerance,
    )


def _runs(found: list[records.Record], offsets: Mapping[str, int]) -> tuple[Run, ...]:
    runs = []
    for writer, group in itertools.groupby(found, key=lambda record: record.writer):
        members = list(group)
        offset = offsets.get(writer.by, 0)
        runs.append(
            Run(
                writer,
                members[0].seq,
                members[-1].seq,
                members[0].t - offset,
                members[-1].t - offset,
            )
        )
    return tuple(runs)


def _interruptions(
    runs: Sequence[Run], reported: Sequence[consoles.Session], offsets: Mapping[str, int]
) -> tuple[Interruption, ...]:
    acknowledged_at = {
        (session.writer, session.first): session.first_acknowledged_at
        for session in reported
        if session.first_acknowledged_at is not None
    }
    found = []
    for old, new in itertools.pairwise(runs):
        moment = acknowledged_at.get((new.writer, new.first))
        until = None
        if moment is not None:
            until = moment - offsets.get(new.writer.by, 0) - old.last_t
        found.append(
            Interruption(old.writer, new.writer, new.first, new.first_t - old.last_t, until)
        )
    return tuple(found)


def _longest_pause(found: list[records.Record], offsets: Mapping[str, int]) -> Pause | None:
    times = [(record.seq, record.t - offsets.get(record.writer.by, 0)) for record in found]
    pauses = [Pause(seq, t - before) for (_, before), (seq, t) in itertools.pairwise(times)]
    return max(pauses, key=lambda pause: pause.milliseconds, default=None)


def _doubled(found: records.Found) -> tuple[int, ...]:
    seen: set[int] = set()
    doubled = set()
    for record in found.records:
        if record.seq in seen:
            doubled.add(record.seq)
        seen.add(record.seq)
    return tuple(sorted(doubled))


def _intrusions(runs: Sequence[Run], reported: Sequence[consoles.Session]) -> tuple[Run, ...]:
    """List the runs that begin in the middle of a session: another writer came between."""
    begun = {(session.writer, session.first) for session in reported}
    writers = {session.writer for session in reported}
    return tuple(
        run for run in runs if run.writer in writers and (run.writer, run.first) not in begun
    )


def _is_its(record: records.Record | None, session: consoles.Session) -> bool:
    return record is not None and record.writer == session.writer


def _lost(session: consoles.Session, in_place: Mapping[int, records.Record]) -> list[Lost]:
    def instead(seq: int) -> records.Writer | None:
        record = in_place.get(seq)
        return record.writer if record is not None else None

    missing = (
        seq
        for seq in range(session.first, session.acknowledged + 1)
        if not _is_its(in_place.get(seq), session)
    )
    lost: list[Lost] = []
    for seq in missing:
        if lost and lost[-1].last == seq - 1 and lost[-1].instead == instead(seq):
            lost[-1] = dataclasses.replace(lost[-1], last=seq)
        else:
            lost.append(Lost(session.writer, seq, seq, instead(seq)))
    return lost


def _twice(reported: Sequence[consoles.Session]) -> tuple[AcknowledgedTwice, ...]:
    found = []
    for one, other in itertools.combinations(reported, 2):
        first = max(one.first, other.first)
        last = min(one.acknowledged, other.acknowledged)
        if first <= last:
            found.append(AcknowledgedTwice(one.writer, other.writer, first, last))
    return tuple(found)


def _range(limits: Range) -> str:
    first, last = limits
    return f'{first}' if first == last else f'{first} to {last}'
