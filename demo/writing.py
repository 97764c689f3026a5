# SPDX-License-Identifier: Apache-2.0
"""Who writes to a volume, and what is said of it: pure, of what the checker reports.

``demo.real`` reads the volume and says it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from lab.client import handovers
from lab.real.checker import report

# Seconds without a new record after which nobody counts as writing: guests write ten a second, and
# on a busy machine they pause.
SILENT_AFTER = 3.0


@dataclasses.dataclass(frozen=True)
class Writing:
    """Who wrote last, from which number to which; '' and -1 for nobody."""

    by: str = ''
    first: int = -1
    last: int = -1

    @property
    def count(self) -> int:
        """How many records that is."""
        return self.last - self.first + 1 if self.by else 0


@dataclasses.dataclass(frozen=True)
class Course:
    """How it has gone until now; ``changed`` is when a new record was seen last."""

    writing: Writing = Writing()
    changed: float = 0.0
    is_silent: bool = False


def writing(found: report.Report) -> Writing:
    """Who wrote last, by what is on the volume."""
    if not found.runs:
        return Writing()
    last = found.runs[-1]
    return Writing(last.writer.by, last.first, last.last)


def go_on(
    before: Course, seen: Writing, now: float, names: Mapping[str, str]
) -> tuple[Course, str]:
    """The course with what is seen now, and the news of it, '' for none.

    :param names: what the servers are called.
    """
    old = before.writing
    if seen == old:
        if before.is_silent or not seen.by or now - before.changed < SILENT_AFTER:
            return before, ''
        text = f'nobody writes; the last record is {seen.last}, by {_name(seen.by, names)}'
        return dataclasses.replace(before, is_silent=True), text
    news = ''
    if seen.by != old.by:
        news = f'{_name(seen.by, names)} writes; its first record is {seen.first}'
    elif before.is_silent:
        news = f'{_name(seen.by, names)} writes again, up to {seen.last}'
    return Course(seen, now), news


def now_written(course: Course, names: Mapping[str, str]) -> str:
    """The last number, for a line that is redrawn."""
    if not course.writing.by:
        return 'no record yet'
    by = _name(course.writing.by, names)
    return f'record {course.writing.last}, by {by}{", and none after it" * course.is_silent}'


def passed(found: handovers.Handover, names: Mapping[str, str]) -> str:
    """One handover in a sentence."""
    return (
        f'{_name(found.old, names)} wrote up to record {found.last_of_old}. {found.seconds:.1f} s '
        f'later the first write of {_name(found.new, names)} was acknowledged: record '
        f'{found.first_of_new}.'
    )


def whole(found: report.Report) -> str:
    """What is to be said of a volume without a fault."""
    last = found.runs[-1].last
    text = (
        f'The volume has the records {found.runs[0].first} to {last}. None is missing, none is '
        'there twice, each has its right checksum, and none is lost that was acknowledged to a '
        'guest.'
    )
    if found.unknown:
        text += f' Of {len(found.unknown)} more no guest knows: their writes failed in it.'
    return text


def figures(found: handovers.Handover) -> dict[str, Any]:
    """One handover as it is in the last line."""
    return {
        'pause_s': found.seconds,
        'last_of_old': found.last_of_old,
        'first_of_new': found.first_of_new,
        'from': found.old,
        'to': found.new,
    }


def _name(server: str, names: Mapping[str, str]) -> str:
    return names.get(server, f'server {server[:8]}')
