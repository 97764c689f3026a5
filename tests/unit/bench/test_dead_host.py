# SPDX-License-Identifier: Apache-2.0
"""The figures of the dead-host benchmark: stock Heat counts also where it never gets through."""

import pytest

# The benchmarks read the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from bench import dead_host

ROUND = {
    'bare_s': 1.0, 'ours_s': 1.5, 'ours_last_failover_s': 1.6, 'ours_done_s': 9.0, 'load': 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ('peer', 'shown'),
    [
        ({'peer_s': 30.0}, (30.0, True, 0.05)),
        (
            {
                'peer_waited_s': 120.0,
                'peer_status': 'UPDATE_IN_PROGRESS',
                'peer_is_on_the_dead': True,
            },
            (120.0, False, 0.013),
        ),
    ],
)
def test_stock_heat_counts_with_its_time_or_with_what_it_was_given(peer, shown):
    figures = dead_host.summary([ROUND | peer, ROUND])
    keys = ('peer_s', 'peer_is_through', 'ours_over_peer')
    assert tuple(figures[k] for k in keys) == (
        shown[0],
        shown[1],
        pytest.approx(shown[2], abs=1e-3),
    )
    assert figures['ours_over_bare'] == 1.5 and dead_host.verdicts(figures)[1:]


def test_without_stock_heat_nothing_is_said_of_it():
    figures = dead_host.summary([ROUND])
    assert not [k for k in figures if 'peer' in k] and len(dead_host.verdicts(figures)) == 1
