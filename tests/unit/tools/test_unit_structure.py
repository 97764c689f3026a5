# SPDX-License-Identifier: Apache-2.0
import pytest

from tools import unit_structure


@pytest.fixture
def checkout(tmp_path):
    """A checkout with three modules; the result puts an empty file into it."""

    def put(path):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
        return tmp_path

    for module in ('heat_ha/regions/rules/stall.py', 'bench/rounds.py', 'devstack/plugin.sh'):
        put(module)
    return put


@pytest.mark.parametrize(
    'test',
    [
        'regions/rules/test_stall.py',
        'regions/rules/test_stall_over_time.py',
        'bench/test_rounds.py',
        'devstack/test_plugin.py',
        'regions/together/test_whatever.py',
    ],
)
def test_a_file_that_mirrors_a_module_is_in_place(checkout, test):
    root = checkout(f'tests/unit/{test}')
    assert unit_structure.misplaced(root) == []
    assert unit_structure.main(root) == 0


@pytest.mark.parametrize(
    'test',
    [
        'regions/test_stall.py',
        'regions/rules/test_stalls.py',
        'test_rounds.py',
        'regions/rules/test_together.py',
    ],
)
def test_a_file_that_mirrors_nothing_is_named(checkout, test, capsys):
    root = checkout(f'tests/unit/{test}')
    assert unit_structure.misplaced(root) == [f'tests/unit/{test}']
    assert unit_structure.main(root) == 1
    assert test in capsys.readouterr().out
