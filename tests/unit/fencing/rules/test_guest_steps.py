# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha.cloud.model import ComputeService
from heat_ha.fencing.rules import guest_steps, guests
from heat_ha.fencing.rules.guest_steps import (
    AskNova,
    Doubt,
    End,
    Forget,
    Keep,
    Look,
    Proved,
    Refuse,
    ShutOut,
    Void,
    Wait,
)
from heat_ha.fencing.rules.guests import GuestFence, Opened, Placed, Seen, Storage, Wanted

NOW, WEEK = 1e9, 7 * 86400.0
AT, OTHER = '192.0.2.11', '192.0.2.12'
OLD, AGAIN, ELSEWHERE = f'{AT}:0/1', f'{AT}:0/2', f'{OTHER}:0/9'

ASKED = Wanted(('r1',), frozenset({'v1'}), NOW + 300)
PLACED = Placed('h1', 'hash-1', 'p1', frozenset({'v1'}))
DONE = GuestFence(
    's1', 'hash-1', host='h1', project='p1', volumes=('v1',), clients=(OLD,), proved_for=('r1',),
    written=5.0, at=NOW - 5, until=NOW + WEEK, seen_at=NOW - 1, who='agent-1',
)  # fmt: skip
INTENT = dataclasses.replace(DONE, at=0.0, proved_for=(), until=0.0)


def service(**more):
    found = {'is_up': False, 'is_forced_down': False, 'is_disabled': False, 'heartbeat_at': 5.0}
    return ComputeService('h1', '1', **(found | more))


def opened(watchers=(OLD,), lockers=(OLD,), has_lock=True):
    return {'v1': Opened(frozenset(watchers), frozenset(lockers), has_lock)}


SEEN = Seen(NOW, ASKED, 'hash-1', placed=PLACED, service=service(), storage=Storage((AT,), WEEK))
AFTER = {'shut_out': (OLD,), 'listed': {OLD: NOW + WEEK}}
WATCHED = {'fence': DONE, 'wanted': None, 'placed': None, 'listed': {OLD: NOW + WEEK}}
KEPT = {'fence': DONE, 'listed': {OLD: NOW + WEEK}}


def step(**changes):
    return guest_steps.next_step(dataclasses.replace(SEEN, **changes))


def test_a_guest_is_shut_out_by_its_clients_and_then_that_is_proved():
    assert step() == Look()
    assert step(opened=opened()) == ShutOut((OLD,))
    # Its watch is gone at once; the lock names it for ever.
    assert step(opened=opened(watchers=()), **AFTER) == Proved((OLD,))
    assert step(opened=opened((), ()), **AFTER) == Proved((OLD,))
    assert isinstance(step(opened=opened(), **AFTER), Wait)
    assert isinstance(step(opened=opened(()), shut_out=(OLD,)), Wait)


def test_a_client_that_comes_in_between_is_shut_out_as_well():
    assert step(opened=opened((AGAIN,)), **AFTER) == ShutOut((OLD, AGAIN))


@pytest.mark.parametrize(
    ('watchers', 'lockers'),
    [
        ((OLD, ELSEWHERE), (ELSEWHERE,)),
        ((OLD, ELSEWHERE), (OLD,)),
        ((OLD,), (ELSEWHERE,)),
        # A lock may be of a dead client at the host, while the guest is at another address.
        ((f'{OTHER}:0/5',), (OLD,)),
    ],
)
def test_a_client_elsewhere_speaks_against_it_before_and_after(watchers, lockers):
    found = step(opened=opened(watchers, lockers))
    assert isinstance(found, Refuse) and 'elsewhere' in found.reason
    assert OTHER in found.detail and OTHER not in found.reason
    left = [one for one in watchers if one != OLD]
    assert isinstance(step(opened=opened(left, lockers), **AFTER), Refuse)


def test_a_lock_of_a_client_that_is_refused_long_since_says_nothing():
    for known in (ELSEWHERE, f'{OTHER}:0/0'):
        found = step(opened=opened((OLD,), (ELSEWHERE,)), listed={known: NOW + WEEK})
        assert found == ShutOut((OLD,))


@pytest.mark.parametrize(
    ('changes', 'word'),
    [
        ({'placed': None}, 'has not got the server'),
        ({'placed': dataclasses.replace(PLACED, host='')}, 'has not got the server'),
        ({'placed': dataclasses.replace(PLACED, host_id='hash-2')}, 'another host'),
        ({'placed': dataclasses.replace(PLACED, moves='a task')}, 'a task'),
        ({'placed': dataclasses.replace(PLACED, volumes=frozenset())}, 'volume v1 at the server'),
        ({'storage': Storage(trouble='host h1 has no entry')}, 'operators'),
        ({'opened': {}}, 'no image'),
        ({'opened': opened(has_lock=False)}, 'exclusive-lock'),
        ({'opened': opened((), ())}, 'nobody at its host'),
        # A guest that has never written has no lock, and another one's may be left.
        ({'opened': opened((), (OLD,))}, 'nobody at its host'),
    ],
)
def test_what_cannot_be_done_says_why(changes, word):
    found = step(**changes)
    assert isinstance(found, Refuse) and word in found.reason
    assert 'h1' not in found.reason.replace('hash-1', '') and AT not in found.reason


def test_all_volumes_of_the_server_are_shut_out_and_not_only_those_asked_for():
    both = dataclasses.replace(PLACED, volumes=frozenset({'v1', 'root'}))
    found = step(placed=both, opened=opened())
    assert isinstance(found, Refuse) and 'volume root' in found.reason
    of_root = Opened(frozenset({AGAIN}), frozenset())
    assert step(placed=both, opened=opened() | {'root': of_root}) == ShutOut((OLD, AGAIN))


def test_a_client_that_may_serve_others_as_well_is_not_shut_out():
    both = dataclasses.replace(PLACED, volumes=frozenset({'v1', 'root'}))
    # As the kernel has it: one client for all of a host.
    of_root = {'root': Opened(frozenset({OLD}), frozenset())}
    for placed, images in ((both, opened() | of_root), (PLACED, opened((OLD, AGAIN)))):
        found = step(placed=placed, opened=images)
        assert isinstance(found, Refuse) and 'not its guest alone' in found.reason


@pytest.mark.parametrize(
    'changes',
    [
        {'wanted': None},
        {'wanted': dataclasses.replace(ASKED, until=NOW - 1)},
        {'problem': 'cut off', 'placed': None},
        {'service': None},
        {'service': service(is_up=True)},
        {'service': service(is_forced_down=True)},
        {'service': service(is_disabled=True, disabled_reason='disks')},
        {'held': 'storm guard'},
    ],
)
def test_what_may_pass_is_waited_for(changes):
    assert isinstance(step(**changes), Wait)
    assert isinstance(step(**changes, opened=opened()), Wait)


def test_an_intent_on_record_names_the_clients_of_who_died_in_between():
    # They have lost their watch, and had no lock.
    assert step(fence=INTENT, opened=opened((), ())) == ShutOut((OLD,))
    came_back = dataclasses.replace(INTENT, written=4.0)
    assert isinstance(step(fence=came_back, opened=opened((), ())), Refuse)


def test_another_request_is_dealt_with_as_new_and_the_old_clients_stay_known():
    more = dataclasses.replace(ASKED, ids=('r2',))
    assert step(wanted=more, **KEPT) == Look()
    assert step(wanted=more, **KEPT, opened=opened((), ())) == ShutOut((OLD,))
    done = KEPT | {'shut_out': (OLD,)}
    assert step(wanted=more, **done, opened=opened((), ())) == Proved((OLD,))
    assert isinstance(step(wanted=more, **KEPT, opened=opened((ELSEWHERE,), ())), Refuse)


def test_what_is_proved_is_kept_while_a_policy_waits():
    assert step(**KEPT) == Look()
    assert step(**KEPT, opened=opened(())) == Keep()
    assert step(**KEPT, opened=opened((AGAIN,))) == ShutOut((OLD, AGAIN))
    assert isinstance(step(**KEPT, opened=opened(()), problem='cut off'), Wait)
    # It is deleted, which frees its volumes for the new active.
    assert step(**KEPT, placed=None, opened=opened((ELSEWHERE,), (ELSEWHERE,))) == Keep()


@pytest.mark.parametrize(
    ('placed', 'kind'),
    [
        (dataclasses.replace(PLACED, host_id='hash-2'), Refuse),
        (dataclasses.replace(PLACED, moves='a migration of the server is running'), Refuse),
        # These may pass, or be the end of the server, which frees its volumes.
        (dataclasses.replace(PLACED, moves='the server is in state deleted', is_going=True), Doubt),
        (dataclasses.replace(PLACED, volumes=frozenset({'v1', 'v2'})), Doubt),
    ],
)
def test_a_server_that_is_moved_or_gets_more_volumes_ends_the_proof(placed, kind):
    assert isinstance(step(**KEPT, placed=placed, opened=opened(())), kind)
    assert isinstance(step(**KEPT, placed=placed), kind)


def test_a_volume_that_is_opened_elsewhere_while_the_server_has_it_ends_the_proof():
    there = KEPT | {'opened': opened((ELSEWHERE,), ())}
    # The plan may have deleted the server between the question to Nova and the look.
    assert step(**there) == AskNova()
    assert isinstance(step(**there, at_host=frozenset()), Doubt)
    assert step(**there, at_host=frozenset(), placed=None) == Keep()


@pytest.mark.parametrize('wanted', [ASKED, None])
@pytest.mark.parametrize(
    ('watchers', 'listed'),
    [
        ((AGAIN,), NOW + WEEK),
        ((OLD,), NOW + WEEK),
        # Somebody has removed the entry, or it ends before anybody could rely on it.
        ((), None),
        ((), NOW + guests.LEAST_LEFT),
    ],
)
def test_what_is_not_as_it_was_proved_counts_no_more_where_nothing_may_be_done(
    wanted, watchers, listed
):
    entries = {} if listed is None else {OLD: listed}
    found = {'fence': DONE, 'wanted': wanted, 'listed': entries, 'opened': opened(watchers)}
    assert isinstance(step(**found, held='storm'), Doubt)
    assert isinstance(step(**found), ShutOut | Wait)


def test_entries_that_are_only_to_be_renewed_are_no_doubt_where_nothing_may_be_done():
    late = KEPT | {'listed': {OLD: NOW + WEEK / 3}, 'opened': opened(())}
    assert step(**late, held='storm') == Keep()
    assert step(**late) == ShutOut((OLD,))


@pytest.mark.parametrize('wanted', [ASKED, None])
def test_any_sign_of_life_ends_the_proof_and_nobody_is_shut_out_of_a_host_that_is_up(wanted):
    base = WATCHED | {'wanted': wanted, 'opened': opened((AGAIN,))}
    assert step(**base, service=service(is_up=True)) == Void(NOW)
    assert step(**base, service=service(heartbeat_at=9.0)) == Void(0.0)
    found = step(**base, service=service(is_up=True), problem='cut off')
    assert isinstance(found, Wait)
    assert isinstance(step(**base, service=service(is_forced_down=True, heartbeat_at=9.0)), Wait)


def test_a_guest_that_nova_has_deleted_is_watched_while_its_host_comes_and_goes():
    void = dataclasses.replace(DONE, is_void=True, proved_for=())
    base = WATCHED | {'fence': void, 'opened': opened((AGAIN,))}
    silent = base | {'service': service(heartbeat_at=9.0)}
    # While it was up, another server there may have been given the volume.
    assert step(**silent) == AskNova()
    assert step(**silent, at_host=frozenset({'v2'})) == ShutOut((OLD, AGAIN))
    assert isinstance(step(**silent, at_host=frozenset({'v1', 'v2'})), End)
    assert step(**silent | {'opened': opened(())}) == Keep()
    assert step(**base, service=service(is_up=True)) == Void(NOW)
    up = dataclasses.replace(void, up_since=NOW - 1)
    assert isinstance(step(**base | {'fence': up}, service=service(is_up=True)), Wait)
    assert step(**base | {'fence': up}, service=service(heartbeat_at=9.0)) == Void(0.0)
    long = dataclasses.replace(void, up_since=NOW - guest_steps.WATCHED_UP - 1)
    assert isinstance(step(**base | {'fence': long}, service=service(is_up=True)), End)
    # What Nova still has may run there by right.
    assert isinstance(step(**base | {'placed': PLACED}, service=service(is_up=True)), End)


def test_what_was_done_is_watched_while_nobody_asks():
    assert step(**WATCHED) == Look()
    assert step(**WATCHED, opened=opened(())) == Keep()
    assert step(**WATCHED, opened=opened((AGAIN,))) == ShutOut((OLD, AGAIN))
    assert isinstance(step(**WATCHED, service=None), Wait)
    assert isinstance(step(**WATCHED, problem='Nova does not answer'), Wait)
    late = WATCHED | {'listed': {OLD: NOW + WEEK / 3}, 'opened': opened(())}
    assert step(**late) == ShutOut((OLD,))
    assert step(**WATCHED | {'opened': opened(())}, shut_out=(OLD,)) == Proved((OLD,))


@pytest.mark.parametrize(
    'changes',
    [
        {'storage': Storage(trouble='host h1 has no entry')},
        {'service': None, 'now': NOW + 2 * guest_steps.DAY},
        {'now': NOW + guest_steps.LONGEST_WATCH},
    ],
)
def test_a_watch_comes_to_its_end(changes):
    assert isinstance(step(**WATCHED | changes), End)


@pytest.mark.parametrize('fence', [dataclasses.replace(DONE, is_over=True), INTENT])
def test_what_is_over_is_forgotten_after_a_day(fence):
    base = WATCHED | {'fence': fence}
    assert isinstance(step(**base), Wait)
    assert step(**base | {'now': NOW + guest_steps.DAY + 1}) == Forget()


def test_nothing_at_all_is_shut_out_but_what_is_at_the_silent_host():
    """All combinations: the invariant of ``next_step``."""
    count = 0
    void = dataclasses.replace(DONE, is_void=True, proved_for=())
    for wanted, fence, placed, up, forced, problem, held, has_lock, watchers, shut_out, at_host in (
        itertools.product(
            (ASKED, None, dataclasses.replace(ASKED, ids=('r2',))),
            (None, DONE, dataclasses.replace(DONE, is_over=True), INTENT,
             dataclasses.replace(DONE, written=4.0), void),
            (PLACED, None, dataclasses.replace(PLACED, moves='x')),
            (True, False), (True, False), ('', 'blind'), ('', 'storm'), (True, False),
            ((), (OLD,), (AGAIN, ELSEWHERE), (ELSEWHERE,)),
            ((), (OLD,)), (frozenset(), frozenset({'v1'}), None, 'not looked'),
        )
    ):  # fmt: skip
        count += 1
        looked = at_host != 'not looked'
        found = step(
            wanted=wanted, fence=fence, placed=placed, problem=problem, held=held,
            service=service(is_up=up, is_forced_down=forced), shut_out=shut_out,
            opened=opened(watchers, (), has_lock) if looked else None,
            at_host=at_host if looked else None,
            listed=dict.fromkeys(shut_out, NOW + WEEK),
        )  # fmt: skip
        is_proved = fence is DONE and (wanted is ASKED or wanted is None)
        if isinstance(found, ShutOut):
            assert all(c.startswith(f'{AT}:') for c in found.clients) and looked
            assert not (up or forced or problem or held)
            is_watched = fence is void and wanted is None and placed is None
            assert is_proved or is_watched or (wanted and placed is PLACED and has_lock)
            if is_watched and set(found.clients) - {OLD}:
                assert at_host == frozenset()
        is_as_proved = OLD in shut_out and not guests.at_host(frozenset(watchers), (AT,))
        if fence is not None and fence.proved_for and looked and not is_as_proved:
            # Of these, Wait alone leaves a proof: where nothing can be concluded. What was shut
            # out in this look is on record as not looked at since.
            is_blind = bool(problem) or forced or fence.is_over or wanted not in (ASKED, None)
            assert not isinstance(found, Keep | Proved)
            assert is_blind or shut_out or not isinstance(found, Wait)
        if isinstance(found, Proved):
            assert set(found.clients) <= set(shut_out)
            assert not guests.at_host(frozenset(watchers), (AT,))
            is_watched = fence is void and wanted is None
            assert is_proved or is_watched or not watchers
        if isinstance(found, Keep):
            assert is_proved or (fence is void and wanted is None)
            assert not (up or forced or problem)
            assert wanted is None or placed is None or not watchers
    assert count == 3 * 6 * 3 * 2**5 * 4 * 2 * 4
