# SPDX-License-Identifier: Apache-2.0
import collections

import pytest

# Failures are of the lab; the environments of older Heats have no driver for its database.
pytest.importorskip('pymysql')

from chaos.real import choice
from chaos.real.choice import AGENT, ENGINES, Failure, Kill, Way
from lab.client import failures

RUNS = [choice.draw(seed, number) for seed in range(5) for number in range(1, 101)]


def test_a_run_follows_from_seed_and_number_alone():
    assert choice.draw(1, 7) == choice.draw(1, 7)
    assert choice.draw(1, 7) != choice.draw(2, 7)
    assert [run.number for run in RUNS[:100]] == list(range(1, 101))


@pytest.mark.parametrize('seed', range(10))
def test_five_runs_have_each_failure(seed):
    for first in (1, 6, 51):
        drawn = [choice.draw(seed, number).failure for number in range(first, first + 5)]
        assert set(drawn) == set(Failure)


def test_not_all_fives_have_the_same_order():
    orders = {tuple(choice.draw(1, n).failure for n in range(i, i + 5)) for i in range(1, 51, 5)}
    assert len(orders) > 3


def test_every_failure_can_be_done():
    assert {one.value: one.is_of_host for one in Failure} == {
        name: one.is_of_host for name, one in failures.ALL.items()
    }


def test_a_sender_who_knows_of_hosts_says_nothing_of_a_guest():
    ways = collections.defaultdict(set)
    for run in RUNS:
        ways[run.failure].add(run.way)
    assert ways.pop(Failure.CRASH) == {Way.MONITOR}
    assert all(found == set(Way) for found in ways.values())


def test_signals_are_doubled_at_once_or_later_and_never_before_the_first():
    assert {len(run.signals) for run in RUNS} == {1, 2, 3, 4, 5}
    for run in RUNS:
        assert run.signals[0] == 0.0 and list(run.signals) == sorted(run.signals)
        assert run.signals[-1] <= 20.0
    assert any(len(run.signals) > 1 and not run.signals[-1] for run in RUNS)
    assert any(run.signals[-1] > 10.0 for run in RUNS)


def test_both_engines_and_the_agent_are_killed_and_at_most_one_engine_in_a_run():
    assert {kill.what for run in RUNS for kill in run.kills} == {AGENT, *ENGINES}
    assert {len(run.kills) for run in RUNS} == {0, 1, 2}
    for run in RUNS:
        assert len([kill for kill in run.kills if kill.what in ENGINES]) <= 1
        assert all(0.0 <= kill.after <= 40.0 and 0.0 <= kill.lasts <= 15.0 for kill in run.kills)


def test_only_what_was_killed_counts():
    kill = Kill(AGENT, 1.0, 2.0)
    run = choice.Run(1, Failure.CUT, Way.AGENT, (0.0, 0.5), (kill, Kill(ENGINES[0], 30.0, 1.0)))
    assert list(run.kinds([kill])) == ['cut', 'agent', 'doubled', 'agent_killed']
    assert set(run.kinds(run.kills)) <= set(choice.KINDS)
    assert str(run) == (
        'cut by agent; signals at 0.0, 0.5 s; heat-ha-agent killed after 1.0 s for 2.0 s; '
        'heat-engine-one-1 killed after 30.0 s for 1.0 s'
    )
