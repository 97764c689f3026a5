# SPDX-License-Identifier: Apache-2.0
import dataclasses
import types

import pytest

# The benchmarks read the lab's database; the environments of older Heats have no driver for it.
pytest.importorskip('pymysql')

from bench import downtime
from bench.downtime import Measured
from lab.real.checker import records, report

OLD, AGAIN, NEW = (records.Writer(*w) for w in (('a', '1'), ('a', '2'), ('b', '1')))


def reported(*interruptions):
    run = report.Run(OLD, 0, 9, 0, 900)
    empty = dict.fromkeys(
        ('gaps', 'bad', 'misplaced', 'doubled', 'intrusions', 'lost', 'acknowledged_twice',
         'unknown', 'without_console'), (),
    )  # fmt: skip
    return report.Report(
        count=10, runs=(run,), interruptions=interruptions, longest_pause=None, **empty
    )


@pytest.mark.parametrize('new', [AGAIN, NEW])
def test_another_server_or_another_boot_takes_over(new):
    one = report.Interruption(OLD, new, 10, 2000, 2500)
    assert downtime.interruption(reported(one), 'a') == 2.5


@pytest.mark.parametrize('until', [None])
def test_nobody_takes_over_while_no_write_is_acknowledged(until):
    one = report.Interruption(OLD, NEW, 10, 2000, until)
    assert downtime.interruption(reported(one), 'a') is None
    assert downtime.interruption(reported(), 'a') is None


def test_what_happens_later_is_not_counted():
    first = report.Interruption(OLD, NEW, 10, 2000, 2500)
    later = report.Interruption(NEW, OLD, 20, 9000, 9500)
    assert downtime.interruption(reported(first, later), 'a') == 2.5


def test_the_worst_ratio_counts_and_a_peer_that_destroys_the_data_is_none():
    found = [
        Measured('crash', 'bare', 10.0),
        Measured('crash', 'ours', 12.0),
        Measured('crash', 'ours_one_guest', 11.0),
        Measured('crash', 'peer', 30.0),
        Measured('cut', 'bare', 2.0),
        Measured('cut', 'ours', 3.0),
        Measured('cut', 'peer', 1.0, ('two writers',)),
        Measured('cut', 'stock', None, (), 'nobody wrote'),
    ]
    figures = downtime.summary(found)
    assert figures['ours_over_bare'] == 1.5 and figures['ours_over_peer'] == 0.4
    assert figures['ours_one_guest_over_bare'] == 1.1
    assert any('heat-ha, one guest takes 1.10' in text for text in downtime.verdicts(figures))
    assert figures['goals']['ours_over_bare']['holds'] is False
    assert figures['goals']['ours_over_peer']['holds'] is True
    assert 'ours_over_peer' not in figures['cases']['cut']
    assert any('two writers' in text for text in downtime.verdicts(figures))
    assert downtime.table(figures).row_count == 2


@pytest.mark.parametrize('is_whole', [True, False])
def test_two_who_write_at_once_are_not_taken_for_nobody(monkeypatch, is_whole):
    monkeypatch.setattr(downtime, 'LIMIT', 0.1)
    monkeypatch.setattr(downtime.time, 'sleep', lambda _s: None)
    seen = reported()
    if not is_whole:
        seen = dataclasses.replace(seen, bad=((3, 4),))
    way = types.SimpleNamespace(waits=0.0, written=types.SimpleNamespace(report=lambda: seen))
    found = downtime._measured(Measured('cut', 'peer', None), way, {})
    assert found.seconds is None and 'took over' in found.why
    assert found.faults == seen.faults and bool(found.faults) is not is_whole


def test_what_was_not_measured_gives_no_ratio():
    figures = downtime.summary([Measured('crash', 'ours', None, (), 'it hangs')])
    assert figures['ours_over_bare'] is None
    assert not figures['goals']['ours_over_bare']['holds']
    assert any('it hangs' in text for text in downtime.verdicts(figures))
