# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.agent import empty_answers


@pytest.mark.parametrize(
    ('answers', 'believed'),
    [
        # (seconds, the time that the question is of, whether the answer was empty)
        ([(0, 1, False)], [True]),
        ([(0, 1, True)], [False]),
        ([(0, 1, True), (9, 1, True), (10, 1, True)], [False, False, True]),
        # What is there in between begins it anew.
        ([(0, 1, True), (5, 1, False), (11, 1, True)], [False, True, False]),
        # So does another question, and a clock that was set back.
        ([(0, 1, True), (11, 2, True), (21, 2, True)], [False, False, True]),
        ([(100, 1, True), (20, 1, True), (30, 1, True)], [False, False, True]),
    ],
)
def test_an_empty_answer_counts_once_it_has_been_the_answer_for_a_while(answers, believed):
    made = empty_answers.EmptyAnswers()
    assert [made.is_believed('c1', of, empty, now) for now, of, empty in answers] == believed


def test_hosts_are_apart():
    made = empty_answers.EmptyAnswers()
    assert not made.is_believed('c1', 1, True, 0)
    assert not made.is_believed('c2', 1, True, 10)
    assert made.is_believed('c1', 1, True, 10)
