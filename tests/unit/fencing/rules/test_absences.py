# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.fencing.model import Answer, Power
from heat_ha.fencing.rules import absences, findings

FENCE = ('c1', 0)

# By time, each look between two heartbeats that the host has sent.
BEATS = tuple((at + 8.0, at + 9.0) for at in range(0, 100, 10))


def answer(at, power, is_partial=False):
    return Answer('c1', 1, 'command', power, 'seen', float(at), is_partial=is_partial)


@pytest.mark.parametrize('heartbeats', [BEATS, BEATS[:1], ()], ids=['reports', 'dies', 'silent'])
def test_only_a_host_that_reports_and_was_never_seen_let_in_is_found(heartbeats):
    for powers in itertools.product(Power, repeat=4):
        seen = absences.Absences()
        for number, power in enumerate(powers):
            seen.note(FENCE, answer(number * 10, power), heartbeats)
        runs = [len(list(run)) for power, run in itertools.groupby(powers) if power is Power.OFF]
        # Two heartbeats lie between three looks, the first of them late enough.
        is_long = max(runs, default=0) >= 3
        expected = heartbeats is BEATS and Power.ON not in powers and is_long
        assert bool(seen.found) is expected, powers


@pytest.mark.parametrize(
    'last', [answer(50, Power.ON), answer(50, Power.UNKNOWN, is_partial=True)], ids=['on', 'part']
)
def test_what_is_found_ends_once_the_storage_knows_the_host_for_good(last):
    seen = absences.Absences()
    for at in range(0, 40, 10):
        seen.note(FENCE, answer(at, Power.OFF), BEATS)
    assert seen.found[FENCE].kind is findings.Kind.NEVER_LET_IN
    for one in (last, *(answer(at, Power.OFF) for at in range(60, 100, 10))):
        seen.note(FENCE, one, BEATS)
        assert not seen.found
