# SPDX-License-Identifier: Apache-2.0
import pytest

from tools import sizes

# A class with one method, which ends where the module ends.
CLASS = 'import os\n\n\nclass Long:\n    @property\n    def method(self):\n'


def write(folder, lines):
    """Put a module with a function of so many lines into a folder."""
    text = CLASS + '        os.getpid()\n' * (lines - 1)
    (folder / 'area').mkdir(exist_ok=True)
    (folder / 'area' / 'module.py').write_text(text)


def test_each_kind_is_measured_with_its_own_lines(tmp_path):
    write(tmp_path, 10)
    found = {m.kind: m.lines for m in sizes.measure_all(['area'], tmp_path)}
    assert found == {'function': 10, 'class': 12, 'module': 15}


@pytest.mark.parametrize(
    ('lines', 'code', 'printed'),
    [(60, 0, ''), (61, 1, '   61 of 60 lines: function area/module.py:6 method\n')],
)
def test_only_what_is_above_a_limit_is_an_error_and_printed(tmp_path, capsys, lines, code, printed):
    write(tmp_path, lines)
    assert sizes.main(['--limit', 'area'], tmp_path) == code
    assert capsys.readouterr().out == printed


def test_without_limits_the_longest_are_printed_and_nothing_is_an_error(tmp_path, capsys):
    write(tmp_path, 600)
    assert sizes.main(['area'], tmp_path) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[4] for line in printed] == ['function', 'class', 'module']
