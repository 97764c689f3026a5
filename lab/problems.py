# SPDX-License-Identifier: Apache-2.0
"""What the lab says when it cannot go on: what is missing, and how to mend it."""

import pathlib


class Problem(Exception):
    """A step failed for a reason that a person can act on."""

    def __init__(self, what: str, mend: str = '', details: str = '') -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.details = details

    def __str__(self) -> str:
        lines = [f'The lab stopped: {self.what}']
        if self.details:
            lines += ['', *(f'    {line}' for line in self.details.splitlines()), '']
        if self.mend:
            lines.append(f'To mend it: {self.mend}')
        return '\n'.join(lines)


def tail(path: pathlib.Path, lines: int = 15) -> str:
    """Return the last lines of a log, or a word about its absence."""
    try:
        text = path.read_bytes()[-64_000:].decode(errors='replace')
    except OSError:
        return f'(no log at {path})'
    return '\n'.join(text.splitlines()[-lines:]) or f'({path} is empty)'
