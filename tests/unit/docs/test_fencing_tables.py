# SPDX-License-Identifier: Apache-2.0
"""The tables of what power controls answer in the administrator's guide are those of the code."""

from heat_ha.fencing.rules import answers, findings, programs
from tests.unit.docs.tables import SOURCE, documented


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


def test_which_programs_are_refused():
    names = {}
    for name, why in programs.NOT_THE_POWER.items():
        names.setdefault(why, []).append(f'``{name}``')
    assert documented('admin/agent.rst', 'not-the-power') == [
        [', '.join(programs_), why] for why, programs_ in names.items()
    ]


def test_which_systems_are_not_known_to_be_off():
    text = (SOURCE / 'admin/agent.rst').read_text()
    assert all(f'``{word}``' in text for word in (*answers.NOT_OFF, *answers.NO_HOST))
