# SPDX-License-Identifier: Apache-2.0
"""The records on a volume, from its bytes."""

import dataclasses
import re
import zlib

SECTOR = 512

_BLANK = bytes(SECTOR)
_RECORD = re.compile(
    rb'(HAREC seq=(?P<seq>\d+) by=(?P<by>\S+) boot=(?P<boot>\S+) up=(?P<up>\d+) t=(?P<t>\d+))'
    rb' crc=(?P<crc>[0-9a-f]{8}) *\n'
)


@dataclasses.dataclass(frozen=True, order=True)
class Writer:
    """A guest between two of its boots.

    :ivar by: the server's id.
    :ivar boot: what is new at each boot.
    """

    by: str
    boot: str

    def __str__(self) -> str:
        return f'{self.by[:8]}/{self.boot}'


@dataclasses.dataclass(frozen=True)
class Record:
    """One record.

    :ivar place: the number of the sector that it lies in; the same as ``seq`` where all is well.
    :ivar t: when it was written by the guest's clock, in milliseconds since 1970.
    """

    place: int
    seq: int
    writer: Writer
    t: int


@dataclasses.dataclass(frozen=True)
class Found:
    """What a volume holds, up to the last sector that is not blank.

    :ivar bad: the places where something is that is no record, or has a wrong checksum.
    :ivar blank: the places with nothing, before the last that holds something.
    """

    records: tuple[Record, ...]
    bad: tuple[int, ...]
    blank: tuple[int, ...]


def parse(content: bytes) -> Found:
    """Read the records of a volume or file from all of its bytes."""
    records, bad, blank = [], [], []
    used = len(content.rstrip(b'\0'))
    for place in range((used + SECTOR - 1) // SECTOR):
        sector = content[place * SECTOR : (place + 1) * SECTOR]
        if sector == _BLANK:
            blank.append(place)
            continue
        record = parse_record(sector, place)
        if record is None:
            bad.append(place)
        else:
            records.append(record)
    return Found(tuple(records), tuple(bad), tuple(blank))


def parse_record(sector: bytes, place: int) -> Record | None:
    """Return the record in a sector; None when it is none or its checksum is wrong."""
    match = _RECORD.fullmatch(sector)
    if not match or zlib.crc32(match[1]) != int(match['crc'], 16):
        return None
    writer = Writer(match['by'].decode(), match['boot'].decode())
    return Record(place, int(match['seq']), writer, int(match['t']))


def ranges(numbers: list[int] | tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Fold sorted numbers into ranges, as pairs of the first and the last."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
