# SPDX-License-Identifier: Apache-2.0
"""The tests that the page about data names exist."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / 'doc/source/admin/what_your_data_sees.rst'

NAME = re.compile(r'``(?:tests/functional/)?(test_\w+(?:\.py)?)``')


def test_every_test_that_the_page_names_is_there():
    named = set(NAME.findall(PAGE.read_text()))
    there = set()
    for path in (ROOT / 'tests/functional').glob('test_*.py'):
        there |= {path.name, *re.findall(r'^def (test_\w+)\(', path.read_text(), re.MULTILINE)}
    assert len(named) > 15 and named <= there, named - there
