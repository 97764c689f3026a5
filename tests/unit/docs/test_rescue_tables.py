# SPDX-License-Identifier: Apache-2.0
"""The tables of the page about RescuePolicy are those of the code."""

import pytest

from heat_ha.rescue.model import Cause
from heat_ha.rescue.rules import causes, server_states
from tests.unit.docs.tables import documented

# What is told with the methods already.
UNTOLD = (Cause.NONE,)


@pytest.mark.parametrize(
    ('name', 'table'),
    [('vm-states', server_states.VM_STATES), ('task-states', server_states.TASK_STATES)],
)
def test_the_documented_states_are_those_in_the_code(name, table):
    names = {}
    for state, row in table.items():
        names.setdefault(row, []).append(f'``{state}``')
    assert documented('user/rescue_policy.rst', name) == [
        [', '.join(states), row.way.value, row.ends.value, row.why] for row, states in names.items()
    ]


def test_the_documented_causes_are_those_in_the_code():
    assert documented('user/rescue_policy.rst', 'causes') == [
        [causes.TABLE[cause].text, causes.follows(cause)] for cause in Cause if cause not in UNTOLD
    ]
