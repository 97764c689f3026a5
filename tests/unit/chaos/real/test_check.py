# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from chaos.real import check
from chaos.real.choice import Failure, Run, Way
from lab.real.checker import records, report

OLD, NEW = records.Writer('a', '1'), records.Writer('b', '1')
RIGHT = report.Report(
    count=30,
    runs=(report.Run(OLD, 0, 9, 0, 900), report.Run(NEW, 10, 29, 3000, 5000)),
    interruptions=(report.Interruption(OLD, NEW, 10, 2100, 2500),),
    longest_pause=report.Pause(10, 2100),
    gaps=(), bad=(), misplaced=(), doubled=(), intrusions=(), lost=(), acknowledged_twice=(),
    unknown=(), without_console=(),
)  # fmt: skip
ADDRESS, ENTRY = '10.1.0.1', '10.1.0.1:0/0'


def run_of(failure, way):
    return Run(1, failure, way, (0.0,), ())


def test_a_volume_that_passed_from_one_to_the_next_is_right():
    assert check.of_volume(RIGHT, ['a', 'b']) == []


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'gaps': ((3, 4),)}, 'no record at 3 to 4'),
        ({'bad': ((3, 3),)}, 'bad record'),
        ({'doubled': (3,)}, 'several places'),
        ({'intrusions': (report.Run(OLD, 20, 21, 4000, 4100),)}, 'goes on at 20'),
        ({'lost': (report.Lost(OLD, 8, 9, NEW),)}, 'had 8 to 9 acknowledged'),
        ({'without_console': (NEW,)}, 'no console'),
        ({'runs': (*RIGHT.runs, report.Run(OLD, 30, 31, 6000, 6100))}, 'wrote, one after'),
        ({'runs': RIGHT.runs[:1], 'interruptions': ()}, 'wrote, one after'),
        ({'interruptions': (report.Interruption(OLD, NEW, 10, 2100, None),)}, 'first write'),
    ],
)
def test_whatever_else_is_on_it_is_wrong(change, text):
    (wrong,) = check.of_volume(dataclasses.replace(RIGHT, **change), ['a', 'b'])
    assert text in wrong


@pytest.mark.parametrize('failure', Failure)
@pytest.mark.parametrize('way', Way)
def test_a_whole_host_is_shut_out_only_by_the_agent_and_only_where_the_host_failed(failure, way):
    wrong = check.of_fence(run_of(failure, way), ADDRESS, is_forced_down=True, entries=[ENTRY])
    is_allowed = way is Way.AGENT and failure is not Failure.CRASH
    assert len(wrong) == (0 if is_allowed else 2)


@pytest.mark.parametrize('way', Way)
def test_no_other_host_is_shut_out(way):
    found = check.of_fence(
        run_of(Failure.CUT, way), ADDRESS, is_forced_down=False, entries=['10.1.0.10:0/0']
    )
    assert found == ['the storage refuses all of the host at 10.1.0.10:0/0']


@pytest.mark.parametrize('way', Way)
def test_a_host_that_nobody_fenced_is_right(way):
    assert check.of_fence(run_of(Failure.CUT, way), ADDRESS, is_forced_down=False, entries=[]) == []


def test_nobody_but_the_host_of_the_active_has_the_volume_open():
    hosts = {'10.1.0.1': 'r1', '10.1.0.2': 'r2'}
    assert check.of_watchers({'10.1.0.2'}, hosts, '10.1.0.2') == []
    assert check.of_watchers({'10.1.0.1', '10.1.0.2', '10.1.0.9'}, hosts, '10.1.0.2') == [
        'the volume is open at 10.1.0.1 (r1)',
        'the volume is open at 10.1.0.9 (no host)',
    ]
