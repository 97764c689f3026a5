# SPDX-License-Identifier: Apache-2.0
"""What has proved a host to be off is asked again, and only a clear answer contradicts it."""

import itertools

import pytest

from heat_ha import exceptions
from heat_ha.agent import power_watch
from heat_ha.fencing import driver, inventory, model

PROOF_AT = 100.0


class Bmc(driver.Driver):
    """One that shows what it is told; ``asked`` counts."""

    def __init__(self, name, shows, is_power_control=True):
        self.name, self.shows, self.is_power_control = name, shows, is_power_control
        self.asked = self.closed = 0

    def power(self):
        self.asked += 1
        if isinstance(self.shows, Exception):
            raise self.shows
        return self.shows, 'it says so'

    def switch_off(self):
        raise AssertionError('a look switches nothing')

    def close(self):
        self.closed += 1


class Fences(inventory.Inventory):
    def __init__(self, *levels):
        super().__init__({}, {})
        object.__setattr__(self, 'found', levels)

    def levels(self, host):
        if isinstance(self.found[0], Exception):
            raise self.found[0]
        return self.found


class Clock:
    """The time; ``set_by``: by how much somebody has set it since."""

    now = PROOF_AT + 60.0
    set_by = 0.0

    def __call__(self):
        return self.now + self.set_by

    def monotonic(self):
        return self.now


def proof(who):
    return model.Proof(who, 'seen off twice', PROOF_AT)


def watch(fences, clock=None, run=lambda call: call()):
    clock = clock or Clock()
    return power_watch.PowerWatch(fences, now=clock, monotonic=clock.monotonic, run=run)


SHOWN = [
    (model.Power.ON, True),
    (model.Power.OFF, False),
    (model.Power.UNKNOWN, False),
    (RuntimeError('no answer'), False),
]


@pytest.mark.parametrize(
    ('first', 'second', 'names'),
    [
        (a, b, names)
        for (a, b), names in itertools.product(
            itertools.product(range(len(SHOWN)), repeat=2), ('one', 'two', 'one and two')
        )
    ],
)
def test_only_what_gave_the_proof_and_clearly_shows_on_is_a_sign_of_life(first, second, names):
    one, two = Bmc('one', SHOWN[first][0]), Bmc('two', SHOWN[second][0])
    watched = watch(Fences((one,), (two,)))
    given = proof(f'{names} by agent-1')
    watched.look('c1', given)
    expected = any(
        SHOWN[number][1]
        for number, made in ((first, one), (second, two))
        if made.name in names.split(' and ')
    )
    assert bool(watched.seen_on('c1', given)) is expected
    assert (one.asked, two.asked) == ('one' in names, 'two' in names)
    assert (one.closed, two.closed) == (one.asked, two.asked)
    assert watched.seen_on('c2', given) == ''


@pytest.mark.parametrize(
    ('level', 'asked'),
    [(1, (1, 0, 0)), (2, (0, 1, 0)), (3, (0, 0, 0)), (0, (1, 1, 0)), (9, (1, 1, 0))],
)
def test_of_two_levels_with_drivers_of_one_name_only_the_one_that_gave_the_proof_is_asked(
    level, asked
):
    # The first may be a BMC that could not switch the host off, the second its storage.
    bmc, storage = Bmc('command', model.Power.ON), Bmc('command', model.Power.OFF)
    word = Bmc('nova_forced_down', model.Power.ON, is_power_control=False)
    watched = watch(Fences((bmc,), (storage,), (word,)))
    who = 'nova_forced_down by a' if level == 3 else 'command by a'
    given = model.Proof(who, 'seen off twice', PROOF_AT, level)
    watched.look('c1', given)
    assert (bmc.asked, storage.asked, word.asked) == asked
    assert bool(watched.seen_on('c1', given)) is bool(bmc.asked)


@pytest.mark.parametrize('who', ['ada, by hand', 'nova_forced_down by agent-1', 'one', ''])
def test_somebodys_word_is_not_held_against_a_power_control(who):
    # What a person says of a host whose BMC is broken must count.
    one = Bmc('one', model.Power.ON)
    word = Bmc('nova_forced_down', model.Power.ON, is_power_control=False)
    watched = watch(Fences((one,), (word,)))
    watched.look('c1', proof(who))
    assert watched.seen_on('c1', proof(who)) == '' and one.asked == word.asked == 0


def test_what_was_seen_before_a_new_fence_says_nothing_against_that():
    clock = Clock()
    watched = watch(Fences((Bmc('one', model.Power.ON),)), clock)
    watched.look('c1', proof('one by a'))
    assert 'power as on' in watched.seen_on('c1', proof('one by a'))
    later = model.Proof('one by a', 'again', clock.now + 1)
    assert watched.seen_on('c1', later) == ''


def test_it_asks_seldom_and_never_twice_at_once():
    clock, begun = Clock(), []
    one = Bmc('one', model.Power.OFF)
    watched = watch(Fences((one,)), clock, begun.append)
    for _ in range(3):
        watched.look('c1', proof('one by a'))
    # The first is not answered yet, however late it is.
    clock.now += 100 * power_watch.EVERY
    watched.look('c1', proof('one by a'))
    assert len(begun) == 1
    begun[0]()
    for _ in range(3):
        watched.look('c1', proof('one by a'))
    assert len(begun) == 2
    begun[1]()
    clock.now += power_watch.EVERY / 2
    watched.look('c1', proof('one by a'))
    assert len(begun) == 2 and one.asked == 2


@pytest.mark.parametrize('set_by', [-3600.0, -10.0, 10.0, 3600.0])
def test_a_clock_that_is_set_neither_hides_a_power_that_is_on_nor_stops_the_looks(set_by):
    clock, one = Clock(), Bmc('one', model.Power.OFF)
    clock.now = PROOF_AT + 1
    watched, given = watch(Fences((one,)), clock), proof('one by a')
    watched.look('c1', given)
    assert watched.seen_on('c1', given) == '' and one.asked == 1
    clock.set_by, clock.now, one.shows = set_by, clock.now + power_watch.EVERY, model.Power.ON
    watched.look('c1', given)
    assert 'power as on' in watched.seen_on('c1', given) and one.asked == 2
    watched.look('c1', given)
    assert one.asked == 2, 'not more often either'


def test_a_proof_that_seems_to_be_of_later_is_looked_at_before_it_is_relied_on():
    clock, begun = Clock(), []
    clock.set_by = -3600.0
    watched = watch(Fences((Bmc('one', model.Power.OFF),)), clock, begun.append)
    watched.look('c1', proof('one by another agent'))
    assert watched.is_behind('c1', proof('one by another agent'))
    begun.pop()()
    assert not watched.is_behind('c1', proof('one by another agent'))


def test_an_answer_that_comes_after_a_new_fence_says_nothing_against_that():
    begun = []
    watched = watch(Fences((Bmc('one', model.Power.ON),)), Clock(), begun.append)
    watched.look('c1', proof('one by a'))
    later = model.Proof('one by a', 'again', PROOF_AT + 120)
    watched.look('c1', later)
    begun.pop()()
    assert watched.seen_on('c1', later) == ''


def test_an_entry_that_is_wrong_is_left_to_the_next_fence():
    watched = watch(Fences(exceptions.Refused('no address')))
    watched.look('c1', proof('one by a'))
    assert watched.seen_on('c1', proof('one by a')) == ''


@pytest.mark.parametrize('shown', [shown for shown, _is_on in SHOWN], ids=str)
@pytest.mark.parametrize(
    ('comes_at', 'is_late'),
    [(0.0, False), (power_watch.FRESH, False), (power_watch.FRESH + 1, True)],
)
def test_who_comes_late_to_a_proof_is_behind_until_its_first_look_is_answered(
    shown, comes_at, is_late
):
    clock, begun = Clock(), []
    clock.now = PROOF_AT + comes_at
    watched = watch(Fences((Bmc('one', shown),)), clock, begun.append)
    given = proof('one by another agent')
    assert watched.is_behind('c1', given) is is_late, 'no look has begun'
    watched.look('c1', given)
    clock.now += power_watch.LONGEST_LOOK / 2
    assert watched.is_behind('c1', given) is is_late, 'it is not answered'
    assert watched.is_behind('c2', given), 'another host was not looked at'
    begun.pop()()
    assert not watched.is_behind('c1', given), 'any answer will do: a BMC may be dead'
    # Of a later fence nothing is known yet, whatever was asked before it.
    later = model.Proof(given.who, 'again', clock.now)
    assert not watched.is_behind('c1', later)
    clock.now += power_watch.FRESH + 1
    assert watched.is_behind('c1', later)


def test_a_look_of_before_a_new_fence_is_no_answer_about_that():
    clock, begun = Clock(), []
    watched = watch(Fences((Bmc('one', model.Power.OFF),)), clock, begun.append)
    watched.look('c1', proof('one by a'))
    later = model.Proof('one by a', 'again', clock.now + 1)
    clock.now += 60
    watched.look('c1', later)
    begun.pop()()
    assert watched.is_behind('c1', later)
    clock.now += power_watch.EVERY
    watched.look('c1', later)
    begun.pop()()
    assert not watched.is_behind('c1', later)


def test_nobody_waits_for_ever_for_a_first_look_nor_for_one_that_nobody_can_make():
    clock, begun = Clock(), []
    watched = watch(Fences((Bmc('one', model.Power.OFF),)), clock, begun.append)
    watched.look('c1', proof('one by a'))
    assert watched.is_behind('c1', proof('one by a'))
    assert not watched.is_behind('c1', proof('ada, by hand')), 'no power control said so'
    clock.now += power_watch.LONGEST_LOOK + 1
    assert not watched.is_behind('c1', proof('one by a'))


def test_a_thread_that_cannot_be_started_stops_no_later_look():
    fences, clock = Fences((Bmc('redfish', model.Power.ON),)), Clock()

    def full(_call):
        raise RuntimeError("can't start new thread")

    made = watch(fences, clock, run=full)
    with pytest.raises(RuntimeError):
        made.look('c1', proof('redfish by a'))
    made._run = lambda call: call()
    clock.now += power_watch.EVERY
    made.look('c1', proof('redfish by a'))
    assert made.seen_on('c1', proof('redfish by a'))
