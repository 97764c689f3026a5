# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

pytest.importorskip('grimp')
from tools import import_graph

ROOT = pathlib.Path(import_graph.__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def figures():
    return import_graph.count(ROOT)


def test_the_way_of_a_signal_names_modules_that_exist():
    paths = [ROOT / f'{name.replace(".", "/")}.py' for name in import_graph.SIGNAL]
    assert [str(path) for path in paths if not path.exists()] == []


def test_no_package_is_in_a_cycle_and_no_import_goes_against_the_layers(figures):
    assert figures.cycles == () and figures.against == ()


def test_each_move_up_is_counted_once(figures):
    assert 0 < figures.climbs < figures.moves < len(import_graph.SIGNAL)
