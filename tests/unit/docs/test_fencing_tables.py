# SPDX-License-Identifier: Apache-2.0
"""The tables of what power controls answer in the administrator's guide are those of the code."""

from heat_ha.fencing.rules import answers, findings
from tests.unit.docs.tables import documented


def test_what_a_program_answers():
    assert documented('admin/agent.rst', 'status') == [
        [row.code, row.word.value, row.power.value, row.why] for row in answers.STATUS
    ]


def test_what_redfish_answers():
    assert documented('admin/agent.rst', 'power-states') == [
        [f'``{state}``', power.value] for state, power in answers.POWER_STATES.items()
    ]


def test_what_a_check_finds():
    assert documented('admin/agent.rst', 'findings') == [
        [kind.weight.value, kind.meaning] for kind in findings.Kind
    ]
