# SPDX-License-Identifier: Apache-2.0
import contextlib
import threading
import time

import pytest

from heat_ha.fencing import deadline


def test_what_ends_in_time_is_as_if_it_was_called():
    assert deadline.call(lambda: 7, 20, 'a') == 7
    with pytest.raises(ZeroDivisionError):
        deadline.call(lambda: 1 // 0, 20, 'a')
    with pytest.raises(SystemExit):
        deadline.call(lambda: (_ for _ in ()).throw(SystemExit()), 20, 'a')


def test_what_does_not_end_is_given_up_and_few_of_one_are_left_at_once():
    ends, begun = threading.Event(), []

    def work():
        begun.append(1)
        ends.wait(20)

    began = time.monotonic()
    try:
        for _ in range(deadline.MOST_LEFT):
            with pytest.raises(deadline.Over, match=r'within 0.05 s'):
                deadline.call(work, 0.05, 'slow')
        with pytest.raises(deadline.Over, match='have not ended'):
            deadline.call(work, 0.05, 'slow')
        assert len(begun) == deadline.MOST_LEFT
        assert deadline.call(lambda: 1, 20, 'another') == 1
        assert time.monotonic() - began < 10
    finally:
        ends.set()
    for thread in deadline._left['slow']:
        thread.join(20)
    assert deadline.call(lambda: 2, 20, 'slow') == 2


def test_callers_that_come_at_once_leave_no_more_than_a_few_either():
    ends, begun = threading.Event(), []

    def work():
        begun.append(1)
        ends.wait(20)

    def caller():
        with contextlib.suppress(deadline.Over):
            deadline.call(work, 0.5, 'crowded')

    callers = [threading.Thread(target=caller) for _ in range(20)]
    try:
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join(20)
        assert len(begun) == deadline.MOST_LEFT
    finally:
        ends.set()
    for thread in deadline._left['crowded']:
        thread.join(20)
    assert deadline.call(lambda: 1, 20, 'crowded') == 1 and 'crowded' not in deadline._left
