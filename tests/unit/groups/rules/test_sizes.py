# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from heat_ha.groups.rules import sizes


@pytest.mark.parametrize('value', [1, 1.0, 7, 1e3])
def test_a_whole_number_from_1_is_a_count(value):
    assert sizes.is_count(value)


@pytest.mark.parametrize('value', [0, -1, 0.5, 1.5, math.inf, -math.inf, math.nan])
def test_no_other_figure_is_a_count(value):
    assert not sizes.is_count(value)


def test_after_a_failover_the_active_stays_and_a_group_of_one_gets_its_successor_first():
    assert [sizes.most_replaced(n, active_stays=False) for n in (1, 2, 3)] == [1, 2, 3]
    assert [sizes.most_replaced(n, active_stays=True) for n in (1, 2, 3)] == [1, 1, 2]
