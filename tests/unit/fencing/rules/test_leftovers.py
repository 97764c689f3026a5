# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha.cloud.model import ComputeService
from heat_ha.fencing.rules import guests, leftovers
from heat_ha.fencing.rules.guests import Opened, Placed, Storage
from heat_ha.fencing.rules.leftovers import Answer, Forget, Look, Question, Seen, ShutOut, Wait

NOW, WEEK = 1e9, 7 * 86400.0
AT, OTHER = '192.0.2.11', '192.0.2.12'
DEAD, ALSO, ELSEWHERE = f'{AT}:0/1', f'{AT}:0/2', f'{OTHER}:0/9'

ASKED = Question('q1', 'p1', 's1', 'hash-1', 'v1', NOW + 5)
PLACED = Placed('h1', 'hash-1', 'p1', frozenset())
HOST = ComputeService('h1', '1', is_up=True, is_forced_down=False, is_disabled=False)


def opened(*watchers, lockers=(), **others):
    found = {name: Opened(frozenset(clients)) for name, clients in others.items()}
    return {'v1': Opened(frozenset(watchers), frozenset(lockers)), **found}


SEEN = Seen(
    NOW,
    ASKED,
    PLACED,
    HOST,
    storage=Storage((AT,), WEEK),
    looked_at=frozenset({'v1', 'v7'}),
    at_host=frozenset({'v7'}),
)
DONE = {'shut_out': (DEAD,), 'listed': {DEAD: NOW + WEEK}}


def step(**changes):
    return leftovers.next_step(dataclasses.replace(SEEN, **changes))


def test_what_a_dead_guest_has_left_is_shut_out_and_that_is_the_answer():
    assert step() == Look()
    assert step(opened=opened(DEAD)) == ShutOut((DEAD,))
    assert 'refuses what was left' in step(opened=opened(), **DONE).text
    assert isinstance(step(opened=opened(DEAD), **DONE), Wait)
    assert isinstance(step(opened=opened(), shut_out=(DEAD,)), Wait)
    # Who comes after the look at the whole host may have it by right.
    assert 'refuses what was left' in step(opened=opened(ALSO), **DONE).text


def test_where_nothing_is_left_nothing_is_done():
    # The next active's host, and a lock of which nobody has the image open.
    for found in (opened(), opened(ELSEWHERE), opened(lockers=(DEAD,))):
        assert 'nobody' in step(opened=found).text


@pytest.mark.parametrize(
    ('changes', 'word'),
    [
        ({'placed': None}, 'does not show the server'),
        ({'placed': dataclasses.replace(PLACED, host_id='hash-2')}, 'does not show the server'),
        ({'placed': dataclasses.replace(PLACED, host='')}, 'does not show the server'),
        ({'placed': dataclasses.replace(PLACED, project='p2')}, 'another project'),
        ({'service': None}, 'does not answer'),
        ({'service': dataclasses.replace(HOST, is_up=False)}, 'does not answer'),
        ({'service': dataclasses.replace(HOST, is_forced_down=True)}, 'does not answer'),
        ({'storage': Storage(trouble='host h1 has no entry')}, 'operators'),
        ({'opened': {}}, 'no image'),
        ({'opened': opened(DEAD), 'at_host': frozenset({'v1', 'v7'})}, 'has the volume'),
        # As the kernel has it: one client for all volumes of a host.
        ({'opened': opened(DEAD, v7=(DEAD,))}, 'others as well'),
    ],
)
def test_what_is_not_done_says_why_and_names_no_host(changes, word):
    found = step(**changes)
    assert isinstance(found, Answer) and word in found.text
    assert 'h1' not in found.text.replace('hash-1', '') and AT not in found.text


@pytest.mark.parametrize(
    'changes',
    [
        {'placed': dataclasses.replace(PLACED, volumes=frozenset({'v1'}))},
        # Its images were not looked at: its client may be that of the kernel.
        {'at_host': frozenset({'v7', 'v8'}), 'opened': opened(DEAD)},
        # A cell that does not answer in time: its servers are shown without volumes.
        {'at_host': frozenset(), 'opened': opened(DEAD)},
        {'problem': 'cut off'},
        {'question': dataclasses.replace(ASKED, until=NOW - 1)},
        {'question': dataclasses.replace(ASKED, answer='done')},
    ],
)
def test_what_may_pass_or_is_over_is_left(changes):
    assert isinstance(step(**{'opened': opened(DEAD)} | changes), Wait)


def test_a_question_that_nobody_takes_away_is_removed():
    late = NOW + 5 + leftovers.KEPT_FOR + 1
    assert step(now=late) == Forget()
    assert step(now=late, question=dataclasses.replace(ASKED, answer='done')) == Forget()
    aside = dataclasses.replace(ASKED, is_awaited=False)
    assert step(now=NOW + 6, question=aside) == Forget()
    due = {now: leftovers.is_due(ASKED, now) for now in (NOW, NOW + 6, late)}
    assert list(due.values()) == [True, False, True]


def test_nothing_is_shut_out_but_clients_that_serve_nobody_at_a_host_that_answers():
    """All combinations: the invariant of ``next_step``."""
    count = shut = 0
    for placed, up, forced, problem, over, clients, other, at_host, done in itertools.product(
        (PLACED, None, dataclasses.replace(PLACED, host_id='hash-2'),
         dataclasses.replace(PLACED, project='p2'),
         dataclasses.replace(PLACED, volumes=frozenset({'v1'}))),
        (True, False), (True, False), ('', 'blind'), (True, False),
        ((), (DEAD,), (DEAD, ELSEWHERE), (ELSEWHERE,), (DEAD, ALSO)),
        ((), (DEAD,), (ALSO,), (ELSEWHERE,)),
        (frozenset(), frozenset({'v1', 'v7'}), frozenset({'v7'}), frozenset({'v7', 'v8'})),
        (True, False),
    ):  # fmt: skip
        count += 1
        found = step(
            placed=placed, problem=problem, now=NOW + 9 if over else NOW,
            service=dataclasses.replace(HOST, is_up=up, is_forced_down=forced),
            opened=opened(*clients, v7=other), at_host=at_host, **(DONE if done else {}),
        )  # fmt: skip
        if isinstance(found, ShutOut):
            shut += 1
            assert set(found.clients) <= set(guests.at_host(clients, (AT,))) - set(other)
            assert not done
            assert placed is PLACED and up and not (forced or problem or over)
            assert at_host == {'v7'}
    assert count == 5 * 2**4 * 5 * 4 * 4 * 2 and shut
