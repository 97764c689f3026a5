# SPDX-License-Identifier: Apache-2.0
"""What can wait makes way, within bounds, for failovers of the same engine."""

import threading

import pytest

from heat_ha.failover import moves_under_way


@pytest.fixture
def moves():
    """The moves of an engine whose clock is ``moves.clock``; a wait lets it go on."""
    clock = [1000.0]
    made = moves_under_way.MovesUnderWay(lambda: clock[0])
    made.clock, made.pauses = clock, []

    def wait(seconds):
        made.pauses.append(seconds)
        clock[0] += seconds

    made._change.wait = wait
    return made


def test_nobody_waits_where_nobody_else_moves(moves):
    assert not moves.wait('own', 30.0)
    moves.begin('own')
    assert not moves.wait('own', 30.0)
    moves.end('own')
    assert not moves.wait('own', 30.0) and moves.pauses == []


def test_one_that_moves_alone_is_made_way_for_until_it_has_moved(moves):
    moves.begin('other')
    assert moves.wait('own', 3.0)
    moves.end('other')
    moves._first = moves._last_end
    assert not moves.wait('own', 3.0)


def test_whoever_stops_or_moves_at_length_is_no_longer_waited_for(moves):
    with pytest.raises(ValueError, match='it failed'), moves.moving('other'):
        raise ValueError('it failed')
    assert not moves.wait('own', 0.0)
    moves.begin('stuck')
    moves.clock[0] += moves_under_way.COUNTS_FOR - 1
    assert moves.wait('own', 0.0)
    moves.clock[0] += 1
    assert not moves.wait('own', 30.0) and moves.pauses == []


@pytest.mark.parametrize('count', [2, 3, 14])
def test_where_several_moved_the_other_engines_get_some_more_time(moves, count):
    for number in range(count):
        moves.begin(f'other-{number}')
    moves.clock[0] += 8.0
    for number in range(count):
        assert moves.wait('own', 0.0)
        moves.end(f'other-{number}')
    assert moves.wait('own', 0.5)
    assert not moves.wait('own', 30.0)
    assert sum(moves.pauses) == moves_under_way.GRACE * 8.0


def test_beside_one_that_is_stuck_nothing_gets_more_time_than_is_of_use(moves):
    moves.begin('stuck')
    moves.clock[0] += 150.0
    with moves.moving('other'):
        moves.clock[0] += 2.0
    assert moves.wait('own', moves_under_way.LONGEST_GRACE - 0.5)
    assert not moves.wait('own', 1.0)
    assert sum(moves.pauses) == moves_under_way.LONGEST_GRACE


def test_a_later_failover_alone_is_not_taken_for_many(moves):
    for key in ('a', 'b'):
        moves.begin(key)
    moves.clock[0] += 8.0
    for key in ('a', 'b'):
        moves.end(key)
    moves.clock[0] += 100.0
    with moves.moving('c'):
        moves.clock[0] += 8.0
    assert not moves.wait('own', 0.0)


def test_an_end_that_is_told_twice_counts_once(moves):
    moves.begin('a')
    moves.end('a')
    last = moves._last_end
    moves.clock[0] += 5.0
    moves.end('a')
    assert moves._last_end == last


def test_the_end_of_a_move_wakes_whoever_waits():
    moves = moves_under_way.MovesUnderWay()
    moves.begin('other')
    found = []
    thread = threading.Thread(target=lambda: found.append(moves.wait('own', 60.0)))
    thread.start()
    moves.end('other')
    thread.join(30.0)
    assert found == [False]


@pytest.mark.parametrize(
    ('busy', 'needed', 'asked', 'result'),
    [
        pytest.param(0, None, 0, 'clear', id='nobody moves'),
        pytest.param(2, None, 2, 'clear', id='until they have moved'),
        pytest.param(9, 2, 2, 'needed', id='until something else is due'),
    ],
)
def test_what_makes_way_asks_whether_it_is_needed(busy, needed, asked, result):
    questions = []

    class Moves:
        left = busy

        def wait(self, key, seconds):
            assert key == 'own' and 0 < seconds <= moves_under_way.ASK_EVERY
            self.left -= 1
            return self.left >= 0

    def is_needed():
        questions.append(1)
        return len(questions) == needed

    moves_under_way.make_way('own', 30.0, is_needed, Moves())
    assert len(questions) == asked, result


def test_nothing_makes_way_for_ever(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(moves_under_way.time, 'monotonic', lambda: clock[0])

    class Moves:
        def wait(self, _key, seconds):
            clock[0] += seconds
            return True

    moves_under_way.make_way('own', 30.0, lambda: False, Moves())
    assert clock[0] == 30.0
