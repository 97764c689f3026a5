# SPDX-License-Identifier: Apache-2.0
import pytest

from demo import writing
from demo.writing import Course, Writing
from lab.client import handovers
from lab.real.checker import records, report

NAMES = {'a': 'server a on r1', 'b': 'server b on r2'}
NOTHING = Course()
OLD, NEW = records.Writer('a', '1'), records.Writer('b', '1')


def reported(runs, unknown=()):
    empty = dict.fromkeys(
        ('interruptions', 'gaps', 'bad', 'misplaced', 'doubled', 'intrusions', 'lost',
         'acknowledged_twice', 'without_console'), (),
    )  # fmt: skip
    return report.Report(
        count=sum(run.last - run.first + 1 for run in runs), runs=tuple(runs),
        longest_pause=None, unknown=unknown, **empty,
    )  # fmt: skip


RUNS = report.Run(OLD, 0, 213, 0, 21000), report.Run(NEW, 214, 240, 33000, 36000)


def told(looks, course=NOTHING):
    """The news of a row of looks, each of them the time and what is seen."""
    news = []
    for now, seen in looks:
        course, text = writing.go_on(course, seen, now, NAMES)
        news += [text] if text else []
    return news


def test_the_last_run_says_who_writes():
    assert writing.writing(reported([])) == Writing()
    assert writing.writing(reported([])).count == 0
    assert writing.writing(reported(RUNS)) == Writing('b', 214, 240)
    assert writing.writing(reported(RUNS)).count == 27


def test_a_handover_is_three_lines_however_often_one_looks():
    looks = [
        (1.0, Writing()),
        (2.0, Writing('a', 0, 200)),
        (3.0, Writing('a', 0, 213)),
        (4.0, Writing('a', 0, 213)),
        (6.0, Writing('a', 0, 213)),
        (7.0, Writing('a', 0, 213)),
        (14.0, Writing('b', 214, 214)),
        (15.0, Writing('b', 214, 224)),
    ]
    assert told(looks) == [
        'server a on r1 writes; its first record is 0',
        'nobody writes; the last record is 213, by server a on r1',
        'server b on r2 writes; its first record is 214',
    ]


def test_a_short_pause_is_no_news_and_the_end_of_a_long_one_is():
    course = Course(Writing('a', 0, 5), 10.0)
    assert told([(12.9, Writing('a', 0, 5)), (13.0, Writing('a', 0, 6))], course) == []
    assert told([(13.0, Writing('a', 0, 5)), (14.0, Writing('a', 0, 6))], course)[1:] == [
        'server a on r1 writes again, up to 6'
    ]


def test_nobody_falls_silent_who_has_not_written():
    assert told([(0.0, Writing()), (60.0, Writing())]) == []


@pytest.mark.parametrize(
    ('course', 'text'),
    [
        (Course(), 'no record yet'),
        (Course(Writing('a', 0, 7)), 'record 7, by server a on r1'),
        (Course(Writing('c' * 36, 0, 7)), 'record 7, by server cccccccc'),
        (
            Course(Writing('a', 0, 7), is_silent=True),
            'record 7, by server a on r1, and none after it',
        ),
    ],
)
def test_the_line_that_is_redrawn_has_the_last_number(course, text):
    assert writing.now_written(course, NAMES) == text


def test_the_end_says_what_passed_and_that_the_volume_is_whole():
    one = handovers.Handover('a', 'b', 213, 214, 11.72)
    assert writing.passed(one, NAMES) == (
        'server a on r1 wrote up to record 213. 11.7 s later the first write of server b on r2 '
        'was acknowledged: record 214.'
    )
    assert writing.figures(one) == {
        'pause_s': 11.72, 'last_of_old': 213, 'first_of_new': 214, 'from': 'a', 'to': 'b',
    }  # fmt: skip
    assert writing.whole(reported(RUNS)).startswith('The volume has the records 0 to 240. None')
    doubt = report.Unknown(OLD, 214, False)
    assert writing.whole(reported(RUNS, (doubt,))).endswith(
        'Of 1 more no guest knows: their writes failed in it.'
    )
