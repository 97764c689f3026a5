# SPDX-License-Identifier: Apache-2.0
import datetime

import pytest

from heat_ha.groups.rules import repeats
from tests.unit.groups import worlds

CAME = '2026-01-01T00:00:00Z'


def after(seconds):
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return start + datetime.timedelta(seconds=seconds)


def test_each_answer_within_a_day_doubles_the_hold_up_to_the_longest():
    holds = [repeats.hold(count) for count in range(1, 60)]
    assert holds[0] == 600 and holds[1] == 1200 and holds == sorted(holds)
    assert holds[-1] == repeats.LONGEST_HOLD


def test_an_alarm_that_lasts_a_day_has_a_bounded_number_of_answers():
    answers = [0.0]
    for minute in range(1, 24 * 60):
        now = minute * 60.0
        if repeats.refusal(now - answers[-1], len(answers), 'it', 'they are') is None:
            answers.append(now)
    assert 5 <= len(answers) <= 12
    # The second one comes soon all the same: the new active may hang without a sign.
    assert answers[1] == repeats.HOLD


@pytest.mark.parametrize(('seconds', 'is_held'), [(-5, True), (0, True), (599, True), (600, False)])
def test_a_group_whose_newest_member_is_young_and_whose_members_are_well_is_left(seconds, is_held):
    older = worlds.member('a', created_at='2025-01-01T00:00:00Z')
    seen = worlds.group(older, worlds.member('b', created_at=CAME))
    assert (repeats.of_group(seen, after(seconds)) is not None) is is_held


@pytest.mark.parametrize('change', [{'is_failed': True}, {'is_in_progress': True}])
def test_a_member_that_is_not_in_service_is_replaced_at_once(change):
    seen = worlds.group(worlds.member('a', **change), worlds.member('b', created_at=CAME))
    assert repeats.of_group(seen, after(1)) is None


def test_a_group_without_members_holds_nothing_back():
    assert repeats.of_group(worlds.group(), after(1)) is None
