# SPDX-License-Identifier: Apache-2.0
"""Heat with our types for the tests of plugins; see ``in_process``."""

import pytest


@pytest.fixture(scope='session')
def heat(tmp_path_factory):
    """Heat in this process, with our plugin folders loaded by its own loader."""
    from tests.plugin import in_process

    in_process.start_heat(tmp_path_factory.mktemp('heat'))
    return in_process


@pytest.fixture
def engine(heat, tmp_path):
    """An engine with an empty database."""
    heat.forget_stacks()
    with heat.Engine(tmp_path).in_place() as engine:
        yield engine
