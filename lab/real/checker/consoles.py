# SPDX-License-Identifier: Apache-2.0
"""What the guests report on their consoles: which of their writes were acknowledged."""

import dataclasses
import re
import zlib
from collections.abc import Iterable

from lab.real.checker import records

# Nova and virtio give a disk the first characters of the volume's id as its serial number.
SERIAL_LENGTH = 20

_LINE = re.compile(r'(HACON (?P<fields>.*)) crc=(?P<crc>[0-9a-f]{8})')


@dataclasses.dataclass(frozen=True)
class Line:
    """One report of a recorder; ``recorder.c`` says what each event means.

    :ivar t: when it was written by the guest's clock, in milliseconds since 1970.
    :ivar first: the number with which this session of the recorder began; -1 before it knows.
    :ivar values: the other fields.
    """

    writer: records.Writer
    volume: str
    event: str
    first: int
    seq: int
    t: int
    values: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Session:
    """What one recorder had acknowledged, from one attachment of a volume to its end.

    :ivar first: the number with which it began.
    :ivar acknowledged: the last number that was acknowledged by the console; ``first`` - 1 for
        none.
    :ivar unknown: numbers whose write failed, or was under way at the end, and was not
        acknowledged later.
    :ivar errors: how many writes failed.
    :ivar first_acknowledged_at: when the first write was acknowledged by the guest's clock, in
        milliseconds since 1970; None where the console does not say.
    """

    writer: records.Writer
    first: int
    acknowledged: int
    unknown: tuple[int, ...]
    errors: int
    first_acknowledged_at: int | None


def parse(text: str) -> list[Line]:
    """Read the reports on a console. A line that is cut or mixed with another is left out."""
    found = []
    for match in _LINE.finditer(text):
        if zlib.crc32(match[1].encode()) != int(match['crc'], 16):
            continue
        values = dict(field.split('=', 1) for field in match['fields'].split() if '=' in field)
        writer = records.Writer(values.pop('by'), values.pop('boot'))
        found.append(
            Line(
                writer=writer,
                volume=values.pop('vol'),
                event=values.pop('event'),
                first=int(values.pop('first', '-1')),
                seq=int(values.pop('seq', '-1')),
                t=int(values.pop('t')),
                values=values,
            )
        )
    return found


def sessions(lines: Iterable[Line], volume: str) -> list[Session]:
    """List what each recorder reported of one volume, given by its id or serial number.

    A session whose ``start`` is not on the console, since the console was cut, is known from its
    other reports.
    """
    per_session: dict[tuple[records.Writer, int], list[Line]] = {}
    for line in lines:
        if line.volume == volume[:SERIAL_LENGTH] and line.first >= 0:
            per_session.setdefault((line.writer, line.first), []).append(line)
    return [_session(each) for each in per_session.values()]


def _session(lines: list[Line]) -> Session:
    acknowledged = lines[0].first - 1
    failed: set[int] = set()
    first_acknowledged_at = None
    for line in lines:
        if line.event == 'ack':
            if line.seq == line.first and first_acknowledged_at is None:
                first_acknowledged_at = line.t
            acknowledged = max(acknowledged, line.seq)
        else:
            acknowledged = max(acknowledged, line.seq - 1)
        if line.event == 'err' or line.values.get('pending') == '1':
            failed.add(line.seq)
    return Session(
        writer=lines[0].writer,
        first=lines[0].first,
        acknowledged=acknowledged,
        unknown=tuple(sorted(seq for seq in failed if seq > acknowledged)),
        errors=sum(line.event == 'err' for line in lines),
        first_acknowledged_at=first_acknowledged_at,
    )


def clock_offset(text: str, written_at: int) -> int | None:
    """Return by how many milliseconds a guest's clock is ahead of its host's.

    :param text: its console, as a file of the host.
    :param written_at: when the host wrote to that file last, in milliseconds since 1970.
    :returns: None when the console does not end with a whole report, so that it is not known.
        It is right to some 50 ms: a report takes its time through a serial line.
    """
    last = text.rstrip('\r\n').rsplit('\n', 1)[-1]
    found = parse(last) if _LINE.fullmatch(last.strip()) else []
    return found[0].t - written_at if found else None
