# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.fencing.model import Look, Power
from heat_ha.fencing.rules import power_off

APART = power_off.APART_SECONDS


def test_a_host_is_off_only_after_two_looks_that_are_apart_and_saw_nothing_else():
    """All rows of up to four looks, with short and long pauses, before and after the deadline."""
    walked = 0
    for count in (1, 2, 3, 4):
        for powers in itertools.product(Power, repeat=count):
            for pauses in itertools.product((0.5, APART), repeat=count - 1):
                for deadline in (0.0, 100.0):
                    times = [0.0, *itertools.accumulate(pauses)]
                    looks = [Look(at, power, '') for at, power in zip(times, powers, strict=True)]
                    found = power_off.next_look(looks, deadline)
                    run = list(itertools.takewhile(lambda o: o.power is Power.OFF, looks[::-1]))
                    is_off = len(run) > 1 and run[0].at - run[-1].at >= APART
                    assert isinstance(found, power_off.SeenOff) == is_off, looks
                    if isinstance(found, power_off.LookAgain):
                        assert 0 <= found.seconds <= APART
                    walked += 1
    assert walked > 1000


@pytest.mark.parametrize('power', [Power.ON, Power.UNKNOWN])
def test_what_is_not_off_at_the_deadline_is_given_up(power):
    assert isinstance(power_off.next_look([Look(5.0, power, '')], 5.0), power_off.GiveUp)


def test_nothing_is_waited_for_without_end():
    """Whatever is seen, a decision comes within the deadline and one more pair of looks."""
    for powers in itertools.product(Power, repeat=3):
        looks, at = [], 0.0
        for power in itertools.cycle(powers):
            looks.append(Look(at, power, ''))
            found = power_off.next_look(looks, 30.0)
            if not isinstance(found, power_off.LookAgain):
                break
            at += max(found.seconds, 0.1)
            assert at < 30.0 + 3 * APART, powers


def test_off_is_sent_again_when_the_host_came_on_after_it():
    looks = [Look(0.0, Power.OFF, ''), Look(1.0, Power.ON, '')]
    assert power_off.next_look(looks, 30.0).is_off_due
    assert not power_off.next_look(looks[1:], 30.0).is_off_due
