# SPDX-License-Identifier: Apache-2.0
"""How the numbers of a volume's records passed from one writer to the next: pure, of a report."""

import dataclasses
import itertools
from collections.abc import Sequence

from lab.real.checker import report


@dataclasses.dataclass(frozen=True)
class Handover:
    """One server wrote, and then another one, or the same one with a guest that booted again.

    :ivar seconds: from the last record of the old one until the first write of the new one was
        acknowledged: how long nobody could write. None where the new one's console does not say.
    """

    old: str
    new: str
    last_of_old: int
    first_of_new: int
    seconds: float | None


def of(found: report.Report) -> tuple[Handover, ...]:
    """All handovers on a volume, in the order of the numbers."""
    return tuple(
        Handover(
            one.old.by,
            one.new.by,
            before.last,
            one.first_of_new,
            None if one.until_acknowledged is None else one.until_acknowledged / 1000,
        )
        for (before, _after), one in zip(
            itertools.pairwise(found.runs), found.interruptions, strict=True
        )
    )


def between(found: report.Report, servers: Sequence[str]) -> tuple[Handover, ...]:
    """The handovers from each of these servers to the next one.

    :raises AssertionError: something is wrong with a record, or others wrote, or these in another
        order.
    """
    assert not found.faults, 'the volume is not as it must be: ' + '; '.join(found.faults)
    wrote = [run.writer.by for run in found.runs]
    assert wrote == list(servers), f'{wrote} wrote, one after the other, and not {list(servers)}'
    return of(found)
