# SPDX-License-Identifier: Apache-2.0
"""Read a guest's console where its host writes it, and compare their clocks by that."""

import pathlib

from lab.real.checker import consoles

# A console grows ten times a second at most, so one of a few readings meets no write.
_TRIES = 5


def read(path: pathlib.Path) -> tuple[str, dict[str, int]]:
    """Return what is on a console, and by how many milliseconds its guest's clock is ahead.

    :param path: the file that the host writes; of a copy, the time of the last write is wrong.
    :returns: the text, and the offset per server id; none when the console does not end with a
        report, since no other line has a time.
    :raises OSError: when there is no such file.
    """
    for _ in range(_TRIES):
        before = path.stat().st_mtime_ns
        text = path.read_text(errors='replace')
        if path.stat().st_mtime_ns == before:
            break
    else:
        return text, {}
    offset = consoles.clock_offset(text, before // 1_000_000)
    if offset is None:
        return text, {}
    return text, {consoles.parse(text)[-1].writer.by: offset}
