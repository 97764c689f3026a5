# SPDX-License-Identifier: Apache-2.0
"""The tables of the documents, which tests compare with those of the code."""

import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[3] / 'doc/source'


def documented(page, name):
    """The rows of the list-table of this class, each a list of its cells, without the header."""
    table = (SOURCE / page).read_text().split(f':class: {name}\n')[1]
    rows = []
    for line in table.splitlines():
        if line and not line.startswith('   '):
            break
        if mark := re.match(r'   \* - (.*)', line):
            rows.append([mark[1]])
        elif mark := re.match(r'     -(.*)', line):
            rows[-1].append(mark[1].strip())
        elif line and rows:
            rows[-1][-1] += f' {line.strip()}'
    return rows[1:]
