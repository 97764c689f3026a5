# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from heat_ha import exceptions
from heat_ha.failover import model, remembered
from heat_ha.groups import model as groups


class Policy:
    """A resource's data as Heat keeps it: a list, for two writers may make the same key twice."""

    def __init__(self):
        self.rows = []

    def data(self):
        return dict(self.rows)

    def data_set(self, key, value):
        for place, (known, _value) in enumerate(self.rows):
            if known == key:
                self.rows[place] = (key, value)
                return
        self.rows.append((key, value))

    def data_delete(self, key):
        found = [row for row in self.rows if row[0] == key]
        if found:
            self.rows.remove(found[0])
        return bool(found)


def kept(member, came='2026-01-01T00:00:00+00:00', **changes):
    chained = groups.Chained('replace', 2, groups.Order.DELETE_FIRST, 60.0)
    plain = model.Remembered(member, f'server-{member}', True, came, 'alarm', 'ill', chained)
    return dataclasses.replace(plain, **changes)


def test_there_is_one_signal_about_each_member_in_the_order_in_which_they_came():
    policy = Policy()
    signals = remembered.RememberedSignals(policy)
    late, early = kept('a', '2026-01-01T00:00:09+00:00'), kept('b', '2026-01-01T00:00:01+00:00')
    signals.keep(late)
    signals.keep(early)
    assert signals.read() == (early, late)
    again = dataclasses.replace(late, tries=3, due='2026-01-01T00:01:00+00:00', why='busy')
    signals.keep(again)
    assert signals.read() == (early, again)
    signals.forget(early)
    assert signals.read() == (again,)


def test_two_writers_of_one_signal_leave_nothing_behind_when_it_is_forgotten():
    policy = Policy()
    signals = remembered.RememberedSignals(policy)
    signals.keep(kept('a'))
    policy.rows.append(policy.rows[0])
    assert signals.read() == (kept('a'),)
    signals.forget(kept('a'))
    assert signals.read() == ()


def test_what_is_kept_is_bounded_and_a_signal_about_a_known_member_is_never_turned_away():
    signals = remembered.RememberedSignals(Policy())
    for number in range(remembered.MOST):
        signals.keep(kept(f'm{number}'))
    with pytest.raises(exceptions.Refused, match='wait already'):
        signals.keep(kept('another'))
    signals.keep(kept('m1', why='news'))
    assert len(signals.read()) == remembered.MOST


EARLY, LATE_TIME = '2026-01-01T00:00:01+00:00', '2026-01-01T00:00:09+00:00'
ONE, TWO = (groups.Chained('replace', count, groups.Order.CREATE_FIRST) for count in (1, 2))
PLAIN = {'chained': None, 'is_named': False}

# What the earlier and the later signal ask for, and both together.
WISHES = [
    ({}, PLAIN, {}),
    (PLAIN, {}, {}),
    ({'chained': ONE}, {'chained': None}, {'chained': ONE}),
    ({'chained': TWO}, {'chained': ONE}, {'chained': TWO}),
    ({'chained': ONE}, {'chained': TWO}, {'chained': TWO}),
    ({'server': 'gone'}, PLAIN, PLAIN),
    ({'host': '10.0.0.6'}, {'is_named': False}, {'host': '10.0.0.6'}),
    ({'is_named': False}, {'host': '10.0.0.6'}, {'host': '10.0.0.6'}),
    ({'host': '10.0.0.6'}, {}, {}),
    ({}, {'host': '10.0.0.6'}, {}),
    ({'server': 'gone', 'named': 'a'}, PLAIN, {'named': 'a'}),
]


@pytest.mark.parametrize(('early', 'late', 'both'), WISHES)
@pytest.mark.parametrize('late_is_first', [False, True])
def test_two_signals_about_a_member_are_kept_with_all_that_they_ask_for(
    early, late, both, late_is_first
):
    policy = Policy()
    signals = remembered.RememberedSignals(policy)
    two = [kept('a', EARLY, **early), kept('a', LATE_TIME, **late)]
    for one in reversed(two) if late_is_first else two:
        signals.keep(one)
    assert signals.read() == (kept('a', LATE_TIME, **both),)


@pytest.mark.parametrize('is_put_off', [False, True])
def test_what_an_earlier_signal_asks_for_besides_is_not_over_with_the_later_one(is_put_off):
    signals = remembered.RememberedSignals(Policy())
    one = kept('a', LATE_TIME, chained=None)
    signals.keep(one)
    signals.keep(kept('a', EARLY))
    if is_put_off:
        signals.put_off(one, dataclasses.replace(one, tries=1))
    else:
        signals.forget(one)
    assert signals.read() == (kept('a', LATE_TIME),)
    signals.forget(signals.read()[0])
    assert signals.read() == ()


def test_what_a_signal_waits_for_takes_little_room_however_many_members_it_names():
    policy = Policy()
    remembered.RememberedSignals(policy).keep(kept('a', why='w' * 100_000))
    [(_key, text)] = policy.rows
    assert len(text) < 3000


def test_other_entries_of_the_policy_are_no_signals():
    policy = Policy()
    policy.data_set('ha_record', '{}')
    assert remembered.among(policy.data()) == ()


def while_frozen(policy, newer):
    """Let another engine keep a newer signal right before the next write of this one."""
    real = policy.data

    def data():
        found = real()
        policy.data = real
        remembered.RememberedSignals(policy).keep(newer)
        return found

    policy.data = data


LATE = {
    'kept': lambda signals, one: signals.keep(one),
    'put off': lambda signals, one: signals.put_off(one, dataclasses.replace(one, tries=9)),
    'forgotten': lambda signals, one: signals.forget(one),
}


@pytest.mark.parametrize('late', LATE)
@pytest.mark.parametrize('is_frozen', [False, True])
def test_what_is_late_takes_nothing_from_a_newer_signal_about_the_member(late, is_frozen):
    policy = Policy()
    signals = remembered.RememberedSignals(policy)
    one, newer = kept('a'), kept('a', '2026-01-01T00:00:09+00:00', reason='again')
    signals.keep(one)
    if is_frozen:
        # Between what it reads and what it writes.
        reads = signals.read
        signals.read = lambda: (reads(), while_frozen(policy, newer))[0]
        if late != 'kept':
            while_frozen(policy, newer)
    else:
        signals.keep(newer)
    LATE[late](signals, one)
    assert remembered.RememberedSignals(policy).read() == (newer,)


# S3
def test_what_an_alarm_says_ends_only_what_that_alarm_asked_for():
    policy = Policy()
    signals = remembered.RememberedSignals(policy)
    early, late = '2026-01-01T00:00:01+00:00', '2026-01-01T00:00:09+00:00'
    signals.keep(kept('a', early, alarms=('cpu',)))
    signals.keep(kept('a', late, alarms=('ping',)))
    signals.keep(kept('b', late))
    signals.note_ok(['cpu'])
    signals.note_ok(['nobody'])
    (one, _other) = signals.read()
    assert (one.alarms, one.over) == (('ping',), ('cpu',))
    signals.note_ok(['ping'])
    assert signals.read()[0].alarms == ()
    # It fires again, and then a signal of nobody in particular comes, which no alarm ends.
    signals.keep(kept('a', late, alarms=('cpu',)))
    assert signals.read()[0].alarms == ('cpu',) and signals.read()[0].over == ('ping',)
    signals.keep(kept('a', late))
    signals.note_ok(['cpu'])
    assert signals.read()[0].alarms == ('',)
    # Nor does the ok of somebody without a name, who may be anybody.
    signals.note_ok([''])
    assert signals.read()[0].alarms == ('',) and '' not in signals.read()[0].over


def test_more_alarms_than_are_told_apart_end_with_no_name():
    signals = remembered.RememberedSignals(Policy())
    for number in range(3 * remembered.MOST_ALARMS):
        signals.keep(kept('a', alarms=(f'n{number}',)))
        signals.note_ok([f'n{number}'] if number < remembered.MOST_ALARMS + 5 else [])
        (one,) = signals.read()
        assert len(one.over) <= remembered.MOST_ALARMS + 1
    assert '' in one.alarms and len(one.alarms) <= remembered.MOST_ALARMS


def test_an_all_clear_is_not_lost_while_the_signal_is_decided():
    signals = remembered.RememberedSignals(Policy())
    one = kept('a', alarms=('cpu',))
    signals.keep(one)
    signals.note_ok(['cpu'])
    signals.put_off(one, dataclasses.replace(one, tries=1))
    signals.forget(one)
    (left,) = signals.read()
    assert left.over == ('cpu',) and left.tries == 0


def test_a_signal_that_another_version_has_kept_hinders_no_other():
    policy = Policy()
    signals = remembered.RememberedSignals(policy)
    policy.rows.append((remembered.KEY + 'b', '{"member":"b","from":"later"}'))
    policy.rows.append((remembered.KEY + 'a', remembered._text(kept('a', alarms=('cpu',)))))
    signals.note_ok(['cpu'])
    (one,) = remembered.readable(policy.data())
    assert (one.member, one.over) == ('a', ('cpu',))
