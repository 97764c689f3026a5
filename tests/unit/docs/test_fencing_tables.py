# SPDX-License-Identifier: Apache-2.0
"""The tables of what power controls answer in the administrator's guide are those of the code."""

import pathlib
import re

from heat_ha.fencing.rules import answers, findings

PAGE = pathlib.Path(__file__).resolve().parents[3] / 'doc/source/admin/agent.rst'


def documented(name):
    """The rows of the table of this class, each a list of its cells, without the header."""
    table = PAGE.read_text().split(f':class: {name}\n')[1]
    rows = []
    for line in table.splitlines():
        if line and not line.startswith('   '):
            break
        if mark := re.match(r'   \* - (.*)', line):
            rows.append([mark[1]])
        elif mark := re.match(r'     - (.*)', line):
            rows[-1].append(mark[1])
    return rows[1:]


def test_what_a_program_answers():
    assert documented('status') == [
        [row.code, row.word.value, row.power.value, row.why] for row in answers.STATUS
    ]


def test_what_redfish_answers():
    assert documented('power-states') == [
        [f'``{state}``', power.value] for state, power in answers.POWER_STATES.items()
    ]


def test_what_a_check_finds():
    assert documented('findings') == [[kind.weight.value, kind.meaning] for kind in findings.Kind]
