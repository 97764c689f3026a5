# SPDX-License-Identifier: Apache-2.0
import itertools

from heat_ha.agent.rules import heartbeats
from heat_ha.cloud import model as cloud

MARKS = [
    cloud.ComputeService('c1', 'id', is_up, is_forced_down, is_disabled, reason, beat)
    for is_up, is_forced_down, is_disabled, reason, beat in itertools.product(
        (True, False), (True, False), (True, False), ('', 'heat-ha: x'), (None, 1.0, 2.0)
    )
]


def test_a_record_that_was_written_is_a_sign_of_life_unless_somebody_marked_something():
    for before, after in itertools.product(MARKS, repeat=2):
        is_marked = (
            before.is_forced_down is not after.is_forced_down
            or before.is_disabled is not after.is_disabled
            or before.disabled_reason != after.disabled_reason
        )
        # One that goes back is no later one: two looks were answered in another order.
        is_written = (after.heartbeat_at or 0.0) > (before.heartbeat_at or 0.0)
        assert heartbeats.is_heartbeat(before, after) is (is_written and not is_marked), (
            before,
            after,
        )


def test_a_record_that_was_made_anew_is_no_sign_of_life_yet():
    assert not heartbeats.is_heartbeat(
        MARKS[1], cloud.ComputeService('c1', 'other', True, True, True, '', 3.0)
    )


def test_a_record_is_written_since_only_where_it_shows_life_by_any_of_the_clocks():
    for service in [None, *MARKS]:
        for since in (1.0 - cloud.CLOCKS_APART, 2.0 - cloud.CLOCKS_APART - 0.1, 2.0, -1000.0):
            found = heartbeats.is_written_since(service, since)
            at = service.heartbeat_at if service is not None and service.is_up else None
            assert found is (at is not None and at - since > cloud.CLOCKS_APART), (service, since)


# A cloud in tenths of a second, so that nothing is rounded.
INTERVAL, DOWN_TIME = 30, 120


def heard(phase, died, look_every, look_phase, until):
    """When the agent sees that a host's record has changed; it reports each INTERVAL."""
    reports = range(phase, min(died, until) + 1, INTERVAL)
    seen = {(at - look_phase + look_every - 1) // look_every * look_every + look_phase
            for at in reports}  # fmt: skip
    return [at for at in sorted(seen) if at <= until][-heartbeats.RETAINED :]


def worlds():
    """One host dies at 300; the other one dies around then, or much later, or never."""
    for look_every in (5, 10, 30):
        for look_phase, phase, other_phase in itertools.product(
            range(0, look_every, 5), range(0, INTERVAL, 6), range(0, INTERVAL, 5)
        ):
            for died in (*range(240, 440, 7), 10_000):
                last = max(range(phase, 301, INTERVAL))
                # Nova shows it as down from here on.
                for now in range(last + DOWN_TIME, last + DOWN_TIME + 60, 20):
                    own = heard(phase, 300, look_every, look_phase, now)
                    other = heard(other_phase, died, look_every, look_phase, now)
                    yield own, other, died, now, look_every


def outlived(silent_since, others, beats, now):
    return heartbeats.outlived(silent_since, heartbeats.on_time(others, beats, now), beats)


def has_outlived(own, last_of_other, now):
    return outlived(last_of_other, ['own'], {'own': own}, now) == {'own'}


def test_a_host_has_outlived_another_when_it_lived_long_after_it_and_until_now():
    answers = set()
    for own, other, died, now, look_every in worlds():
        found = has_outlived(other, own[-1], now)
        answers.add((found, died > now))
        if found:
            # It lived when the other one had left out a report, and almost until now.
            assert died > 300 and died - own[-1] >= INTERVAL - look_every, (own, other, died)
            usual = INTERVAL + look_every
            assert died >= now - heartbeats.OVERDUE * usual - look_every, (own, other, died, now)
        else:
            assert died <= now, (own, other, died, now)
    assert answers == {(True, True), (True, False), (False, False)}


def test_a_pause_of_novas_own_is_not_taken_for_the_death_of_one_host():
    # All are silent from 30 to 50, and then one reports before the other.
    before = [3.0 * n for n in range(11)]
    late = 50.0
    assert not has_outlived([*before, late], before[-1], late)
    assert not has_outlived([*before, late, late + 3], before[-1], late + 3)
    assert has_outlived([*before, late, late + 3, late + 6], before[-1], late + 6)


def test_a_host_of_which_nobody_knows_is_outlived_by_none():
    others = {'c2': (1.0, 4.0, 7.0, 10.0), 'c3': (2.0,)}
    assert outlived(heartbeats.silent_since((), None), others, others, 11.0) == frozenset()
    assert outlived(1.0, others, others, 11.0) == {'c2'}
    assert outlived(0.5, ['c2', 'c4'], others, 11.0) == {'c2'}
    assert outlived(0.5, others, others, 15.0) == frozenset()


def test_no_sign_of_life_is_later_than_the_silence_however_late_the_agent_began():
    reports = [3.0 * n for n in range(40)]
    for died in range(0, 100, 7):
        for began in range(0, 110, 5):
            written, own, record = None, [], None
            for look in range(began, 120, 2):
                beat = max((at for at in reports if at <= min(died, look)), default=None)
                if record is None or beat != record[0]:
                    own += [float(look)] if record is not None else []
                    written, record = float(look), (beat,)
            last = max(at for at in reports if at <= died)
            assert last <= heartbeats.silent_since(own, written) <= max(last + 2, began), (
                died,
                began,
            )


# S1
def test_a_mark_settles_only_on_a_host_that_is_silent():
    """Of a host that reports each 10 s and is marked at any moment, looked at each 3 s."""
    settle, interval, end = 15.0, 10, 200
    for died, marked, began, first in itertools.product(
        (end, 0, 60, 95), range(90, 110), (0, 70, 120), range(0, interval, 3)
    ):
        record, own, written = None, [], None
        for now in range(began, end, 3):
            beats = range(first, min(now, died) + 1, interval)
            is_marked = marked <= now
            seen = (max(beats, default=-1), is_marked)
            if record is None or seen != record:
                written = float(now)
                if record is not None and seen[1] == record[1]:
                    own = [*own, float(now)][-heartbeats.RETAINED :]
            record = seen
            if is_marked and heartbeats.has_settled(own, written, began, settle, (), {}, now):
                assert died < end, (died, marked, began, first, now)
                break
        else:
            assert died == end, (died, marked, began, first)


def test_a_mark_is_believed_at_once_where_the_host_was_seen_to_fall_silent_before():
    def has_settled(own, written, trusted_since, settle=15.0):
        return heartbeats.has_settled(own, written, trusted_since, settle, (), {}, 100.0)

    assert has_settled([10.0], 99.0, 0.0)
    # What happened while the agent was cut off is unknown.
    assert not has_settled([10.0], 99.0, 50.0)
    assert not has_settled([60.0], 99.0, 0.0)
    assert not has_settled([], None, 0.0)
    assert has_settled([99.0], 99.0, 0.0, settle=0.0), 'the operator wants it so'


# S1
def test_a_time_in_which_nobody_could_be_heard_is_no_silence():
    """All report each 10 s; from 100 on nothing is written, or seen, for a while."""
    others, settle = ('c2', 'c3', 'c4'), 15.0
    for phase, gap, cut_off in itertools.product(range(10), range(0, 200, 7), (False, True)):
        over = 100 + gap
        for now in range(over + 1, over + 11):
            # The host lives: its next report is yet to come.
            if any(over <= at <= now for at in range(phase, 400, 10)):
                break
            beats = {
                other: [at for at in range(number * 3, now + 1, 10) if not 100 < at < over]
                for number, other in enumerate(others)
            }
            last = max(at for at in range(phase, 101, 10))
            trusted_since = float(over) if cut_off else 0.0
            is_settled = heartbeats.has_settled(
                [last], last, trusted_since, settle, others, beats, now
            )
            assert not is_settled, (phase, gap, cut_off, now)


def test_a_silence_counts_until_the_last_look_that_was_answered_began():
    assert not heartbeats.is_silence(0.0, 15.0, (), {}, 14.0)
    assert heartbeats.is_silence(0.0, 15.0, (), {}, 15.0)
    # At least half of the others have written a whole interval since.
    beats = {
        'c2': (1.0, 5.0, 9.0), 'c3': (-9.0, 1.0, 11.0), 'c4': (5.0, 9.0), 'c5': (2.0, 6.0, 9.0)
    }  # fmt: skip
    assert heartbeats.is_silence(0.0, 15.0, ('c2', 'c3'), beats, 15.0)
    assert not heartbeats.is_silence(0.0, 15.0, ('c2', 'c3', 'c4'), beats, 15.0)
    assert heartbeats.is_silence(0.0, 15.0, ('c2', 'c3', 'c4', 'c5'), beats, 15.0)


PROOF = 100.0


def lives():
    """What the agent has seen of a fenced host after each look, beside when its reports were sent.

    It dies at its fence, or lives on. The agent looks each 3 s, but not for a while, and Nova
    writes a report some seconds after it was sent.
    """
    for lives_on, gap, length, phase, lag in itertools.product(
        (True, False), (70, 90, 99, 104, 120), (3, 20, 60), range(0, 10, 3), (0, 4, 9)
    ):
        sent = [at for at in range(phase, 260, 10) if lives_on or at < PROOF]
        own, before, record = [], float('-inf'), None
        for look in range(31, 260, 3):
            if gap < look < gap + length:
                continue
            shown = max((at for at in sent if at + lag <= look), default=None)
            if record is not None and shown != record[0]:
                own = [*own, heartbeats.Heartbeat(before, float(look))][-heartbeats.RETAINED :]
            record, before = (shown,), float(look)
            if look > PROOF:
                yield lives_on, shown, own, float(look), (gap, length, phase, lag)


# S1
def test_what_was_sent_before_the_fence_is_no_life_and_what_was_sent_after_it_never_death():
    walked = set()
    for lives_on, sent, own, look, more in lives():
        life = heartbeats.life_after(PROOF, own, None, ())
        doubted_at = heartbeats.doubted_at(PROOF, own, None, None)
        is_clear = doubted_at is None or heartbeats.is_silence(
            doubted_at, heartbeats.SILENT_ENOUGH, (), {}, look
        )
        if not lives_on:
            assert not life, ('a false sign of life', own, look, more)
        if sent > PROOF + heartbeats.WRITTEN_LATE:
            assert life or not is_clear, ('it lives', own, look, more)
        walked.add((lives_on, bool(life), is_clear))
    # In doubt is a dead host as well, for a while.
    assert {(False, False, False), (False, False, True), (True, True, False)} <= walked


# S1
def test_an_agent_that_began_after_the_fence_waits_for_a_silence_where_the_record_is_young():
    never = float('-inf')

    def doubted_at(stamp, seen, mark='', after=never):
        shown = cloud.ComputeService('c1', 'id', False, bool(mark), bool(mark), mark, stamp)
        return heartbeats.doubted_at(PROOF, (), heartbeats.Heartbeat(after, seen), shown)

    assert doubted_at(PROOF - 60, 200.0) is None, 'it fell silent before it was fenced'
    assert doubted_at(PROOF - 20, 200.0) == 200.0, 'the clocks may differ'
    assert doubted_at(PROOF + 50, 200.0) == 200.0
    assert doubted_at(None, 200.0) is None
    assert doubted_at(PROOF - 20, PROOF + 9) is None, 'the agent saw it before it was fenced'
    # What was seen to be written, and is no heartbeat, is what somebody changed.
    assert doubted_at(PROOF + 50, 200.0, after=190.0) is None
    # Of our own mark ``life_after`` knows what came later.
    assert doubted_at(PROOF + 2, 200.0, cloud.reason_of_mark('x', PROOF + 1)) is None
    assert heartbeats.doubted_at(PROOF, (), None, None) is None


def test_where_nobody_fences_again_one_report_under_way_is_no_sign_of_life():
    own = [heartbeats.Heartbeat(130.0, 133.0)]
    assert heartbeats.life_after(PROOF, own, None, ())
    assert not heartbeats.life_after(PROOF, own, None, (), heartbeats.SURE_LIFE)
    assert heartbeats.doubted_at(PROOF, own, None, None) == 133.0
    own.append(heartbeats.Heartbeat(140.0, 143.0))
    assert heartbeats.life_after(PROOF, own, None, (), heartbeats.SURE_LIFE)
