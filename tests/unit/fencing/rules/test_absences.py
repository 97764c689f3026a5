# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha.fencing.model import Answer, Power
from heat_ha.fencing.rules import absences, findings

FENCE = ('c1', 0)

# By time, each look between two heartbeats that the host has sent.
BEATS = tuple((at + 8.0, at + 9.0) for at in range(0, 100, 10))


def answer(at, power, is_partial=False):
    return Answer(
        'c1', 1, 'command', power, 'seen', float(at), is_partial=is_partial, registration='r1'
    )


@pytest.mark.parametrize('removed', [(), ('r2',), ('r1',), None], ids=str)
@pytest.mark.parametrize('heartbeats', [BEATS, BEATS[:1], ()], ids=['reports', 'dies', 'silent'])
def test_only_a_host_that_reports_while_off_without_a_fence_on_record_is_found(heartbeats, removed):
    for powers in itertools.product(Power, repeat=4):
        seen = absences.Absences()
        was_found = False
        for number, power in enumerate(powers):
            seen.note(FENCE, answer(number * 10, power), heartbeats, removed)
            was_found |= bool(seen.found)
        runs = [len(list(run)) for power, run in itertools.groupby(powers) if power is Power.OFF]
        # Two heartbeats lie between three looks, the first of them late enough.
        is_long = max(runs, default=0) >= 3
        expected = heartbeats is BEATS and removed in ((), ('r2',)) and is_long
        assert was_found is expected, powers
        assert bool(seen.found) is (expected and powers[-1] is not Power.ON), powers


def test_a_storage_that_has_lost_its_registrations_is_found_although_it_knew_the_host_once():
    seen = absences.Absences()
    seen.note(FENCE, answer(0, Power.ON), BEATS, ())
    for at in range(10, 50, 10):
        seen.note(FENCE, answer(at, Power.OFF), BEATS, ())
    assert seen.found[FENCE].kind is findings.Kind.NOT_REGISTERED


@pytest.mark.parametrize(
    ('last', 'removed', 'is_over'),
    [
        (answer(50, Power.ON), (), True),
        (answer(50, Power.ON, is_partial=True), (), False),
        (answer(50, Power.UNKNOWN), (), False),
        (answer(50, Power.OFF), (), False),
        (answer(50, Power.OFF), None, False),
        (answer(50, Power.OFF), ('r2',), False),
        # Another agent has fenced it, after it had seen it there.
        (answer(50, Power.OFF), ('r1',), True),
    ],
)
def test_what_is_found_ends_once_the_storage_knows_the_host_or_its_fence_is_on_record(
    last, removed, is_over
):
    seen = absences.Absences()
    for at in range(0, 40, 10):
        seen.note(FENCE, answer(at, Power.OFF), BEATS, ())
    assert seen.found[FENCE].kind is findings.Kind.NOT_REGISTERED
    seen.note(FENCE, last, BEATS, removed)
    assert (not seen.found) is is_over


def test_off_is_a_proof_only_after_a_look_that_saw_the_host_known_or_a_fence_on_record():
    for power, is_partial, is_removed in itertools.product(Power, (False, True), (False, True)):
        why = absences.why_off_is_no_proof(power, is_partial, is_removed)
        expected = is_removed or (power is Power.ON and not is_partial)
        assert (why == '') is expected, (power, is_partial, is_removed)


def test_what_was_removed_is_put_on_record_before_it_counts():
    puts = []
    known = absences.Removals(('r1',), puts.append)
    assert known.has('r1') and not known.has('r2')
    known.add('r2')
    known.add('r1')
    known.forget('r1')
    known.forget('r3')
    assert puts == [('r1', 'r2'), ('r2',)] and known.has('r2') and not known.has('r1')

    def fails(_all):
        raise OSError('no answer')

    known = absences.Removals((), fails)
    with pytest.raises(OSError, match='no answer'):
        known.add('r1')
    assert not known.has('r1')
