# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from heat_ha import serialization
from heat_ha.fencing import driver, model, topology
from heat_ha.fencing.driver import Power


class Bmc(driver.Driver):
    apart = 0.0

    def __init__(self, name, works):
        super().__init__('c1', {'timeout': 1})
        self.name, self.works, self.asked_off = name, works, 0

    def power(self):
        return (Power.OFF if self.works else Power.UNKNOWN), self.name

    def switch_off(self):
        self.asked_off += 1


def fence(levels):
    times, notes = itertools.count(1000.0), []
    outcome = topology.fence(
        'c1',
        levels,
        note=lambda *n: notes.append(n),
        now=lambda: next(times),
        monotonic=lambda: next(times),
        pause=lambda _s: None,
    )
    return outcome, notes


FORMS = [(1,), (2,), (1, 1), (2, 1), (1, 2), (1, 1, 1), (2, 2)]


@pytest.mark.parametrize('form', FORMS, ids=str)
def test_a_host_is_fenced_when_all_drivers_of_one_level_have_fenced_it_and_only_then(form):
    for working in itertools.product([True, False], repeat=sum(form)):
        flags, number = iter(working), itertools.count()
        levels = [[Bmc(f'd{next(number)}', next(flags)) for _ in range(size)] for size in form]
        whole = [all(one.works for one in level) for level in levels]
        if not any(whole):
            with pytest.raises(driver.NotFenced, match='heat-ha-agent confirm c1 --by NAME'):
                fence(levels)
            continue
        proof, notes = fence(levels)
        first = whole.index(True)
        assert proof.level == 0, 'the names tell'
        assert proof.who == ' and '.join(one.name for one in levels[first])
        assert ('before: level 1' in proof.how) == (first > 0)
        assert all(not one.asked_off for level in levels[first + 1 :] for one in level)
        assert [n for n, outcome in notes if outcome == 'done'][-len(levels[first]) :] == [
            one.name for one in levels[first]
        ]


@pytest.mark.parametrize('working', [1, 2, 3])
def test_the_proof_has_its_level_where_another_one_has_a_driver_of_the_same_name(working):
    names = ['a', 'b', 'a']
    proof, _ = fence([[Bmc(name, n == working)] for n, name in enumerate(names, start=1)])
    assert (proof.who, proof.level) == (names[working - 1], 0 if working == 2 else working)
    record = serialization.encode(proof)
    assert ('level' in record) is (working != 2)
    assert serialization.decode(model.Proof, record, 'a proof') == proof


def test_a_proof_of_an_older_version_has_no_level():
    old = {'who': 'a by agent-1', 'how': 'seen off', 'at': 1.0}
    assert serialization.decode(model.Proof, old, 'a proof').level == 0


def test_the_proof_counts_from_when_the_last_of_several_was_seen_off():
    one, _ = fence([[Bmc('a', True)]])
    both, _ = fence([[Bmc('a', True), Bmc('b', True)]])
    assert both.at > one.at


@pytest.mark.parametrize(
    ('cuts', 'left', 'leaves_on'),
    [
        ((True, True), (), False),
        ((True, False), ('command',), False),
        ((False, True), ('command',), False),
        ((False, False), ('command', 'command'), True),
    ],
)
def test_of_drivers_of_one_name_the_proof_tells_how_many_leave_the_host_on(cuts, left, leaves_on):
    level = [Bmc('command', works=True) for _ in cuts]
    for one, cuts_power in zip(level, cuts, strict=True):
        one.cuts_power = cuts_power
    proof, _notes = fence([level])
    assert (proof.in_storage, proof.leaves_on) == (left, leaves_on)
    assert bool(proof.storage_drivers) is bool(left)
    kept = serialization.decode(model.Proof, serialization.encode(proof), 'it')
    assert kept == proof
    assert ('in_storage' in serialization.encode(proof)) is bool(left), 'older versions read it'
