# SPDX-License-Identifier: Apache-2.0
"""The tables of the page about RescuePolicy are those of the code."""

import pathlib
import re

import pytest

from heat_ha.rescue.model import Cause
from heat_ha.rescue.rules import causes, server_states

PAGE = pathlib.Path(__file__).resolve().parents[3] / 'doc/source/user/rescue_policy.rst'

# What is told with the methods already, and what is not one kind.
UNTOLD = (Cause.NONE, Cause.UNEXPECTED)


def documented(name):
    """The rows of a table, each a list of its cells, without the header."""
    table = PAGE.read_text().split(f':class: {name}\n')[1]
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


@pytest.mark.parametrize(
    ('name', 'table'),
    [('vm-states', server_states.VM_STATES), ('task-states', server_states.TASK_STATES)],
)
def test_the_documented_states_are_those_in_the_code(name, table):
    names = {}
    for state, row in table.items():
        names.setdefault(row, []).append(f'``{state}``')
    assert documented(name) == [
        [', '.join(states), row.way.value, row.ends.value, row.why] for row, states in names.items()
    ]


def test_the_documented_causes_are_those_in_the_code():
    assert documented('causes') == [
        [causes.TABLE[cause].text, causes.follows(cause)] for cause in Cause if cause not in UNTOLD
    ]
