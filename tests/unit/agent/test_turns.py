# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is, and how long one waits that is signalled in vain."""

from heat_ha.agent import turns

PAUSE = 10.0


def waits(made, times, **how):
    now, found = 0.0, []
    for _ in range(times):
        found.append(made.signalled('a', now, **how))
        assert made.due(['a'], now + found[-1] - 0.1) == []
        now += found[-1]
        assert made.due(['a'], now) == ['a']
    return found


def test_a_signal_that_is_not_in_vain_is_repeated_at_one_pace():
    assert waits(turns.Turns(PAUSE), 5, in_vain=False) == [PAUSE] * 5


def test_the_pause_doubles_up_to_a_limit_and_is_as_before_once_something_has_changed():
    made = turns.Turns(PAUSE)
    assert waits(made, 8, in_vain=True) == [10, 20, 40, 80, 160, *[turns.LONGEST_PAUSE] * 3]
    made.signalled('a', 0.0, in_vain=True)
    made.moved_on('a')
    assert made.due(['a'], PAUSE) == ['a']
    assert made.signalled('a', PAUSE, in_vain=True) == PAUSE
    made.moved_on('unknown')
    assert made.is_new('unknown') and not made.is_new('a')


def test_the_new_come_first_then_who_waits_longest_and_last_who_is_signalled_in_vain():
    made = turns.Turns(PAUSE)
    made.signalled('late', 3.0, in_vain=False)
    made.signalled('early', 2.0, in_vain=False)
    made.signalled('in vain', 1.0, in_vain=True)
    keys = ['in vain', 'late', 'early', 'new']
    assert made.due(keys, 100.0) == ['new', 'early', 'late', 'in vain']


def test_what_is_done_is_forgotten():
    made = turns.Turns(PAUSE)
    made.signalled('a', 0.0, in_vain=True)
    assert made.due([], 1.0) == []
    assert made.due(['a'], 1.0) == ['a'] and made.is_new('a')


def test_who_is_not_answered_while_others_are_comes_last_and_ever_more_seldom():
    made = turns.Turns(PAUSE)
    found = []
    for now in (100.0, 200.0, 300.0, 400.0):
        found.append(made.unanswered('dead', now))
        made.signalled('good', now + 1, in_vain=False)
    assert found == [10, 10, 20, 40]
    assert made.due(['dead', 'good'], 1000.0) == ['good', 'dead']


def test_while_nobody_is_answered_all_keep_their_pace():
    made = turns.Turns(PAUSE)
    made.signalled('other', 0.0, in_vain=False)
    assert [made.unanswered('a', now) for now in (100.0, 200.0, 300.0)] == [PAUSE] * 3
    assert made.due(['a'], 310.0) == ['a']
