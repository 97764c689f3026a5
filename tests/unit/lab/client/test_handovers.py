# SPDX-License-Identifier: Apache-2.0
import pytest

from lab.client import handovers
from lab.client.handovers import Handover
from lab.real.checker import records, report

OLD, NEW, THIRD = (records.Writer(*w) for w in (('a', '1'), ('b', '1'), ('c', '1')))


def reported(*, gaps=(), until=2500):
    runs = (
        report.Run(OLD, 0, 9, 0, 900),
        report.Run(NEW, 10, 29, 3000, 5000),
        report.Run(THIRD, 30, 49, 9000, 11000),
    )
    interruptions = (
        report.Interruption(OLD, NEW, 10, 2100, until),
        report.Interruption(NEW, THIRD, 30, 4000, 4200),
    )
    empty = dict.fromkeys(
        ('bad', 'misplaced', 'doubled', 'intrusions', 'lost', 'acknowledged_twice', 'unknown',
         'without_console'), (),
    )  # fmt: skip
    return report.Report(
        count=50, runs=runs, interruptions=interruptions, longest_pause=None, gaps=gaps, **empty
    )


def test_each_handover_has_the_last_number_of_one_writer_and_the_first_of_the_next():
    assert handovers.between(reported(), 'abc') == (
        Handover('a', 'b', 9, 10, 2.5),
        Handover('b', 'c', 29, 30, 4.2),
    )


def test_a_first_write_that_no_console_shows_has_no_seconds():
    first, second = handovers.of(reported(until=None))
    assert first.seconds is None and second.seconds == 4.2


@pytest.mark.parametrize('servers', ['ab', 'acb', 'abca', ''])
def test_other_writers_than_expected_are_refused(servers):
    with pytest.raises(AssertionError, match='wrote'):
        handovers.between(reported(), servers)


def test_a_fault_is_refused_in_words():
    with pytest.raises(AssertionError, match='no record at 3 to 4'):
        handovers.between(reported(gaps=((3, 4),)), 'abc')
