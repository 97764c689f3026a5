# SPDX-License-Identifier: Apache-2.0
"""The table of senders in the user guide is that of the code."""

import pathlib
import re

from heat_ha import senders

PAGE = pathlib.Path(__file__).resolve().parents[3] / 'doc/source/user/alarms.rst'


def documented():
    """The rows of the table, each a list of its cells, without the header."""
    table = PAGE.read_text().split(':class: senders\n')[1]
    rows = []
    for line in table.splitlines():
        if line and not line.startswith('   '):
            break
        if mark := re.match(r'   \* - (.*)', line):
            rows.append([mark[1]])
        elif mark := re.match(r'     -(.*)', line):
            rows[-1].append(mark[1].strip())
        elif line:
            rows[-1][-1] += f' {line.strip()}'
    return rows[1:]


def in_code():
    def words(sender, state):
        return ', '.join(f'``{word}``' for word in sender.words if senders.WORDS[word] is state)

    return [
        [
            sender.name,
            sender.recognised_by,
            *(words(sender, state) for state in senders.AlarmState),
            sender.member_at,
        ]
        for sender in senders.SENDERS
    ]


def test_the_documented_table_is_the_one_in_the_code():
    assert documented() == in_code()
